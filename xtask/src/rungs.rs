//! The ladder of tests, from the least powerful kind that can fail upwards.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;

use crate::cargo::{Cargo, Totals, root, run_binary, say, test_names, tool};
use crate::{image, mutants};

/// A rung of the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rung {
    /// Everything compiled once
    Builds,
    /// Unit tests, scenario files, property tests, doc tests
    Unit,
    /// Thousands of simulated hours
    Sim,
    /// kube-apiserver, etcd and client-go compiled, or found in the cache
    Servers,
    /// The static sidecar and its image
    Image,
    /// The embedded API server held against the real one
    Conformance,
    /// Library and sidecar against the real control plane, and with client-go
    ControlPlane,
    /// The sidecar in Pods on real nodes; needs root
    Nodes,
    /// Each rule of the core removed in turn; with --full only
    Mutants,
}

pub(crate) struct Ladder {
    full: bool,
    skip: Vec<Rung>,
}

enum Outcome {
    Done(Totals),
    Failed(String),
    Skipped,
}

impl Ladder {
    pub(crate) fn new(full: bool, skip: Vec<Rung>) -> Self {
        Self { full, skip }
    }

    /// Climbs all rungs, prints a summary, and fails if any rung did.
    pub(crate) fn climb(&self) -> Result<ExitCode> {
        let mut results = Vec::new();
        let climbed = |rung: &&Rung| self.full || **rung != Rung::Mutants;
        for &rung in Rung::value_variants().iter().filter(climbed) {
            let begun = Instant::now();
            let outcome = if self.skip.contains(&rung) {
                Outcome::Skipped
            } else {
                say(&format!("\n== {} ==", rung.name()));
                match self.run(rung) {
                    Ok(totals) => Outcome::Done(totals),
                    Err(error) => Outcome::Failed(format!("{error:#}")),
                }
            };
            let compiled = rung != Rung::Builds || !matches!(outcome, Outcome::Failed(_));
            results.push((rung, outcome, begun.elapsed()));
            if !compiled {
                break;
            }
        }
        Ok(summary(&results))
    }

    fn run(&self, rung: Rung) -> Result<Totals> {
        match rung {
            Rung::Builds => {
                Cargo::new("test").workspace().arg("--no-run").run()?;
                Cargo::new("build").workspace().arg("--bins").run()?;
                Ok(Totals::default())
            }
            Rung::Unit => unit(),
            Rung::Sim => self.hours(),
            Rung::Image => self.image(),
            Rung::Servers => {
                let code = run_binary("debug", "leasehold-control-plane", &["build".to_owned()])?;
                if code == ExitCode::SUCCESS {
                    Ok(Totals::default())
                } else {
                    bail!("the servers were not built")
                }
            }
            Rung::Conformance => self.end_to_end(|name| name == CONFORMANCE),
            Rung::ControlPlane => self.end_to_end(|name| ![CONFORMANCE, IMAGE, NODES].contains(&name)),
            Rung::Nodes => {
                let code = run_binary("debug", "leasehold-nodes", &["build".to_owned()])?;
                if code != ExitCode::SUCCESS {
                    bail!("nodes cannot be had here, as said above; --skip nodes leaves them out");
                }
                self.end_to_end(|name| name == NODES)
            }
            Rung::Mutants => {
                say(&mutants::run(&[])?.to_string());
                Ok(Totals::default())
            }
        }
    }

    /// Makes the image, and runs what is in it as a container would be run.
    fn image(&self) -> Result<Totals> {
        image::build_all()?;
        self.end_to_end(|name| name == IMAGE)
    }

    /// Plays worlds of the simulator by the thousand, and shows what they came to.
    fn hours(&self) -> Result<Totals> {
        let mut call = Cargo::new("test").workspace().arg("--test").arg(HOURS);
        if self.full {
            call = call.env("LEASEHOLD_FULL", "1");
        }
        call.arg("--").arg("--nocapture").test()
    }

    /// Runs the chosen tests of `e2e`.
    fn end_to_end(&self, chosen: impl Fn(&str) -> bool) -> Result<Totals> {
        let mut call = Cargo::new("test").workspace().arg("--no-fail-fast");
        for name in test_names(&root().join("e2e/tests"))? {
            if chosen(&name) {
                call = call.arg("--test").arg(&name);
            }
        }
        if self.full {
            call = call.env("LEASEHOLD_FULL", "1");
        }
        call.test()
    }
}

impl Rung {
    fn name(self) -> &'static str {
        match self {
            Self::Builds => "builds",
            Self::Unit => "unit",
            Self::Sim => "sim",
            Self::Image => IMAGE,
            Self::Servers => "servers",
            Self::Conformance => CONFORMANCE,
            Self::ControlPlane => "control-plane",
            Self::Nodes => NODES,
            Self::Mutants => "mutants",
        }
    }
}

/// The rung, and the test of `e2e` that it is.
const CONFORMANCE: &str = "conformance";
/// The rung, and its test of `e2e`.
const IMAGE: &str = "image";
/// As [`IMAGE`].
const NODES: &str = "nodes";
/// The test of `sim` that has a rung of its own.
const HOURS: &str = "hours";

fn unit() -> Result<Totals> {
    let mut call = Cargo::new("test").workspace().arg("--no-fail-fast").arg("--lib").arg("--bins");
    for entry in root().join("crates").read_dir()? {
        let names = test_names(&entry?.path().join("tests"))?;
        for name in names.into_iter().filter(|name| name != HOURS) {
            call = call.arg("--test").arg(&name);
        }
    }
    let tests = call.test()?;
    let docs = Cargo::new("test").workspace().arg("--doc").test()?;
    Ok(tests.plus(docs))
}

fn summary(results: &[(Rung, Outcome, Duration)]) -> ExitCode {
    let mut totals = Totals::default();
    let mut broken = 0;
    say("\nrung           minutes  result");
    for (rung, outcome, elapsed) in results {
        let result = match outcome {
            Outcome::Done(counts) if counts.passed + counts.failed == 0 => "done".to_owned(),
            Outcome::Done(counts) => {
                totals = totals.plus(counts.clone());
                format!("{} passed, {} failed, {} ignored", counts.passed, counts.failed, counts.ignored)
            }
            Outcome::Failed(error) => {
                broken += 1;
                format!("FAILED: {error}")
            }
            Outcome::Skipped => "SKIPPED, as asked by --skip".to_owned(),
        };
        say(&format!("{:<14} {:>7.1}  {result}", rung.name(), elapsed.as_secs_f64() / 60.0));
    }
    let failed = totals.failed + broken;
    for what in &totals.not_run {
        say(&format!("\nnot run: {what}"));
    }
    say(&format!("\n{} passed, {failed} failed, {} skipped", totals.passed, totals.ignored));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Format, lints, docs, dependencies.
pub(crate) fn verify() -> Result<()> {
    Cargo::new("fmt").arg("--all").arg("--check").run()?;
    let strict = ["--", "-D", "warnings"];
    let clippy = Cargo::new("clippy").workspace().arg("--all-targets");
    strict.iter().fold(clippy, |call, arg| call.arg(arg)).run()?;
    Cargo::new("doc").workspace().arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings").run()?;
    deny()
}

/// Licences, sources and banned crates, by cargo-deny.
fn deny() -> Result<()> {
    let status = Command::new(tool("cargo-deny")?)
        .current_dir(root())
        .args(["check", "bans", "licenses", "sources"])
        .status()
        .context("cargo-deny cannot be started")?;
    if !status.success() {
        bail!("cargo deny failed: {status}");
    }
    Ok(())
}
