//! What the library takes from the machine that it runs on: clocks, chance, and something to wake up by.
//!
//! A table of functions, so that tests run the driver as it is in virtual time. Every process runs by [`Machine::HERE`].

use std::fmt;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use leasehold_election::Reading;

use crate::clock;

/// The machine, or what stands for it.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) now: fn() -> Reading,
    pub(crate) chance: fn() -> u64,
    /// Called on the driver's runtime.
    pub(crate) alarm: fn() -> io::Result<Box<dyn AlarmClock>>,
}

/// Wakes the driver up.
pub(crate) trait AlarmClock {
    /// Rings once after `after`, and not as it was set before.
    fn set(&mut self, after: Duration) -> io::Result<()>;

    /// Whether it has rung. May say so for a setting that was replaced since.
    fn poll_rings(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Machine {
    /// This machine.
    pub(crate) const HERE: Self = Self {
        now: clock::now,
        chance: || getrandom::u64().unwrap_or_default(),
        alarm: || Ok(Box::new(clock::Alarm::new()?)),
    };

    pub(crate) fn now(self) -> Reading {
        (self.now)()
    }

    pub(crate) fn chance(self) -> u64 {
        (self.chance)()
    }

    pub(crate) fn alarm(self) -> io::Result<Box<dyn AlarmClock>> {
        (self.alarm)()
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

impl AlarmClock for clock::Alarm {
    fn set(&mut self, after: Duration) -> io::Result<()> {
        Self::set(self, Some(after))
    }

    fn poll_rings(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Self::poll_rings(self, context)
    }
}
