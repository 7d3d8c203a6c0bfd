//! Judges a world by what really happened in it.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::{Elector, History, Nanos, Report, Span, Term};

use crate::candidate::Told;
use crate::clocks::{after, nanos};
use crate::fault::FaultKind;
use crate::mixed;
use crate::plan::{Class, Plan};
use crate::world::{Applied, Log, Violation, WorkLog};

/// All rules that this world has broken, as far as its class lets them be judged.
pub(crate) fn violations(plan: &Plan, log: &Log, report: &Report) -> Vec<Violation> {
    let mut found: Vec<Violation> = log.violations.clone();
    found.extend(s9_told_in_order(log));
    found.extend(s3_own_tokens_grow(log));
    match plan.class {
        Class::A => {
            found.extend(s1_one_leader(report));
            found.extend(s2_tokens_grow(report));
            found.extend(s8_work_is_over(log));
            found.extend(l1_a_leader_appears(plan, log));
        }
        Class::B => {
            found.retain(|violation| {
                matches!(violation.rule, "S3" | "S4" | "S6" | "S7" | "S9" | "S10" | "S11")
            });
            found.extend(mixed::violations(plan, log));
        }
        Class::C => {
            found.retain(|violation| matches!(violation.rule, "S3" | "S4" | "S7" | "S9" | "S10" | "S11"))
        }
    }
    found
}

/// The terms of all processes, for `leasehold-history` to judge.
pub(crate) fn history(plan: &Plan, log: &Log) -> History {
    let end = after(Nanos(0), plan.length);
    let window = Span::new(Nanos(0), end).expect("a world has a length");
    let mut history = History::new(window);
    let ids: Vec<_> = (0..log.processes.len())
        .map(|process| history.add_candidate(format!("#{process}"), elector(plan, log, process)))
        .collect();
    for term in &log.terms {
        let exact = Term::exact(term.begin, term.end.max(term.begin)).with_token(term.token);
        history.add_term(ids[term.process], exact).expect("a term ends after its begin");
    }
    history
}

fn elector(plan: &Plan, log: &Log, process: usize) -> Elector {
    match plan.candidates[log.processes[process].machine].peer {
        Some(_) => Elector::Peer,
        None => Elector::Ours,
    }
}

/// S1: at no instant do two processes both believe that they lead (DESIGN 2.1).
pub(crate) fn s1_one_leader(report: &Report) -> Vec<Violation> {
    let proven = report.ours.overlaps.iter().filter_map(|overlap| Some((overlap, overlap.proven?)));
    proven
        .map(|(overlap, span)| Violation {
            rule: "S1",
            at: span.earliest,
            what: format!("{} and {} both led for {}", overlap.first, overlap.second, span.length()),
        })
        .collect()
}

/// S2, S3: each term has a token of its own, larger than those of all earlier terms (DESIGN 2.3).
pub(crate) fn s2_tokens_grow(report: &Report) -> Vec<Violation> {
    report
        .token_faults
        .iter()
        .map(|fault| Violation {
            rule: "S2",
            at: Nanos(0),
            what: format!(
                "token {} of {} follows {} of {}",
                fault.second_token, fault.second, fault.first_token, fault.first
            ),
        })
        .collect()
}

/// S3: a process never leads with a token at or below one it has led with, also after the store was set back.
pub(crate) fn s3_own_tokens_grow(log: &Log) -> Vec<Violation> {
    let mut newest = std::collections::BTreeMap::new();
    let mut found = Vec::new();
    for term in &log.terms {
        let before = newest.insert(term.process, term.token);
        if let Some(before) = before.filter(|before| term.token <= *before) {
            let what = format!("#{} leads with token {} after {before}", term.process, term.token);
            found.push(Violation { rule: "S3", at: term.begin, what });
        }
    }
    found
}

/// S8: work has ended, or was killed, before another candidate acquires; after a pause it is killed within 50 ms of
/// running again (DESIGN 2.2).
pub(crate) fn s8_work_is_over(log: &Log) -> Vec<Violation> {
    let acquisitions: Vec<&Applied> =
        log.applied.iter().filter(|applied| applied.operation == Operation::Acquire).collect();
    let mut found = Vec::new();
    for work in &log.works {
        let next = acquisitions.iter().find(|applied| {
            applied.at > work.begin && applied.process != work.process && applied.at < work.end
        });
        let Some(next) = next else { continue };
        let ran = ran_since(log, work, next.at);
        if ran > 0 {
            let what = format!(
                "work of #{} ran for {} after #{} had acquired",
                work.process,
                Nanos(ran),
                next.process
            );
            found.push(Violation { rule: "S8", at: next.at, what });
        }
    }
    found
}

/// For how long this work ran after an instant, the first 50 ms after each pause aside.
pub(crate) fn ran_since(log: &Log, work: &WorkLog, since: Nanos) -> u64 {
    let frozen = &log.processes[work.process].frozen;
    let mut ran = 0;
    let mut from = since;
    for &(begin, end) in frozen.iter().filter(|(begin, end)| *end > since && *begin < work.end) {
        ran += begin.since(from).0;
        from = after(end, AFTER_PAUSE);
    }
    ran + work.end.since(from).0
}

/// S9: users are told started, stopping, stopped, in this order, none lost (STYLE of callbacks; safety.md S9).
pub(crate) fn s9_told_in_order(log: &Log) -> Vec<Violation> {
    let mut found = Vec::new();
    for (process, log) in log.processes.iter().enumerate() {
        let mut last = Told::Stopped;
        for &told in &log.told {
            let in_order = matches!(
                (last, told),
                (Told::Stopped, Told::Started)
                    | (Told::Started, Told::Stopping)
                    | (Told::Stopping, Told::Stopped)
            );
            if !in_order {
                let what = format!("#{process} told {told:?} after {last:?}");
                found.push(Violation { rule: "S9", at: log.begin, what });
            }
            last = told;
        }
    }
    found
}

/// L1: on healthy servers a leader appears within D + 2 s (DESIGN 8), after the back-off that an outage has left (DESIGN
/// 4), and the peers' grace where the record is not ours.
pub(crate) fn l1_a_leader_appears(plan: &Plan, log: &Log) -> Vec<Violation> {
    let Some(healed) = &log.healed else { return Vec::new() };
    if plan.faults.iter().any(|fault| fault.kind == FaultKind::StoreRestored) {
        // Nobody leads with a token below one that was seen, until a person accepts the restore (DESIGN 4).
        return Vec::new();
    }
    let goal = recovery_goal(plan, log);
    // The first request after an outage may be this far away, DESIGN 4: 15 retry periods with a fifth of jitter.
    let retry_period = plan.candidates.iter().map(|candidate| candidate.timing.retry_period()).max();
    let back_off = retry_period.unwrap_or_default() * 18;
    let allowed = after(goal, back_off);
    match recovery(log) {
        Some(took) if took <= allowed => Vec::new(),
        // A world that ends before that shows nothing.
        None if healed.at.plus(allowed) > after(Nanos(0), plan.length) => Vec::new(),
        took => {
            let took = took.map_or_else(|| "never".to_owned(), |took| format!("after {took}"));
            let what = format!("a leader appeared {took}, and {allowed} are allowed");
            vec![Violation { rule: "L1", at: healed.at, what }]
        }
    }
}

/// The longest stored or own lease duration, the peers' grace where the record is not ours, the time that a planned stop
/// may take which had begun, and 2 s.
pub(crate) fn recovery_goal(plan: &Plan, log: &Log) -> Nanos {
    let lease = log.healed.as_ref().and_then(|healed| healed.lease.as_ref());
    let own = plan.candidates.iter().map(|candidate| candidate.timing.lease_duration()).max();
    let stored = lease.and_then(|lease| lease.seconds).unwrap_or(0);
    let stored = Duration::from_secs(u64::try_from(stored).unwrap_or(0));
    let longest = own.unwrap_or_default().max(stored);
    let ours = lease.is_none_or(|lease| lease.marked || lease.holder.is_empty());
    let grace = if ours { Duration::ZERO } else { longest / 2 };
    let stopping = log.healed.as_ref().map_or(Duration::ZERO, |healed| healed.stop_timeout);
    Nanos(nanos(longest + grace + stopping + Duration::from_secs(2)))
}

/// How long it took from the end of all faults to a leader.
pub(crate) fn recovery(log: &Log) -> Option<Nanos> {
    let healed = log.healed.as_ref()?;
    let first = log.terms.iter().filter(|term| term.end > healed.at).map(|term| term.begin).min();
    first.map(|begin| begin.since(healed.at))
}

const AFTER_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Settings;
    use crate::world::{Healed, ProcessLog, TermLog};

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Nanos {
        Nanos(seconds * SECOND)
    }

    fn log() -> Log {
        let processes = vec![ProcessLog::new(Nanos(0)), ProcessLog::new(Nanos(0))];
        Log { processes, ..Log::default() }
    }

    fn term(process: usize, token: u64, begin: u64, end: u64) -> TermLog {
        TermLog { process, token, begin: at(begin), end: at(end) }
    }

    fn plan() -> Plan {
        Plan::draw(1, &Settings { broken_permille: 0, ..Settings::default() })
    }

    #[test]
    fn two_leaders_at_once_break_s1() {
        let mut log = log();
        log.terms = vec![term(0, 5, 10, 20), term(1, 9, 19, 30)];
        assert_eq!(s1_one_leader(&history(&plan(), &log).judge()).len(), 1);
        log.terms[1].begin = at(20);
        assert!(s1_one_leader(&history(&plan(), &log).judge()).is_empty());
    }

    #[test]
    fn a_token_that_does_not_grow_breaks_s2_and_s3() {
        let mut log = log();
        log.terms = vec![term(0, 9, 10, 20), term(1, 5, 30, 40), term(0, 9, 50, 60)];
        assert_eq!(s2_tokens_grow(&history(&plan(), &log).judge()).len(), 2);
        assert_eq!(s3_own_tokens_grow(&log).len(), 1);
    }

    fn acquisition(process: usize, seconds: u64) -> Applied {
        let json = br#"{"metadata":{"uid":"u","resourceVersion":"9"},"spec":{}}"#;
        let after = crate::world::Lease::parse(json).unwrap();
        Applied { at: at(seconds), process, operation: Operation::Acquire, before: None, after }
    }

    #[test]
    fn work_that_runs_on_after_another_has_acquired_breaks_s8_unless_it_was_paused() {
        let mut log = log();
        log.works = vec![WorkLog { process: 0, begin: at(10), end: at(40) }];
        log.applied = vec![acquisition(1, 30)];
        assert_eq!(s8_work_is_over(&log).len(), 1);
        log.processes[0].frozen = vec![(at(20), at(40))];
        assert!(s8_work_is_over(&log).is_empty());
        log.works[0].end = at(41);
        assert_eq!(s8_work_is_over(&log).len(), 1, "a second after the pause is too much");
    }

    #[test]
    fn a_change_told_out_of_order_breaks_s9() {
        let mut log = log();
        log.processes[0].told = vec![Told::Started, Told::Stopping, Told::Stopped, Told::Started];
        assert!(s9_told_in_order(&log).is_empty());
        log.processes[0].told.push(Told::Stopped);
        assert_eq!(s9_told_in_order(&log).len(), 1);
    }

    #[test]
    fn no_leader_after_the_faults_have_ended_breaks_l1() {
        let mut log = log();
        log.healed = Some(Healed { at: at(100), lease: None, stop_timeout: Duration::ZERO });
        log.terms = vec![term(0, 5, 10, 20)];
        assert_eq!(l1_a_leader_appears(&plan(), &log).len(), 1);
        log.terms.push(term(0, 9, 101, 120));
        assert!(l1_a_leader_appears(&plan(), &log).is_empty());
    }
}
