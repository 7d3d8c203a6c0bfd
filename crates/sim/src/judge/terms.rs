//! Rules about who leads, with which tokens, and what users are told.

use leasehold_history::{Nanos, Report};

use crate::candidate::Told;
use crate::world::{Log, Violation};

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

#[cfg(test)]
mod tests {
    use super::super::history;
    use super::super::testing::{at, log, plan, term};
    use super::*;

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

    #[test]
    fn a_change_told_out_of_order_breaks_s9() {
        let mut log = log();
        log.processes[0].told = vec![Told::Started, Told::Stopping, Told::Stopped, Told::Started];
        assert!(s9_told_in_order(&log).is_empty());
        log.processes[0].told.push(Told::Stopped);
        assert_eq!(s9_told_in_order(&log).len(), 1);
    }
}
