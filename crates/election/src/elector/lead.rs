//! Leading: renewing, and losing the lease.

use std::time::Duration;

use super::requests::{Flight, Purpose};
use super::term::Term;
use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal};
use crate::effect::{Change, Effect, StopReason};
use crate::record::Record;
use crate::timing::ATTEMPT_TIMEOUT_MIN;
use crate::view::Sight;

impl Elector {
    pub(super) fn become_leading(&mut self, mut term: Term, version: u64) {
        assert!(self.now.lead < term.lead_until(), "a term starts before its end");
        let token = term.start(version);
        let transitions = term.key().transitions;
        self.tell_holder();
        self.phase = Phase::Leading(term);
        self.effects.push(Effect::StartWork { token, transitions });
        self.effects.push(Effect::Tell(Change::Started { token, transitions }));
        self.note_begin();
    }

    /// Ends `is_leader()` for good and gives the work its budget, or none where somebody else may work already.
    pub(super) fn become_lost(&mut self, reason: StopReason) {
        self.abandon();
        self.read_soon();
        let phase = std::mem::replace(&mut self.phase, Phase::Campaigning);
        let (mut term, told) = match phase {
            Phase::Leading(term) => (term, false),
            Phase::Stopping(term) | Phase::Lost(term) => (term, true),
            Phase::Confirming(term) => return self.note_term_over(term, false),
            other => {
                self.phase = other;
                return;
            }
        };
        let budget =
            if somebody_may_work(&reason) { Duration::ZERO } else { self.config.timing.lost_stop_timeout() };
        if reason == StopReason::Duplicate {
            let message = format!(
                "another process renews the lease as {:?}; give each candidate its own identity",
                self.config.identity.as_str()
            );
            self.trouble(Refusal::of(Reason::Duplicate, message));
        }
        term.stop(reason.clone(), self.now, budget);
        if !told {
            self.effects.push(Effect::StopWork(reason.clone()));
            self.effects.push(Effect::Tell(Change::Stopping { reason }));
        }
        self.effects.extend(term.kill_if_due(self.now).map(Effect::KillWork));
        self.phase = Phase::Lost(term);
    }

    pub(super) fn act_renewing(&mut self) {
        if self.flight.is_some() {
            return;
        }
        let read_is_due = self.read_is_due();
        let asked_to_wait = !self.asked_left().is_zero();
        let seconds = self.config.timing.lease_duration_seconds();
        let (Phase::Confirming(term) | Phase::Leading(term) | Phase::Stopping(term)) = &mut self.phase else {
            return;
        };
        if term.is_unsure() {
            return if read_is_due {
                self.read()
            };
        }
        if self.now.kill < term.renew_at() || asked_to_wait {
            return;
        }
        let replaced = term.shown().map(str::to_owned);
        let renew_time = term.next_renew_time(self.now);
        let request = self.requests.renew(term.key(), replaced.as_deref(), &renew_time, seconds);
        self.send(Purpose::Renew { replaced, renew_time }, request);
    }

    pub(super) fn handle_renewal(
        &mut self,
        flight: &Flight,
        replaced: Option<&str>,
        renew_time: &str,
        answer: Answer,
    ) {
        match answer {
            Answer::Lease(record) => self.handle_renewed(flight, record),
            Answer::Refused(refusal) => {
                if let Some(term) = self.renewing_term() {
                    term.discard(renew_time);
                }
                match refusal.reason {
                    _ if refusal.is_failed_test() => self.handle_refused_renewal(replaced),
                    Reason::Missing => self.take_missing(None),
                    _ => self.retry_renewal(&refusal),
                }
            }
            Answer::Unknown(refusal) => self.retry_renewal(&refusal),
        }
    }

    /// The Lease is not what it was: by a renewal of this process whose answer was lost, which a read tells, or else by
    /// somebody else.
    fn handle_refused_renewal(&mut self, replaced: Option<&str>) {
        let now = self.now;
        let explained = self.renewing_term().is_some_and(|term| term.explain_refusal(replaced, now));
        if explained {
            self.read_soon();
        } else {
            self.become_lost(StopReason::Refused);
        }
    }

    fn handle_renewed(&mut self, flight: &Flight, record: Record) {
        let newest = self.view.newest();
        if let Some(term) = self.renewing_term()
            && term.key().is_shown_by(&record)
        {
            term.acknowledge(flight.sent, &record, record.resource_version >= newest);
        }
        let version = record.resource_version;
        let sight = self.take_record(record, Some(flight.newest_at_send));
        if sight == Sight::Restored {
            return;
        }
        self.expect_event(version);
        match std::mem::replace(&mut self.phase, Phase::Campaigning) {
            Phase::Confirming(term) if self.now.lead < term.lead_until() => {
                self.become_leading(term, version)
            }
            phase => self.phase = phase,
        }
    }

    fn renewing_term(&mut self) -> Option<&mut Term> {
        match &mut self.phase {
            Phase::Confirming(term) | Phase::Leading(term) | Phase::Stopping(term) => Some(term),
            Phase::Idle | Phase::Campaigning | Phase::Lost(_) | Phase::Releasing(_) | Phase::Finished => None,
        }
    }

    /// After a timeout at once; after an error the retry period, or what the server asks for, but so that one more
    /// attempt still fits before the end of the term.
    fn retry_renewal(&mut self, refusal: &Refusal) {
        let may_mean_not_yet = self.may_mean_not_yet(refusal);
        let timing = &self.config.timing;
        let pause = match refusal.reason {
            Reason::Timeout if refusal.code == 0 => Duration::ZERO,
            _ if may_mean_not_yet => POLICY_PACE,
            _ => {
                let asked = refusal.retry_after.unwrap_or_default().min(timing.lease_duration());
                self.jittered(timing.retry_period()).max(asked)
            }
        };
        let renew_at = self.now.kill + self.within_term(pause);
        if let Some(term) = self.renewing_term() {
            term.set_renew_at(renew_at);
        }
    }

    /// For how long the server wants no renewal, as far as one more attempt still fits before the end of the term. An
    /// acquisition that was confirmed late has no such end.
    fn asked_left(&self) -> Duration {
        let asked = self.asked_until().saturating_sub(self.now.wait);
        match &self.phase {
            Phase::Leading(term) | Phase::Stopping(term) => {
                let left = term.lead_until().saturating_sub(self.now.lead);
                asked.min(left.saturating_sub(self.config.timing.attempt_timeout()))
            }
            Phase::Idle
            | Phase::Campaigning
            | Phase::Confirming(_)
            | Phase::Lost(_)
            | Phase::Releasing(_)
            | Phase::Finished => asked,
        }
    }

    /// As much of a pause as leaves time for one more attempt before the present term ends, if there is one.
    pub(super) fn within_term(&self, pause: Duration) -> Duration {
        let (Phase::Confirming(term) | Phase::Leading(term) | Phase::Stopping(term)) = &self.phase else {
            return pause;
        };
        let left = term.lead_until().saturating_sub(self.now.lead);
        match left.saturating_sub(self.config.timing.attempt_timeout()) {
            // What is sent in the last moment helps nobody, and where it is applied late, others wait for it.
            Duration::ZERO if left < ATTEMPT_TIMEOUT_MIN => pause.max(left),
            Duration::ZERO => pause,
            room => pause.min(room),
        }
    }

    /// Compares the Lease with the present term.
    pub(super) fn judge_term(&mut self, record: &Record) {
        let renewing = matches!(&self.flight, Some(Flight { purpose: Purpose::Renew { .. }, .. }));
        if let Phase::Lost(term) = &mut self.phase {
            if let Some(reason) = seen_instead(term, record).filter(somebody_may_work) {
                term.stop(reason, self.now, Duration::ZERO);
                self.effects.extend(term.kill_if_due(self.now).map(Effect::KillWork));
            }
            return;
        }
        let Some(term) = self.renewing_term() else { return };
        if let Some(reason) = seen_instead(term, record) {
            return self.become_lost(reason);
        }
        // Its own answer may show a renew time that an admission policy has changed.
        if term.recognise(record).is_none() && !renewing {
            self.become_lost(StopReason::Duplicate);
        }
    }

    pub(super) fn lose_to_missing(&mut self) {
        if matches!(self.phase, Phase::Confirming(_) | Phase::Leading(_) | Phase::Stopping(_)) {
            self.become_lost(StopReason::LeaseMissing);
        }
    }

    /// The store went back to an older state: what was known may never have been.
    pub(super) fn handle_restored(&mut self) {
        let message = if self.config.accept_restore {
            "the store of the API server went back to an older state; going on, as accepted"
        } else {
            "the store of the API server went back to an older state; not leading before its revisions exceed those seen, \
             since fencing tokens would repeat: reset the gates and set accept-restore to go on at once"
        };
        self.trouble(Refusal::of(Reason::Restored, message));
        if matches!(self.phase, Phase::Confirming(_) | Phase::Leading(_) | Phase::Stopping(_)) {
            self.become_lost(StopReason::Restored);
        }
        self.restart_watch();
        self.read_soon();
    }

    /// The read-back after the lease was lost: who holds it now decides about the kill.
    pub(super) fn act_lost(&mut self) {
        if self.flight.is_none() && self.read_is_due() {
            self.read();
        }
    }

    pub(super) fn term_wake(&self, term: &Term) -> Option<Duration> {
        let kill = |at: Duration| at.saturating_sub(self.now.kill);
        let renew = || {
            let due = if term.is_unsure() {
                self.read_due_in()
            } else {
                kill(term.renew_at()).max(self.asked_left())
            };
            self.flight.is_none().then_some(due)
        };
        let end = |at: Duration| (!term.is_killed()).then(|| kill(at));
        match &self.phase {
            Phase::Leading(_) => {
                Some(term.lead_until().saturating_sub(self.now.lead)).into_iter().chain(renew()).min()
            }
            Phase::Stopping(_) => renew().into_iter().chain(end(term.kill_at())).min(),
            Phase::Confirming(_) => renew(),
            Phase::Lost(_) => {
                let read = self.flight.is_none().then(|| self.read_due_in());
                read.into_iter().chain(end(term.kill_at())).min()
            }
            Phase::Idle | Phase::Campaigning | Phase::Releasing(_) | Phase::Finished => None,
        }
    }
}

/// What a record shows that is not this term.
fn seen_instead(term: &Term, record: &Record) -> Option<StopReason> {
    if record.uid != term.key().uid {
        return Some(StopReason::LeaseMissing);
    }
    let holder = || record.holder().unwrap_or("").to_owned();
    (!term.key().is_shown_by(record)).then(|| StopReason::OtherHolder { holder: holder() })
}

/// Whether work of somebody else may have begun already, so that there is no time to stop gently.
fn somebody_may_work(reason: &StopReason) -> bool {
    match reason {
        StopReason::OtherHolder { holder } => !holder.is_empty(),
        StopReason::Duplicate => true,
        StopReason::Requested
        | StopReason::StepDown
        | StopReason::WorkEnded
        | StopReason::Unhealthy { .. }
        | StopReason::NoHeartbeat { .. }
        | StopReason::Expired
        | StopReason::Refused
        | StopReason::LeaseMissing
        | StopReason::Restored => false,
    }
}

/// How soon a write that an admission policy refused is tried again, eight times.
pub(super) const POLICY_PACE: Duration = Duration::from_millis(500);
