//! What this candidate knows of the Lease, and from when on it may be acquired.
//!
//! All times here are on the `wait` clock, which never runs ahead of any clock of this machine. A lease is
//! judged by when its record was seen to change, never by the times written in it.

use std::time::Duration;

use crate::clocks::Moment;
use crate::config::Config;
use crate::record::Record;

/// Knowledge of the Lease.
#[derive(Clone, Debug)]
pub(crate) struct View {
    lease: Lease,
    /// Largest resourceVersion seen: an older state is no news.
    newest: u64,
    /// Largest resourceVersion ever seen or, once the store was restored, the least that a token may have.
    high_water: u64,
    /// Revision that the store has reached at least, as a bookmark told.
    reached: u64,
    /// When the present news was first seen.
    seen: Duration,
    free_at: Duration,
    /// A held Lease that vanished, or came back as another object, or in a store that was restored, is not free before
    /// this.
    floor: Duration,
    /// Time between the two latest renewals of the holder.
    renewal_gap: Option<Duration>,
    /// Whether the present news was a change when it was seen: what was there at first sight may be older.
    seen_to_change: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Unknown,
    Missing,
    Present(Record),
}

/// What a read, an answer or an event told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Older than what is known.
    Stale,
    /// Older than what was known when the read was sent: the store was restored from a backup.
    Restored,
    /// The same as what is known.
    Same,
    /// A change.
    News,
}

impl View {
    pub(crate) fn new() -> Self {
        Self {
            lease: Lease::Unknown,
            newest: 0,
            high_water: 0,
            reached: 0,
            seen: Duration::ZERO,
            free_at: Duration::ZERO,
            floor: Duration::ZERO,
            renewal_gap: None,
            seen_to_change: false,
        }
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    pub(crate) fn record(&self) -> Option<&Record> {
        match &self.lease {
            Lease::Present(record) => Some(record),
            Lease::Unknown | Lease::Missing => None,
        }
    }

    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// When the lease, held or free or missing, may be acquired by anybody who watched it.
    pub(crate) fn free_at(&self) -> Duration {
        self.free_at
    }

    /// Before this not even this process's own lapsed term may be acquired again: somebody unseen may lead.
    pub(crate) fn floor(&self) -> Duration {
        self.floor
    }

    /// Whether a term begun now could get a token below one that was seen.
    pub(crate) fn is_behind_high_water(&self) -> bool {
        self.newest.max(self.reached) < self.high_water
    }

    /// Whether a term whose token is `version` would come after every term that was seen.
    pub(crate) fn exceeds_all_tokens(&self, version: u64) -> bool {
        version >= self.high_water
    }

    /// A bookmark tells how far the store has come, though this Lease was not written.
    pub(crate) fn note_revision(&mut self, version: u64) {
        self.reached = self.reached.max(version);
    }

    /// How long the record may stay unchanged before the watch itself is doubted: not for longer than the lease lasts,
    /// whatever gap was seen after an outage, or made by somebody's edit.
    pub(crate) fn patience(&self, config: &Config) -> Duration {
        let held = self.record().filter(|record| record.holder().is_some());
        let stored = held.and_then(Record::duration).unwrap_or(config.timing.lease_duration());
        let gap = self.renewal_gap.unwrap_or(stored / 3);
        (stored / 3).max(gap * 2).min(stored)
    }

    /// Takes a record in. `newest_at_send` is what was the newest when the read or write was sent; `None` for
    /// events of a watch, which may come late.
    pub(crate) fn see(
        &mut self,
        record: Record,
        newest_at_send: Option<u64>,
        now: Moment,
        config: &Config,
    ) -> Sight {
        let version = record.resource_version;
        if newest_at_send.is_some_and(|newest| version < newest) {
            self.forget(version, now, config);
            return Sight::Restored;
        }
        if version < self.newest {
            return Sight::Stale;
        }
        self.advance(version);
        if self.record().is_some_and(|known| known.same_news(&record)) {
            self.lease = Lease::Present(record);
            return Sight::Same;
        }
        self.note_replacement(&record, now, config);
        self.renewal_gap = self.gap_to(&record, now, config);
        self.seen_to_change = self.record().is_some();
        self.free_at = self.when_free(&record, now, config).max(self.floor);
        self.seen = now.wait;
        self.lease = Lease::Present(record);
        Sight::News
    }

    /// Takes in that the Lease is not there. `version` is that of its deletion, where an event told it.
    pub(crate) fn see_missing(&mut self, version: Option<u64>, now: Moment, config: &Config) -> Sight {
        if version.is_some_and(|version| version < self.newest) {
            return Sight::Stale;
        }
        self.advance(version.unwrap_or(0));
        let known = match &self.lease {
            Lease::Missing => return Sight::Same,
            Lease::Present(record) => Some(record),
            Lease::Unknown => None,
        };
        let own = config.timing.lease_duration();
        let stored = known.and_then(Record::duration).unwrap_or(own);
        let wait_until = now.wait + stored.max(own);
        if known.is_some_and(|record| record.holder().is_some()) {
            self.floor = self.floor.max(wait_until);
        }
        self.free_at = wait_until.max(self.floor);
        self.seen = now.wait;
        self.renewal_gap = None;
        self.lease = Lease::Missing;
        Sight::News
    }

    /// Forgets all but what follows the highest revision: what was known may never have been.
    fn forget(&mut self, version: u64, now: Moment, config: &Config) {
        // The highest revision seen may have been the token of a term: only a larger one may be.
        let high_water = self.high_water.saturating_add(1);
        *self = Self::new();
        self.high_water = high_water;
        self.newest = version;
        self.floor = now.wait + config.timing.lease_duration();
        self.seen = now.wait;
        self.free_at = self.floor;
    }

    fn advance(&mut self, version: u64) {
        self.newest = self.newest.max(version);
        self.high_water = self.high_water.max(self.newest);
    }

    /// A Lease that came back as another object, deletion unseen, may hide a holder that still lives.
    fn note_replacement(&mut self, record: &Record, now: Moment, config: &Config) {
        let Lease::Present(known) = &self.lease else { return };
        if known.uid != record.uid {
            let own = config.timing.lease_duration();
            self.floor = self.floor.max(now.wait + known.duration().unwrap_or(own).max(own));
        }
    }

    fn gap_to(&self, record: &Record, now: Moment, config: &Config) -> Option<Duration> {
        let known = self.record()?;
        let same_term = known.holder() == record.holder() && known.transitions == record.transitions;
        let gap = same_term.then(|| now.wait.saturating_sub(self.seen))?;
        let usual = known.duration().unwrap_or(config.timing.lease_duration()) / 3;
        // What was there at first sight may be older: the gap is at least as long as it seems.
        Some(if self.seen_to_change { gap } else { gap.max(usual) })
    }

    fn when_free(&self, record: &Record, now: Moment, config: &Config) -> Duration {
        let own = config.timing.lease_duration();
        if record.holder().is_some() {
            let stored = record.duration().unwrap_or(own);
            let grace = if record.is_marked() { Duration::ZERO } else { config.peer_grace(stored) };
            return now.wait + stored + grace;
        }
        let known = self.record().filter(|known| known.uid == record.uid);
        let same_term = known.is_some_and(|known| known.transitions == record.transitions);
        match known {
            // Free before and free now: somebody edited it.
            Some(known) if known.holder().is_none() && same_term => self.free_at,
            Some(known) if same_term && known.is_marked() => {
                let released = record.is_our_release() && known.renew_time != record.renew_time;
                if released { now.wait } else { now.wait + known.duration().unwrap_or(own).max(own) }
            }
            // A marked term that was never seen held, and was not cleared by us: its holder may live.
            Some(_) | None if record.is_marked() && !record.is_our_release() => {
                now.wait + record.duration().unwrap_or(own).max(own)
            }
            // client-go clears the holder before its work has ended.
            Some(_) if !record.is_our_release() => {
                now.wait + if config.peers { config.timing.retry_period() } else { Duration::ZERO }
            }
            Some(_) | None => now.wait,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::LeaseName;
    use crate::identity::{Identity, Secret};
    use crate::timing::Timing;

    const MARK: &str = r#""leasehold.dev/mark":"3 0123456789abcdef library""#;
    const HELD: &str = r#""holderIdentity":"a_0123456789abcdef","renewTime":"r1","leaseTransitions":3"#;

    fn config() -> Config {
        let identity = Identity::of_process("me", None, &Secret::from_random([1; 16]));
        Config::new(LeaseName::new("prod", "db").unwrap(), identity, Timing::default())
    }

    fn at(seconds: u64) -> Moment {
        let at = Duration::from_secs(seconds);
        Moment { lead: at, kill: at, wait: at, wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn record(version: u64, mark: &str, seconds: u32, spec: &str) -> Record {
        let json = format!(
            r#"{{"metadata":{{"uid":"u","resourceVersion":"{version}","annotations":{{{mark}}}}},
            "spec":{{"acquireTime":"a","leaseDurationSeconds":{seconds},{spec}}}}}"#
        );
        Record::parse(json.as_bytes()).unwrap()
    }

    /// When the lease is free, in seconds: `before` is seen at 100, `after` at 105.
    fn free_at(before: Record, after: Record) -> u64 {
        let mut view = View::new();
        view.see(before, None, at(100), &config());
        view.see(after, None, at(105), &config());
        view.free_at().as_secs()
    }

    #[test]
    fn an_edit_of_a_free_lease_leaves_it_free() {
        let free = |version, renewed: &str| {
            record(version, "", 15, &format!(r#""renewTime":"{renewed}","leaseTransitions":3"#))
        };
        assert_eq!(free_at(free(1, "r1"), free(2, "r2")), 100);
    }

    #[test]
    fn our_release_frees_at_once_and_nothing_that_only_looks_like_it() {
        let held = || record(1, MARK, 15, HELD);
        let cleared = |holder: &str, renewed: &str| {
            let spec = format!(r#""holderIdentity":{holder},"renewTime":"{renewed}","leaseTransitions":3"#);
            record(2, MARK, 15, &spec)
        };
        assert_eq!(free_at(held(), cleared(r#""""#, "r2")), 105);
        assert_eq!(free_at(held(), cleared(r#""""#, "r1")), 120, "the renew time was not written");
        assert_eq!(free_at(held(), cleared("null", "r2")), 120, "the holder was removed");
    }

    /// Who clears a holder by hand may shorten the lease in the same write: its holder counts on what was there.
    #[test]
    fn a_cleared_holder_is_waited_for_as_long_as_it_may_count_on() {
        let cleared = record(2, MARK, 1, r#""renewTime":"r1","leaseTransitions":3"#);
        assert_eq!(free_at(record(1, MARK, 60, HELD), cleared), 165);
    }

    #[test]
    fn a_term_that_came_and_went_unseen_is_judged_by_how_it_was_released() {
        let released =
            |mark: &str| record(2, mark, 15, r#""holderIdentity":"","renewTime":"r2","leaseTransitions":4"#);
        let ours = r#""leasehold.dev/mark":"4 fedcba9876543210 library""#;
        assert_eq!(free_at(record(1, MARK, 15, HELD), released(ours)), 105);
        assert_eq!(free_at(record(1, MARK, 15, HELD), released("")), 107, "the work of others ends late");
    }

    #[test]
    fn a_deletion_is_news_unless_a_later_version_is_known() {
        let mut view = View::new();
        view.see(record(7, MARK, 15, HELD), None, at(100), &config());
        assert_eq!(view.see_missing(Some(6), at(101), &config()), Sight::Stale);
        assert_eq!(view.see_missing(Some(7), at(101), &config()), Sight::News);
        assert_eq!(view.lease(), &Lease::Missing);
    }
}
