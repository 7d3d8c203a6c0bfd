//! What the worlds came to, and as one document for scripts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use leasehold_history::Nanos;
use leasehold_sim::{Happened, SimReport, WorldReport};
use serde::Serialize;

use crate::problem::{FINDINGS, INCONCLUSIVE, PASS};
use crate::sim::args::described;
use crate::sim::failure::{Failure, FailureDocument};
use crate::sim::replay::Worlds;
use crate::sim::show;

/// Everything that was asked for and found.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) worlds: Worlds,
    pub(crate) first: u64,
    pub(crate) asked: u64,
    pub(crate) elapsed: Duration,
    pub(crate) report: SimReport,
    pub(crate) failure: Option<Failure>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// No rule was broken.
    Pass,
    /// One was.
    Fail,
    /// Too little happened, or not all worlds were played.
    Inconclusive,
}

impl Found {
    /// Before anything ran.
    pub(crate) fn of(worlds: Worlds, first: u64, asked: u64) -> Self {
        Self { worlds, first, asked, elapsed: Duration::ZERO, report: SimReport::default(), failure: None }
    }

    pub(crate) fn seeds(&self) -> Range<u64> {
        self.first..self.first.saturating_add(self.asked)
    }

    /// Whether all worlds were played.
    pub(crate) fn is_complete(&self) -> bool {
        self.report.worlds >= self.asked
    }

    pub(crate) fn verdict(&self) -> Verdict {
        if self.report.violations > 0 {
            Verdict::Fail
        } else if self.report.void_worlds == self.report.worlds || !self.is_complete() {
            Verdict::Inconclusive
        } else {
            Verdict::Pass
        }
    }

    /// A broken rule outweighs a signal.
    pub(crate) fn code(&self, ended: Option<ExitCode>) -> ExitCode {
        match self.verdict() {
            Verdict::Fail => ExitCode::from(FINDINGS),
            Verdict::Pass => ExitCode::from(PASS),
            Verdict::Inconclusive => ended.unwrap_or(ExitCode::from(INCONCLUSIVE)),
        }
    }
}

/// The document of `-o json`.
#[derive(Debug, Serialize)]
struct SimDocument<'a> {
    #[serde(flatten)]
    report: &'a SimReport,
    verdict: Verdict,
    complete: bool,
    scenario: String,
    elector: &'a str,
    length_ms: u64,
    first_seed: u64,
    worlds_asked: u64,
    elapsed_ms: u64,
    /// The commands that make the worlds again that failed.
    replays: BTreeMap<u64, String>,
    first_failure: Option<FailureDocument<'a>>,
}

/// The document of `--trace -o json`.
#[derive(Debug, Serialize)]
struct TraceDocument<'a> {
    #[serde(rename = "apiVersion")]
    api_version: &'a str,
    kind: &'a str,
    seed: u64,
    replay: String,
    world: String,
    hash: &'a str,
    verdict: Verdict,
    violations: &'a [leasehold_sim::Violation],
    trace: &'a [Happened],
}

/// For scripts.
pub(crate) fn report(found: &Found) -> Result<String> {
    let replays = found.report.failures.keys().map(|&seed| (seed, found.worlds.replay(seed))).collect();
    let document = SimDocument {
        report: &found.report,
        verdict: found.verdict(),
        complete: found.is_complete(),
        scenario: found.worlds.name(),
        elector: described(found.worlds.variant).0,
        length_ms: whole_millis(found.worlds.simulation().settings.length),
        first_seed: found.first,
        worlds_asked: found.asked,
        elapsed_ms: whole_millis(found.elapsed),
        replays,
        first_failure: found.failure.as_ref().map(Failure::document),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// One world with all that happened in it, for scripts.
pub(crate) fn trace(found: &Found, world: &WorldReport) -> Result<String> {
    let document = TraceDocument {
        api_version: found.report.api_version,
        kind: "SimTrace",
        seed: world.seed,
        replay: found.worlds.replay(world.seed),
        world: show::setting(world),
        hash: &world.hash,
        verdict: found.verdict(),
        violations: &world.violations,
        trace: &world.trace,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// Milliseconds, with what is shorter as a fraction.
pub(crate) fn millis(at: Nanos) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact below a hundred days")]
    let nanos = at.0 as f64;
    nanos / 1e6
}

fn whole_millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
