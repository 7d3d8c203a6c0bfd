//! The way of a request to an API server and of its answer back, with everything that may become of both.

use std::rc::Rc;
use std::time::Duration;

use http::{Request, Response};
use leasehold_election::{Delivery, Operation};
use serde_json::{Value, json};

use super::log::{Applied, Lease, Window};
use super::process::Process;
use super::{Event, LEASE, NEVER, World, words};
use crate::candidate::Happening;
use crate::clocks::after;
use crate::fault::FaultKind;
use crate::script::StrokeOutcome;

/// A request on its way, or its answer.
#[derive(Debug)]
pub(super) struct Flight {
    process: usize,
    id: u64,
    pub(super) operation: Operation,
    request: Rc<Request<Vec<u8>>>,
    server: usize,
    fate: Fate,
    delivery: Option<Delivery>,
    /// Nobody waits for the answer any more.
    abandoned: bool,
    window: Window,
}

/// What becomes of a request, decided when it is sent.
#[derive(Clone, Debug)]
enum Fate {
    /// Carried out and answered, after these times on the way.
    Answered { back: Duration },
    /// Carried out; the answer is lost without a sign.
    Unanswered,
    /// Carried out; the connection breaks.
    Broken,
    /// Carried out; half of the answer arrives.
    Cut,
    /// Carried out, and answered with this instead.
    Covered { code: u16, back: Duration },
    /// Refused without being carried out.
    Refused(Box<Response<Vec<u8>>>),
}

impl World {
    pub(super) fn send(
        &mut self,
        process: usize,
        id: u64,
        request: Request<Vec<u8>>,
        fresh: bool,
        operation: Operation,
    ) {
        let machine = self.processes[process].machine;
        if fresh {
            self.machines[machine].server = self.chance.index(self.plan.servers);
            self.cure_half_open(machine);
        }
        let flight = self.next_flight;
        self.next_flight += 1;
        self.log.requests += 1;
        let window = self.window_of(operation);
        self.note_sent(process, operation);
        if !self.is_peer(process) && *request.method() == http::Method::PUT {
            self.check_creation(process);
        }
        self.trace.note_request(self.now, process, send_word(operation), flight);
        self.trace.explain(|| words::of_request(&request));
        self.processes[process].flights.insert(flight);
        self.flights.insert(
            flight,
            Flight {
                process,
                id,
                operation,
                request: Rc::new(request),
                server: self.machines[machine].server,
                fate: Fate::Unanswered,
                delivery: None,
                abandoned: false,
                window,
            },
        );
        self.spring_traps(process, window);
        self.decide_fate(flight);
    }

    /// Draws what becomes of a request from the faults that are on.
    fn decide_fate(&mut self, flight: u64) {
        let process = self.flights[&flight].process;
        let writes = self.flights[&flight].operation != Operation::Read;
        let (out, back) = (self.latency(), self.latency());
        let mut arrival = after(self.now, out);
        let mut fate = Fate::Answered { back };
        match self.stroke_on(flight) {
            Some(StrokeOutcome::Lost) => arrival = NEVER,
            Some(StrokeOutcome::RequestHeld(held)) => arrival = after(self.now, held),
            Some(StrokeOutcome::AnswerHeld(held)) => fate = Fate::Answered { back: held },
            None => {}
        }
        for kind in self.faults_on(process) {
            match self.effect_of(kind, writes) {
                Effect::None => continue,
                Effect::Vanishes => arrival = NEVER,
                Effect::Fails => return self.fail_at_once(flight, kind),
                Effect::Delays => arrival = after(self.now, self.chance.millis(0, 3_000)),
                Effect::Held => arrival = after(self.now, self.chance.spread(SHORT, LONG)),
                Effect::AnswerHeld => fate = Fate::Answered { back: self.chance.spread(SHORT, LONG) },
                Effect::Again => {
                    let again = after(self.now, self.chance.spread(SHORT, LONG));
                    self.queue.plan(again, Event::Arrive { flight, again: true });
                }
                Effect::Becomes(other) => fate = other,
                Effect::HeldAndCovered(code) => {
                    arrival = after(self.now, self.chance.spread(SHORT, LONG));
                    let answer = self.status_of(code);
                    self.plan_answer(flight, Delivery::Response(answer), back);
                    fate = Fate::Unanswered;
                }
            }
            let window = self.flights[&flight].window;
            self.count(kind, window);
            self.trace.note_request(self.now, process, "meets", flight);
            self.trace.explain(|| kind.name().to_owned());
            break;
        }
        if let Some(flight) = self.flights.get_mut(&flight) {
            flight.fate = fate;
        }
        if arrival != NEVER {
            self.queue.plan(arrival, Event::Arrive { flight, again: false });
        }
    }

    fn stroke_on(&self, flight: u64) -> Option<StrokeOutcome> {
        let Flight { process, operation, .. } = &self.flights[&flight];
        let machine = self.processes[*process].machine;
        let elapsed = Duration::from_nanos(self.now.0);
        let mut strokes = self.plan.script.iter();
        Some(strokes.find(|stroke| stroke.strikes(machine, elapsed, *operation))?.outcome)
    }

    fn fail_at_once(&mut self, flight: u64, kind: FaultKind) {
        let window = self.flights[&flight].window;
        self.count(kind, window);
        let lost = Delivery::Lost("connection reset by peer".to_owned());
        self.plan_answer(flight, lost, Duration::from_millis(1));
    }

    /// The request reaches the API server, for the first time or again.
    pub(super) fn arrive(&mut self, flight: u64, again: bool) {
        let Some(found) = self.flights.get(&flight) else { return };
        let (process, server, fate) = (found.process, found.server, found.fate.clone());
        if self.now < self.servers.stalled_until {
            let window = found.window;
            self.count(FaultKind::StoreStalls, window);
            let at = after(self.servers.stalled_until, Duration::from_millis(1));
            self.queue.plan(at, Event::Arrive { flight, again });
            return;
        }
        if !self.servers.is_up(server, self.now) {
            let lost = Delivery::Lost("connection refused".to_owned());
            return self.plan_answer(flight, lost, Duration::from_millis(1));
        }
        if let Fate::Refused(response) = fate {
            return self.plan_answer(flight, Delivery::Response(*response), Duration::from_millis(1));
        }
        let response = self.carry(flight);
        self.trace.note_request(self.now, process, "is answered", flight);
        self.trace.explain(|| words::of_answer(&response));
        if again {
            return;
        }
        match fate {
            Fate::Answered { back } => self.plan_answer(flight, Delivery::Response(response), back),
            Fate::Unanswered => {}
            Fate::Broken => {
                let lost = Delivery::Lost("connection reset by peer".to_owned());
                self.plan_answer(flight, lost, Duration::from_millis(1));
            }
            Fate::Cut => {
                let mut half = response;
                let length = half.body().len() / 2;
                half.body_mut().truncate(length);
                self.plan_answer(flight, Delivery::Response(half), Duration::from_millis(1));
            }
            Fate::Covered { code, back } => {
                let cover = self.status_of(code);
                self.plan_answer(flight, Delivery::Response(cover), back);
            }
            Fate::Refused(_) => unreachable!("answered above"),
        }
    }

    /// Lets the store handle a request, and notes what it changed.
    fn carry(&mut self, flight: u64) -> Response<Vec<u8>> {
        let Flight { process, operation, request, window, .. } = &self.flights[&flight];
        let (process, operation, request, window) = (*process, *operation, Rc::clone(request), *window);
        let before = self.servers.lease.clone();
        let revision = self.servers.store.revision();
        let ready = if operation == Operation::Release { self.ready_standbys(process) } else { Vec::new() };
        let response = self.apply(&request);
        if self.servers.store.revision() != revision
            && let Some(changed) = self.servers.lease.clone()
        {
            self.log.renewals += u64::from(operation == Operation::Renew);
            let applied = Applied { at: self.now, process, operation, before, after: changed };
            if !self.is_peer(process) {
                self.check_applied(&applied);
            }
            self.log.applied.push(applied);
            if operation == Operation::Release {
                self.expect_hand_over(ready);
            }
            let running = &self.processes[process];
            if operation == Operation::Acquire && running.alive && running.flights.contains(&flight) {
                self.spring_acquire_traps(process, window);
            }
        }
        response
    }

    fn plan_answer(&mut self, flight: u64, delivery: Delivery, back: Duration) {
        if let Some(flight) = self.flights.get_mut(&flight) {
            flight.delivery = Some(delivery);
        }
        self.queue.plan(after(self.now, back), Event::Answer { flight });
    }

    pub(super) fn answer(&mut self, flight: u64) {
        let Some(found) = self.flights.get_mut(&flight) else { return };
        let Some(delivery) = found.delivery.take() else { return };
        let (process, id) = (found.process, found.id);
        if found.abandoned || !self.processes[process].alive {
            return;
        }
        self.processes[process].flights.remove(&flight);
        self.trace.note_request(self.now, process, "hears answer", flight);
        self.send_input(process, Happening::Answer(id, delivery));
    }

    /// The process drops the connection: what was sent may still be carried out.
    pub(super) fn abandon(&mut self, process: usize, id: u64) {
        let flights = self.processes[process].flights.clone();
        for flight in flights {
            if let Some(found) = self.flights.get_mut(&flight).filter(|found| found.id == id) {
                found.abandoned = true;
                self.processes[process].flights.remove(&flight);
                self.trace.note_request(self.now, process, "gives up", flight);
            }
        }
    }

    pub(super) fn latency(&mut self) -> Duration {
        let (least, most) = self.plan.latency;
        self.chance.within(least, most)
    }

    /// What kind of moment it is for the Lease that a request of this kind is on its way.
    fn window_of(&self, operation: Operation) -> Window {
        match operation {
            Operation::Renew => Window::Renew,
            Operation::Release => Window::Release,
            Operation::Acquire => match &self.servers.lease {
                Some(Lease { holder, .. }) if !holder.is_empty() => Window::TakeOver,
                _ => Window::Acquire,
            },
            Operation::Read | Operation::Watch => self.calm_window(),
        }
    }

    /// The window where no write is under way.
    pub(super) fn calm_window(&self) -> Window {
        let held = self.servers.lease.as_ref().is_some_and(|lease| !lease.holder.is_empty());
        let led = self.processes.iter().any(|process| process.leads_at(self.now));
        if held && !led { Window::TakeOver } else { Window::Idle }
    }

    fn effect_of(&mut self, kind: FaultKind, writes: bool) -> Effect {
        use FaultKind as F;
        let back = Duration::from_millis(1);
        match kind {
            F::Partition | F::RequestsLost | F::HalfOpen => Effect::Vanishes,
            F::AnswersLost => Effect::Becomes(Fate::Unanswered),
            F::ResetBefore | F::NameFailure => Effect::Fails,
            F::ResetAfter => Effect::Becomes(Fate::Broken),
            F::Slow => Effect::Delays,
            F::HeldRequest => Effect::Held,
            F::HeldAnswer => Effect::AnswerHeld,
            F::Duplicate => Effect::Again,
            F::CutBody => Effect::Becomes(Fate::Cut),
            F::AppliedThenError => Effect::Becomes(Fate::Covered { code: 500, back }),
            F::GatewayTimeout => Effect::HeldAndCovered(504),
            F::PolicyDenies | F::PolicyNotReady | F::Conflict if !writes => Effect::None,
            kind => match self.refusal_of(kind) {
                Some(response) => Effect::Becomes(Fate::Refused(Box::new(response))),
                None => Effect::None,
            },
        }
    }

    fn refusal_of(&mut self, kind: FaultKind) -> Option<Response<Vec<u8>>> {
        use FaultKind as F;
        let none = json!({});
        let simple = |code, reason, message| Some(status(code, reason, message, None, &none));
        match kind {
            F::Unauthorized => simple(401, "Unauthorized", "Unauthorized"),
            F::Forbidden => simple(403, "Forbidden", "leases is forbidden: User cannot do this"),
            F::WrongEndpoint => simple(404, "", "404 page not found"),
            F::Conflict => simple(409, "Conflict", "the object has been modified"),
            F::InternalError => simple(500, "InternalError", "etcdserver: no leader"),
            F::Unavailable => simple(503, "ServiceUnavailable", "apiserver is shutting down"),
            F::PolicyNotReady => simple(403, "Forbidden", "not yet ready to handle request"),
            F::NamespaceMissing => {
                let details = json!({"name": super::NAMESPACE, "kind": "namespaces"});
                Some(status(404, "NotFound", "namespaces \"prod\" not found", None, &details))
            }
            F::NamespaceTerminating => {
                let causes = json!([{"reason": "NamespaceTerminating", "message": "is being terminated"}]);
                let details = json!({"name": LEASE, "causes": causes});
                Some(status(403, "Forbidden", "unable to create new content", None, &details))
            }
            F::PolicyDenies => {
                let message = "ValidatingAdmissionPolicy 'term-guard' with binding 'all' denied request";
                let details = json!({"name": LEASE, "causes": [{"message": message}]});
                Some(status(422, "Invalid", message, None, &details))
            }
            F::Throttled => {
                let seconds = 1 + self.chance.below(30);
                let message = "too many requests, please try again later";
                Some(status(429, "TooManyRequests", message, Some(seconds), &none))
            }
            _ => None,
        }
    }

    fn status_of(&mut self, code: u16) -> Response<Vec<u8>> {
        status(code, "InternalError", "etcdserver: request timed out", None, &json!({}))
    }

    /// The newest write of a process that is on its way, or its answer.
    pub(super) fn newest_write(&self, process: &Process) -> Option<(u64, Window)> {
        process.flights.iter().rev().find_map(|&number| {
            let flight = self.flights.get(&number)?;
            (flight.operation != Operation::Read).then_some((number, flight.window))
        })
    }

    pub(super) fn latest_operation(&self, machine: usize) -> Option<Window> {
        let process = self.machines[machine].process?;
        let flight = self.processes[process].flights.iter().next_back()?;
        let flight = self.flights.get(flight)?;
        (flight.operation != Operation::Read).then_some(flight.window)
    }
}

/// What a fault does to a request that meets it.
#[derive(Debug)]
enum Effect {
    None,
    Vanishes,
    Fails,
    Delays,
    Held,
    AnswerHeld,
    Again,
    Becomes(Fate),
    HeldAndCovered(u16),
}

fn send_word(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "sends read",
        Operation::Watch => "sends watch",
        Operation::Acquire => "sends acquisition",
        Operation::Renew => "sends renewal",
        Operation::Release => "sends release",
    }
}

/// A refusal as the API server words it.
pub(super) fn status(
    code: u16,
    reason: &str,
    message: &str,
    retry_after: Option<u64>,
    details: &Value,
) -> Response<Vec<u8>> {
    let body =
        json!({"kind": "Status", "code": code, "reason": reason, "message": message, "details": details});
    let mut response = Response::builder().status(code);
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds);
    }
    response.body(body.to_string().into_bytes()).expect("a valid answer")
}

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(40);
