//! One world: an API server, candidates, faults one after the other, and what was seen of who led.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use leasehold_apiserver::Api;
use leasehold_election::{FencingToken, TimingSettings};
use leasehold_history::{CandidateId, Elector, History, Nanos, Sample, Span, Term};
use turmoil::Sim;

use super::faults::{LATENCY_MAX, Strike};
use super::network::{self, SERVER};
use super::time::{self, SLOW, VIRTUAL};
use super::{DURATION, QUIET};
use crate::candidate::{Candidate, RunError};
use crate::handle::Handle;
use crate::leadership::Leadership;
use crate::transport::describe;
use crate::watchdog::Watchdog;

/// What a world is made of.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) candidates: usize,
    pub(super) lease_duration: Duration,
    /// The first candidate's clocks run at half their rate.
    pub(super) slow_clock: bool,
}

impl Settings {
    pub(super) fn drawn(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let lease_duration = Duration::from_secs(if rng.bool() { 3 } else { 15 });
        Self { seed, candidates: rng.usize(2..=4), lease_duration, slow_clock: false }
    }
}

/// What a world has shown.
pub(super) struct Outcome {
    pub(super) history: History,
    /// What struck when, and who led when.
    pub(super) story: Vec<String>,
    pub(super) faults: usize,
    /// From the end of the last fault until somebody led to the end.
    pub(super) recovered: Option<Duration>,
    pub(super) recovery_max: Duration,
    /// Candidates that ended without having been killed.
    pub(super) ended: Vec<String>,
}

pub(super) struct World {
    settings: Settings,
    hosts: Vec<String>,
    seen: Rc<RefCell<Seen>>,
}

/// What was seen of all processes.
#[derive(Debug, Default)]
struct Seen {
    processes: Vec<Process>,
    story: Vec<String>,
    ended: Vec<String>,
}

#[derive(Debug)]
struct Process {
    host: String,
    killed: Option<Duration>,
    samples: Vec<(Duration, Option<FencingToken>)>,
    works: Vec<(Duration, Option<Duration>, FencingToken)>,
}

impl World {
    /// Plays it from begin to end.
    pub(super) fn play(settings: &Settings) -> Outcome {
        time::begin(settings.seed);
        let mut rng = Rng::with_seed(settings.seed.wrapping_add(1 << 32));
        let mut sim = turmoil::Builder::new()
            .simulation_duration(DURATION * 2)
            .tick_duration(settings.lease_duration / TICKS)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(LATENCY_MAX)
            .rng_seed(settings.seed)
            .enable_random_order()
            .build();
        let hosts = (0..settings.candidates).map(|index| format!("app-{index}")).collect();
        let world = Self { settings: settings.clone(), hosts, seen: Rc::default() };
        world.add_hosts(&mut sim);
        let (faults, last_fault) = world.strike(&mut sim, &mut rng);
        world.outcome(faults, last_fault)
    }

    fn add_hosts(&self, sim: &mut Sim<'_>) {
        let api = Api::new(time::wall_clock, time::chance);
        let lease = br#"{"metadata":{"name":"leader"},"spec":{}}"#;
        let create = http::Request::post("/apis/coordination.k8s.io/v1/namespaces/default/leases")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(lease.to_vec())
            .expect("a request");
        assert_eq!(api.handle(&create).status(), http::StatusCode::CREATED);
        sim.host(SERVER, move || network::serve(api.clone()));
        for (index, host) in self.hosts.iter().enumerate() {
            let (settings, seen, name) = (self.settings.clone(), Rc::clone(&self.seen), host.clone());
            sim.host(host.as_str(), move || {
                campaign(settings.clone(), index, name.clone(), Rc::clone(&seen))
            });
        }
    }

    /// Strikes with one fault after the other, and then lets the world be. Tells how many there were, and when the last
    /// one ended.
    fn strike(&self, sim: &mut Sim<'_>, rng: &mut Rng) -> (usize, Duration) {
        let (mut faults, mut last_fault) = (0, Duration::ZERO);
        self.run_to(sim, self.settings.lease_duration * 2);
        while sim.elapsed() < DURATION - QUIET - FAULT_MAX {
            let pause = self.settings.lease_duration.mul_f64(rng.f64() * 2.0);
            self.run_to(sim, sim.elapsed() + pause);
            let leader = self.seen.borrow().leader();
            let strike = Strike::drawn(rng, sim.elapsed(), &self.hosts, leader.as_deref());
            self.tell(format!("{strike:?}"));
            if strike.kind == super::faults::Kind::Killed {
                self.seen.borrow_mut().kill(&strike.victims, sim.elapsed());
            }
            strike.begin(sim);
            self.run_to(sim, strike.until);
            strike.end(sim);
            self.tell("over".to_owned());
            faults += 1;
            last_fault = sim.elapsed();
        }
        self.run_to(sim, DURATION);
        (faults, last_fault)
    }

    fn run_to(&self, sim: &mut Sim<'_>, end: Duration) {
        while sim.elapsed() < end {
            sim.step().expect("hosts run on whatever happens");
            time::note(sim.elapsed());
        }
    }

    fn tell(&self, what: String) {
        self.seen.borrow_mut().tell(what);
    }

    fn outcome(self, faults: usize, last_fault: Duration) -> Outcome {
        let seen = self.seen.take();
        let history = seen.history();
        let report = history.judge();
        let end = nanos(DURATION);
        let leads_at_end = seen.leader().is_some();
        // What comes after the last sample is not known.
        let vacuums =
            report.vacuums.iter().filter(|vacuum| vacuum.possible.length() > nanos(SAMPLE_INTERVAL * 4));
        let last = vacuums.map(|vacuum| vacuum.possible.latest).max().unwrap_or_default();
        let recovered = Duration::from_nanos(last.since(nanos(last_fault)).0);
        // The first look after an outage may be a pause away that is never longer than a lease lasts.
        let recovery_max = self.settings.lease_duration * 2 + Duration::from_secs(2);
        Outcome {
            history,
            story: seen.story,
            faults,
            recovered: (leads_at_end && last < end).then_some(recovered),
            recovery_max,
            ended: seen.ended,
        }
    }
}

/// The software of a candidate's host: each start is a new process.
async fn campaign(
    settings: Settings,
    index: usize,
    host: String,
    seen: Rc<RefCell<Seen>>,
) -> turmoil::Result {
    let process = seen.borrow_mut().start(&host);
    let timing = TimingSettings::from_lease_duration(settings.lease_duration).build()?;
    let mut builder = Candidate::builder("default", "leader")
        .identity(format!("{host}_{process}"))
        .timing(timing)
        .peers(false)
        .stop_timeout(Duration::from_secs(10));
    builder.machine = if settings.slow_clock && index == 0 { SLOW } else { VIRTUAL };
    let candidate = builder.build()?;
    let handle = candidate.handle();
    let (running, driving) = candidate.campaign.begin(Watchdog::unattended()?);
    tokio::task::spawn_local(sample(handle, process, Rc::clone(&seen)));
    let unusable = |error: kube::Error| RunError::Configuration { detail: describe(&error) };
    tokio::task::spawn_local(driving.drive(async move { network::transport().map_err(unusable) }));
    let result = running.run(|leadership| work(leadership, process, Rc::clone(&seen))).await;
    seen.borrow_mut().ended.push(format!("{host}: {result:?}"));
    Ok(())
}

/// Works while it leads, and takes a moment to stop.
async fn work(leadership: Leadership, process: usize, seen: Rc<RefCell<Seen>>) {
    let token = leadership.token();
    seen.borrow_mut().begin_work(process, token);
    let reason = leadership.stopping().await;
    tokio::time::sleep(Duration::from_millis(time::chance() % 200)).await;
    seen.borrow_mut().end_work(process, &reason.to_string());
}

/// Asks all the time whether it leads.
async fn sample(handle: Handle, process: usize, seen: Rc<RefCell<Seen>>) {
    loop {
        let leads = handle.is_leader();
        let token = handle.status().token.map(FencingToken::new);
        seen.borrow_mut().processes[process].answer(time::elapsed(), token.filter(|_| leads));
        tokio::time::sleep(SAMPLE_INTERVAL).await;
    }
}

impl Seen {
    fn start(&mut self, host: &str) -> usize {
        self.processes.push(Process {
            host: host.to_owned(),
            killed: None,
            samples: Vec::new(),
            works: Vec::new(),
        });
        self.processes.len() - 1
    }

    fn kill(&mut self, hosts: &[String], now: Duration) {
        for process in &mut self.processes {
            if hosts.contains(&process.host) {
                process.killed.get_or_insert(now);
            }
        }
    }

    fn begin_work(&mut self, process: usize, token: FencingToken) {
        self.processes[process].works.push((time::elapsed(), None, token));
        self.tell(format!("{} works, token {token}", self.processes[process].host));
    }

    fn end_work(&mut self, process: usize, reason: &str) {
        let host = self.processes[process].host.clone();
        if let Some(work) = self.processes[process].works.last_mut() {
            work.1 = Some(time::elapsed());
        }
        self.tell(format!("{host} has stopped: {reason}"));
    }

    fn tell(&mut self, what: String) {
        self.story.push(format!("{:9.3} s  {what}", time::elapsed().as_secs_f64()));
    }

    /// The host that led when it last answered.
    fn leader(&self) -> Option<String> {
        let alive = self.processes.iter().filter(|process| process.killed.is_none());
        let leads = |process: &&Process| process.samples.last().is_some_and(|(_, token)| token.is_some());
        alive.filter(leads).map(|process| process.host.clone()).next()
    }

    fn history(&self) -> History {
        let window = Span::new(Nanos(0), nanos(DURATION)).expect("time goes on");
        let mut history = History::new(window);
        for (index, process) in self.processes.iter().enumerate() {
            let id = history.add_candidate(format!("{}_{index}", process.host), Elector::Ours);
            process.add_to(&mut history, id).expect("time goes on");
        }
        history
    }
}

impl Process {
    /// Of equal answers in a row only the first and the last are kept.
    fn answer(&mut self, at: Duration, token: Option<FencingToken>) {
        if let [.., before, last] = &mut self.samples[..]
            && before.1 == token
            && last.1 == token
        {
            last.0 = at;
        } else {
            self.samples.push((at, token));
        }
    }

    fn add_to(&self, history: &mut History, id: CandidateId) -> Result<(), leasehold_history::HistoryError> {
        for &(begin, end, token) in &self.works {
            let end = end.or(self.killed).map(|end| Span::at(nanos(end)));
            history.add_term(id, Term { begin: Span::at(nanos(begin)), end, token: Some(token.get()) })?;
        }
        for &(at, token) in &self.samples {
            let taken = Span::at(nanos(at));
            let sample = Sample { taken, leading: token.is_some(), token: token.map(FencingToken::get) };
            history.add_sample(id, sample)?;
        }
        if let Some(killed) = self.killed {
            let taken = Span::at(nanos(killed));
            history.add_sample(id, Sample { taken, leading: false, token: None })?;
        }
        Ok(())
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos(duration.as_nanos().try_into().expect("a world lasts minutes"))
}

/// In a lease duration: one attempt to renew, a ninth of it, still takes many.
const TICKS: u32 = 200;
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);
/// The longest fault and the pause before it.
const FAULT_MAX: Duration = Duration::from_secs(60);
