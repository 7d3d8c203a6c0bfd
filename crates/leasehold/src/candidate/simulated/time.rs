//! The machine of a simulated host: turmoil's time, chance from a seed.

use std::cell::{Cell, RefCell};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use leasehold_election::Reading;
use tokio::time::Sleep;

use crate::machine::{AlarmClock, Machine};

thread_local! {
    /// Where no host runs: between two steps, and while a host is torn down.
    static BETWEEN_STEPS: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    static CHANCE: RefCell<Rng> = const { RefCell::new(Rng::with_seed(0)) };
}

/// The machine of every host.
pub(super) const VIRTUAL: Machine = Machine { now, chance, alarm };

/// A machine whose clocks run at half their rate.
pub(super) const SLOW: Machine = Machine { now: slow_now, chance, alarm };

/// Begins a world in this thread.
pub(super) fn begin(seed: u64) {
    BETWEEN_STEPS.set(Duration::ZERO);
    CHANCE.set(Rng::with_seed(seed));
}

/// Notes how long the world has lasted.
pub(super) fn note(elapsed: Duration) {
    BETWEEN_STEPS.set(elapsed);
}

/// Since the begin of the world.
pub(super) fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_else(|| BETWEEN_STEPS.get())
}

pub(super) fn chance() -> u64 {
    CHANCE.with_borrow_mut(|rng| rng.u64(..))
}

pub(super) fn wall_clock() -> Timestamp {
    now().realtime
}

fn now() -> Reading {
    reading(elapsed())
}

fn slow_now() -> Reading {
    reading(elapsed() / 2)
}

fn reading(elapsed: Duration) -> Reading {
    let since_boot = UP + elapsed;
    let realtime = Timestamp::UNIX_EPOCH + BEGIN + since_boot;
    Reading { raw: since_boot, boottime: since_boot, realtime }
}

fn alarm() -> io::Result<Box<dyn AlarmClock>> {
    Ok(Box::new(VirtualAlarm(Box::pin(tokio::time::sleep(Duration::ZERO)))))
}

struct VirtualAlarm(Pin<Box<Sleep>>);

impl AlarmClock for VirtualAlarm {
    fn set(&mut self, after: Duration) -> io::Result<()> {
        self.0.as_mut().reset(tokio::time::Instant::now() + after);
        Ok(())
    }

    fn poll_rings(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.0.as_mut().poll(context));
        Poll::Ready(Ok(()))
    }
}

/// Hosts have run for a while when a world begins.
const UP: Duration = Duration::from_secs(1_000);
/// Some day in 2025.
const BEGIN: Duration = Duration::from_secs(1_750_000_000);
