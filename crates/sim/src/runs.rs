//! Runs worlds, one or many.

use leasehold_history::Nanos;

use crate::judge;
use crate::candidate::Variant;
use crate::plan::{Class, Plan, Settings};
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

/// Runs the world of one seed.
pub fn run_world(seed: u64, settings: &Settings, with_trace: bool) -> WorldReport {
    judged(play(seed, settings, Variant::Shipped, with_trace))
}

pub(crate) fn play(
    seed: u64,
    settings: &Settings,
    variant: Variant,
    with_trace: bool,
) -> Outcome {
    World::new(Plan::draw(seed, settings), variant, with_trace).run()
}

/// Runs worlds of a variant until one breaks a rule; `None` if none does in `worlds_max` worlds.
pub fn hunt(variant: Variant, settings: &Settings, worlds_max: u64) -> Option<Catch> {
    (1..=worlds_max).find_map(|seed| {
        let report = judged(play(seed, settings, variant, false));
        let violation = report.violations.into_iter().next()?;
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
const RENEWALS_MIN: u64 = 20;
