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

    /// A watchdog without its thread, which no virtual time can hold: nobody ends work by force.
    #[cfg(test)]
    pub(crate) fn unattended() -> io::Result<Self> {
        let state = Mutex::new(State { armed: None, reason: None, quit: false });
        Ok(Self { shared: Arc::new(Shared { timer: Timer::blocking()?, state }), thread: None })
    }

    /// Ends the work `after` this long from the reading `from`; `None` if there is no work.
    pub(crate) fn arm(&self, from: Reading, after: Option<Duration>, reason: Option<&StopReason>) {
        let mut state = self.shared.lock();
        state.arm(after.map(|after| Armed { from, after }), reason);
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

impl State {
    /// Work that is to be ended now is ended, unless it has ended: the thread may not have run yet when the driver, which
    /// goes on to the next event, names the end of the term again.
    fn arm(&mut self, armed: Option<Armed>, reason: Option<&StopReason>) {
        let is_due = self.armed.as_ref().is_some_and(|armed| armed.left().is_zero());
        if is_due && armed.is_some() {
            return;
        }
        self.armed = armed;
        self.reason = reason.cloned();
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

    /// Another holder was seen: kill at once. The next event of the watch was handled before the thread ran, and put the
    /// kill off to the end of the term.
    #[test]
    fn a_kill_that_is_due_is_not_put_off() {
        let mut state = State { armed: None, reason: None, quit: false };
        let armed = |after| Some(Armed { from: clock::now(), after });
        state.arm(armed(Duration::ZERO), Some(&StopReason::Duplicate));
        state.arm(armed(Duration::from_secs(60)), Some(&StopReason::Duplicate));
        assert!(state.armed.is_some_and(|armed| armed.left().is_zero()));
        state.arm(None, None);
        assert!(state.armed.is_none(), "the work has ended");
    }

    #[test]
    fn a_time_that_is_over_already_fires_at_once() {
        let (watchdog, fired) = watchdog();
        watchdog.arm(clock::now(), Some(Duration::ZERO), Some(&StopReason::Duplicate));
        assert_eq!(fired.recv().unwrap().reason(), Some(&StopReason::Duplicate));
    }
}
