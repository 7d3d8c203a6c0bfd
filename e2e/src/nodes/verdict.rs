//! What happened on a stage, judged twice: by the database's own log, and by what the electors said of themselves.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use leasehold_history::{Elector, History, Nanos, Report, Span, Term};

use super::scrape::Samples;
use super::stage::Stage;
use crate::ledger::Entry;

/// The judgement of one stage.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Of which.
    pub name: String,
    /// From the first to the last write of each token.
    pub writes: Report,
    /// The metric of each Pod.
    pub metrics: Report,
    /// How many terms wrote.
    pub terms: usize,
    /// The longest time without an accepted write, in nanoseconds.
    pub longest_pause_ns: u64,
    /// Writes that the fence refused.
    pub refused: usize,
    /// Writes with an older token than an earlier one that were accepted.
    pub stale: Vec<Entry>,
    /// How many Pods' metric went from 0 to 1, and from 1 to 0.
    pub flips: (usize, usize),
}

impl Verdict {
    pub(super) fn of(name: &str, entries: &[Entry], samples: &Samples) -> Result<Self> {
        let accepted: Vec<&Entry> = entries.iter().filter(|entry| entry.accepted).collect();
        let pauses = accepted.windows(2).map(|two| two[1].boottime_ns.saturating_sub(two[0].boottime_ns));
        let went = |from: bool, to: bool| {
            let flips = |samples: &&Vec<leasehold_history::Sample>| {
                samples.windows(2).any(|two| two[0].leading == from && two[1].leading == to)
            };
            samples.values().filter(flips).count()
        };
        let writes = writes(entries)?;
        Ok(Self {
            name: name.to_owned(),
            terms: writes.terms,
            writes,
            metrics: metrics(samples)?,
            longest_pause_ns: pauses.max().unwrap_or_default(),
            refused: entries.len() - accepted.len(),
            stale: stale(&accepted),
            flips: (went(false, true), went(true, false)),
        })
    }

    /// Prints it, which a test shows if it fails, and checks the promise.
    ///
    /// # Errors
    /// Says what was broken.
    #[expect(clippy::print_stdout, reason = "only what is printed is kept by the test that runs this")]
    pub fn passed(self) -> Result<Self> {
        println!("{self}");
        for report in [&self.writes, &self.metrics] {
            ensure!(!report.is_void(), "nobody led, which proves nothing\n{self}");
            ensure!(report.ours.overlap_proven == Nanos(0), "two led at once: {:#?}", report.ours.overlaps);
            ensure!(report.token_faults.is_empty(), "{:#?}", report.token_faults);
        }
        ensure!(self.stale.is_empty(), "the fence let old tokens through: {:#?}", self.stale);
        ensure!(
            self.longest_pause_ns <= Stage::PAUSE_MAX_NS,
            "nobody wrote for longer than the lease duration and two seconds\n{self}"
        );
        Ok(self)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, terms, refused, flips, .. } = self;
        let overlap = self.writes.ours.overlap_proven.plus(self.metrics.ours.overlap_proven);
        write!(
            f,
            "{name}: {terms} terms, overlap {overlap}, longest pause {}, {refused} writes refused, metric 0 to 1 in {} \
             and 1 to 0 in {} Pods",
            Nanos(self.longest_pause_ns),
            flips.0,
            flips.1
        )
    }
}

/// Tries of writes, not only what was accepted: the fence is not to be needed.
fn writes(entries: &[Entry]) -> Result<Report> {
    let mut terms: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for entry in entries {
        let (first, last) = terms.entry(entry.token).or_insert((entry.boottime_ns, entry.boottime_ns));
        *first = (*first).min(entry.boottime_ns);
        *last = (*last).max(entry.boottime_ns);
    }
    let (first, last) = (entries.first().context("nobody wrote")?, entries.last().context("nobody wrote")?);
    let mut history = History::new(Span::new(Nanos(first.boottime_ns), Nanos(last.boottime_ns))?);
    for (token, (first, last)) in terms {
        let candidate = history.add_candidate(token.to_string(), Elector::Ours);
        history.add_term(candidate, Term::exact(Nanos(first), Nanos(last)).with_token(token))?;
    }
    Ok(history.judge())
}

fn metrics(samples: &Samples) -> Result<Report> {
    let all = || samples.values().flatten().map(|sample| sample.taken);
    let first = all().map(|taken| taken.earliest).min().context("no Pod answered")?;
    let last = all().map(|taken| taken.latest).max().unwrap_or(first);
    let mut history = History::new(Span::new(first, last)?);
    for (pod, samples) in samples {
        let candidate = history.add_candidate(pod, Elector::Ours);
        for sample in samples {
            history.add_sample(candidate, *sample)?;
        }
    }
    Ok(history.judge())
}

/// Accepted writes whose token is smaller than that of an earlier one.
fn stale(accepted: &[&Entry]) -> Vec<Entry> {
    let mut newest = 0;
    let mut found = Vec::new();
    for entry in accepted {
        if entry.token < newest {
            found.push((*entry).clone());
        }
        newest = newest.max(entry.token);
    }
    found
}

#[cfg(test)]
mod tests {
    use leasehold_history::Sample;

    use super::*;

    fn entry(token: u64, milliseconds: u64) -> Entry {
        Entry { who: "app-0".to_owned(), token, boottime_ns: milliseconds * 1_000_000, accepted: true }
    }

    /// Two Pods' answers: the first one leads until 50, the second one from then on.
    fn samples() -> Samples {
        let sample = |milliseconds: u64, leading| {
            let taken = Span::at(Nanos(milliseconds * 1_000_000));
            Sample { taken, leading, token: None }
        };
        let first = (1..10).map(|tenth| sample(tenth * 10, tenth < 5)).collect();
        let second = (1..10).map(|tenth| sample(tenth * 10, tenth > 5)).collect();
        BTreeMap::from([("app-0".to_owned(), first), ("app-1".to_owned(), second)])
    }

    #[test]
    fn a_hand_over_without_a_fault_passes() {
        let entries = [entry(7, 10), entry(7, 20), entry(9, 40), entry(9, 50)];
        let verdict = Verdict::of("stage", &entries, &samples()).unwrap().passed().unwrap();
        assert_eq!((verdict.terms, verdict.longest_pause_ns, verdict.flips), (2, 20_000_000, (1, 1)));
    }

    #[test]
    fn an_old_token_that_was_accepted_is_found_and_so_are_two_that_wrote_at_once() {
        let entries = [entry(7, 10), entry(9, 20), entry(7, 30), entry(9, 40)];
        let verdict = Verdict::of("stage", &entries, &samples()).unwrap();
        assert_eq!(verdict.stale, [entry(7, 30)]);
        assert!(verdict.passed().unwrap_err().to_string().contains("two led at once"));
    }

    #[test]
    fn a_pause_that_is_too_long_and_a_service_that_nobody_heard_of_do_not_pass() {
        let entries = [entry(7, 10), entry(7, 20), entry(9, 5_031), entry(9, 5_041)];
        let error = Verdict::of("stage", &entries, &samples()).unwrap().passed().unwrap_err().to_string();
        assert!(error.contains("nobody wrote for longer"), "{error}");
        assert!(Verdict::of("stage", &entries, &Samples::new()).is_err());
    }
}
