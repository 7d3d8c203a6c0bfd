//! Ends work by force when its time is over, from a thread of its own that depends on nothing else.
//!
//! The driver sets it back at every step. If the driver, its runtime, or the caller's runtime hangs, the time
//! runs out here all the same.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{io, thread};

use leasehold_election::{Reading, StopReason};

use crate::clock::{self, Timer};

/// Why work is ended by force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HardStop {
    lease: String,
    reason: Option<StopReason>,
}

impl HardStop {
    /// Namespace and name of the Lease.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// Why the term ended; `None` if the driver gave no reason before the time was over, because it hangs or died.
    pub fn reason(&self) -> Option<&StopReason> {
        self.reason.as_ref()
    }
}

impl fmt::Display for HardStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "work under lease {} did not end in time", self.lease)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => f.write_str(": the driver of the election did not answer"),
        }
    }
}

/// What ends the work.
pub(crate) type Stopper = Box<dyn Fn(HardStop) + Send>;

/// The handle of the thread.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    timer: Timer,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    armed: Option<Armed>,
    reason: Option<StopReason>,
    quit: bool,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    from: Reading,
    after: Duration,
}

impl Watchdog {
    pub(crate) fn start(lease: String, stopper: Stopper) -> io::Result<Self> {
        let state = Mutex::new(State { armed: None, reason: None, quit: false });
        let shared = Arc::new(Shared { timer: Timer::blocking()?, state });
        let watched = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("leasehold-watchdog".to_owned())
            .spawn(move || watched.watch(&lease, &stopper))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Ends the work `after` this long from the reading `from`; `None` if there is no work.
    pub(crate) fn arm(&self, from: Reading, after: Option<Duration>, reason: Option<&StopReason>) {
        let mut state = self.shared.lock();
        state.armed = after.map(|after| Armed { from, after });
        state.reason = reason.cloned();
        let left = state.armed.as_ref().map(Armed::left);
        drop(state);
        self.shared.set_timer(left);
    }
}

impl Drop for Watchdog {
    /// Ends the thread. Work that still runs is past help: whoever drops the watchdog has seen it end.
    fn drop(&mut self) {
        self.shared.lock().quit = true;
        self.shared.set_timer(Some(Duration::ZERO));
        if let Some(thread) =
            self.thread.take().filter(|thread| thread.thread().id() != thread::current().id())
        {
            // It ends by itself, and has nothing to say.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn watch(&self, lease: &str, stopper: &Stopper) {
        loop {
            if let Err(error) = self.timer.read() {
                tracing::error!(%error, "the watchdog's timer failed; polling instead");
                thread::sleep(POLL);
            }
            let mut state = self.lock();
            if state.quit {
                return;
            }
            let Some(left) = state.armed.as_ref().map(Armed::left) else { continue };
            if left.is_zero() {
                state.armed = None;
                let reason = state.reason.clone();
                drop(state);
                stopper(HardStop { lease: lease.to_owned(), reason });
            } else {
                // BOOTTIME may be slewed to run slow: look again before it says that the time is over.
                drop(state);
                self.set_timer(Some(left - left / 8));
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_timer(&self, after: Option<Duration>) {
        if let Err(error) = self.timer.set(after) {
            tracing::error!(%error, "the watchdog's timer cannot be set");
        }
    }
}

impl Armed {
    fn left(&self) -> Duration {
        self.after.saturating_sub(clock::now().elapsed_for_stopping(&self.from))
    }
}

const POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn watchdog() -> (Watchdog, mpsc::Receiver<HardStop>) {
        let (sender, receiver) = mpsc::channel();
        let stopper = Box::new(move |stop| sender.send(stop).unwrap());
        (Watchdog::start("prod/db".to_owned(), stopper).unwrap(), receiver)
    }

    #[test]
    fn it_fires_when_nobody_sets_it_back() {
        let (watchdog, fired) = watchdog();
        let from = clock::now();
        watchdog.arm(from, Some(Duration::from_millis(30)), Some(&StopReason::Expired));
        let stop = fired.recv().unwrap();
        assert!(clock::now().elapsed_for_stopping(&from) >= Duration::from_millis(30));
        assert_eq!(
            stop.to_string(),
            "work under lease prod/db did not end in time: no renewal was confirmed in time"
        );
    }

    #[test]
    fn it_does_not_fire_once_the_work_has_ended() {
        let (watchdog, fired) = watchdog();
        watchdog.arm(clock::now(), Some(Duration::from_millis(20)), None);
        watchdog.arm(clock::now(), None, None);
        drop(watchdog);
        assert!(fired.recv().is_err(), "the thread is gone, and has not fired");
    }

    #[test]
    fn a_time_that_is_over_already_fires_at_once() {
        let (watchdog, fired) = watchdog();
        watchdog.arm(clock::now(), Some(Duration::ZERO), Some(&StopReason::Duplicate));
        assert_eq!(fired.recv().unwrap().reason(), Some(&StopReason::Duplicate));
    }
}
