//! The watch of the holder's Pod, and taking over on what it proves.
//!
//! It is open only while this candidate waits for a holder whose end can be proved. It speeds things up and never carries
//! safety: what it does not tell is waited for as ever, and the acquisition tests the lease as seen like any other.

use std::time::Duration;

use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal};
use crate::effect::{Delivery, Effect, Note, Operation, WatchId};
use crate::evidence::{PodEvent, Subject};
use crate::request::Acquisition;

/// What is known of the holder's process. Times are on the kill clock, but for `Proof`.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    watch: PodWatch,
    /// The holder, if its end can be proved.
    holder: Option<Subject>,
    proof: Option<Proof>,
    failures: u32,
    open_at: Duration,
    /// Until then nothing is taken over by evidence, since a policy refuses that.
    refused_until: Duration,
    /// Whether it was told why there is no evidence, and nothing has changed since.
    told: bool,
    /// The acquisition made before the lease had expired, and from whom.
    early: Option<(Acquisition, String)>,
}

#[derive(Clone, Debug, Default)]
enum PodWatch {
    #[default]
    Closed,
    Opening {
        id: WatchId,
        subject: Subject,
        deadline: Duration,
    },
    Open {
        id: WatchId,
        subject: Subject,
        since: Duration,
    },
}

/// A process that has ended.
#[derive(Clone, Debug)]
struct Proof {
    subject: Subject,
    /// When that became known, on the wait clock.
    at: Duration,
}

impl Elector {
    /// Opens the watch of the holder's Pod, or closes one that is of no use any more.
    pub(super) fn act_evidence(&mut self) {
        let wanted = self.subject();
        if self.pod_watch().is_some_and(|(_, watched)| Some(watched) != wanted.as_ref()) {
            self.close_pod_watch();
        }
        let Some(subject) = wanted.filter(|_| self.pod_watch().is_none()) else { return };
        if self.now.kill < self.evidence.open_at || self.now.wait < self.asked_until() {
            return;
        }
        let id = self.next_watch();
        let request = self.requests.watch_pod(subject.pod());
        let deadline = self.now.kill + OPENING_TIMEOUT;
        self.evidence.watch = PodWatch::Opening { id, subject, deadline };
        // Who was paused hears of one holder after the other.
        self.evidence.open_at = self.now.kill + BRIEF;
        self.effects.push(Effect::OpenWatch(id, request));
    }

    /// The process whose end is to be proved, as long as that is open.
    fn subject(&self) -> Option<Subject> {
        if self.finishing || !matches!(self.phase, Phase::Campaigning) {
            return None;
        }
        let subject = self.evidence.holder.as_ref().filter(|_| self.view.record().is_some())?;
        let proven = self.evidence.proof.as_ref().is_some_and(|proof| proof.subject == *subject);
        let refused = self.now.kill < self.evidence.refused_until;
        (!proven && !refused).then(|| subject.clone())
    }

    /// Takes in who holds the lease, as the Lease now shows it.
    pub(super) fn note_holder(&mut self) {
        let subject = self.view.record().filter(|record| record.strategy.is_none()).and_then(Subject::of);
        let own = self.config.identity.nonce();
        self.evidence.holder = subject.filter(|subject| self.config.evidence && subject.nonce() != own);
    }

    /// When the end of the holder's process became known, if it has ended; on the wait clock.
    pub(super) fn ended_at(&self) -> Option<Duration> {
        let proof = self.evidence.proof.as_ref()?;
        let holds = self.evidence.holder.as_ref() == Some(&proof.subject);
        (holds && self.now.kill >= self.evidence.refused_until).then_some(proof.at)
    }

    /// Remembers an acquisition that was made before the lease had expired.
    pub(super) fn note_early(&mut self, acquisition: &Acquisition) {
        let early = self.ended_at().is_some() && self.now.wait < self.view.free_at();
        let record = self.view.record().filter(|_| early);
        let holder = record.and_then(|record| record.holder.clone());
        self.evidence.early = holder.map(|holder| (acquisition.clone(), holder));
    }

    /// Whose lease this acquisition took before it had expired, if it did.
    pub(super) fn early_holder(&mut self, acquisition: &Acquisition) -> Option<String> {
        Some(self.evidence.early.take_if(|(early, _)| early == acquisition)?.1)
    }

    /// A term begins, by evidence about this holder if there is one.
    pub(super) fn note_taken_over(&mut self, by_evidence: Option<String>) {
        if let Some(holder) = by_evidence {
            self.evidence.told = false;
            self.effects.push(Effect::Note(Note::TakenOverByEvidence { holder }));
        }
    }

    /// Whether an acquisition was refused, it seems, because the lease has not expired, as an admission policy or a webhook
    /// may do. Then it is waited for that, and nothing is taken over by evidence for a while.
    pub(super) fn is_refused_early(&mut self, acquisition: &Acquisition, refusal: &Refusal) -> bool {
        let decided = matches!(
            refusal.reason,
            Reason::Policy | Reason::Forbidden | Reason::Invalid | Reason::Unexpected
        );
        if self.early_holder(acquisition).is_none() || !decided {
            return false;
        }
        self.evidence.refused_until = self.now.kill + RARELY;
        self.tell_evidence_off(Operation::Acquire, refusal.clone());
        true
    }

    pub(super) fn handle_pod_watch_opened(&mut self, id: WatchId) {
        match std::mem::take(&mut self.evidence.watch) {
            PodWatch::Opening { id: opening, subject, .. } if opening == id => {
                self.evidence.watch = PodWatch::Open { id, subject, since: self.now.kill };
                self.evidence.told = false;
                self.effects.push(Effect::Note(Note::PodWatch { up: true, refusal: None }));
            }
            watch => self.evidence.watch = watch,
        }
    }

    pub(super) fn handle_pod_line(&mut self, id: WatchId, line: &[u8]) {
        let PodWatch::Open { id: open, subject, .. } = &self.evidence.watch else { return };
        if *open != id {
            return;
        }
        match PodEvent::parse(&self.config.lease, line) {
            PodEvent::Pod(pod) => {
                self.evidence.failures = 0;
                if subject.has_ended(&self.config.lease, &pod) {
                    self.evidence.proof = Some(Proof { subject: subject.clone(), at: self.now.wait });
                }
            }
            PodEvent::Bookmark => {}
            PodEvent::Failed(refusal) => self.end_pod_watch(Some(refusal)),
        }
    }

    pub(super) fn handle_pod_watch_ended(&mut self, id: WatchId, delivery: Option<&Delivery>) {
        if !self.is_pod_watch(id) {
            return;
        }
        let refusal = match delivery {
            None => None,
            Some(Delivery::Lost(detail)) => Some(Refusal::of(Reason::Unreachable, detail.clone())),
            Some(Delivery::Response(response)) => match Answer::parse(&self.config.lease, response) {
                Answer::Refused(refusal) | Answer::Unknown(refusal) => Some(refusal),
                Answer::Lease(_) => None,
            },
        };
        self.end_pod_watch(refusal);
    }

    /// One that lived goes on at once, since the server ends each after 30 to 60 minutes.
    fn end_pod_watch(&mut self, refusal: Option<Refusal>) {
        let lived = match self.evidence.watch {
            PodWatch::Open { since, .. } => self.now.kill.saturating_sub(since) >= BRIEF,
            PodWatch::Opening { .. } => false,
            PodWatch::Closed => return,
        };
        self.close_pod_watch();
        let forbidden = refusal.as_ref().filter(|refusal| refusal.reason == Reason::Forbidden).cloned();
        let pause = match &refusal {
            None if lived => Duration::ZERO,
            _ if forbidden.is_some() => RARELY,
            refusal => {
                let doubled = self.config.timing.retry_period() * 2_u32.pow(self.evidence.failures.min(10));
                self.evidence.failures = self.evidence.failures.saturating_add(1);
                let asked = refusal.as_ref().map_or(Duration::ZERO, |refusal| self.asked(refusal));
                self.jittered(doubled.min(PAUSE_MAX)).max(asked)
            }
        };
        self.evidence.open_at = self.now.kill + pause;
        self.effects.push(Effect::Note(Note::PodWatch { up: false, refusal }));
        if let Some(refusal) = forbidden {
            self.tell_evidence_off(Operation::Watch, refusal);
        }
    }

    fn tell_evidence_off(&mut self, operation: Operation, refusal: Refusal) {
        if !std::mem::replace(&mut self.evidence.told, true) {
            self.effects.push(Effect::Note(Note::EvidenceOff { operation, refusal }));
        }
    }

    pub(super) fn close_pod_watch(&mut self) {
        if let Some((id, _)) = self.pod_watch() {
            self.effects.push(Effect::CloseWatch(id));
        }
        self.evidence.watch = PodWatch::Closed;
    }

    pub(super) fn handle_pod_watch_timeout(&mut self) {
        if matches!(self.evidence.watch, PodWatch::Opening { deadline, .. } if self.now.kill >= deadline) {
            self.end_pod_watch(Some(Refusal::of(Reason::Timeout, "the watch of the Pod was not answered")));
        }
    }

    fn pod_watch(&self) -> Option<(WatchId, &Subject)> {
        match &self.evidence.watch {
            PodWatch::Opening { id, subject, .. } | PodWatch::Open { id, subject, .. } => {
                Some((*id, subject))
            }
            PodWatch::Closed => None,
        }
    }

    pub(super) fn is_pod_watch(&self, id: WatchId) -> bool {
        self.pod_watch().is_some_and(|(open, _)| open == id)
    }

    pub(super) fn evidence_wake(&self) -> Option<Duration> {
        match self.evidence.watch {
            PodWatch::Opening { deadline, .. } => Some(deadline.saturating_sub(self.now.kill)),
            PodWatch::Open { .. } => None,
            PodWatch::Closed => self.subject().map(|_| {
                let asked = self.asked_until().saturating_sub(self.now.wait);
                self.evidence.open_at.saturating_sub(self.now.kill).max(asked)
            }),
        }
    }
}

/// A watch is answered at once; only a dead connection takes longer.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// A watch that ends sooner counts as a failure, and no two are opened sooner after each other.
const BRIEF: Duration = Duration::from_secs(1);
/// The longest pause between two watches that fail; what they would tell is waited for meanwhile.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How soon what is not allowed is tried again: somebody may have changed a Role or a policy.
const RARELY: Duration = Duration::from_secs(600);
