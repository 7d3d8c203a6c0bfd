//! The rule that nothing happens where nothing is wrong.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::clocks::{after, nanos};
use crate::fault::FaultKind;
use crate::plan::{CandidatePlan, Plan};
use crate::world::{Log, Sent, TermLog, Violation};

/// L2: in a world without faults, but that servers end watches, the first leader leads to the end; nothing is refused, the
/// leader sends one renewal per renew interval, and nothing else is sent but watches that replace those that ended
/// (safety.md L2, DESIGN 2.4). The start, with its races, is over two retry periods after the first term and the last process have begun.
pub(crate) fn l2_nothing_happens_without_faults(plan: &Plan, log: &Log) -> Vec<Violation> {
    let fault_free =
        plan.single.is_none() && plan.faults.iter().all(|fault| fault.kind == FaultKind::WatchClosed);
    let Some(term) = log.terms.first().filter(|_| fault_free) else { return Vec::new() };
    let candidate = &plan.candidates[log.processes[term.process].machine];
    let started = log.processes.iter().map(|process| process.begin).max().unwrap_or_default();
    let settled = after(term.begin.max(started), candidate.timing.retry_period() * 2);
    let mut found = Vec::new();
    if log.terms.len() > 1 || term.end < after(Nanos(0), plan.length) {
        found.push(broken(term.end, format!("there were {} terms", log.terms.len())));
    }
    found.extend(
        log.refusals
            .iter()
            .filter(|at| **at > settled)
            .map(|at| broken(*at, "a request was refused".to_owned())),
    );
    let sent: Vec<&Sent> = log.sent.iter().filter(|sent| sent.at > settled).collect();
    let watches = sent.iter().filter(|sent| sent.operation == Operation::Watch).count() as u64;
    let ended: u64 = log.matrix.values().sum();
    if watches > ended {
        found.push(broken(settled, format!("{watches} watches were opened after {ended} had ended")));
    }
    let other = sent.iter().find(|sent| {
        let renews = sent.process == term.process && sent.operation == Operation::Renew;
        !renews && sent.operation != Operation::Watch
    });
    found.extend(other.map(|sent| broken(sent.at, format!("#{} sends {}", sent.process, sent.operation))));
    found.extend(uneven_renewals(candidate, term, &sent));
    found
}

/// Two renewals in a row that are not one renew interval apart, as clocks count it that err by their bound.
fn uneven_renewals(candidate: &CandidatePlan, term: &TermLog, sent: &[&Sent]) -> Option<Violation> {
    let renewals =
        sent.iter().filter(|sent| sent.process == term.process && sent.operation == Operation::Renew);
    let times: Vec<Nanos> = renewals.map(|sent| sent.at).collect();
    let interval = candidate.timing.renew_interval();
    let (least, most) = (candidate.at_least(interval), candidate.at_most(interval) + TIMERS_LATE);
    let gaps = times.windows(2).map(|pair| (pair[0], pair[1].since(pair[0])));
    let uneven = gaps.into_iter().find(|(_, gap)| gap.0 < nanos(least) || gap.0 > nanos(most));
    uneven.map(|(at, gap)| broken(at, format!("the next renewal follows after {gap}")))
}

/// L2: a single fault ends no term if it is shorter than renew deadline - renew interval - attempt timeout: when it is over,
/// one more attempt fits before the end of the term (safety.md L2, with one renewal that may have been due).
pub(crate) fn l2_a_short_fault_ends_no_term(plan: &Plan, log: &Log) -> Vec<Violation> {
    let Some(single) = &plan.single else { return Vec::new() };
    let at = after(Nanos(0), single.at);
    let end = after(Nanos(0), plan.length);
    let Some(term) = log.terms.iter().rev().find(|term| term.begin <= at) else { return Vec::new() };
    if term.end >= end {
        return Vec::new();
    }
    let (kind, lasts) = (single.kind.name(), single.lasts);
    vec![broken(term.end, format!("{kind} for {lasts:?} at {at} ended the term of #{}", term.process))]
}

fn broken(at: Nanos, what: String) -> Violation {
    Violation { rule: "L2", at, what }
}

/// Each of a few wake-ups of a loaded machine is late by 2 ms.
const TIMERS_LATE: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::super::testing::{at, log, plan, term};
    use super::*;
    use crate::plan::SingleFault;

    fn calm_plan() -> Plan {
        let mut plan = plan();
        plan.faults.clear();
        plan.length = Duration::from_secs(100);
        plan.candidates
            .iter_mut()
            .for_each(|candidate| candidate.timing = leasehold_election::Timing::default());
        plan
    }

    fn calm_log() -> Log {
        let renewal = |seconds| Sent { at: at(seconds), process: 0, operation: Operation::Renew };
        let sent = (10..100).step_by(5).map(renewal).collect();
        Log { terms: vec![term(0, 5, 5, 100)], sent, ..log() }
    }

    fn broken_by(log: &Log) -> usize {
        l2_nothing_happens_without_faults(&calm_plan(), log).len()
    }

    #[test]
    fn a_transition_without_a_fault_breaks_l2() {
        assert_eq!(broken_by(&calm_log()), 0);
        let terms = vec![term(0, 5, 5, 50), term(1, 9, 50, 100)];
        assert_eq!(broken_by(&Log { terms, ..calm_log() }), 1);
    }

    #[test]
    fn a_refusal_or_a_request_of_a_standby_or_an_early_renewal_breaks_l2() {
        assert_eq!(broken_by(&Log { refusals: vec![at(50)], ..calm_log() }), 1);
        for operation in [Operation::Read, Operation::Watch, Operation::Acquire] {
            let mut log = calm_log();
            log.sent.push(Sent { at: at(50), process: 1, operation });
            assert_eq!(broken_by(&log), 1, "{operation}");
        }
        let mut log = calm_log();
        log.sent.insert(3, Sent { at: at(22), process: 0, operation: Operation::Renew });
        assert_eq!(broken_by(&log), 1);
    }

    #[test]
    fn a_short_fault_that_ends_a_term_breaks_l2() {
        let single = SingleFault {
            kind: FaultKind::Partition,
            at: Duration::from_secs(40),
            lasts: Duration::from_secs(3),
        };
        let plan = Plan { single: Some(single), ..calm_plan() };
        assert!(l2_a_short_fault_ends_no_term(&plan, &calm_log()).is_empty());
        let terms = vec![term(0, 5, 5, 50), term(1, 9, 60, 100)];
        assert_eq!(l2_a_short_fault_ends_no_term(&plan, &Log { terms, ..calm_log() }).len(), 1);
    }
}
