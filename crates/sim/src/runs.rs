//! Runs worlds, one or many.

use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use leasehold_history::{History, Nanos, Timeline};

use crate::candidate::Variant;
use crate::fault::FaultKind;
use crate::judge;
use crate::picture;
use crate::plan::{Class, Plan, Settings};
use crate::report::SimReport;
use crate::story::Story;
use crate::trace::Happened;
use crate::world::{Outcome, Violation, World};

/// Everything that decides a world, but for its seed.
#[derive(Clone, Debug)]
pub struct Simulation {
    /// What is drawn.
    pub settings: Settings,
    /// What all candidates are.
    pub variant: Variant,
    /// Of the faults that a seed has switched on, only these; `None` for all.
    pub only: Option<Vec<FaultKind>>,
}

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Worlds that have run.
    pub worlds: u64,
    /// Rules that they have broken.
    pub violations: u64,
    /// Their time.
    pub simulated: Duration,
}

/// What one world came to.
#[derive(Clone, Debug)]
pub struct WorldReport {
    /// The seed that makes it again.
    pub seed: u64,
    /// What was judged.
    pub class: Class,
    /// Its time.
    pub length: Duration,
    /// How many candidates there are.
    pub candidates: usize,
    /// How many of them are of other elections.
    pub others: usize,
    /// How many API servers stand before the store.
    pub servers: usize,
    /// The lease durations of its candidates, from the shortest.
    pub lease_durations: Vec<Duration>,
    /// The faults that are switched on.
    pub faults: Vec<FaultKind>,
    /// Equal worlds have equal hashes.
    pub hash: String,
    /// Too little happened to prove anything.
    pub void: bool,
    /// How many terms there were.
    pub terms: usize,
    /// How many requests were sent.
    pub requests: u64,
    /// The rules that were broken: those that the variant is known to break first, and then by time.
    pub violations: Vec<Violation>,
    /// The longest time without a leader.
    pub vacuum_max: Nanos,
    /// What happened, if it was asked for.
    pub trace: Vec<Happened>,
    /// Who led when, with the first violation close up, if a trace was asked for.
    pub timeline: Option<Timeline>,
}

impl Simulation {
    /// Worlds of the shipped elector.
    pub fn new(settings: Settings) -> Self {
        Self { settings, variant: Variant::Shipped, only: None }
    }

    /// Worlds of another elector.
    pub fn of(variant: Variant, settings: Settings) -> Self {
        Self { variant, ..Self::new(settings) }
    }

    /// Runs the world of one seed.
    pub fn world(&self, seed: u64, with_trace: bool) -> WorldReport {
        WorldReport::of(self.play(seed, with_trace))
    }

    /// Runs the worlds of many seeds on several threads. `observe` is told after each world how far it has come, and may
    /// break off: worlds that have begun still end, and count.
    pub fn worlds(
        &self,
        seeds: Range<u64>,
        threads: usize,
        observe: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
    ) -> SimReport {
        let next = AtomicU64::new(seeds.start);
        let (worlds, violations) = (AtomicU64::new(0), AtomicU64::new(0));
        let broken_off = AtomicBool::new(false);
        let work = || {
            let mut report = SimReport::default();
            while !broken_off.load(Ordering::Relaxed) {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end {
                    break;
                }
                let before = report.violations;
                report.add(&self.play(seed, false));
                let broken = report.violations - before;
                let worlds = worlds.fetch_add(1, Ordering::Relaxed) + 1;
                let violations = violations.fetch_add(broken, Ordering::Relaxed) + broken;
                let simulated = self.settings.length * u32::try_from(worlds).unwrap_or(u32::MAX);
                if observe(Progress { worlds, violations, simulated }).is_break() {
                    broken_off.store(true, Ordering::Relaxed);
                }
            }
            report
        };
        let mut sum = SimReport::default();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                sum.merge(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
        });
        sum
    }

    /// Runs worlds from seed 1 on until one breaks a rule that the variant is known to break, or any rule if it is the
    /// shipped elector; `None` if none does in `worlds_max` worlds, or `goes_on` says no.
    pub fn hunt(&self, worlds_max: u64, goes_on: &dyn Fn() -> bool) -> Option<Catch> {
        (1..=worlds_max).take_while(|_| goes_on()).find_map(|seed| {
            let report = self.world(seed, false);
            let violation =
                report.violations.into_iter().find(|violation| looks_for(self.variant, violation.rule))?;
            Some(Catch { worlds: seed, violation })
        })
    }

    fn play(&self, seed: u64, with_trace: bool) -> Outcome {
        let mut plan = Plan::draw(seed, &self.settings);
        if let Some(only) = &self.only {
            plan.faults.retain(|fault| only.contains(&fault.kind));
        }
        World::new(plan, self.variant, with_trace).run()
    }
}

/// Runs the worlds of many seeds on several threads. `progress` is told after each world how many have run.
pub fn run_worlds(
    seeds: Range<u64>,
    settings: &Settings,
    variant: Variant,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> SimReport {
    let observe = |so_far: Progress| {
        progress(so_far.worlds);
        ControlFlow::Continue(())
    };
    Simulation::of(variant, settings.clone()).worlds(seeds, threads, &observe)
}

/// Runs the world of one seed.
pub fn run_world(seed: u64, settings: &Settings, with_trace: bool) -> WorldReport {
    Simulation::new(settings.clone()).world(seed, with_trace)
}

/// Runs worlds of a variant until it is caught; `None` if it is not in `worlds_max` worlds.
pub fn hunt(variant: Variant, settings: &Settings, worlds_max: u64) -> Option<Catch> {
    Simulation::of(variant, settings.clone()).hunt(worlds_max, &|| true)
}

/// A variant that was caught.
#[derive(Clone, Debug)]
pub struct Catch {
    /// How many worlds it took; the last one's seed.
    pub worlds: u64,
    /// What it broke.
    pub violation: Violation,
}

impl WorldReport {
    fn of(outcome: Outcome) -> Self {
        let (history, violations) = judged(&outcome);
        let report = history.judge();
        let Outcome { plan, log, hash, trace, .. } = outcome;
        let mut lease_durations: Vec<Duration> =
            plan.candidates.iter().map(|candidate| candidate.timing.lease_duration()).collect();
        lease_durations.sort_unstable();
        let with_trace = !trace.is_empty();
        let timeline = with_trace.then(|| picture::draw(&plan, &log, &history, &trace, &violations));
        Self {
            seed: plan.seed,
            class: plan.class,
            length: plan.length,
            candidates: plan.candidates.len(),
            others: plan.candidates.iter().filter(|candidate| candidate.peer.is_some()).count(),
            servers: plan.servers,
            lease_durations,
            faults: plan.faults.iter().map(|fault| fault.kind).collect(),
            hash,
            void: log.terms.is_empty() || log.renewals < RENEWALS_MIN,
            terms: log.terms.len(),
            requests: log.requests,
            violations,
            vacuum_max: report.longest_vacuum(),
            trace,
            timeline,
        }
    }

    /// What led to a violation, short enough to be read; empty without a trace.
    pub fn story(&self, violation: &Violation) -> Story {
        let longest = self.lease_durations.last().copied().unwrap_or_default();
        Story::of(&self.trace, violation, longest)
    }
}

/// The terms of a world, and the rules that it has broken: those that its variant is known to break first, and what has
/// no time of its own last. Another design is held to nothing else: the other rules are those of our protocol.
pub(crate) fn judged(outcome: &Outcome) -> (History, Vec<Violation>) {
    let Outcome { variant, plan, log, .. } = outcome;
    let history = judge::history(plan, log);
    let mut violations = judge::violations(plan, log, &history.judge());
    let known = |violation: &Violation| looks_for(*variant, violation.rule);
    if let Variant::Control(_) = variant {
        violations.retain(known);
    }
    violations.sort_by_key(|violation| (!known(violation), violation.at == Nanos(0), violation.at));
    (history, violations)
}

/// Whether a variant is known to break this rule; of the shipped elector each counts.
fn looks_for(variant: Variant, rule: &str) -> bool {
    let known = variant.rules();
    known.is_empty() || known.split(' ').any(|expected| expected == rule)
}

/// With fewer renewals a world proves nothing.
pub(crate) const RENEWALS_MIN: u64 = 20;
