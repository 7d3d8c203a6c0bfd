//! A process: inbox, driver, published limits and watchdog, as `leasehold` has them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use leasehold_election::{Limits, Operation, Reading};
use leasehold_history::Nanos;

use super::checks::Quiet;
use super::health::Care;
use super::log::{Sign, SignKind, TermLog, Violation};
use super::watching::is_of_pod;
use super::work::Work;
use super::{Event, NEVER, WAKE_LATE, World};
use crate::candidate::{Act, Candidate, Happening, Told, Turn};
use crate::clocks::after;

/// One process, from start to end.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) machine: usize,
    pub(super) identity: String,
    pub(super) candidate: Box<dyn Candidate>,
    pub(super) alive: bool,
    /// How many calls of the candidate there were.
    calls: u64,
    pub(super) frozen_by_signal: bool,
    pub(super) frozen_since: Option<Nanos>,
    pub(super) starved_until: Nanos,
    commands: VecDeque<Happening>,
    pub(super) found_over: bool,
    inbox: VecDeque<Happening>,
    /// When to wake up, on BOOTTIME.
    wake_at: Option<Duration>,
    /// What fell due while the process was frozen.
    pub(super) deferred: Vec<Event>,
    pub(super) term: Option<Term>,
    pub(super) work: Option<Work>,
    watchdog: Option<(Reading, Duration)>,
    watchdog_planned: Nanos,
    pub(super) flights: BTreeSet<u64>,
    pub(super) watch: Option<(u64, usize)>,
    /// The watch of the holder's Pod.
    pub(super) pod_watch: Option<(u64, usize)>,
    /// The Pod that it runs in, and what its termination message says.
    pub(super) pod_uid: String,
    pub(super) message: String,
    /// The watch that the candidate listens to: it may have ended without the candidate having heard of it.
    pub(super) listening: Option<u64>,
    pub(super) stopping: bool,
    pub(super) newest_seen: u64,
    /// The newest version of the Lease, or of its deletion, that it was told.
    pub(super) newest_sight: u64,
    /// Since when it knows that there is no Lease.
    pub(super) missing_since: Option<Nanos>,
    /// The request under way, by the candidate's number.
    pub(super) asking: Option<(u64, Operation)>,
    /// Until when the server wants no requests, and what it had asked for.
    pub(super) quiet: Option<Quiet>,
    pub(super) care: Care,
}

/// The present term, as the process publishes it to its work.
#[derive(Debug)]
pub(super) struct Term {
    pub(super) token: u64,
    pub(super) from: Reading,
    pub(super) limits: Limits,
    pub(super) over: bool,
    /// When the work last gave a sign of life.
    pub(super) pulse: Reading,
    /// True time at which a check would first say no.
    pub(super) ends: Nanos,
    pub(super) log: usize,
}

impl Process {
    pub(super) fn new(machine: usize, identity: String, candidate: Box<dyn Candidate>) -> Self {
        Self {
            machine,
            identity,
            candidate,
            alive: true,
            calls: 0,
            frozen_by_signal: false,
            frozen_since: None,
            starved_until: Nanos(0),
            commands: VecDeque::new(),
            found_over: false,
            inbox: VecDeque::new(),
            wake_at: None,
            deferred: Vec::new(),
            term: None,
            work: None,
            watchdog: None,
            watchdog_planned: NEVER,
            flights: BTreeSet::new(),
            watch: None,
            pod_watch: None,
            pod_uid: String::new(),
            message: String::new(),
            listening: None,
            stopping: false,
            newest_seen: 0,
            newest_sight: 0,
            missing_since: None,
            asking: None,
            quiet: None,
            care: Care::new(),
        }
    }

    pub(super) fn push_input(&mut self, happening: Happening) {
        self.inbox.push_back(happening);
    }

    pub(super) fn leads_at(&self, now: Nanos) -> bool {
        self.alive && self.term.as_ref().is_some_and(|term| !term.over && now < term.ends)
    }
}

impl World {
    pub(super) fn reading(&self, process: usize) -> Reading {
        let process = &self.processes[process];
        self.machines[process.machine].clocks.seen(process.candidate.sight(), self.now)
    }

    /// Something arrives for the driver.
    pub(super) fn send_input(&mut self, process: usize, happening: Happening) {
        self.processes[process].inbox.push_back(happening);
        self.run_driver(process);
    }

    pub(super) fn command(&mut self, process: usize, command: Happening) {
        self.processes[process].commands.push_back(command);
        self.queue.plan(self.now, Event::Driver(process));
    }

    /// Lets the driver take what there is, in the order of its `select!`: commands, a term found over, what came, the
    /// timer.
    pub(super) fn run_driver(&mut self, process: usize) {
        loop {
            if !self.can_run(process) {
                return;
            }
            let boottime = self.reading(process).boottime;
            let running = &mut self.processes[process];
            let happening = if let Some(command) = running.commands.pop_front() {
                command
            } else if std::mem::take(&mut running.found_over) {
                Happening::Wake
            } else if let Some(happening) = running.inbox.pop_front() {
                happening
            } else if running.wake_at.is_some_and(|at| boottime >= at) {
                Happening::Wake
            } else {
                return;
            };
            self.turn(process, happening);
        }
    }

    /// Whether the driver's thread gets to run; otherwise it is planned for when it will.
    fn can_run(&mut self, process: usize) -> bool {
        let running = &mut self.processes[process];
        if !running.alive {
            return false;
        }
        if running.frozen_since.is_some() {
            if !running.deferred.iter().any(|event| matches!(event, Event::Driver(_))) {
                running.deferred.push(Event::Driver(process));
            }
            return false;
        }
        if self.now < running.starved_until {
            self.queue.plan(running.starved_until, Event::Driver(process));
            return false;
        }
        true
    }

    fn turn(&mut self, process: usize, happening: Happening) {
        self.hand_over_pulse(process);
        let found_over = self.processes[process].term.as_ref().is_some_and(|term| term.over);
        let says_leader = self.step(process, happening);
        if found_over && says_leader {
            self.step(process, Happening::StepDown);
        }
    }

    /// One call of the candidate, and what follows from it.
    pub(super) fn step(&mut self, process: usize, happening: Happening) -> bool {
        if !self.processes[process].alive {
            return false;
        }
        self.processes[process].calls += 1;
        let call = self.processes[process].calls;
        let sight = self.sight_of(process, &happening);
        let refusal = self.answer_to(process, &happening);
        let foreign = self.shows_another_holder(process, &happening);
        if foreign {
            self.note_sign(process, SignKind::OtherHolder);
        }
        self.note_health(process, &happening);
        let now = self.reading(process);
        let chance = self.chance.number();
        let Turn { acts, wake_after, limits, says_leader } =
            self.processes[process].candidate.handle(now, chance, happening);
        let given_up = |id| acts.iter().any(|act| matches!(act, Act::Abandon(abandoned) if *abandoned == id));
        // An answer to what had been given up meanwhile is not heard.
        if let Some(sight) = sight.filter(|sight| !sight.answers.is_some_and(given_up)) {
            let knew_missing = self.processes[process].missing_since.is_some();
            self.note_sight(process, &sight);
            if !knew_missing && self.processes[process].missing_since.is_some() {
                self.note_sign(process, SignKind::NoLease);
            }
        }
        if let Some((_, refusal)) = refusal.filter(|(id, _)| !given_up(*id)) {
            self.note_answer(process, refusal);
        }
        self.publish(process, now, limits);
        let (mut kill, mut finished) = (false, false);
        for act in acts {
            match act {
                Act::KillWork => kill = true,
                Act::Finish => finished = true,
                act => self.carry_out(process, act, now, limits),
            }
        }
        // A fault that what was just sent has met may have led to another call, whose limits are newer.
        if !self.is_peer(process) && self.processes[process].calls == call {
            self.check_step(process, limits, says_leader, foreign);
            self.check_care(process, limits);
        }
        let kill_in = if kill { Some(Duration::ZERO) } else { limits.kill_in };
        let has_work = self.processes[process].work.is_some();
        self.arm_watchdog(process, now, kill_in.filter(|_| has_work));
        self.set_timer(process, now, wake_after.unwrap_or(IDLE_MAX).min(IDLE_MAX));
        if finished {
            self.end_process(process, "finishes");
        }
        says_leader
    }

    fn note_sign(&mut self, process: usize, kind: SignKind) {
        if self.processes[process].leads_at(self.now) {
            self.log.signs.push(Sign { process, at: self.now, kind });
        }
    }

    fn carry_out(&mut self, process: usize, act: Act, now: Reading, limits: Limits) {
        match act {
            Act::Send { id, request, fresh, operation } => {
                if !self.is_peer(process) {
                    self.check_quiet(process, operation);
                    match operation {
                        Operation::Acquire => self.check_fitness(process),
                        Operation::Release => self.note_given_back(process),
                        Operation::Read | Operation::Watch | Operation::Renew => {}
                    }
                }
                self.processes[process].asking = Some((id, operation));
                self.send(process, id, request, fresh, operation);
            }
            Act::Abandon(id) => {
                // Its answer, should it still come, is not heard.
                self.processes[process].asking.take_if(|(asking, _)| *asking == id);
                self.abandon(process, id);
            }
            Act::OpenWatch(id, request) if is_of_pod(&request) => self.open_watch(process, id, &request),
            Act::OpenWatch(id, request) => {
                self.processes[process].listening = Some(id);
                self.open_watch(process, id, &request);
            }
            Act::CloseWatch(id) => {
                self.processes[process].listening.take_if(|listening| *listening == id);
                for of_pod in [false, true] {
                    if self.watch_of(process, of_pod).is_some_and(|(open, _)| open == id) {
                        self.drop_watch(process, of_pod);
                    }
                }
            }
            Act::StartWork { token } => self.start_term(process, token, now, limits),
            Act::StopWork { planned, duplicate, fails } => {
                if duplicate {
                    self.check_duplicate(process);
                }
                self.processes[process].stopping = planned;
                self.note_failing(process, fails);
                self.end_belief(process);
                self.stop_work(process);
            }
            Act::TakeOverByEvidence => {
                self.trace.note(self.now, process, "takes over by evidence", 0);
                self.log.by_evidence += 1;
            }
            Act::Release => self.note_sign(process, SignKind::Releases),
            Act::Told(told) => self.tell(process, told),
            Act::KillWork | Act::Finish => {}
        }
    }

    fn tell(&mut self, process: usize, told: Told) {
        self.log.processes[process].told.push(told);
        let word = match told {
            Told::Started => "says started",
            Told::Stopping => "says stopping",
            Told::Stopped => "says stopped",
        };
        self.trace.note(self.now, process, word, 0);
        if told == Told::Stopped {
            self.processes[process].stopping = false;
            self.end_belief(process);
            self.processes[process].term = None;
            self.note_rest(process);
        }
    }

    fn start_term(&mut self, process: usize, token: u64, from: Reading, limits: Limits) {
        self.trace.note(self.now, process, crate::trace::LEADS, token);
        self.settle_belief(process);
        let log = self.log.terms.len();
        self.log.terms.push(TermLog { process, token, begin: self.now, end: self.now });
        let over = limits.lead_for.is_none();
        self.processes[process].term =
            Some(Term { token, from, limits, over, pulse: from, ends: self.now, log });
        self.processes[process].stopping = false;
        self.excuse(process);
        self.renew_belief(process);
        self.start_work(process, token);
    }

    fn set_timer(&mut self, process: usize, now: Reading, wake_after: Duration) {
        let wake_at = now.boottime + wake_after.max(Duration::from_nanos(1));
        self.processes[process].wake_at = Some(wake_at);
        self.plan_timer(process);
    }

    /// Plans the timer as the clocks run now.
    pub(super) fn plan_timer(&mut self, process: usize) {
        let running = &self.processes[process];
        let Some(wake_at) = running.wake_at else { return };
        let clocks = &self.machines[running.machine].clocks;
        if let Some(at) = clocks.when(running.candidate.sight(), wake_at, self.now) {
            let late = self.chance.within(Duration::ZERO, WAKE_LATE);
            self.queue.plan(after(at, late), Event::Driver(process));
        }
    }

    /// A kill that is due is not put off by what is handled before the watchdog has run, as in the library.
    fn arm_watchdog(&mut self, process: usize, from: Reading, kill_in: Option<Duration>) {
        let now = self.reading(process);
        let is_due = |(from, kill_in): (Reading, Duration)| now.elapsed_for_stopping(&from) >= kill_in;
        if kill_in.is_some() && self.processes[process].watchdog.is_some_and(is_due) {
            return;
        }
        self.processes[process].watchdog = kill_in.map(|kill_in| (from, kill_in));
        self.plan_watchdog(process);
    }

    /// The watchdog's timer runs on BOOTTIME, and looks again a little before it says that the time is over.
    pub(super) fn plan_watchdog(&mut self, process: usize) {
        let Some((from, kill_in)) = self.processes[process].watchdog else { return };
        let now = self.reading(process);
        let left = kill_in.saturating_sub(now.elapsed_for_stopping(&from));
        let wait = if left == kill_in { left } else { left - left / 8 };
        let running = &self.processes[process];
        let clocks = &self.machines[running.machine].clocks;
        let sight = running.candidate.sight();
        let Some(at) = clocks.when(sight, now.boottime + wait, self.now) else { return };
        if at < self.processes[process].watchdog_planned {
            self.processes[process].watchdog_planned = at;
            self.queue.plan(at, Event::Watchdog(process));
        }
    }

    /// The clocks have changed their course.
    pub(super) fn replan_watchdog(&mut self, process: usize) {
        self.processes[process].watchdog_planned = NEVER;
        self.plan_watchdog(process);
    }

    pub(super) fn run_watchdog(&mut self, process: usize) {
        let running = &mut self.processes[process];
        if running.watchdog_planned <= self.now {
            running.watchdog_planned = NEVER;
        }
        if !running.alive {
            return;
        }
        if running.frozen_since.is_some() {
            running.deferred.push(Event::Watchdog(process));
            return;
        }
        let Some((from, kill_in)) = running.watchdog else { return };
        let elapsed = self.reading(process).elapsed_for_stopping(&from);
        if elapsed < kill_in {
            return self.plan_watchdog(process);
        }
        self.processes[process].watchdog = None;
        self.kill_work(process);
    }

    /// The process is gone, with its work; what it sent may still arrive.
    pub(super) fn end_process(&mut self, process: usize, how: &'static str) {
        if !self.processes[process].alive {
            return;
        }
        self.trace.note(self.now, process, how, 0);
        self.note_end_in_pod(process, how == GOES_DOWN);
        self.end_belief(process);
        self.drop_watch(process, false);
        self.drop_watch(process, true);
        let running = &mut self.processes[process];
        running.alive = false;
        running.deferred.clear();
        if let Some(since) = running.frozen_since.take() {
            self.log.processes[process].frozen.push((since, self.now));
        }
        self.log.processes[process].end = Some(self.now);
        if let Some(work) = self.processes[process].work.take() {
            self.log.works[work.log].end = self.work_outlives(process);
        }
        let machine = self.processes[process].machine;
        if how != GOES_DOWN {
            self.report(machine);
        }
        self.machines[machine].process = None;
        let pause = if self.healed { self.chance.millis(10, 200) } else { self.chance.millis(50, 60_000) };
        self.queue.plan(after(self.now, pause), Event::StartProcess(machine));
    }

    pub(super) fn violate(&mut self, rule: &'static str, what: String) {
        self.trace.note_all(self.now, "VIOLATION");
        self.trace.explain(|| format!("{rule}: {what}"));
        self.log.violations.push(Violation { rule, at: self.now, what });
    }
}

/// How a process ends with which its kubelet and the app end, too.
pub(super) const GOES_DOWN: &str = "goes down with its machine";
/// The driver's longest sleep.
const IDLE_MAX: Duration = Duration::from_secs(3);
