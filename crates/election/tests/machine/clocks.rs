//! The three clocks of a machine, moved by the test.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leasehold_election::Reading;

/// All clocks of one machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clocks {
    now: Reading,
}

impl Clocks {
    /// Clocks that show 100 s since the start of the machine, and [`EPOCH`] on the wall.
    pub(crate) fn new() -> Self {
        let since_boot = Duration::from_secs(100);
        Self { now: Reading { raw: since_boot, boottime: since_boot, realtime: epoch() } }
    }

    pub(crate) fn now(&self) -> Reading {
        self.now
    }

    /// Time since the clocks were made, as RAW has it.
    pub(crate) fn elapsed(&self) -> Duration {
        self.now.raw - Duration::from_secs(100)
    }

    pub(crate) fn advance(&mut self, by: Duration) {
        let signed = SignedDuration::try_from(by).expect("a test does not run for centuries");
        self.advance_each(by, by, signed);
    }

    /// Advances each clock by its own amount, as a suspended, paused or slewed machine does.
    pub(crate) fn advance_each(&mut self, raw: Duration, boottime: Duration, realtime: SignedDuration) {
        self.now.raw += raw;
        self.now.boottime += boottime;
        self.now.realtime = self.now.realtime.saturating_add(realtime).expect("a time of this millennium");
    }
}

/// What the wall clock shows at the start.
pub(crate) fn epoch() -> Timestamp {
    Timestamp::from_second(1_767_225_600).expect("2026-01-01T00:00:00Z")
}
