//! From answers to figures. What is judged is judged by `history`: here is what it is told.

use anyhow::Result;
use leasehold_history::{ClassReport, Elector, History, Nanos, Report, Sample, Span};

use crate::demo::arena::Arena;
use crate::demo::args::Lock;
use crate::demo::candidate::{Life, Run};

/// All answers as a history, up to a time for which all candidates have answered.
///
/// What does not run does not lead: a process from its end on, and one that is stopped in its tracks until it goes on.
/// From its first answer after that it is judged anew.
///
/// # Errors
/// If what was answered cannot be.
pub(crate) fn history(arena: &Arena, until: Nanos) -> Result<History> {
    let mut history = History::new(Span::new(arena.started, until)?);
    let elector = match arena.lock {
        Lock::Lease => Elector::Ours,
        Lock::Naive => Elector::Peer,
    };
    for candidate in &arena.candidates {
        for life in &candidate.lives {
            let samples = life.samples();
            for run in life.runs() {
                let id = history.add_candidate(&candidate.name, elector);
                for sample in while_running(&samples, run) {
                    history.add_sample(id, sample)?;
                }
            }
        }
    }
    Ok(history)
}

/// The answers that a process gave while it ran, and that it did not lead before and after. An answer in which it was
/// paused may be from either side, and tells nothing.
fn while_running(samples: &[Sample], run: Run) -> Vec<Sample> {
    let not = |at: Nanos| Sample { taken: Span::at(at), leading: false, token: None };
    let within = |sample: &&Sample| {
        run.begin <= sample.taken.earliest && run.end.is_none_or(|end| sample.taken.latest <= end)
    };
    let answers = samples.iter().filter(within).copied();
    [not(run.begin)].into_iter().chain(answers).chain(run.end.map(not)).collect()
}

/// The overlaps among candidates of one lock.
pub(crate) fn class(report: &Report, lock: Lock) -> &ClassReport {
    match lock {
        Lock::Lease => &report.ours,
        Lock::Naive => &report.peers,
    }
}

/// Time without a leader, the longest that it may have been.
pub(crate) fn vacuum(report: &Report) -> Nanos {
    let lengths = report.vacuums.iter().map(|vacuum| vacuum.possible.length());
    lengths.fold(Nanos(0), Nanos::plus)
}

/// Answers a second of the candidate that gave the fewest, while its processes ran.
pub(crate) fn slowest(arena: &Arena, span: Span) -> u64 {
    let rates = arena.candidates.iter().filter_map(|candidate| {
        let (mut answers, mut running) = (0, Nanos(0));
        for life in &candidate.lives {
            let (given, time) = answered(life, span);
            answers += given;
            running = running.plus(time);
        }
        // The last breath of a process is too short to have a rate.
        (running > RATE_TIME_MIN).then(|| answers * 1_000_000_000 / running.0)
    });
    rates.min().unwrap_or_default()
}

/// How often a process answered in a span, and for how long it could: from its first answer to its end, which is its
/// last answer, and not while it was paused.
fn answered(life: &Life, span: Span) -> (u64, Nanos) {
    let samples = life.samples();
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return (0, Nanos(0)) };
    let end = life.ended.map_or(span.latest, |_| last.taken.latest).max(first.taken.latest);
    let running = Span { earliest: first.taken.latest, latest: end }.intersection(span);
    let Some(running) = running else { return (0, Nanos(0)) };
    let paused = life.pauses.iter().filter_map(|pause| pause.intersection(running));
    let paused = paused.fold(Nanos(0), |sum, pause| sum.plus(pause.length()));
    let within = |sample: &&Sample| (span.earliest..=span.latest).contains(&sample.taken.latest);
    let answers = samples.iter().filter(within).count();
    (answers.try_into().unwrap_or(u64::MAX), running.length().since(paused))
}

const RATE_TIME_MIN: Nanos = Nanos(100_000_000);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_answer_after_a_pause_counts_and_one_from_within_it_does_not() {
        let sample = |earliest, latest| Sample {
            taken: Span::new(Nanos(earliest), Nanos(latest)).unwrap(),
            leading: true,
            token: None,
        };
        let samples = [sample(10, 11), sample(20, 90), sample(91, 92)];
        let kept = |begin, end| {
            let kept = while_running(&samples, Run { begin: Nanos(begin), end });
            kept.iter().map(|sample| (sample.taken.earliest.0, sample.leading)).collect::<Vec<_>>()
        };
        assert_eq!(kept(1, Some(Nanos(30))), [(1, false), (10, true), (30, false)]);
        assert_eq!(kept(80, None), [(80, false), (91, true)]);
    }
}
