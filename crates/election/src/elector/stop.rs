//! Stopping as planned, the end of the work, and giving the lease back.

use std::time::Duration;

use super::requests::Purpose;
use super::term::Term;
use super::{Elector, Phase};
use crate::answer::{Answer, Reason};
use crate::effect::{Change, Effect, StopReason};

/// A lease being given back.
#[derive(Clone, Debug)]
pub(super) struct Release {
    term: Term,
    at: Duration,
    attempts: u32,
    /// Whether the answer of an attempt was lost, so that it may have happened.
    unknown: bool,
    /// Whether this term had work, whose end the user is told of.
    had_work: bool,
}

impl Elector {
    /// Asked to stop, or to step down: renewals continue until the work has ended.
    pub(super) fn handle_stop(&mut self, reason: StopReason) {
        match std::mem::replace(&mut self.phase, Phase::Campaigning) {
            Phase::Leading(term) => self.become_stopping(term, reason),
            Phase::Confirming(term) => self.become_releasing(term, false),
            Phase::Idle if self.finishing => self.become_finished(Ok(())),
            phase => self.phase = phase,
        }
    }

    fn become_stopping(&mut self, mut term: Term, reason: StopReason) {
        term.stop(reason.clone(), self.now, self.config.stop_timeout);
        self.phase = Phase::Stopping(term);
        self.effects.push(Effect::StopWork(reason.clone()));
        self.effects.push(Effect::Tell(Change::Stopping { reason }));
    }

    pub(super) fn handle_work_ended(&mut self) {
        match std::mem::replace(&mut self.phase, Phase::Campaigning) {
            Phase::Leading(term) => {
                self.effects.push(Effect::Tell(Change::Stopping { reason: StopReason::WorkEnded }));
                self.become_releasing(term, true);
            }
            Phase::Stopping(term) => self.become_releasing(term, true),
            Phase::Lost(term) => self.end_lost(term),
            phase => self.phase = phase,
        }
    }

    /// The work of a lost term has ended. A candidate that goes away gives the lease back if it is still its own;
    /// one that stays may acquire it again at once.
    fn end_lost(&mut self, term: Term) {
        let still_own = |record| term.key().is_shown_by(record) && term.is_own(record);
        let still_own = self.view.record().is_some_and(still_own);
        if self.finishing && still_own {
            return self.become_releasing(term, true);
        }
        self.effects.push(Effect::Tell(Change::Stopped { released: false }));
        self.end_term(term, false);
    }

    pub(super) fn become_releasing(&mut self, term: Term, had_work: bool) {
        // A renewal under way tests the holder, so it cannot undo the release.
        self.abandon();
        self.phase =
            Phase::Releasing(Release { term, at: self.now.kill, attempts: 0, unknown: false, had_work });
    }

    pub(super) fn act_releasing(&mut self) {
        if self.flight.is_some() {
            return;
        }
        let Phase::Releasing(release) = &mut self.phase else { return };
        if self.now.kill < release.at {
            return;
        }
        release.attempts += 1;
        let renew_time = release.term.next_renew_time(self.now);
        let request = self.requests.release(release.term.key(), &renew_time);
        self.send(Purpose::Release, request);
    }

    pub(super) fn handle_release(&mut self, answer: Answer) {
        let Phase::Releasing(release) = &mut self.phase else { return };
        let (refusal, unknown) = match answer {
            Answer::Lease(record) => {
                // The answer is older than what a watch may have told since; it is news only if it is not.
                self.take_record(record, None);
                return self.end_release(true);
            }
            Answer::Refused(refusal) => (refusal, false),
            Answer::Unknown(refusal) => (refusal, true),
        };
        release.unknown |= unknown;
        if refusal.is_failed_test() || refusal.reason == Reason::Missing {
            let released = release.unknown && refusal.reason != Reason::Missing;
            // The Lease is not what it was: look before anything is said about its holder.
            self.read_soon();
            return self.end_release(released);
        }
        let at_once = refusal.reason == Reason::Timeout && refusal.code == 0;
        let pause = if at_once { Duration::ZERO } else { RELEASE_PAUSE };
        let asked_until = self.now.kill.saturating_add(refusal.retry_after.unwrap_or_default());
        // What the server wants later than the end of the lease is of no use.
        let too_late = refusal.retry_after.is_some() && asked_until >= release.term.valid_until();
        if too_late || release.attempts >= RELEASE_ATTEMPTS_MAX {
            return self.end_release(false);
        }
        release.at = (self.now.kill + pause).max(asked_until);
    }

    fn end_release(&mut self, released: bool) {
        let Phase::Releasing(release) = std::mem::replace(&mut self.phase, Phase::Campaigning) else {
            return;
        };
        if release.had_work {
            self.effects.push(Effect::Tell(Change::Stopped { released }));
        }
        self.end_term(release.term, true);
    }

    fn end_term(&mut self, term: Term, gave_back: bool) {
        self.note_term_over(term, gave_back);
        self.become_campaigning();
        if self.finishing {
            self.become_finished(Ok(()));
        }
    }

    pub(super) fn release_wake(&self, release: &Release) -> Option<Duration> {
        self.flight.is_none().then(|| release.at.saturating_sub(self.now.kill))
    }
}

/// Enough for one lost answer and one error; a lease that cannot be given back expires by itself.
const RELEASE_ATTEMPTS_MAX: u32 = 3;
const RELEASE_PAUSE: Duration = Duration::from_millis(500);
