//! What the demo found: one document, judged by `history` from the meter's answers alone.

use leasehold_history::History;
use serde::Serialize;

use crate::demo::arena::Arena;
use crate::demo::args::{Fault, Lock};
use crate::demo::candidate::LEASE_DURATION;
use crate::demo::judge::{class, slowest, vacuum};
use crate::demo::round::Round;
use crate::millis::Millis;
use crate::problem::{FINDINGS, INCONCLUSIVE, PASS};

/// The document of `-o json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DemoReport {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) lock: Lock,
    /// Of the Lease, or the age at which the naive lock's timestamp counts for nothing.
    pub(crate) lease_duration_ms: Millis,
    /// Whether the candidates were told to expect other electors, such as client-go, on the same Lease.
    pub(crate) peers: bool,
    pub(crate) verdict: Verdict,
    pub(crate) rounds: Vec<RoundReport>,
    /// Time in which two surely led.
    pub(crate) overlap_ms_total: Millis,
    /// That, and what the answers leave open: a process that is paused cannot be asked.
    pub(crate) overlap_possible_ms_total: Millis,
    pub(crate) worst_vacuum_ms: Millis,
    /// Rounds in which another led without a person's help.
    pub(crate) hand_overs: usize,
    /// Rounds in which nobody led until a person acted.
    pub(crate) persons_needed: usize,
    /// Tokens that did not grow from term to term.
    pub(crate) token_faults: usize,
    pub(crate) probes: usize,
    /// Of the candidate that was asked least, while its process ran.
    pub(crate) probes_per_second: u64,
    /// With both locks: the other one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) naive: Option<Box<Self>>,
}

/// One round of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RoundReport {
    pub(crate) round: u32,
    pub(crate) fault: Fault,
    pub(crate) old: String,
    pub(crate) new: Option<String>,
    /// Time without a leader: the longest that it may have been.
    pub(crate) vacuum_ms: Millis,
    /// Time in which two surely led.
    pub(crate) overlap_ms: Millis,
    /// The fencing token of the new term.
    pub(crate) token: Option<u64>,
    pub(crate) person_needed: bool,
    pub(crate) probes_per_second: u64,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// The promise was kept.
    Pass,
    /// It was not.
    Fail,
    /// Too few answers, or a round without a new leader.
    Inconclusive,
    /// The naive lock promises nothing: its figures stand for themselves.
    Measured,
}

impl Verdict {
    /// The exit code.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Pass | Self::Measured => PASS,
            Self::Fail => FINDINGS,
            Self::Inconclusive => INCONCLUSIVE,
        }
    }
}

impl DemoReport {
    /// The exit code: a broken promise outweighs what could not be shown.
    pub(crate) fn code(&self) -> u8 {
        match (self.verdict.code(), self.naive.as_ref().map_or(PASS, |naive| naive.verdict.code())) {
            (PASS, naive) => naive,
            (own, _) => own,
        }
    }
}

/// The figures of a round.
pub(crate) fn round(arena: &Arena, history: &History, round: &Round) -> RoundReport {
    let seen = history.judge_within(round.span);
    RoundReport {
        round: round.number,
        fault: round.fault,
        old: round.old.clone(),
        new: round.new.clone(),
        vacuum_ms: vacuum(&seen).into(),
        overlap_ms: class(&seen, arena.lock).overlap_proven.into(),
        token: round.token,
        person_needed: round.person.is_some(),
        probes_per_second: slowest(arena, round.span),
    }
}

/// The whole run.
pub(crate) fn run(arena: &Arena, history: &History, rounds: Vec<RoundReport>) -> DemoReport {
    let seen = history.judge();
    let class = class(&seen, arena.lock);
    let lives = || arena.candidates.iter().flat_map(|candidate| &candidate.lives);
    let mut report = DemoReport {
        api_version: "leasehold.dev/v1",
        kind: "DemoReport",
        lock: arena.lock,
        lease_duration_ms: LEASE_DURATION.into(),
        peers: false,
        verdict: Verdict::Measured,
        overlap_ms_total: class.overlap_proven.into(),
        overlap_possible_ms_total: class.overlap_possible.into(),
        worst_vacuum_ms: rounds.iter().map(|round| round.vacuum_ms).max().unwrap_or_default(),
        hand_overs: rounds.iter().filter(|round| round.new.is_some() && !round.person_needed).count(),
        persons_needed: rounds.iter().filter(|round| round.person_needed).count(),
        token_faults: seen.token_faults.len(),
        probes: lives().map(|life| life.samples().len()).sum(),
        probes_per_second: slowest(arena, seen.window),
        rounds,
        naive: None,
    };
    report.verdict = verdict(&report);
    report
}

fn verdict(report: &DemoReport) -> Verdict {
    let promised = report.lock == Lock::Lease;
    let broken = !report.overlap_ms_total.is_zero() || report.token_faults > 0;
    let succeeded = report.rounds.iter().all(|round| round.new.is_some());
    if promised && broken {
        Verdict::Fail
    } else if !succeeded || report.probes_per_second < PROBES_PER_SECOND_MIN {
        Verdict::Inconclusive
    } else if promised {
        Verdict::Pass
    } else {
        Verdict::Measured
    }
}

/// Fewer answers a second of any candidate than this prove nothing.
pub(crate) const PROBES_PER_SECOND_MIN: u64 = 200;

#[cfg(test)]
pub(crate) mod tests {
    use leasehold_history::Nanos;

    use super::*;

    fn millis(millis: u64) -> Millis {
        Nanos(millis * 1_000_000).into()
    }

    /// A run of two rounds with the given overlap in the second.
    pub(crate) fn report(lock: Lock, overlap: u64) -> DemoReport {
        let round = |number, fault, old: &str, new: &str| RoundReport {
            round: number,
            fault,
            old: old.to_owned(),
            new: Some(new.to_owned()),
            vacuum_ms: millis(if number == 1 { 4 } else { 1_012 }),
            overlap_ms: millis(if number == 1 { 0 } else { overlap }),
            token: (lock == Lock::Lease).then_some(u64::from(number) + 10),
            person_needed: lock == Lock::Naive && number == 1,
            probes_per_second: 612,
        };
        let mut report = DemoReport {
            api_version: "leasehold.dev/v1",
            kind: "DemoReport",
            lock,
            lease_duration_ms: millis(3_000),
            peers: false,
            verdict: Verdict::Measured,
            rounds: vec![round(1, Fault::Graceful, "app-0", "app-1"), round(2, Fault::Cut, "app-1", "app-2")],
            overlap_ms_total: millis(overlap),
            overlap_possible_ms_total: millis(overlap),
            worst_vacuum_ms: millis(1_012),
            hand_overs: if lock == Lock::Naive { 1 } else { 2 },
            persons_needed: usize::from(lock == Lock::Naive),
            token_faults: 0,
            probes: 12_345,
            probes_per_second: 598,
            naive: None,
        };
        report.verdict = verdict(&report);
        report
    }

    #[test]
    fn a_broken_promise_outweighs_what_could_not_be_shown() {
        let pass = report(Lock::Lease, 0);
        assert_eq!((pass.verdict, pass.code()), (Verdict::Pass, PASS));
        let fail = DemoReport { probes_per_second: 3, ..report(Lock::Lease, 1) };
        assert_eq!((verdict(&fail), fail.code()), (Verdict::Fail, FINDINGS));
        let shrinking = DemoReport { token_faults: 1, ..pass.clone() };
        assert_eq!(verdict(&shrinking), Verdict::Fail);
        let few = DemoReport { probes_per_second: 199, ..pass.clone() };
        assert_eq!(verdict(&few), Verdict::Inconclusive);
        let mut leaderless = pass;
        leaderless.rounds[1].new = None;
        assert_eq!(verdict(&leaderless).code(), INCONCLUSIVE);
    }

    #[test]
    fn the_naive_lock_is_measured_and_promises_nothing() {
        let naive = report(Lock::Naive, 2_034);
        assert_eq!((naive.verdict, naive.code()), (Verdict::Measured, PASS));
        let void = Verdict::Inconclusive;
        let both = DemoReport {
            naive: Some(Box::new(DemoReport { verdict: void, ..naive })),
            ..report(Lock::Lease, 0)
        };
        assert_eq!(both.code(), INCONCLUSIVE);
    }

    #[test]
    fn the_document_is_what_scripts_read() {
        let both = DemoReport { naive: Some(Box::new(report(Lock::Naive, 2_034))), ..report(Lock::Lease, 0) };
        insta::assert_snapshot!(serde_json::to_string_pretty(&both).unwrap());
    }
}
