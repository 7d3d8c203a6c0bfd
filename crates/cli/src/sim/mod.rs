//! `leasehold sim`: worlds in virtual time, what was found in them, and what is known to be broken.

pub(crate) mod args;
mod controls;
mod document;
mod failure;
mod lists;
mod progress;
mod replay;
mod show;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, bail};
use leasehold_sim::WorldReport;

use crate::millis::thousands;
use crate::problem::{Outcome, Problem};
use crate::signals::Signals;
use crate::sim::args::{Output, SimArgs};
use crate::sim::document::Found;
use crate::sim::failure::Failure;
use crate::sim::progress::Watched;
use crate::sim::replay::Worlds;

/// Plays the worlds, or as many of them as a signal leaves; a second signal ends at once.
pub(crate) fn run(args: &SimArgs) -> Outcome {
    if let Some(list) = lists::asked(args) {
        anstream::stdout().lock().write_all(list.as_bytes()).context("writing to stdout")?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.context("no runtime")?;
    let ended = Ended::default();
    let (owned, signalled) = (args.clone(), ended.clone());
    let outcome = runtime.block_on(async {
        let mut signals = Signals::catch()?;
        let mut work = tokio::task::spawn_blocking(move || play(&owned, &signalled));
        loop {
            tokio::select! {
                outcome = &mut work => return outcome.context("the worlds could not be played")?,
                code = signals.received() => if ended.set(code) { return Ok(code) },
            }
        }
    });
    // After a second signal nobody waits for the worlds.
    runtime.shutdown_background();
    outcome.map_err(|error| Problem::new(error, "see leasehold sim --help"))
}

/// Whether a signal has asked for the end, and with which exit code.
#[derive(Clone, Debug, Default)]
struct Ended {
    code: Arc<OnceLock<ExitCode>>,
}

impl Ended {
    /// True if that is not the first time.
    fn set(&self, code: ExitCode) -> bool {
        self.code.set(code).is_err()
    }

    fn code(&self) -> Option<ExitCode> {
        self.code.get().copied()
    }

    fn goes_on(&self) -> bool {
        self.code().is_none()
    }
}

fn play(args: &SimArgs, ended: &Ended) -> Result<ExitCode> {
    let threads = threads(args);
    if args.controls {
        return controls::run(args.output, threads, ended);
    }
    let worlds = Worlds::of(args);
    let asked = args.seeds.unwrap_or(if args.seed.is_some() { 1 } else { WORLDS_DEFAULT });
    if args.trace && asked != 1 {
        bail!("--trace tells one world, and {asked} were asked for; name it with --seed");
    }
    let mut found = Found::of(worlds, args.seed.unwrap_or(0), asked);
    watch(&mut found, threads, ended);
    if let Some(seed) = found.report.failures.keys().next().copied() {
        found.failure = Some(Failure::of(&found.worlds, seed, args.shrink, ended)?);
    }
    tell(args, &found)?;
    if let Some(path) = &args.svg {
        let failed = found.failure.as_ref().map(|failure| (&failure.worlds, failure.seed));
        let (worlds, seed) = failed.unwrap_or((&found.worlds, found.first));
        draw(&worlds.simulation().world(seed, true), &worlds.replay(seed), path)?;
    }
    Ok(found.code(ended.code()))
}

/// Lets them run, while somebody may watch.
fn watch(found: &mut Found, threads: usize, ended: &Ended) {
    let watched = Watched::new(found.asked, "worlds");
    let began = std::time::Instant::now();
    let report = found.worlds.simulation().worlds(found.seeds(), threads, &|so_far| {
        let elapsed = began.elapsed();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let worlds = progress::rate(so_far.worlds as f64, elapsed);
        let hours = progress::rate(so_far.simulated.as_secs_f64() / 3_600.0, elapsed);
        let broken = match so_far.violations {
            1 => "1 rule broken".to_owned(),
            more => format!("{} rules broken", thousands(more)),
        };
        watched.done(so_far.worlds, &format!("; {broken}; {worlds}/s, {hours} simulated h/s"));
        if ended.goes_on() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    found.elapsed = watched.finish();
    found.report = report;
}

fn tell(args: &SimArgs, found: &Found) -> Result<()> {
    let mut out = anstream::stdout().lock();
    let traced = args.trace.then(|| found.worlds.simulation().world(found.first, true));
    let text = match (args.output, &traced) {
        (Output::Json, Some(world)) => document::trace(found, world)?,
        (Output::Json, None) => document::report(found)?,
        (Output::Table, traced) => {
            let trace = traced.as_ref().map(show::trace).unwrap_or_default();
            let matrix = if args.matrix { show::matrix(found) } else { String::new() };
            format!("{trace}{}{matrix}{}", show::summary(found), show::conclusion(found))
        }
    };
    out.write_all(text.as_bytes()).context("writing to stdout")
}

fn draw(world: &WorldReport, replay: &str, path: &std::path::Path) -> Result<()> {
    let mut timeline = world.timeline.clone().context("a world without a trace has no picture")?;
    timeline.set_title(replay);
    timeline.set_subtitle(show::setting(world));
    std::fs::write(path, timeline.to_svg())
        .with_context(|| format!("the picture {} cannot be written", path.display()))?;
    // The picture is what was asked for; that it is there is news only.
    let _ = writeln!(anstream::stderr(), "who led when: {}", path.display());
    Ok(())
}

fn threads(args: &SimArgs) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    args.threads.map_or_else(cores, usize::from)
}

const WORLDS_DEFAULT: u64 = 100;
