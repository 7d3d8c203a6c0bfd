//! Drives an [`Elector`]: feeds it what happened and carries out what it says. It decides nothing.
//!
//! It has a thread and a runtime of its own, so that a blocked runtime of the caller costs no lease. If it dies,
//! all that it had published reads as "not leader".

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use leasehold_election::{
    Delivery, Effect, Effects, Elector, Failure, Input, Reading, RequestId, State, StopReason, WatchId,
};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use crate::checks::Checks;
use crate::handle::{Command, Shared, Status};
use crate::leadership::{Leadership, Published, Term};
use crate::machine::Machine;
use crate::transport::{self, Transport, WatchItem};
use crate::watchdog::Watchdog;

mod telling;

/// One turn's input.
enum Event {
    Election(Input),
    Command(Command),
}

pub(crate) struct Driver {
    elector: Elector,
    shared: Arc<Shared>,
    machine: Machine,
    transport: Transport,
    watchdog: Arc<Watchdog>,
    record_events: bool,
    terms: mpsc::UnboundedSender<Leadership>,
    term: Option<Arc<Term>>,
    stop_reason: Option<StopReason>,
    kill_now: bool,
    requests: BTreeMap<RequestId, AbortHandle>,
    /// Each with whether it is that of the Lease.
    watches: BTreeMap<WatchId, (AbortHandle, bool)>,
    events: mpsc::UnboundedSender<Input>,
    last_error: Option<String>,
    /// What a person must look into, until leadership changes.
    trouble: Option<String>,
    last_update: Option<jiff::Timestamp>,
    state_since: Reading,
    state: State,
    finished: Option<Result<(), Failure>>,
    last_event: Option<JoinHandle<()>>,
}

impl Driver {
    pub(crate) fn new(
        elector: Elector,
        shared: Arc<Shared>,
        transport: Transport,
        watchdog: Arc<Watchdog>,
        record_events: bool,
        terms: mpsc::UnboundedSender<Leadership>,
    ) -> (Self, mpsc::UnboundedReceiver<Input>) {
        let (events, receiver) = mpsc::unbounded_channel();
        let machine = shared.machine;
        let driver = Self {
            elector,
            shared,
            machine,
            transport,
            watchdog,
            record_events,
            terms,
            term: None,
            stop_reason: None,
            kill_now: false,
            requests: BTreeMap::new(),
            watches: BTreeMap::new(),
            events,
            last_error: None,
            trouble: None,
            last_update: None,
            state_since: machine.now(),
            state: State::Unknown,
            finished: None,
            last_event: None,
        };
        (driver, receiver)
    }

    /// Runs until the elector has finished.
    ///
    /// # Errors
    ///
    /// If there is no timer to wake up by.
    pub(crate) async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Input>,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut checks: Checks,
    ) -> io::Result<Result<(), Failure>> {
        let mut alarm = self.machine.alarm()?;
        let found_over = Arc::clone(&self.shared.found_over);
        self.step(Input::Health(checks.now()));
        let mut event = Event::Election(Input::Start);
        loop {
            let wake_after = self.turn(event);
            if let Some(result) = self.finished.take() {
                self.await_last_event().await;
                return Ok(result);
            }
            alarm.set(wake_after.unwrap_or(IDLE_MAX).min(IDLE_MAX))?;
            // Commands first: an end of work or a stop must not wait behind a busy watch, nor must what a check has found.
            event = tokio::select! {
                biased;
                Some(command) = commands.recv() => Event::Command(command),
                health = checks.changed() => Event::Election(Input::Health(health)),
                () = found_over.notified() => Event::Election(Input::Wake),
                Some(input) = events.recv() => Event::Election(input),
                rings = poll_fn(|context| alarm.poll_rings(context)) => {
                    rings?;
                    Event::Election(Input::Wake)
                }
            };
        }
    }

    /// The Event of the last stop is on its way: give it a moment before the runtime ends.
    async fn await_last_event(&mut self) {
        if let Some(mut event) = self.last_event.take() {
            let limit = std::pin::pin!(tokio::time::sleep(LAST_EVENT_MAX));
            tokio::select! {
                biased;
                _ = &mut event => {}
                () = limit => event.abort(),
            }
        }
    }

    fn turn(&mut self, event: Event) -> Option<Duration> {
        self.shared.note_turn();
        let input = match event {
            Event::Election(input) => {
                self.note_arrival(&input);
                input
            }
            Event::Command(Command::StepDown) => Input::StepDown,
            Event::Command(Command::Stop) => Input::Stop,
            Event::Command(Command::WorkEnded) => Input::WorkEnded,
        };
        if let Some(at) = self.term.as_ref().and_then(|term| term.heartbeat()) {
            self.step(Input::Heartbeat(at));
        }
        // A check found the term over by a clock that the elector did not see: give it up in order.
        let found_over = self.term.as_ref().is_some_and(|term| term.is_over());
        let mut wake_after = self.step(input);
        if found_over && self.elector.state() == State::Leader {
            wake_after = self.step(Input::StepDown);
        }
        wake_after
    }

    fn step(&mut self, input: Input) -> Option<Duration> {
        let now = self.machine.now();
        let Effects { list, wake_after, limits } = self.elector.handle(now, self.machine.chance(), input);
        // Limits before effects: nobody may believe to lead while a release is on its way.
        let published = Published { from: now, limits };
        if let Some(term) = &self.term {
            term.publish(published);
        }
        for effect in list {
            self.carry_out(effect, published);
        }
        let kill_in = if std::mem::take(&mut self.kill_now) { Some(Duration::ZERO) } else { limits.kill_in };
        let has_work = self.term.as_ref().is_some_and(|term| !term.has_work_ended());
        self.watchdog.arm(now, kill_in.filter(|_| has_work), self.stop_reason.as_ref());
        self.publish_status(published);
        wake_after
    }

    fn carry_out(&mut self, effect: Effect, published: Published) {
        match effect {
            Effect::Send { id, request, fresh } => self.send(id, request, fresh),
            Effect::Abandon(id) => {
                if let Some(request) = self.requests.remove(&id) {
                    request.abort();
                }
            }
            Effect::OpenWatch(id, request) => self.open_watch(id, request),
            Effect::CloseWatch(id) => {
                if let Some((watch, _)) = self.watches.remove(&id) {
                    watch.abort();
                }
            }
            Effect::StartWork { token, transitions } => {
                let config = self.elector.config();
                let term = Arc::new(Term::new(
                    token,
                    transitions,
                    config.identity.as_str().to_owned(),
                    config.lease.clone(),
                    published,
                    config.heartbeat_deadline,
                    &self.shared,
                ));
                self.stop_reason = None;
                self.term = Some(Arc::clone(&term));
                self.shared.set_term(Some(Arc::clone(&term)));
                if self.terms.send(Leadership::new(Arc::clone(&term))).is_err() {
                    // Nobody is left to work.
                    term.note_work_ended();
                    self.shared.send(Command::WorkEnded);
                }
            }
            Effect::StopWork(reason) => {
                if let Some(term) = &self.term {
                    term.stop(reason.clone());
                }
                self.stop_reason = Some(reason);
            }
            Effect::KillWork(reason) => {
                tracing::error!(%reason, "the work has no time left, ending it by force");
                self.stop_reason = Some(reason);
                self.kill_now = true;
            }
            Effect::Tell(change) => self.tell(&change),
            Effect::Note(note) => self.note(&note),
            Effect::Finish(result) => self.finished = Some(result),
        }
    }

    fn send(&mut self, id: RequestId, request: http::Request<Vec<u8>>, fresh: bool) {
        let client = self.transport.client(fresh);
        let events = self.events.clone();
        let task = tokio::spawn(async move {
            let delivery = transport::send(client, request).await;
            // The driver may have ended meanwhile.
            let _ = events.send(Input::Answer(id, delivery));
        });
        self.requests.insert(id, task.abort_handle());
    }

    fn open_watch(&mut self, id: WatchId, request: http::Request<Vec<u8>>) {
        let client = self.transport.client(false);
        let events = self.events.clone();
        let of_lease = request.uri().path().ends_with("/leases");
        let task = tokio::spawn(async move {
            // As in `send`.
            let ended = transport::watch(client, request, |item| {
                let _ = events.send(match item {
                    WatchItem::Opened => Input::WatchOpened(id),
                    WatchItem::Line(line) => Input::WatchLine(id, line),
                });
            })
            .await;
            let _ = events.send(Input::WatchEnded(id, ended));
        });
        self.watches.insert(id, (task.abort_handle(), of_lease));
    }

    fn note_arrival(&mut self, input: &Input) {
        match input {
            Input::Answer(id, delivery) => {
                self.requests.remove(id);
                if matches!(delivery, Delivery::Response(_)) {
                    self.last_update = Some(self.machine.now().realtime);
                }
            }
            Input::WatchEnded(id, _) => drop(self.watches.remove(id)),
            Input::WatchLine(id, _) if self.watches.get(id).is_some_and(|(_, of_lease)| *of_lease) => {
                self.last_update = Some(self.machine.now().realtime);
            }
            _ => {}
        }
    }

    fn publish_status(&mut self, published: Published) {
        let elapsed = published.from.elapsed_for_stopping(&self.state_since);
        self.shared.metrics.spend(self.state, elapsed);
        self.state_since = published.from;
        self.state = self.elector.state();
        let config = self.elector.config();
        self.shared.publish(Status {
            namespace: config.lease.namespace().to_owned(),
            lease: config.lease.name().to_owned(),
            identity: config.identity.as_str().to_owned(),
            state: self.state,
            holder: self.elector.holder().map(str::to_owned),
            token: self.elector.token().map(|token| token.get()),
            transitions: self.elector.transitions(),
            lead_until: published.limits.lead_for.map(|_| published.lead_until()),
            valid_until: published.limits.valid_for.map(|_| published.valid_until()),
            last_update: self.last_update,
            ready: self.elector.is_ready(),
            health: self.elector.health().clone(),
            last_error: self.degraded().or_else(|| self.trouble.clone()).or_else(|| self.last_error.clone()),
        });
    }
}

impl Drop for Driver {
    /// However the driver ends, nobody leads after it.
    fn drop(&mut self) {
        if let Some(term) = &self.term {
            term.stop(self.stop_reason.take().unwrap_or(StopReason::Expired));
        }
        for request in self.requests.values().chain(self.watches.values().map(|(watch, _)| watch)) {
            request.abort();
        }
        // The watchdog is shared with whoever runs the work: it stays armed as long as there is any.
        let status = Status { state: State::Unknown, holder: None, ..self.shared.status() };
        self.shared.publish(status);
    }
}

/// The longest sleep, so that the loop shows that it lives.
const IDLE_MAX: Duration = Duration::from_secs(3);
const LAST_EVENT_MAX: Duration = Duration::from_secs(1);
