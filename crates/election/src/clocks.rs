//! Readings of the clocks and their folding into the three times that rules use.
//!
//! No single clock can be trusted. `CLOCK_MONOTONIC_RAW` is not slewed but stops in suspend,
//! `CLOCK_BOOTTIME` counts suspend but is slewed (chrony: up to 8.3 %), and neither advances while a
//! virtual machine is paused, after which the wall clock is stepped forward. So a holder believes the clock
//! that ran furthest and a standby the one that ran least. This module reads no clock: readings come in.

use std::time::Duration;

use jiff::Timestamp;

/// One reading of the three clocks, taken one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// `CLOCK_MONOTONIC_RAW`, since an unspecified start.
    pub raw: Duration,
    /// `CLOCK_BOOTTIME`, since the machine booted.
    pub boottime: Duration,
    /// `CLOCK_REALTIME`, which may step in both directions.
    pub realtime: Timestamp,
}

impl Reading {
    /// Time that a leader must assume to have passed since `earlier`: the largest of the three differences.
    pub fn elapsed_for_leading(&self, earlier: &Self) -> Duration {
        self.elapsed_for_stopping(earlier).max(self.realtime_forward(earlier))
    }

    /// Time that counts towards the kill of work: the larger of RAW and BOOTTIME. A stepped wall clock ends
    /// `is_leader()` early, but does not kill.
    pub fn elapsed_for_stopping(&self, earlier: &Self) -> Duration {
        self.raw.saturating_sub(earlier.raw).max(self.boottime.saturating_sub(earlier.boottime))
    }

    /// Time that a standby may assume to have passed since `earlier`: the smaller of RAW and BOOTTIME.
    pub fn elapsed_for_waiting(&self, earlier: &Self) -> Duration {
        self.raw.saturating_sub(earlier.raw).min(self.boottime.saturating_sub(earlier.boottime))
    }

    fn realtime_forward(&self, earlier: &Self) -> Duration {
        self.realtime.duration_since(earlier.realtime).try_into().unwrap_or(Duration::ZERO)
    }
}

/// A point in time of this process, on the three folded clocks, with the wall clock to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Runs at least as fast as true time as far as any clock can tell; ends `is_leader()`.
    pub(crate) lead: Duration,
    /// As `lead`, without the wall clock; decides the kill, paces requests.
    pub(crate) kill: Duration,
    /// Runs at most as fast as the slower clock; decides when a foreign lease has expired.
    pub(crate) wait: Duration,
    /// Only ever written into the Lease, never compared with another host's.
    pub(crate) wall: Timestamp,
}

/// Folds readings one after the other, so that a step back of one clock never undoes what another has shown.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    last: Reading,
    now: Moment,
}

impl Clocks {
    pub(crate) fn new(reading: Reading) -> Self {
        let zero = Duration::ZERO;
        Self { last: reading, now: Moment { lead: zero, kill: zero, wait: zero, wall: reading.realtime } }
    }

    /// Time since an earlier reading that was not folded, which counts towards the kill of work.
    pub(crate) fn elapsed_since(&self, earlier: &Reading) -> Duration {
        self.last.elapsed_for_stopping(earlier)
    }

    pub(crate) fn fold(&mut self, reading: Reading) -> Moment {
        self.now = Moment {
            lead: self.now.lead + reading.elapsed_for_leading(&self.last),
            kill: self.now.kill + reading.elapsed_for_stopping(&self.last),
            wait: self.now.wait + reading.elapsed_for_waiting(&self.last),
            wall: reading.realtime,
        };
        self.last = reading;
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(raw_ms: u64, boottime_ms: u64, realtime_ms: i64) -> Reading {
        Reading {
            raw: Duration::from_millis(raw_ms),
            boottime: Duration::from_millis(boottime_ms),
            realtime: Timestamp::from_millisecond(realtime_ms).unwrap(),
        }
    }

    #[test]
    fn suspend_counts_for_the_holder_and_not_for_the_standby() {
        let mut clocks = Clocks::new(reading(1_000, 1_000, 0));
        let now = clocks.fold(reading(1_100, 61_100, 100));
        assert_eq!(now.lead, Duration::from_millis(60_100));
        assert_eq!(now.kill, Duration::from_millis(60_100));
        assert_eq!(now.wait, Duration::from_millis(100));
    }

    #[test]
    fn a_forward_step_of_the_wall_clock_ends_leading_but_does_not_kill() {
        let mut clocks = Clocks::new(reading(0, 0, 0));
        let now = clocks.fold(reading(10, 10, 5_000));
        assert_eq!((now.lead, now.kill), (Duration::from_secs(5), Duration::from_millis(10)));
    }

    #[test]
    fn a_step_back_does_not_undo_a_step_forward() {
        let mut clocks = Clocks::new(reading(0, 0, 0));
        clocks.fold(reading(10, 10, 5_000));
        let now = clocks.fold(reading(20, 20, -60_000));
        assert_eq!(now.lead, Duration::from_millis(5_010));
    }

    #[test]
    fn clocks_that_go_backwards_count_as_standing_still() {
        let mut clocks = Clocks::new(reading(1_000, 1_000, 1_000));
        let now = clocks.fold(reading(500, 400, 300));
        assert_eq!((now.lead, now.kill, now.wait), (Duration::ZERO, Duration::ZERO, Duration::ZERO));
    }
}
