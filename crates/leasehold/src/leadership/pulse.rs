//! The signs of life of a term's work, without a lock: the work gives one as often as it likes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold_election::Reading;

use crate::handle::nanoseconds;

/// When the work last gave a sign of life, on the two clocks that count for it.
#[derive(Debug)]
pub(super) struct Pulse {
    deadline: Duration,
    raw_ns: AtomicU64,
    boottime_ns: AtomicU64,
}

impl Pulse {
    pub(super) fn new(deadline: Duration, begin: &Reading) -> Self {
        Self {
            deadline,
            raw_ns: AtomicU64::new(nanoseconds(begin.raw)),
            boottime_ns: AtomicU64::new(nanoseconds(begin.boottime)),
        }
    }

    /// Each clock for itself, and never backwards: who reads between the two stores sees a sign that is as old as the one
    /// before, which was in time if nobody was late.
    pub(super) fn beat(&self, now: &Reading) {
        self.raw_ns.fetch_max(nanoseconds(now.raw), Ordering::SeqCst);
        self.boottime_ns.fetch_max(nanoseconds(now.boottime), Ordering::SeqCst);
    }

    pub(super) fn is_in_time(&self, now: &Reading) -> bool {
        now.elapsed_for_stopping(&self.latest(*now)) < self.deadline
    }

    /// As a reading; its wall clock is that of `other`, since it does not count here.
    pub(super) fn latest(&self, other: Reading) -> Reading {
        Reading {
            raw: Duration::from_nanos(self.raw_ns.load(Ordering::SeqCst)),
            boottime: Duration::from_nanos(self.boottime_ns.load(Ordering::SeqCst)),
            ..other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(raw: u64, boottime: u64) -> Reading {
        let realtime = jiff::Timestamp::UNIX_EPOCH;
        Reading { raw: Duration::from_secs(raw), boottime: Duration::from_secs(boottime), realtime }
    }

    #[test]
    fn a_sign_of_life_counts_for_the_deadline_and_not_longer_by_any_clock() {
        let pulse = Pulse::new(Duration::from_secs(5), &at(10, 20));
        assert!(pulse.is_in_time(&at(14, 24)) && !pulse.is_in_time(&at(15, 24)));
        assert!(!pulse.is_in_time(&at(10, 25)), "the machine was suspended");
        pulse.beat(&at(14, 24));
        assert!(pulse.is_in_time(&at(18, 28)) && !pulse.is_in_time(&at(18, 29)));
    }

    #[test]
    fn a_sign_that_a_slow_thread_gives_late_takes_no_newer_one_back() {
        let pulse = Pulse::new(Duration::from_secs(5), &at(10, 20));
        pulse.beat(&at(14, 24));
        pulse.beat(&at(12, 22));
        assert_eq!(pulse.latest(at(0, 0)), at(14, 24));
    }
}
