//! Acquiring: the one patch or PUT, its answer, and what an answer that was lost leaves behind.

use std::time::Duration;

use super::lead::POLICY_PACE;
use super::requests::{Flight, Purpose};
use super::term::Term;
use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal};
use crate::clocks::Moment;
use crate::record::{Mark, Record, micro_time};
use crate::request::{Acquisition, TermKey};
use crate::view::{Lease, Sight};

/// An acquisition that may have happened, or may still happen.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    acquisition: Acquisition,
    creates: bool,
    sent: Moment,
    newest_at_send: u64,
    /// Its answer was that the expectation failed: it has happened only if it was delivered twice.
    refused: bool,
}

impl Elector {
    pub(super) fn acquire(&mut self) {
        self.note_try();
        let time = micro_time(self.now.wall);
        let transitions = match self.view.lease() {
            Lease::Present(record) => record.transitions.unwrap_or(0).checked_add(1).unwrap_or(0),
            Lease::Missing | Lease::Unknown => 0,
        };
        let mark =
            Mark { transitions, nonce: self.config.identity.nonce().clone(), mode: Some(self.config.mode) };
        let acquisition = Acquisition {
            holder: self.config.identity.as_str().to_owned(),
            transitions,
            acquire_time: time,
            lease_duration_seconds: self.config.timing.lease_duration_seconds(),
            mark,
        };
        let (creates, request) = match self.view.lease() {
            Lease::Present(record) => (false, self.requests.acquire(record, &acquisition)),
            Lease::Missing | Lease::Unknown => (true, self.requests.create(&acquisition)),
        };
        self.campaign.paced_until = self.now.wait + self.config.timing.retry_period();
        self.note_early(&acquisition);
        self.send(Purpose::Acquire { acquisition, creates }, request);
    }

    pub(super) fn handle_acquisition(
        &mut self,
        flight: &Flight,
        acquisition: &Acquisition,
        creates: bool,
        answer: Answer,
    ) {
        let Flight { sent, newest_at_send, .. } = *flight;
        let refused = matches!(&answer, Answer::Refused(_));
        let attempt = Attempt { acquisition: acquisition.clone(), creates, sent, newest_at_send, refused };
        match answer {
            Answer::Lease(record) => {
                self.remember(attempt);
                // A write gets a revision of its own: one that was seen before is of a store that went back.
                self.take_record(record, Some(flight.newest_at_send.saturating_add(1)));
            }
            Answer::Unknown(refusal) => {
                self.remember(attempt);
                self.campaign.in_doubt = true;
                self.pace_refused();
                if self.campaign.failures == 0 {
                    self.read_soon();
                } else {
                    self.handle_read_failure(&refusal);
                }
            }
            Answer::Refused(refusal) if refusal.reason == Reason::Conflict => {
                self.remember(attempt);
                self.handle_lost_race(flight);
            }
            Answer::Refused(refusal) if refusal.reason == Reason::Missing => self.take_missing_answer(flight),
            Answer::Refused(refusal) if self.is_refused_early(acquisition, &refusal) => {}
            Answer::Refused(refusal) => {
                self.handle_read_failure(&refusal);
                if self.may_mean_not_yet(&refusal) {
                    self.campaign.paced_until = self.now.wait + POLICY_PACE;
                } else {
                    self.pace_refused();
                    self.campaign.paced_until = self.campaign.paced_until.max(self.campaign.read_at);
                }
            }
        }
    }

    /// Another has won, or the same acquisition, delivered a second time ahead of the one that was refused.
    fn handle_lost_race(&mut self, flight: &Flight) {
        if self.view.newest() > flight.newest_at_send {
            // The winner's event was faster than the refusal.
            if let Some(record) = self.view.record().cloned() {
                self.adopt_if_own(&record, Sight::Same);
            }
            return;
        }
        // The winner's event is on its way; without a watch, only a read tells who won. What is known is
        // proven wrong: the same attempt again would fail again, and put the read off for ever.
        self.campaign.in_doubt = true;
        let wait = if self.watch_is_trusted() { self.config.timing.retry_period() } else { Duration::ZERO };
        self.campaign.read_at = self.now.wait + wait;
        self.pace_refused();
    }

    /// What is refused, or not answered, again although there was no news since will be so once more: back-off from then on.
    fn pace_refused(&mut self) {
        let refusals = self.campaign.refusals;
        self.campaign.refusals = refusals.saturating_add(1);
        if refusals > 0 {
            let doubled = self.config.timing.retry_period() * 2_u32.pow(refusals.min(10));
            let pause = self.jittered(doubled.min(self.longest_pause()));
            self.campaign.paced_until = self.campaign.paced_until.max(self.now.wait + pause);
        }
    }

    /// Whether an admission policy has refused a write that it may allow soon. One that has refused this often, never a lease
    /// duration apart, does not say "not yet" but "no", also if it lets a write through in between.
    pub(super) fn may_mean_not_yet(&mut self, refusal: &Refusal) -> bool {
        if !refusal.reason.is_policy() {
            return false;
        }
        if self.now.wait >= self.campaign.policy_tries_until {
            self.campaign.policy_tries = 0;
        }
        self.campaign.policy_tries_until = self.now.wait.saturating_add(self.config.timing.lease_duration());
        if self.campaign.policy_tries >= POLICY_TRIES {
            return false;
        }
        self.campaign.policy_tries += 1;
        self.campaign.refusals += 1;
        true
    }

    fn remember(&mut self, attempt: Attempt) {
        if self.campaign.attempts.len() == ATTEMPTS_MAX {
            self.campaign.attempts.remove(0);
        }
        self.campaign.attempts.push(attempt);
    }

    /// An acquisition of this process that a record shows is its term, also if the answer was lost: only if
    /// holder, transitions and acquire time are what was sent.
    pub(super) fn adopt_if_own(&mut self, record: &Record, sight: Sight) {
        let own = self.campaign.attempts.iter().find(|attempt| attempt.acquisition.is_shown_by(record));
        let Some(attempt) = own.cloned() else {
            self.campaign.attempts.retain(|attempt| !attempt.refused);
            return self.note_namesake(record, sight);
        };
        self.campaign.attempts.clear();
        let by_evidence = self.early_holder(&attempt.acquisition);
        let key = TermKey {
            uid: record.uid.clone(),
            holder: attempt.acquisition.holder,
            transitions: attempt.acquisition.transitions,
            acquire_time: attempt.acquisition.acquire_time,
        };
        let mut term = Term::new(key, attempt.sent, record, &self.config.timing);
        let late = self.now.lead >= term.lead_until();
        // A write gets a revision of its own, also if only a read tells of it.
        let went_back = record.resource_version <= attempt.newest_at_send;
        let known_behind = !self.view.exceeds_all_tokens(record.resource_version);
        if went_back && !known_behind {
            self.handle_restored();
        }
        let behind = (went_back || known_behind) && !self.config.accept_restore;
        if self.gives_back() || self.finishing || behind || (late && attempt.creates) {
            return self.become_releasing(term, false);
        }
        self.note_taken_over(by_evidence);
        if late {
            term.set_renew_at(self.now.kill);
            self.phase = Phase::Confirming(term);
        } else {
            self.become_leading(term, record.resource_version);
        }
    }

    /// Another process holds the lease with this identity: a foreign holder like any other, but for the warning.
    fn note_namesake(&mut self, record: &Record, sight: Sight) {
        let identity = self.config.identity.as_str();
        let own = self.is_of_lapsed_term(record) || self.is_acquiring(record);
        if sight == Sight::News && record.holder() == Some(identity) && !own {
            let message = format!(
                "the lease is held as {identity:?}, which is this candidate's identity, by another process; \
                 give each candidate its own identity"
            );
            self.trouble(Refusal::of(Reason::Duplicate, message));
        }
    }

    /// Whether the watch was faster than the answer of the acquisition that this record shows.
    fn is_acquiring(&self, record: &Record) -> bool {
        match &self.flight {
            Some(Flight { purpose: Purpose::Acquire { acquisition, .. }, .. }) => {
                acquisition.is_shown_by(record)
            }
            Some(_) | None => false,
        }
    }
}

/// This takes a term guard that counts whole seconds to its end.
const POLICY_TRIES: u32 = 8;
/// More acquisitions than this are never unanswered at once: each is followed by a read.
const ATTEMPTS_MAX: usize = 16;
