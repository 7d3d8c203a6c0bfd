//! The arithmetic of one term: until when it leads, until when it is valid, when its work is killed.

use std::time::Duration;

use jiff::Timestamp;

use crate::clocks::Moment;
use crate::effect::StopReason;
use crate::fencing::FencingToken;
use crate::record::{Record, micro_time};
use crate::request::TermKey;
use crate::timing::{KILL_MARGIN, Timing};

/// One uninterrupted leadership, from the acquisition to the end of its work.
#[derive(Clone, Debug)]
pub(super) struct Term {
    key: TermKey,
    token: Option<FencingToken>,
    timing: Timing,
    /// When the latest confirmed write was sent.
    confirmed: Moment,
    began: Duration,
    lead_until: Duration,
    valid_until: Duration,
    stored_duration: Duration,
    /// The last renewal that was acknowledged, and those whose answers were lost: one of them may still happen.
    written: Vec<Write>,
    /// The renew time in the Lease as last shown, which the next renewal replaces.
    shown: Option<String>,
    /// A renewal was refused although the term may be as it was: one whose answer was lost may have happened.
    unsure: bool,
    /// That was so before, and no renewal has succeeded since.
    refused_before: bool,
    newest_renew_time: Timestamp,
    renew_at: Duration,
    work: Work,
}

/// A write of this term whose answer may still come, or never.
#[derive(Clone, Debug)]
struct Write {
    renew_time: String,
    sent: Moment,
    acknowledged: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Work {
    None,
    Running,
    Stopping { reason: StopReason, kill_at: Duration },
    Killed,
}

impl Term {
    /// A term whose acquisition, sent at `sent`, is confirmed by `record`.
    pub(super) fn new(key: TermKey, sent: Moment, record: &Record, timing: &Timing) -> Self {
        let mut term = Self {
            token: None,
            timing: timing.clone(),
            confirmed: sent,
            began: sent.kill,
            lead_until: Duration::ZERO,
            valid_until: Duration::ZERO,
            stored_duration: timing.lease_duration(),
            written: acquisition(&key, sent, record),
            shown: record.renew_time.clone(),
            unsure: false,
            refused_before: false,
            newest_renew_time: sent.wall,
            renew_at: sent.kill + timing.renew_interval(),
            work: Work::None,
            key,
        };
        term.confirm(sent, record.duration());
        term
    }

    pub(super) fn key(&self) -> &TermKey {
        &self.key
    }

    pub(super) fn token(&self) -> Option<FencingToken> {
        self.token
    }

    pub(super) fn began(&self) -> Duration {
        self.began
    }

    /// End of `is_leader()`, on the lead clock.
    pub(super) fn lead_until(&self) -> Duration {
        self.lead_until
    }

    /// End of the work, on the kill clock.
    pub(super) fn valid_until(&self) -> Duration {
        self.valid_until
    }

    /// When the work is killed if it has not ended, on the kill clock.
    pub(super) fn kill_at(&self) -> Duration {
        let last = self.valid_until.saturating_sub(KILL_MARGIN);
        match &self.work {
            Work::Stopping { kill_at, .. } => (*kill_at).min(last),
            Work::None | Work::Running | Work::Killed => last,
        }
    }

    pub(super) fn renew_at(&self) -> Duration {
        self.renew_at
    }

    pub(super) fn set_renew_at(&mut self, renew_at: Duration) {
        self.renew_at = renew_at;
    }

    /// What the next renewal replaces.
    pub(super) fn shown(&self) -> Option<&str> {
        self.shown.as_deref()
    }

    /// Whether a look at the Lease comes before the next renewal.
    pub(super) fn is_unsure(&self) -> bool {
        self.unsure
    }

    pub(super) fn is_killed(&self) -> bool {
        self.work == Work::Killed
    }

    pub(super) fn start(&mut self, record_version: u64) -> FencingToken {
        let token = FencingToken::new(record_version);
        self.token = Some(token);
        self.work = Work::Running;
        token
    }

    /// The work must end by itself within `budget`; what was to end sooner keeps its time.
    pub(super) fn stop(&mut self, reason: StopReason, now: Moment, budget: Duration) {
        let kill_at = match &self.work {
            Work::None | Work::Killed => return,
            Work::Running => now.kill.saturating_add(budget),
            Work::Stopping { kill_at, .. } => (*kill_at).min(now.kill.saturating_add(budget)),
        };
        self.work = Work::Stopping { reason, kill_at };
    }

    /// Why the work is to be killed now, once.
    pub(super) fn kill_if_due(&mut self, now: Moment) -> Option<StopReason> {
        let Work::Stopping { reason, .. } = &self.work else { return None };
        if now.kill < self.kill_at() {
            return None;
        }
        let reason = reason.clone();
        self.work = Work::Killed;
        Some(reason)
    }

    /// The next renew time to write: at least a whole second later than the last, also after the wall clock was
    /// set back, because client-go compares at whole seconds.
    pub(super) fn next_renew_time(&mut self, now: Moment) -> String {
        let least = self.newest_renew_time + Duration::from_secs(1);
        self.newest_renew_time = now.wall.max(least);
        let renew_time = micro_time(self.newest_renew_time);
        if self.written.len() == WRITES_MAX {
            self.written.remove(0);
        }
        self.written.push(Write { renew_time: renew_time.clone(), sent: now, acknowledged: false });
        renew_time
    }

    /// The server's answer to the renewal sent at `sent`. Its renew time is the one to know this write by, should an
    /// admission policy have changed it. `is_newest`: no later version of the Lease was seen, whose duration would count.
    pub(super) fn acknowledge(&mut self, sent: Moment, record: &Record, is_newest: bool) {
        let renew_time = record.renew_time.clone().unwrap_or_default();
        if is_newest {
            self.shown.clone_from(&record.renew_time);
        }
        self.settle(Write { renew_time, sent, acknowledged: true });
        self.confirm(sent, record.duration().filter(|_| is_newest));
    }

    /// A write is known to have been applied: all others replaced what it replaced, and will never happen.
    fn settle(&mut self, write: Write) {
        self.written = vec![write];
        (self.unsure, self.refused_before) = (false, false);
    }

    /// A renewal that the server decided against will never happen.
    pub(super) fn discard(&mut self, renew_time: &str) {
        self.written.retain(|write| write.renew_time != renew_time);
    }

    /// A renewal, discarded now, was refused because the Lease is not what it was. False if nothing of this process
    /// explains that: then the term is over.
    pub(super) fn explain_refusal(&mut self, replaced: Option<&str>, now: Moment) -> bool {
        if self.shown() != replaced {
            // An event has shown meanwhile what was applied before.
            self.renew_at = self.renew_at.max(now.kill);
            return true;
        }
        let explained = !self.refused_before && self.written.iter().any(|write| !write.acknowledged);
        (self.unsure, self.refused_before) = (explained, explained);
        explained
    }

    /// Takes in a record that shows this term. `None` if it shows a renewal that this process never wrote.
    ///
    /// A write whose answer was lost counts here, with the time at which it was sent.
    pub(super) fn recognise(&mut self, record: &Record) -> Option<()> {
        let write = self.write_in(record)?.clone();
        if self.shown != record.renew_time {
            self.shown.clone_from(&record.renew_time);
            self.settle(Write { acknowledged: true, ..write });
        }
        self.unsure = false;
        self.confirm(write.sent, record.duration());
        Some(())
    }

    /// Whether a record that shows this term shows a write of this process. If not, another process works with this
    /// identity: the term is not this process's to acquire again or to release.
    pub(super) fn is_own(&self, record: &Record) -> bool {
        self.write_in(record).is_some()
    }

    fn write_in(&self, record: &Record) -> Option<&Write> {
        let renew_time = record.renew_time.as_deref()?;
        self.written.iter().find(|write| write.renew_time == renew_time)
    }

    /// A write sent at `sent` is known to have been applied. Nothing here ever moves an end earlier but a shorter
    /// stored duration: the validity counts from the sending of *that* write.
    fn confirm(&mut self, sent: Moment, stored_duration: Option<Duration>) {
        self.stored_duration = stored_duration.unwrap_or(self.stored_duration);
        if sent.kill > self.confirmed.kill {
            self.confirmed = sent;
            self.renew_at = sent.kill + self.timing.renew_interval();
        }
        let duration = self.timing.lease_duration().min(self.stored_duration);
        let validity = self.timing.validity(duration);
        let lead = self.timing.renew_deadline().min(validity.saturating_sub(self.timing.stop_budget()));
        self.valid_until = self.confirmed.kill + validity;
        self.lead_until = self.confirmed.lead + lead;
    }
}

/// The acquisition as it was written and, should an admission policy have changed its renew time, as it came back.
fn acquisition(key: &TermKey, sent: Moment, record: &Record) -> Vec<Write> {
    let came_back = record.renew_time.clone().filter(|renew_time| *renew_time != key.acquire_time);
    let renew_times = [Some(key.acquire_time.clone()), came_back].into_iter().flatten();
    renew_times.map(|renew_time| Write { renew_time, sent, acknowledged: true }).collect()
}

/// Bound of the writes remembered; one that is forgotten and still happens ends the term.
const WRITES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> Moment {
        let at = Duration::from_secs(seconds);
        let wall = Timestamp::from_second(i64::try_from(seconds).unwrap()).unwrap();
        Moment { lead: at, kill: at, wait: at, wall }
    }

    fn record(renew_time: &str, seconds: i32) -> Record {
        let json = format!(
            r#"{{"metadata":{{"uid":"u","resourceVersion":"9"}},"spec":{{"holderIdentity":"me","leaseTransitions":1,
            "acquireTime":"a","renewTime":"{renew_time}","leaseDurationSeconds":{seconds}}}}}"#
        );
        Record::parse(json.as_bytes()).unwrap()
    }

    fn term() -> Term {
        let key = TermKey { uid: "u".into(), holder: "me".into(), transitions: 1, acquire_time: "a".into() };
        Term::new(key, moment(100), &record("a", 15), &Timing::default())
    }

    #[test]
    fn the_answer_of_an_old_renewal_extends_from_its_own_sending() {
        let mut term = term();
        let early = term.next_renew_time(moment(105));
        let late = term.next_renew_time(moment(107));
        assert!(term.recognise(&record(&early, 15)).is_some());
        assert_eq!(term.lead_until(), Duration::from_secs(115));
        assert!(term.recognise(&record(&late, 15)).is_none(), "both replaced the same renew time");
    }

    #[test]
    fn a_smaller_stored_duration_shortens_the_term_at_once() {
        let mut term = term();
        term.recognise(&record("a", 6)).unwrap();
        let validity = Timing::default().validity(Duration::from_secs(6));
        assert_eq!(term.valid_until(), Duration::from_secs(100) + validity);
        assert_eq!(term.lead_until(), Duration::from_secs(100) + validity - Timing::default().stop_budget());
    }

    #[test]
    fn a_stop_timeout_without_end_ends_with_the_term() {
        let mut term = term();
        term.start(9);
        term.stop(StopReason::Requested, moment(101), Duration::MAX);
        assert_eq!(term.kill_at(), term.valid_until() - KILL_MARGIN);
    }

    #[test]
    fn a_renewal_that_this_process_never_wrote_is_not_recognised() {
        assert!(term().recognise(&record("1970-01-01T00:09:00.000000Z", 15)).is_none());
    }

    #[test]
    fn renew_times_grow_by_a_second_also_when_the_wall_clock_is_set_back() {
        let mut term = term();
        assert_eq!(term.next_renew_time(moment(50)), "1970-01-01T00:01:41.000000Z");
        assert_eq!(term.next_renew_time(moment(50)), "1970-01-01T00:01:42.000000Z");
    }
}
