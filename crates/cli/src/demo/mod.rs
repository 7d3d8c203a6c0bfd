//! `leasehold demo`: the whole idea in a minute, without a cluster.

mod arena;
mod args;
mod candidate;
mod judge;
mod meter;
pub(crate) mod naive;
mod process;
mod report;
mod round;
mod show;
mod timeline;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use leasehold_history::{History, Nanos, Span, Term};

use crate::demo::arena::Arena;
pub(crate) use crate::demo::args::DemoArgs;
use crate::demo::args::{Lock, Output};
use crate::demo::candidate::{Candidate, Life, Run};
use crate::demo::report::{DemoReport, RoundReport};
use crate::demo::round::Round;
use crate::demo::timeline::{Event, Mark, Row, Timeline};
use crate::problem::{Outcome, Problem};
use crate::screen;
use crate::signals::Signals;

/// Runs the demo, or as much of it as a signal leaves.
pub(crate) fn run(args: &DemoArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    // On the main thread: the kernel kills the candidates when the thread that started them ends.
    runtime.block_on(async {
        let mut signals = Signals::catch()?;
        tokio::select! {
            outcome = demonstrate(args) => outcome.map_err(|error| Problem::new(error, HINT)),
            code = signals.received() => {
                // What ran was dropped, and with it all processes.
                let _ = writeln!(std::io::stderr(), "\nended by a signal; no process is left behind");
                Ok(code)
            }
        }
    })
}

async fn demonstrate(args: &DemoArgs) -> Result<ExitCode> {
    let mut screen = show::screen(args.output);
    let report = match args.lock {
        Some(lock) => try_lock(args, lock, &mut screen).await?,
        None => {
            let lease = try_lock(args, Lock::Lease, &mut screen).await?;
            screen::say(&mut screen, "")?;
            let naive = try_lock(args, Lock::Naive, &mut screen).await?;
            screen::say(&mut screen, &format!("\n{}", show::comparison(&lease, &naive).trim_end()))?;
            DemoReport { naive: Some(Box::new(naive)), ..lease }
        }
    };
    if args.output == Output::Json {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string_pretty(&report)?).context("writing to stdout")?;
    }
    Ok(ExitCode::from(report.code()))
}

/// All rounds of one lock.
async fn try_lock(args: &DemoArgs, lock: Lock, screen: &mut dyn Write) -> Result<DemoReport> {
    screen::say(screen, show::introduction(lock).trim_end())?;
    let mut arena = Arena::start(lock).await?;
    let (mut rounds, mut reports) = (Vec::<Round>::new(), Vec::<RoundReport>::new());
    for (number, fault) in (1..=args.rounds).zip(args.faults.iter().cycle()) {
        let round = round::play(&mut arena, number, *fault).await?;
        let report = report::round(&arena, &judge::history(&arena, round.span.latest)?, &round);
        screen::say(screen, show::round(&report, round.person.as_ref()).trim_end())?;
        reports.push(report);
        rounds.push(round);
    }
    arena.settle().await?;
    let end = arena.known_until();
    let history = judge::history(&arena, end)?;
    let report = report::run(&arena, &history, reports);
    let (timeline, width) = (timeline(&arena, &history, &rounds, end)?, screen::width());
    screen::say(screen, &format!("\n{}{}", timeline.render(width), timeline.legend(width)))?;
    screen::say(screen, &format!("\n{}", show::conclusion(&report)))?;
    Ok(report)
}

/// From shortly before the first fault to the end.
fn timeline(arena: &Arena, history: &History, rounds: &[Round], end: Nanos) -> Result<Timeline> {
    let first = rounds.first().map_or(arena.started, |round| round.span.earliest);
    let window = Span::new(Nanos(first.0.saturating_sub(LEAD_IN.0)), end)?;
    let seen = history.judge_within(window);
    let overlaps = seen.ours.overlaps.iter().chain(&seen.peers.overlaps);
    let mut marks = Vec::new();
    for round in rounds {
        marks.push(Mark { at: round.span.earliest, what: Event::Fault(round.number, round.fault) });
        marks.extend(round.person.as_ref().map(|person| Mark { at: person.at, what: Event::Person }));
    }
    Ok(Timeline {
        window,
        rows: arena.candidates.iter().map(|candidate| row(candidate, history, window)).collect(),
        marks,
        nobody: seen.vacuums.iter().map(|vacuum| vacuum.possible).collect(),
        two: overlaps.filter_map(|overlap| overlap.proven).collect(),
    })
}

fn row(candidate: &Candidate, history: &History, window: Span) -> Row {
    let own = history.terms().into_iter().filter(|(name, _)| *name == candidate.name);
    let led = |term: Term| term.sure(window).or_else(|| term.moment(window));
    let ran = |run: Run| Span { earliest: run.begin, latest: run.end.unwrap_or(window.latest) };
    Row {
        name: candidate.name.clone(),
        leads: own.flat_map(|(_, terms)| terms).filter_map(led).collect(),
        runs: candidate.lives.iter().flat_map(Life::runs).map(ran).collect(),
        paused: candidate.lives.iter().flat_map(|life| life.pauses.clone()).collect(),
        cut: candidate.cuts.clone(),
    }
}

const LEAD_IN: Nanos = Nanos(500_000_000);
const HINT: &str = "the demo needs loopback and a folder for temporary files; see leasehold demo --help";
