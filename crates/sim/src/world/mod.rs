//! One world: machines, processes, networks, API servers over one store, and everything that goes wrong, in one thread
//! and on one queue of true time.
//!
//! A simulated process behaves as `leasehold`'s driver, watchdog and leadership do: limits are published before effects
//! are carried out, timers run on BOOTTIME, the watchdog ends work by max(RAW, BOOTTIME), and what a check has once found
//! over stays over.

mod belief;
mod checks;
mod edits;
mod hand_over;
mod health;
mod inject;
mod log;
mod machine;
mod network;
mod pods;
mod process;
mod register;
mod servers;
mod shown;
mod watching;
mod words;
mod work;

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_history::Nanos;

use crate::candidate::Variant;
use crate::chance::Chance;
use crate::clocks::{Clocks, Motion, after};
use crate::plan::{CandidatePlan, Plan};
use crate::queue::Queue;
use crate::trace::{Happened, Named, Trace};
use inject::{Armed, Episode};
pub use log::Violation;
pub(crate) use log::{
    ActKind, Applied, EpisodeLog, Healed, Lease, Log, ProcessLog, RegisterAct, RegisterCounts, Sent, Sign,
    SignKind, TermLog, Window, WorkLog,
};
use network::Flight;
use pods::{Pod, PodEvent};
use process::Process;
use register::Register;
use servers::Servers;
use shown::Reader;
use watching::Stream;

/// Something that will happen.
#[derive(Debug)]
enum Event {
    /// A process's timer, or anything else after which its driver looks around.
    Driver(usize),
    Watchdog(usize),
    Act(usize, u64),
    WorkEnds(usize, u64),
    /// Work that was asked to stop has done so.
    WorkStops(usize, u64),
    /// Work that hung goes on.
    WorkGoesOn(usize, u64),
    /// The first check of a process's health was answered.
    Checked(usize),
    /// A machine is healthy, or not, from now on.
    Health(usize, bool),
    Register(register::Reached),
    Arrive {
        flight: u64,
        again: bool,
    },
    Answer {
        flight: u64,
    },
    Pump(usize),
    Line(usize, Vec<u8>),
    StreamEnds(usize),
    StartProcess(usize),
    Pod {
        machine: usize,
        uid: String,
        event: PodEvent,
    },
    Thaw {
        machine: usize,
        process: Option<usize>,
    },
    Fault(usize),
    Aim(crate::fault::FaultKind),
    StrikeAt(crate::fault::FaultKind, usize),
    StrikeOnce,
    HandOver(hand_over::Expected),
    StrategyEnds,
    GateRestarts,
    EpisodeEnds(u64),
    Touch(Nanos),
    Heal,
}

/// One machine.
#[derive(Debug)]
struct Machine {
    clocks: Clocks,
    process: Option<usize>,
    server: usize,
    incarnations: u64,
    /// The next terms' work does not stop when asked.
    stubborn_terms: u64,
    /// The next terms' work hangs for a while.
    hanging_terms: u64,
    healthy: bool,
    pod: Option<Pod>,
}

pub(crate) struct World {
    plan: Plan,
    variant: Variant,
    now: Nanos,
    queue: Queue<Event>,
    chance: Chance,
    trace: Trace,
    machines: Vec<Machine>,
    processes: Vec<Process>,
    servers: Servers,
    flights: BTreeMap<u64, Flight>,
    next_flight: u64,
    streams: Vec<Stream>,
    register: Register,
    reader: Reader,
    episodes: Vec<Episode>,
    next_episode: u64,
    armed: Vec<Armed>,
    healed: bool,
    /// When a fault last struck anything.
    last_strike: Nanos,
    log: Log,
    /// Of all processes that have ever run.
    secrets: Vec<leasehold_election::Secret>,
}

/// What is left of a world.
pub(crate) struct Outcome {
    pub(crate) variant: Variant,
    pub(crate) plan: Plan,
    pub(crate) log: Log,
    pub(crate) hash: String,
    pub(crate) trace: Vec<Happened>,
}

impl World {
    pub(crate) fn new(plan: Plan, variant: Variant, with_text: bool) -> Self {
        let mut chance = Chance::new(plan.seed ^ 0x5eed_0fac);
        let servers = Servers::new(plan.servers, &mut chance);
        let machines = plan.candidates.iter().map(Machine::new).collect();
        let mut world = Self {
            variant,
            now: Nanos(0),
            queue: Queue::new(),
            chance,
            trace: Trace::new(with_text),
            machines,
            processes: Vec::new(),
            servers,
            flights: BTreeMap::new(),
            next_flight: 0,
            streams: Vec::new(),
            register: Register::behind(plan.gate),
            reader: Reader::default(),
            episodes: Vec::new(),
            next_episode: 0,
            armed: Vec::new(),
            healed: false,
            last_strike: Nanos(0),
            log: Log::default(),
            secrets: Vec::new(),
            plan,
        };
        world.begin();
        world
    }

    /// Lets the world run to its end.
    pub(crate) fn run(mut self) -> Outcome {
        let end = after(Nanos(0), self.plan.length);
        while let Some((at, event)) = self.queue.pop_until(end) {
            assert!(at >= self.now, "true time does not run backwards: {event:?}");
            self.now = at;
            self.handle(event);
        }
        self.now = end;
        self.finish()
    }

    fn begin(&mut self) {
        if self.plan.pre_created {
            self.create_lease();
        }
        for machine in 0..self.machines.len() {
            let server = self.chance.index(self.plan.servers);
            self.machines[machine].server = server;
            let at = after(self.now, self.chance.millis(0, 2_000));
            self.queue.plan(at, Event::StartProcess(machine));
        }
        for index in 0..self.plan.faults.len() {
            self.plan_fault(index);
        }
        self.plan_gate_restart();
        if let Some(single) = &self.plan.single {
            self.queue.plan(after(Nanos(0), single.at), Event::StrikeOnce);
        }
        self.queue.plan(after(Nanos(0), self.plan.heal_at), Event::Heal);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Driver(process) => self.run_driver(process),
            Event::Watchdog(process) => self.run_watchdog(process),
            Event::Act(process, term) => self.act(process, term),
            Event::WorkEnds(process, term) => self.end_work(process, term),
            Event::WorkStops(process, term) => self.finish_stop(process, term),
            Event::WorkGoesOn(process, term) => self.go_on(process, term),
            Event::Checked(process) => self.tell_health(process),
            Event::Health(machine, healthy) => self.set_health(machine, healthy),
            Event::Register(reached) => self.reach_register(&reached),
            Event::Arrive { flight, again } => self.arrive(flight, again),
            Event::Answer { flight } => self.answer(flight),
            Event::Pump(stream) => self.pump(stream),
            Event::Line(stream, line) => self.deliver_line(stream, line),
            Event::StreamEnds(stream) => self.end_stream(stream),
            Event::StartProcess(machine) => self.start_process(machine),
            Event::Pod { machine, uid, event } => self.handle_pod_event(machine, &uid, event),
            Event::Thaw { machine, process } => self.thaw(machine, process),
            Event::Fault(index) => self.draw_fault(index),
            Event::Aim(kind) => self.aim(kind),
            Event::StrikeAt(kind, machine) => self.strike(kind, Some(machine)),
            Event::StrikeOnce => self.strike_once(),
            Event::HandOver(expected) => self.check_hand_over(&expected),
            Event::StrategyEnds => self.end_strategy(),
            Event::GateRestarts => self.restart_gate(),
            Event::EpisodeEnds(id) => self.end_episode(id),
            Event::Touch(until) => self.touch_labels(until),
            Event::Heal => self.heal(),
        }
    }

    fn start_process(&mut self, machine: usize) {
        let runs = self.machines[machine].clocks.motion() == Motion::Runs;
        if self.machines[machine].process.is_some() || !runs {
            // On a machine that stands still nothing starts before it runs again.
            return;
        }
        let process = self.processes.len();
        let peer = self.plan.candidates[machine].peer;
        let variant = peer.map_or(self.variant, Variant::Control);
        let reading = self.machines[machine].clocks.seen(variant.sight(), self.now);
        let secret = leasehold_election::Secret::from_random(self.chance.bytes());
        let pod_uid = self.start_in_pod(machine);
        let config = self.plan.candidates[machine].config(machine, pod_uid.as_deref(), &secret);
        let identity = config.identity.as_str().to_owned();
        let message = secret.termination_message(config.mode);
        let mut candidate = variant.make(config, reading);
        self.tell_secret(candidate.as_mut(), secret);
        let log = ProcessLog { machine, identity: identity.clone(), ..ProcessLog::new(self.now) };
        let mut started = Process::new(machine, identity, candidate);
        (started.pod_uid, started.message) = (pod_uid.unwrap_or_default(), message);
        self.processes.push(started);
        self.machines[machine].process = Some(process);
        self.machines[machine].incarnations += 1;
        self.log.processes.push(log);
        self.trace.note(self.now, process, "starts", machine as u64);
        self.begin_health(process);
        self.step(process, crate::candidate::Happening::Start);
    }

    /// Only mutants know the secrets of others.
    fn tell_secret(
        &mut self,
        started: &mut dyn crate::candidate::Candidate,
        secret: leasehold_election::Secret,
    ) {
        for running in self.processes.iter_mut().filter(|process| process.alive) {
            running.candidate.learn(&secret);
        }
        self.secrets.push(secret);
        self.secrets.iter().for_each(|secret| started.learn(secret));
    }

    /// Whether a process runs another election than ours.
    fn is_peer(&self, process: usize) -> bool {
        self.plan.candidates[self.processes[process].machine].peer.is_some()
    }

    fn finish(mut self) -> Outcome {
        for process in 0..self.processes.len() {
            self.settle_belief(process);
            if let Some(work) = self.processes[process].work.take() {
                self.log.works[work.log].end = self.now;
            }
        }
        let Self { variant, plan, mut log, trace, register, processes, .. } = self;
        log.register = register.counts();
        let named: Vec<Named> = processes
            .into_iter()
            .map(|process| Named { machine: process.machine, identity: process.identity })
            .collect();
        let (hash, trace) = trace.finish(&named, &log.terms);
        Outcome { variant, plan, log, hash, trace }
    }
}

impl Machine {
    fn new(plan: &CandidatePlan) -> Self {
        let offset = i64::try_from(plan.wall_offset.as_nanos()).unwrap_or(0);
        Self {
            clocks: Clocks::new(plan.uptime, plan.raw_ppm, plan.boottime_ppm, offset),
            process: None,
            server: 0,
            incarnations: 0,
            stubborn_terms: 0,
            hanging_terms: 0,
            healthy: true,
            pod: None,
        }
    }
}

impl CandidatePlan {
    fn config(
        &self,
        machine: usize,
        pod_uid: Option<&str>,
        secret: &leasehold_election::Secret,
    ) -> leasehold_election::Config {
        use leasehold_election::{Config, Identity, LeaseName};
        let identity = match &self.identity {
            None if self.peer.is_some() => {
                // As client-go's components name themselves: the host's name and a random text.
                let (text, _) = secret.reveal().split_at(12);
                Identity::explicit(&format!("peer-{machine}_{text}"), secret)
                    .expect("a name is no empty identity")
            }
            Some(text) => Identity::explicit(text, secret).expect("a name is no empty identity"),
            None => Identity::of_process(&pods::pod_name(machine), pod_uid, secret),
        };
        let lease = LeaseName::new(NAMESPACE, LEASE).expect("both names are valid");
        Config {
            stop_timeout: self.stop_timeout,
            on_missing: self.on_missing,
            peers: self.peers,
            priority: self.priority,
            mode: self.mode,
            heartbeat_deadline: self.heartbeat_deadline,
            lead_unhealthy_after: self.lead_unhealthy_after,
            ..Config::new(lease, identity, self.timing.clone())
        }
    }
}

const NAMESPACE: &str = "prod";
const LEASE: &str = "db";
/// Longer than any world.
const NEVER: Nanos = Nanos(u64::MAX);
/// How late a thread of a loaded machine wakes up.
const WAKE_LATE: Duration = Duration::from_millis(2);
