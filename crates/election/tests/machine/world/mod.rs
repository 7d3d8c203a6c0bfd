//! Several electors, one store, and what lies between them, in true time: requests that are late, lost, doubled or
//! applied long after they were given up, watches that go silent, processes that are paused, suspended or die, and
//! clocks of other rates.

mod network;
mod parts;

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use leasehold_election::{
    Config, Effect, Elector, Identity, Input, LeaseName, Limits, Reading, RequestId, Secret, Timing, WatchId,
};
use serde_json::json;

use crate::server::Server;
pub(crate) use parts::Seen;
use parts::{Chance, Faults, NodeClock};

const NODES: usize = 3;
/// Clocks are read in whole nanoseconds.
const LOOK_AGAIN_MIN: Duration = Duration::from_micros(10);

/// What happens at an instant of true time.
enum Event {
    Wake { node: usize, serial: u64 },
    Apply { from: From, request: Request<Vec<u8>> },
    Arrive { to: (usize, u64), input: Input },
    OpenWatch { to: (usize, u64), id: WatchId, since: Option<u64> },
    Resume { node: usize },
    WorkEnds { node: usize, term: u64 },
    Kill { node: usize, serial: u64 },
    Fault,
}

/// Who sent a request: which node, and in which of its lives.
#[derive(Clone, Copy)]
struct From {
    life: (usize, u64),
    id: RequestId,
}

struct Node {
    life: u64,
    elector: Elector,
    clock: NodeClock,
    /// Counts inputs, so that a wake-up or a kill that was put off is known as such.
    serial: u64,
    published: (Reading, Limits),
    paused: bool,
    suspended: bool,
    /// Until then nothing reaches the server or comes back.
    cut_until: Duration,
    inbox: Vec<Input>,
    /// The number of the term whose work runs.
    work: Option<u64>,
    finished: bool,
    idle_wakes: u32,
}

/// A watch on the server's side: lines come in order.
struct Watcher {
    to: (usize, u64),
    id: WatchId,
    last_due: Duration,
    silent: bool,
}

pub(crate) struct World {
    seed: u64,
    now: Duration,
    events: BTreeMap<(Duration, u64), Event>,
    next_event: u64,
    chance: Chance,
    faults: Faults,
    timing: Timing,
    server: Server,
    history: Vec<(u64, Vec<u8>)>,
    nodes: Vec<Node>,
    watchers: Vec<Watcher>,
    terms: u64,
    lives: u64,
    token: u64,
    pub(crate) seen: Seen,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let faults = Faults::draw(&mut chance);
        let timing = if chance.one_in(2) {
            Timing::default()
        } else {
            leasehold_election::TimingSettings::from_lease_duration(Duration::from_secs(3)).build().unwrap()
        };
        let mut server = Server::new();
        if !chance.one_in(4) {
            server.edit(&[]);
        }
        let mut world = Self {
            seed,
            now: Duration::ZERO,
            events: BTreeMap::new(),
            next_event: 0,
            faults,
            timing,
            server,
            history: Vec::new(),
            nodes: Vec::new(),
            watchers: Vec::new(),
            terms: 0,
            lives: 0,
            token: 0,
            seen: Seen::default(),
            chance,
        };
        for index in 0..NODES {
            let node = world.new_node(index);
            world.nodes.push(node);
            world.input(index, Input::Start);
        }
        world.at(Duration::from_secs(1), Event::Fault);
        world
    }

    /// Lets time pass until `until`.
    pub(crate) fn run(&mut self, until: Duration) {
        while let Some(entry) = self.events.first_entry() {
            if entry.key().0 > until {
                break;
            }
            self.now = entry.key().0;
            let event = entry.remove();
            self.play(event);
        }
        self.now = until;
    }

    /// From now on nothing goes wrong any more.
    pub(crate) fn heal(&mut self) {
        self.faults = Faults::none();
        for node in &mut self.nodes {
            node.cut_until = Duration::ZERO;
        }
    }

    pub(crate) fn timing(&self) -> &Timing {
        &self.timing
    }

    pub(crate) fn leaders(&mut self) -> usize {
        (0..NODES).filter(|&node| self.leads(node)).count()
    }

    pub(crate) fn stop_all(&mut self) {
        (0..NODES).for_each(|node| self.input(node, Input::Stop));
    }

    pub(crate) fn all_finished(&self) -> bool {
        self.nodes.iter().all(|node| node.finished)
    }

    pub(crate) fn holder(&self) -> String {
        let holder = self.server.lease().and_then(|lease| lease["spec"]["holderIdentity"].as_str());
        holder.unwrap_or_default().to_owned()
    }

    fn new_node(&mut self, index: usize) -> Node {
        self.lives += 1;
        let mut secret = [0; 16];
        secret[..8].copy_from_slice(&self.lives.to_le_bytes());
        let identity = Identity::of_process(&format!("db-{index}"), None, &Secret::from_random(secret));
        let config = Config::new(LeaseName::new("prod", "db").unwrap(), identity, self.timing.clone());
        let clock = NodeClock::draw(&mut self.chance, self.now);
        let reading = clock.reading();
        Node {
            life: self.lives,
            elector: Elector::new(config, reading),
            clock,
            serial: 0,
            published: (reading, Limits::default()),
            paused: false,
            suspended: false,
            cut_until: Duration::ZERO,
            inbox: Vec::new(),
            work: None,
            finished: false,
            idle_wakes: 0,
        }
    }

    fn at(&mut self, after: Duration, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + after, self.next_event), event);
    }

    fn play(&mut self, event: Event) {
        match event {
            Event::Wake { node, serial } if self.nodes[node].serial == serial => {
                self.input(node, Input::Wake)
            }
            Event::Arrive { to: (node, life), input } if self.nodes[node].life == life => {
                self.input(node, input);
            }
            Event::Wake { .. } | Event::Arrive { .. } => {}
            Event::Apply { from, request } => self.apply(from, &request),
            Event::OpenWatch { to, id, since } => self.open_watch(to, id, since),
            Event::Resume { node } => self.resume(node),
            Event::WorkEnds { node, term } => self.end_work(node, term),
            Event::Kill { node, serial } => self.kill(node, serial),
            Event::Fault => self.fault(),
        }
    }

    fn reading(&mut self, node: usize) -> Reading {
        let (now, suspended) = (self.now, self.nodes[node].suspended);
        self.nodes[node].clock.read(now, suspended)
    }

    /// As `check()` of the library: by the clocks, whether or not the driver has noticed.
    fn leads(&mut self, node: usize) -> bool {
        let reading = self.reading(node);
        let (from, limits) = self.nodes[node].published;
        limits.lead_for.is_some_and(|lead_for| reading.elapsed_for_leading(&from) < lead_for)
    }

    fn input(&mut self, node: usize, input: Input) {
        if self.nodes[node].paused {
            return self.nodes[node].inbox.push(input);
        }
        let is_wake = matches!(input, Input::Wake);
        let reading = self.reading(node);
        let chance = self.chance.next();
        let state = &mut self.nodes[node];
        let effects = state.elector.handle(reading, chance, input);
        state.published = (reading, effects.limits);
        state.serial += 1;
        let serial = state.serial;
        let idle = is_wake && effects.list.is_empty() && effects.wake_after == Some(Duration::ZERO);
        state.idle_wakes = if idle { state.idle_wakes + 1 } else { 0 };
        assert!(state.idle_wakes < 3, "seed {}: it wakes again and again for nothing", self.seed);
        for effect in effects.list {
            self.carry_out(node, effect);
        }
        if let Some(after) = effects.wake_after {
            let true_time = self.nodes[node].clock.true_time(after) + self.chance.latency(self.faults.slow);
            self.at(true_time, Event::Wake { node, serial });
        }
        if let Some(left) = effects.limits.kill_in.filter(|_| self.nodes[node].work.is_some()) {
            self.at(self.nodes[node].clock.true_time(left), Event::Kill { node, serial });
        }
    }

    fn carry_out(&mut self, node: usize, effect: Effect) {
        let life = (node, self.nodes[node].life);
        match effect {
            Effect::Send { id, request, .. } => self.send(From { life, id }, request),
            Effect::OpenWatch(id, request) => {
                let query = request.uri().query().unwrap_or_default();
                let since = query.split_once("resourceVersion=").map(|(_, version)| version.parse().unwrap());
                let delay = self.chance.network(self.faults.slow);
                self.at(delay, Event::OpenWatch { to: life, id, since });
            }
            Effect::CloseWatch(id) => self.watchers.retain(|watcher| (watcher.to, watcher.id) != (life, id)),
            Effect::StartWork { token, .. } => self.start_work(node, token.get()),
            Effect::StopWork(_) => {
                if let Some(term) = self.nodes[node].work {
                    let overrun = self.faults.overrun && self.chance.one_in(4);
                    let time = self.chance.below(if overrun { 60_000 } else { 300 });
                    self.at(Duration::from_millis(time), Event::WorkEnds { node, term });
                }
            }
            Effect::KillWork(_) => {
                let serial = self.nodes[node].serial;
                self.end_by_force(node, serial);
            }
            Effect::Finish(_) => self.nodes[node].finished = true,
            Effect::Abandon(_) | Effect::Tell(_) | Effect::Note(_) => {}
        }
    }

    fn start_work(&mut self, node: usize, token: u64) {
        self.seen.terms += 1;
        self.terms += 1;
        assert!(token > self.token, "seed {}: token {token} after {}", self.seed, self.token);
        self.token = token;
        self.nodes[node].work = Some(self.terms);
        let others: Vec<usize> = (0..NODES).filter(|&other| other != node).collect();
        for other in others {
            assert!(!self.leads(other), "seed {}: {node} and {other} lead at {:?}", self.seed, self.now);
        }
    }

    fn end_work(&mut self, node: usize, term: u64) {
        if self.nodes[node].work != Some(term) {
            return;
        }
        if self.nodes[node].paused {
            return self.at(Duration::from_millis(100), Event::WorkEnds { node, term });
        }
        self.nodes[node].work = None;
        self.input(node, Input::WorkEnded);
    }

    /// The watchdog's timer: it looks at the clocks before it ends the work.
    fn kill(&mut self, node: usize, serial: u64) {
        let state = &self.nodes[node];
        if state.serial != serial || state.work.is_none() {
            return;
        }
        let (from, limits) = state.published;
        let elapsed = self.reading(node).elapsed_for_stopping(&from);
        let left = limits.kill_in.unwrap_or_default().saturating_sub(elapsed);
        if left.is_zero() {
            self.end_by_force(node, serial);
        } else {
            self.at((left - left / 8).max(LOOK_AGAIN_MIN), Event::Kill { node, serial });
        }
    }

    /// A paused process does not work, and cannot be ended before it goes on.
    fn end_by_force(&mut self, node: usize, serial: u64) {
        if self.nodes[node].paused {
            return self.at(Duration::from_millis(1), Event::Kill { node, serial });
        }
        if self.nodes[node].work.take().is_some() {
            self.seen.kills += 1;
            let life = (node, self.nodes[node].life);
            self.at(Duration::ZERO, Event::Arrive { to: life, input: Input::WorkEnded });
        }
    }

    fn resume(&mut self, node: usize) {
        self.reading(node);
        let state = &mut self.nodes[node];
        (state.paused, state.suspended) = (false, false);
        let inbox = std::mem::take(&mut state.inbox);
        // The watchdog and the timer run first, or last: the machine must not care.
        if self.chance.one_in(2) {
            self.input(node, Input::Wake);
        }
        inbox.into_iter().for_each(|input| self.input(node, input));
        self.input(node, Input::Wake);
    }

    /// Once a second something may go wrong on one of the nodes.
    fn fault(&mut self) {
        self.at(Duration::from_secs(1), Event::Fault);
        let node = usize::try_from(self.chance.below(3)).unwrap();
        let time = Duration::from_millis(self.chance.below(25_000));
        if self.faults.pauses && !self.nodes[node].paused && self.chance.one_in(15) {
            self.reading(node);
            self.nodes[node].paused = true;
            self.nodes[node].suspended = self.chance.one_in(3);
            self.at(time, Event::Resume { node });
        }
        if self.faults.cuts && self.chance.one_in(20) {
            self.nodes[node].cut_until = self.now + time;
        }
        if self.faults.crashes && !self.nodes[node].paused && self.chance.one_in(30) {
            let started = self.new_node(node);
            self.nodes[node] = started;
            self.watchers.retain(|watcher| watcher.to.0 != node);
            self.input(node, Input::Start);
        }
        if self.faults.step_downs && self.chance.one_in(10) {
            self.input(node, Input::StepDown);
        }
        if self.faults.labels && self.chance.one_in(10) && self.server.lease().is_some() {
            let label = json!({ "n": self.now.as_millis().to_string() });
            self.server.edit(&[("/metadata/labels", label)]);
            self.publish_change();
        }
        if self.faults.wall_steps && self.chance.one_in(20) {
            self.nodes[node].clock.step_wall(&mut self.chance);
        }
    }
}
