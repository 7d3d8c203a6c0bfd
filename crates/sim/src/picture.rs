//! A world as a picture: a lane for each machine, with the processes that ran there one after the other.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::{History, Nanos, Note, NoteKind, Span, Timeline};

use crate::clocks::after;
use crate::fault::FaultKind;
use crate::plan::Plan;
use crate::trace::{Happened, machine_name};
use crate::world::{EpisodeLog, Log, Violation};

pub(crate) fn draw(
    plan: &Plan,
    log: &Log,
    history: &History,
    trace: &[Happened],
    violations: &[Violation],
) -> Timeline {
    let machine_of = |name: &str| {
        let number = name.strip_prefix('#').and_then(|number| number.parse::<usize>().ok());
        number.and_then(|number| log.processes.get(number)).map_or(0, |process| process.machine)
    };
    let title = format!("the world of seed {}", plan.seed);
    let mut timeline = Timeline::grouped(history, title, |name| machine_name(machine_of(name)));
    timeline.order_lanes((0..plan.candidates.len()).map(machine_name));
    let end = after(Nanos(0), plan.length);
    lives(log, end).chain(cuts(log, end)).chain(writes(log)).for_each(|note| timeline.add(note));
    trace.iter().filter_map(fault).for_each(|note| timeline.add(note));
    let first = violations.first();
    let same = |violation: &&Violation| first.is_some_and(|first| first.rule == violation.rule);
    for violation in violations.iter().filter(same).filter(|violation| violation.at > Nanos(0)) {
        let label = format!("{}: {}", violation.rule, violation.what);
        timeline.add(Note::of_all(NoteKind::Finding, Span::at(violation.at), label));
    }
    if let Some(first) = first.filter(|first| first.at > Nanos(0)) {
        timeline.set_close_up(around(plan, first, history));
    }
    timeline
}

/// From before the last word of the old leader to some time after it.
fn around(plan: &Plan, violation: &Violation, history: &History) -> Span {
    let longest = plan.candidates.iter().map(|candidate| candidate.timing.lease_duration()).max();
    let before = after(Nanos(0), longest.unwrap_or_default() + MARGIN);
    let report = history.judge();
    let classes = [&report.ours, &report.mixed, &report.peers].into_iter();
    let overlaps = classes.flat_map(|class| &class.overlaps).filter_map(|overlap| overlap.proven);
    let end = overlaps.filter(|overlap| overlap.earliest == violation.at).map(|overlap| overlap.latest).max();
    Span { earliest: violation.at.since(before), latest: after(end.unwrap_or(violation.at), MARGIN) }
}

fn lives(log: &Log, end: Nanos) -> impl Iterator<Item = Note> {
    log.processes.iter().enumerate().flat_map(move |(number, process)| {
        let lane = machine_name(process.machine);
        let span = |begin: Nanos, end: Nanos| Span { earliest: begin, latest: end.max(begin) };
        let runs = span(process.begin, process.end.unwrap_or(end));
        let runs = Note::of(lane.clone(), NoteKind::Runs, runs, format!("#{number} runs"));
        let frozen = process.frozen.iter().map(move |&(from, to)| {
            Note::of(lane.clone(), NoteKind::Paused, span(from, to), format!("#{number} is paused"))
        });
        std::iter::once(runs).chain(frozen)
    })
}

/// While every request of a machine is lost, or every answer.
fn cuts(log: &Log, end: Nanos) -> impl Iterator<Item = Note> {
    use FaultKind as F;
    let cuts = |episode: &&EpisodeLog| {
        let kind = matches!(episode.kind, F::Partition | F::RequestsLost | F::AnswersLost | F::HalfOpen);
        kind && episode.permille == 1_000
    };
    log.episodes.iter().filter(cuts).filter_map(move |episode| {
        let span = Span { earliest: episode.begin, latest: episode.end.unwrap_or(end) };
        Some(Note::of(machine_name(episode.machine?), NoteKind::CutOff, span, episode.kind.name()))
    })
}

fn writes(log: &Log) -> impl Iterator<Item = Note> {
    log.applied.iter().filter_map(|applied| {
        let (kind, verb) = match applied.operation {
            Operation::Acquire => (NoteKind::Acquired, "acquires"),
            Operation::Release => (NoteKind::Released, "releases"),
            Operation::Read | Operation::Watch | Operation::Renew => return None,
        };
        let lane = machine_name(log.processes[applied.process].machine);
        Some(Note::of(lane, kind, Span::at(applied.at), format!("#{} {verb}", applied.process)))
    })
}

/// A fault that strikes, or that a request meets.
fn fault(happened: &Happened) -> Option<Note> {
    let span = Span::at(happened.at);
    let words = match happened.verb {
        "suffers" | "meets" => happened.words.split(',').next().unwrap_or_default(),
        "all faults end" => happened.verb,
        _ => return None,
    };
    Some(match happened.who.machine() {
        Some(machine) => Note::of(machine_name(machine), NoteKind::Fault, span, words),
        None => Note::of_all(NoteKind::Fault, span, words),
    })
}

const MARGIN: Duration = Duration::from_secs(5);
