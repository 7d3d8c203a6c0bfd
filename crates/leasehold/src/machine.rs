//! What the library takes from the machine that it runs on: clocks, chance, and something to wake up by.
//!
//! A table of functions, so that tests run the driver as it is in virtual time. Every process runs by [`Machine::HERE`].

use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use leasehold_election::Reading;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::clock::{self, Timer};

/// The machine, or what stands for it.
#[derive(Clone, Copy)]
pub(crate) struct Machine {
    pub(crate) now: fn() -> Reading,
    pub(crate) chance: fn() -> u64,
    /// Called on the driver's runtime.
    pub(crate) alarm: fn() -> io::Result<Box<dyn Alarm>>,
}

/// Wakes the driver up.
pub(crate) trait Alarm {
    /// Fires once after `after`, and not as it was set before.
    fn set(&mut self, after: Duration) -> io::Result<()>;

    /// Whether it has fired. May say so for a setting that was replaced since.
    fn poll_fired(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Machine {
    /// This machine.
    pub(crate) const HERE: Self = Self {
        now: clock::now,
        chance: || getrandom::u64().unwrap_or_default(),
        alarm: || Ok(Box::new(BoottimeAlarm::new()?)),
    };

    pub(crate) fn now(self) -> Reading {
        (self.now)()
    }

    pub(crate) fn chance(self) -> u64 {
        (self.chance)()
    }

    pub(crate) fn alarm(self) -> io::Result<Box<dyn Alarm>> {
        (self.alarm)()
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

/// An alarm that counts suspended time.
struct BoottimeAlarm(AsyncFd<Timer>);

impl BoottimeAlarm {
    fn new() -> io::Result<Self> {
        #[expect(
            deprecated,
            reason = "its successor is unsafe; a Timer owns its descriptor as long as it lives"
        )]
        AsyncFd::with_interest(Timer::non_blocking()?, Interest::READABLE).map(Self)
    }
}

impl Alarm for BoottimeAlarm {
    fn set(&mut self, after: Duration) -> io::Result<()> {
        self.0.get_ref().set(Some(after))
    }

    fn poll_fired(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ready = ready!(self.0.poll_read_ready(context))?;
        self.0.get_ref().read()?;
        ready.clear_ready();
        Poll::Ready(Ok(()))
    }
}
