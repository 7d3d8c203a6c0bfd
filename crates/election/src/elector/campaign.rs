//! Standby: reading, waiting until the lease is free, acquiring it. All times are on the `wait` clock.

use std::time::Duration;

use super::acquire::Attempt;
use super::requests::{Flight, Purpose};
use super::term::Term;
use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal};
use crate::config::OnMissing;
use crate::effect::{Effect, Failure};
use crate::record::Record;
use crate::view::{Lease, Sight};

/// What a standby remembers between inputs.
#[derive(Clone, Debug, Default)]
pub(super) struct Campaign {
    /// Acquisitions whose answers were lost: they may have happened, or may still happen.
    pub(super) attempts: Vec<Attempt>,
    /// The latest acquisition lost its race, or its answer was lost, and no look at the Lease has followed.
    pub(super) in_doubt: bool,
    pub(super) read_at: Duration,
    /// The server asked for no request before: `Retry-After`, whatever a watch tells meanwhile.
    asked_until: Duration,
    pub(super) failures: u32,
    /// Writes that were refused or not answered since the last news.
    pub(super) refusals: u32,
    /// Quick tries after a refusal by an admission policy, until they are counted anew.
    pub(super) policy_tries: u32,
    pub(super) policy_tries_until: Duration,
    /// No second acquisition of an unchanged record before this.
    pub(super) paced_until: Duration,
    backoff_until: Duration,
    short_terms: u32,
    spread: Duration,
    stay_out: Option<StayOut>,
    /// This process's last term, whose work is over: it need not wait for itself.
    lapsed: Option<Term>,
    closing_read_sent: bool,
}

/// Who released lets the others go first.
#[derive(Clone, Debug)]
struct StayOut {
    uid: String,
    transitions: i32,
    until: Duration,
}

impl Elector {
    pub(super) fn become_campaigning(&mut self) {
        self.phase = Phase::Campaigning;
    }

    pub(super) fn become_finished(&mut self, result: Result<(), Failure>) {
        self.abandon();
        self.close_watch();
        self.close_pod_watch();
        self.phase = Phase::Finished;
        self.effects.push(Effect::Finish(result));
    }

    pub(super) fn act_campaigning(&mut self) {
        if self.finishing {
            return self.act_finishing();
        }
        let acquires = self.acquire_at().is_some_and(|at| self.now.wait >= at);
        if acquires && self.is_reading() {
            // The patch carries its own expectation: a read that hangs must not delay it.
            self.abandon();
        }
        if self.flight.is_some() {
            return;
        }
        if acquires {
            self.acquire();
        } else if self.read_is_due() {
            self.read();
        }
    }

    fn is_reading(&self) -> bool {
        matches!(&self.flight, Some(Flight { purpose: Purpose::Read, .. }))
    }

    pub(super) fn campaign_wake(&self) -> Option<Duration> {
        // Who finishes acquires nothing, though it be time.
        let acquire = self.acquire_at().filter(|_| !self.finishing);
        let next = match &self.flight {
            None if self.finishing => self.campaign.asked_until,
            None => acquire.into_iter().chain([self.next_read_at()]).min()?,
            Some(_) if self.is_reading() => acquire?,
            Some(_) => return None,
        };
        Some(next.saturating_sub(self.now.wait))
    }

    pub(super) fn read(&mut self) {
        let request = self.requests.read();
        self.send(Purpose::Read, request);
    }

    /// Reads as soon as the machine acts again, because what is known is in doubt, unless the server asked for more time.
    pub(super) fn read_soon(&mut self) {
        self.campaign.read_at = self.now.wait;
    }

    pub(super) fn read_is_due(&self) -> bool {
        self.now.wait >= self.next_read_at()
    }

    pub(super) fn read_due_in(&self) -> Duration {
        self.next_read_at().saturating_sub(self.now.wait)
    }

    /// Not before the server wants requests again. A leader that must look before it renews has waited for that as far as
    /// its term allows.
    fn next_read_at(&self) -> Duration {
        match &self.phase {
            Phase::Confirming(_) | Phase::Leading(_) | Phase::Stopping(_) => self.campaign.read_at,
            Phase::Idle | Phase::Campaigning | Phase::Lost(_) | Phase::Releasing(_) | Phase::Finished => {
                self.campaign.read_at.max(self.campaign.asked_until)
            }
        }
    }

    /// When this candidate may acquire, as far as it knows now.
    fn acquire_at(&self) -> Option<Duration> {
        if self.campaign.in_doubt || (self.view.is_behind_high_water() && !self.config.accept_restore) {
            return None;
        }
        let free_at = match self.view.lease() {
            Lease::Unknown => return None,
            Lease::Missing if self.config.on_missing == OnMissing::Create => self.view.free_at(),
            Lease::Missing => return None,
            Lease::Present(record) if record.strategy.is_some() => return None,
            Lease::Present(record) if self.is_own_lapsed(record) => self.view.floor(),
            Lease::Present(record) => self.free_at().max(self.stay_out_until(record)),
        };
        let campaign = &self.campaign;
        let paced = campaign.paced_until.max(campaign.backoff_until).max(campaign.asked_until);
        Some((free_at + campaign.spread).max(paced).max(self.fit_at()?))
    }

    /// When a lease that is not this process's own is free. Evidence spares the wait for its holder, and for nobody else.
    fn free_at(&self) -> Duration {
        let expires_at = self.view.free_at();
        self.ended_at().map_or(expires_at, |ended_at| expires_at.min(ended_at.max(self.view.floor())))
    }

    fn is_own_lapsed(&self, record: &Record) -> bool {
        self.is_of_lapsed_term(record)
            && self.campaign.lapsed.as_ref().is_some_and(|term| term.is_own(record))
    }

    /// Whether the record shows this process's last term, whoever wrote it last.
    pub(super) fn is_of_lapsed_term(&self, record: &Record) -> bool {
        self.campaign.lapsed.as_ref().is_some_and(|term| term.key().is_shown_by(record))
    }

    fn stay_out_until(&self, record: &Record) -> Duration {
        match &self.campaign.stay_out {
            Some(out) if out.uid == record.uid && Some(out.transitions) == record.transitions => out.until,
            Some(_) | None => Duration::ZERO,
        }
    }

    pub(super) fn handle_read(&mut self, flight: &Flight, answer: Answer) {
        match answer {
            Answer::Lease(record) => {
                self.campaign.in_doubt = false;
                let doubtful = self.watch_was_open_at(flight.sent.kill);
                if self.take_record(record, Some(flight.newest_at_send)) == Sight::News && doubtful {
                    self.doubt_watch();
                }
            }
            Answer::Refused(refusal) if refusal.reason == Reason::Missing => {
                self.campaign.in_doubt = false;
                self.take_missing_answer(flight);
            }
            Answer::Refused(refusal) | Answer::Unknown(refusal) => self.handle_read_failure(&refusal),
        }
    }

    /// The next read after a failure: at once after a timeout, then with back-off from the retry period to the longest
    /// pause, or later where the server asks for it, but within that bound: a page for maintenance that says an hour
    /// must not cost an hour without a leader.
    pub(super) fn handle_read_failure(&mut self, refusal: &Refusal) {
        let retry_period = self.config.timing.retry_period();
        let longest = self.longest_pause();
        let pause = if refusal.reason == Reason::Timeout && self.campaign.failures == 0 {
            Duration::ZERO
        } else {
            let doubled = retry_period * 2_u32.pow(self.campaign.failures.min(10));
            self.jittered(doubled.min(longest))
        };
        self.campaign.failures = self.campaign.failures.saturating_add(1);
        self.campaign.read_at = self.now.wait + self.within_term(pause.max(self.asked(refusal)));
    }

    /// Takes down until when the server wants no more requests.
    pub(super) fn note_asked(&mut self, refusal: &Refusal) {
        let until = self.now.wait + self.asked(refusal);
        self.campaign.asked_until = self.campaign.asked_until.max(until);
    }

    /// The server has carried out what was sent in spite of it.
    pub(super) fn forget_asked(&mut self) {
        self.campaign.asked_until = Duration::ZERO;
    }

    /// What the server asks for with a refusal, within the longest pause.
    pub(super) fn asked(&self, refusal: &Refusal) -> Duration {
        refusal.retry_after.unwrap_or_default().min(self.longest_pause())
    }

    /// The server wants no requests before, on the wait clock.
    pub(super) fn asked_until(&self) -> Duration {
        self.campaign.asked_until
    }

    /// Fifteen retry periods, but no longer with its jitter than a lease lasts: once the API server is back, a leader is
    /// there as soon as after the death of a node.
    pub(super) fn longest_pause(&self) -> Duration {
        let timing = &self.config.timing;
        (timing.retry_period() * 15).min(timing.lease_duration() * 5 / 6)
    }

    /// Takes in the Lease as an answer or an event showed it.
    pub(super) fn take_record(&mut self, record: Record, newest_at_send: Option<u64>) -> Sight {
        let sight = self.view.see(record.clone(), newest_at_send, self.now, &self.config);
        match sight {
            Sight::Stale => return sight,
            Sight::Restored => {
                self.handle_restored();
                return sight;
            }
            Sight::Same | Sight::News => self.note_sign(sight),
        }
        if sight == Sight::News && record.strategy.is_some() {
            let message = "the Lease has spec.strategy, so it belongs to coordinated leader election; use another Lease";
            self.trouble(Refusal::of(Reason::Coordinated, message));
        }
        match &self.phase {
            Phase::Campaigning => self.adopt_if_own(&record, sight),
            Phase::Confirming(_) | Phase::Leading(_) | Phase::Stopping(_) | Phase::Lost(_) => {
                self.judge_term(&record)
            }
            Phase::Idle | Phase::Releasing(_) | Phase::Finished => {}
        }
        sight
    }

    /// Takes in that the Lease was not there when a read or an acquisition was answered. If an event showed it since the
    /// request was sent, nobody can tell which of the two is older.
    pub(super) fn take_missing_answer(&mut self, flight: &Flight) {
        if self.view.newest() > flight.newest_at_send {
            return self.read_soon();
        }
        self.take_missing(None);
    }

    /// Takes in that the Lease is not there.
    pub(super) fn take_missing(&mut self, version: Option<u64>) {
        let first = self.heard.is_none();
        let sight = self.view.see_missing(version, self.now, &self.config);
        if sight == Sight::Stale {
            return;
        }
        self.note_sign(sight);
        if first && self.config.on_missing == OnMissing::Fail {
            let lease = self.config.lease.to_string();
            return self.become_finished(Err(Failure::Missing { lease }));
        }
        self.lose_to_missing();
    }

    fn note_sign(&mut self, sight: Sight) {
        self.heard = Some(self.now.kill);
        self.note_holder();
        self.campaign.failures = 0;
        if sight == Sight::News {
            self.campaign.in_doubt = false;
            self.campaign.paced_until = Duration::ZERO;
            self.campaign.refusals = 0;
            self.campaign.spread = PRIORITY_STEP * u32::from(self.config.priority) + self.share(SPREAD_MAX);
        }
        if self.campaign.in_doubt {
            // Labels that are touched all the time must not put off the look without which nothing is acquired.
            return;
        }
        self.campaign.read_at = self.now.wait
            + if self.watch_is_trusted() {
                self.view.patience(&self.config)
            } else {
                self.jittered(self.config.timing.retry_period())
            };
    }

    /// A watch has opened that will tell the news.
    pub(super) fn extend_patience(&mut self) {
        if self.campaign.in_doubt {
            return;
        }
        let patient = self.now.wait + self.view.patience(&self.config);
        self.campaign.read_at = self.campaign.read_at.max(patient);
    }

    /// Reads within `pause`, unless the server asked for more time.
    pub(super) fn read_by(&mut self, pause: Duration) {
        self.campaign.read_at = self.campaign.read_at.min(self.now.wait + pause);
    }

    /// Finishes once no acquisition of this process can be left behind unseen.
    fn act_finishing(&mut self) {
        let acquiring = matches!(&self.flight, Some(Flight { purpose: Purpose::Acquire { .. }, .. }));
        if acquiring {
            return;
        }
        if self.campaign.attempts.is_empty() {
            return self.become_finished(Ok(()));
        }
        if self.flight.is_some() {
            return;
        }
        if self.campaign.closing_read_sent {
            self.become_finished(Ok(()));
        } else if self.now.wait >= self.campaign.asked_until {
            self.campaign.closing_read_sent = true;
            self.read();
        }
    }

    /// After the work of a term has ended: what it means for the next. `gave_back`: whether it was released, or tried
    /// to be.
    pub(super) fn note_term_over(&mut self, term: Term, gave_back: bool) {
        self.rest_after(term.began());
        let lease_duration = self.config.timing.lease_duration();
        let campaign = &mut self.campaign;
        if self.now.kill.saturating_sub(term.began()) < lease_duration {
            let pause = Duration::from_secs(1) * 2_u32.pow(campaign.short_terms.min(20));
            campaign.short_terms = campaign.short_terms.saturating_add(1);
            campaign.backoff_until = self.now.wait + pause.min(lease_duration);
        } else {
            campaign.short_terms = 0;
        }
        campaign.attempts.clear();
        if gave_back {
            let (uid, transitions) = (term.key().uid.clone(), term.key().transitions);
            let until = self.now.wait + lease_duration;
            campaign.stay_out = Some(StayOut { uid, transitions, until });
        } else {
            campaign.lapsed = Some(term);
        }
    }
}

const PRIORITY_STEP: Duration = Duration::from_millis(50);
/// Two standbys see a release within a few milliseconds of each other.
const SPREAD_MAX: Duration = Duration::from_millis(8);
