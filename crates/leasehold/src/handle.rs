//! The view of a candidate from outside, and its remote control.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use leasehold_election::{Change, Health, LeaseName, State};
use tokio::sync::{Notify, mpsc, watch};

use crate::leadership::{Deadline, Term};
use crate::machine::Machine;
use crate::metrics::{HealthCheck, Metrics, Present};

/// Looks at a candidate, and asks it to stop. Clones look at the same candidate.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Whether this candidate leads *now*. Reads the clocks, and so needs no living driver to say no.
    pub fn is_leader(&self) -> bool {
        self.shared.term().is_some_and(|term| term.leads())
    }

    /// What this candidate knows now.
    pub fn status(&self) -> Status {
        self.shared.status()
    }

    /// A receiver of every change of the status. Times in it are as of the change; ask [`Handle::status`] for now.
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.shared.published.subscribe()
    }

    /// All changes from this call on, in order, none dropped. The receiver must be read or dropped.
    pub fn changes(&self) -> mpsc::UnboundedReceiver<Change> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.shared.listeners).push(sender);
        receiver
    }

    /// Hands leadership over as planned, and campaigns again later. Without leadership it does nothing.
    pub fn step_down(&self) {
        self.command(Command::StepDown);
    }

    /// Hands leadership over as planned, and ends the candidate.
    pub fn stop(&self) {
        self.command(Command::Stop);
    }

    /// Whether the driver's loop has turned within the last ten seconds; true before the start.
    pub fn alive(&self) -> bool {
        let last = self.shared.last_turn_ns.load(Ordering::Relaxed);
        last == 0 || nanoseconds(self.shared.machine.now().boottime).saturating_sub(last) < ALIVE_NS
    }

    /// The metrics as OpenMetrics text, `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    pub fn metrics_text(&self) -> String {
        let term = self.shared.term().filter(|term| !term.has_work_ended());
        self.shared.metrics.encode(Present {
            is_leader: term.as_ref().is_some_and(|term| term.leads()),
            valid_for: term.as_ref().map(|term| term.valid_for()),
            token: term.as_ref().map(|term| term.token.get()),
        })
    }

    /// Counts a check of this candidate's health in the metrics, whatever follows from it.
    pub fn count_health_check(&self, check: HealthCheck) {
        self.shared.metrics.count_health_check(check);
    }

    fn command(&self, command: Command) {
        // A closed channel means that the candidate has ended: there is nothing to stop.
        let _ = self.shared.commands.send(command);
    }
}

/// What a candidate knows at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub lease: String,
    /// This candidate's identity.
    pub identity: String,
    /// Its state.
    pub state: State,
    /// The holder: `Some("")` for nobody, `None` where it cannot be known, never a guess.
    pub holder: Option<String>,
    /// Fencing token of the present term.
    pub token: Option<u64>,
    /// The Lease's transitions.
    pub transitions: Option<i32>,
    /// End of leadership as of the latest renewal.
    pub lead_until: Option<Deadline>,
    /// When the work must be over, as of the latest renewal.
    pub valid_until: Option<Deadline>,
    /// When the API server last told about the Lease.
    pub last_update: Option<Timestamp>,
    /// Whether the API server has answered at least once.
    pub ready: bool,
    /// Whether this candidate is fit to lead, as its checks say; without checks always healthy. A leader that is not leads
    /// rather than nobody.
    pub health: Health,
    /// The latest failure, with what to do about it; `None` once all is well again.
    pub last_error: Option<String>,
}

/// Asked of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    StepDown,
    Stop,
    WorkEnded,
}

/// What the driver and the handles share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) metrics: Metrics,
    pub(crate) machine: Machine,
    /// Wakes the driver when a check found a term over.
    pub(crate) found_over: Arc<Notify>,
    commands: mpsc::UnboundedSender<Command>,
    term: RwLock<Option<Arc<Term>>>,
    published: watch::Sender<Status>,
    listeners: Mutex<Vec<mpsc::UnboundedSender<Change>>>,
    last_turn_ns: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        lease: &LeaseName,
        identity: &str,
        machine: Machine,
    ) -> (Self, mpsc::UnboundedReceiver<Command>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let status = Status {
            namespace: lease.namespace().to_owned(),
            lease: lease.name().to_owned(),
            identity: identity.to_owned(),
            state: State::Unknown,
            holder: None,
            token: None,
            transitions: None,
            lead_until: None,
            valid_until: None,
            last_update: None,
            ready: false,
            health: Health::Healthy,
            last_error: None,
        };
        let shared = Self {
            metrics: Metrics::new(lease.name()),
            machine,
            found_over: Arc::default(),
            commands,
            term: RwLock::new(None),
            published: watch::Sender::new(status),
            listeners: Mutex::default(),
            last_turn_ns: AtomicU64::new(0),
        };
        (shared, receiver)
    }

    pub(crate) fn term(&self) -> Option<Arc<Term>> {
        self.term.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_term(&self, term: Option<Arc<Term>>) {
        *self.term.write().unwrap_or_else(PoisonError::into_inner) = term;
    }

    pub(crate) fn send(&self, command: Command) {
        // As in `Handle::command`.
        let _ = self.commands.send(command);
    }

    pub(crate) fn note_turn(&self) {
        self.last_turn_ns.store(nanoseconds(self.machine.now().boottime), Ordering::Relaxed);
    }

    pub(crate) fn publish(&self, status: Status) {
        self.published.send_if_modified(|published| {
            let changed = *published != status;
            *published = status;
            changed
        });
    }

    pub(crate) fn tell(&self, change: &Change) {
        lock(&self.listeners).retain(|listener| listener.send(change.clone()).is_ok());
    }

    /// The published status, corrected by the clocks: time may have ended what it says.
    pub(crate) fn status(&self) -> Status {
        let mut status = self.published.borrow().clone();
        match self.term().filter(|term| term.leads()) {
            // A term that has just begun may lead before the status of its begin is published.
            Some(term) => term.describe(&mut status),
            None if status.state == State::Leader => status.state = State::Stopping,
            None => {}
        }
        status
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const ALIVE_NS: u64 = 10_000_000_000;
