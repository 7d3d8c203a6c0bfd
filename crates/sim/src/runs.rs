//! Runs worlds, one or many.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use leasehold_history::Nanos;

use crate::candidate::Variant;
use crate::judge;
use crate::plan::{Class, Plan, Settings};
use crate::report::SimReport;
use crate::world::{Outcome, World};

/// What one world came to.
#[derive(Clone, Debug)]
pub struct WorldReport {
    /// The seed that makes it again.
    pub seed: u64,
    /// What was judged.
    pub class: Class,
    /// Equal worlds have equal hashes.
    pub hash: String,
    /// Too little happened to prove anything.
    pub void: bool,
    /// How many terms there were.
    pub terms: usize,
    /// How many requests were sent.
    pub requests: u64,
    /// The rules that were broken, in words.
    pub violations: Vec<String>,
    /// The longest time without a leader.
    pub vacuum_max: Nanos,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Runs the worlds of many seeds on several threads. `progress` is told after each world how many have run.
pub fn run_worlds(
    seeds: Range<u64>,
    settings: &Settings,
    variant: Variant,
    threads: usize,
    progress: &(dyn Fn(u64) + Sync),
) -> SimReport {
    let next = AtomicU64::new(seeds.start);
    let done = AtomicU64::new(0);
    let work = || {
        let mut report = SimReport::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return report;
            }
            report.add(&play(seed, settings, variant, false));
            progress(done.fetch_add(1, Ordering::Relaxed) + 1);
        }
    };
    let mut sum = SimReport::new();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        for worker in workers {
            sum.merge(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
    });
    sum
}

/// Runs the world of one seed.
pub fn run_world(seed: u64, settings: &Settings, with_trace: bool) -> WorldReport {
    judged(play(seed, settings, Variant::Shipped, with_trace))
}

pub(crate) fn play(seed: u64, settings: &Settings, variant: Variant, with_trace: bool) -> Outcome {
    World::new(Plan::draw(seed, settings), variant, with_trace).run()
}

/// Runs worlds of a variant until one breaks a rule that it is known to break, or any rule if it is the shipped elector;
/// `None` if none does in `worlds_max` worlds.
pub fn hunt(variant: Variant, settings: &Settings, worlds_max: u64) -> Option<Catch> {
    (1..=worlds_max).find_map(|seed| {
        let report = judged(play(seed, settings, variant, false));
        let known = variant.rules();
        let counts = |violation: &&String| {
            let rule = violation.split(' ').next().unwrap_or_default();
            known.is_empty() || known.split(' ').any(|expected| expected == rule)
        };
        let violation = report.violations.iter().find(counts)?.clone();
        Some(Catch { worlds: seed, violation })
    })
}

/// A variant that was caught.
#[derive(Clone, Debug)]
pub struct Catch {
    /// How many worlds it took; the last one's seed.
    pub worlds: u64,
    /// What it broke.
    pub violation: String,
}

pub(crate) fn judged(outcome: Outcome) -> WorldReport {
    let Outcome { plan, log, hash, trace } = outcome;
    let report = judge::history(&plan, &log);
    let violations = judge::violations(&plan, &log, &report);
    WorldReport {
        seed: plan.seed,
        class: plan.class,
        hash,
        void: log.terms.is_empty() || log.renewals < RENEWALS_MIN,
        terms: log.terms.len(),
        requests: log.requests,
        violations: violations
            .iter()
            .map(|violation| format!("{} at {}: {}", violation.rule, violation.at, violation.what))
            .collect(),
        vacuum_max: report.longest_vacuum(),
        trace,
    }
}

/// With fewer renewals a world proves nothing.
pub(crate) const RENEWALS_MIN: u64 = 20;
