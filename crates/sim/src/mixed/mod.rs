//! Class (b): ours and other elections on one Lease. Ours is never the cause of two leaders, and stops when it sees another
//! holder (DESIGN section 2).
//!
//! What is judged needs nothing of the others: a lease of D that was last written at `a` is free to all at `a + D / (1 + e)`
//! of true time at the earliest, with clocks that err by up to `e`. Two leaders are laid to ours unless a fault of another
//! election is shown that explains them.

mod faults;
mod ledger;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::clocks::after;
use crate::judge::ran_since;
use crate::plan::Plan;
use crate::world::{Applied, Lease, Log, SignKind, TermLog, Violation};
pub use faults::PeerFault;
use faults::Shown;
use ledger::Ledger;

/// Two leaders of one class-b world, by who caused them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Blame {
    pub(crate) ours: u64,
    pub(crate) peers: u64,
    /// The faults of other elections, whether there were two leaders or not.
    pub(crate) faults: Vec<PeerFault>,
}

/// Who is to blame for each time with two leaders of whom one is ours.
pub(crate) fn blame(plan: &Plan, log: &Log) -> Blame {
    let ledger = Ledger::new(plan, log);
    let shown = faults::all(&ledger);
    let mut blame = Blame { faults: shown.iter().map(|shown| shown.fault).collect(), ..Blame::default() };
    for (first, second) in overlaps(&ledger) {
        if is_theirs(&ledger, &shown, first, second) {
            blame.peers += 1;
        } else {
            blame.ours += 1;
        }
    }
    blame
}

/// The rules of class (b).
pub(crate) fn violations(plan: &Plan, log: &Log) -> Vec<Violation> {
    let ledger = Ledger::new(plan, log);
    let mut found = b1_no_overlap_of_ours_making(&ledger);
    found.extend(b2_leads_no_longer_than_the_lease(&ledger));
    found.extend(b3_acquires_only_what_is_free(&ledger));
    found.extend(b4_stops_at_the_sight_of_another(&ledger));
    found.extend(b5_renewals_are_seen_by_the_second(&ledger));
    found
}

/// B1: ours is never the cause of two leaders (DESIGN section 2): each time with two, of whom one is ours, is explained by a
/// fault of another election.
fn b1_no_overlap_of_ours_making(ledger: &Ledger<'_>) -> Vec<Violation> {
    let shown = faults::all(ledger);
    let ours =
        overlaps(ledger).into_iter().filter(|(first, second)| !is_theirs(ledger, &shown, first, second));
    ours.map(|(first, second)| Violation {
        rule: "B1",
        at: second.begin,
        what: format!("#{} and #{} both lead, and nobody else is the cause", first.process, second.process),
    })
    .collect()
}

/// B2: ours leads and works only while the Lease is refused to others: no longer than its lease duration, on the fastest
/// clock, after the last write of the term that was carried out, and not after its release (DESIGN section 4, Time).
fn b2_leads_no_longer_than_the_lease(ledger: &Ledger<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    for term in ledger.log.terms.iter().filter(|term| ledger.is_ours(term.process)) {
        if let Some(at) = ledger.outlives(term.process, term.begin, term.end) {
            let what = format!("#{} leads until {}, past its lease", term.process, term.end);
            found.push(Violation { rule: "B2", at, what });
        }
    }
    for work in ledger.log.works.iter().filter(|work| ledger.is_ours(work.process)) {
        if let Some(at) = ledger.outlives(work.process, work.begin, work.end)
            && ran_since(ledger.log, work, at) > 0
        {
            let what = format!("work of #{} runs until {}, past its lease", work.process, work.end);
            found.push(Violation { rule: "B2", at, what });
        }
    }
    found
}

/// B3: ours acquires from another only what is free: a held lease when its stored duration has passed since its last
/// change, and half of that more where the term is not marked as one of ours; a term of ours that others cleared after a
/// lease duration (DESIGN section 4, "Beside other electors").
fn b3_acquires_only_what_is_free(ledger: &Ledger<'_>) -> Vec<Violation> {
    let acquisitions =
        ledger.log.applied.iter().enumerate().filter(|(_, applied)| {
            applied.operation == Operation::Acquire && ledger.is_ours(applied.process)
        });
    let mut found = Vec::new();
    for (index, applied) in acquisitions {
        let Some(free_at) = ledger.free_at(index) else { continue };
        if applied.at < free_at {
            let what = format!("#{} acquires what is free at {free_at}", applied.process);
            found.push(Violation { rule: "B3", at: applied.at, what });
        }
    }
    found
}

/// B4: ours leads no longer than 10 ms after it was handed the sight of another holder (DESIGN section 2).
fn b4_stops_at_the_sight_of_another(ledger: &Ledger<'_>) -> Vec<Violation> {
    let log = ledger.log;
    let signs =
        log.signs.iter().filter(|sign| sign.kind == SignKind::OtherHolder && ledger.is_ours(sign.process));
    signs
        .filter(|sign| leads_on(log, sign.process, sign.at))
        .map(|sign| Violation {
            rule: "B4",
            at: sign.at,
            what: format!("#{} was shown another holder, and leads on", sign.process),
        })
        .collect()
}

/// B5: each renewal of ours moves the renew time on by a whole second at least, since client-go compares by the second
/// (DESIGN section 4; `LeaseLock.Get` compares JSON of `metav1.Time`).
fn b5_renewals_are_seen_by_the_second(ledger: &Ledger<'_>) -> Vec<Violation> {
    let second = |lease: &Lease| {
        let time = lease.renew_time.as_ref()?.parse::<jiff::Timestamp>().ok()?;
        // Also before 1970, where `as_second` rounds up.
        Some(time.as_nanosecond().div_euclid(1_000_000_000))
    };
    let mut found = Vec::new();
    let mut last: Option<&Applied> = None;
    for applied in &ledger.log.applied {
        let follows = last.is_some_and(|last| {
            last.process == applied.process
                && Some(&last.after.renew_time) == applied.before.as_ref().map(|before| &before.renew_time)
        });
        if applied.operation == Operation::Renew && follows && ledger.is_ours(applied.process) {
            let before = applied.before.as_ref().and_then(second);
            if second(&applied.after) <= before {
                let what = format!("a renewal of #{} looks unchanged by the second", applied.process);
                found.push(Violation { rule: "B5", at: applied.at, what });
            }
        }
        last = Some(applied);
    }
    found
}

/// Pairs of terms that overlap and of which one at least is ours, the earlier first.
fn overlaps<'a>(ledger: &Ledger<'a>) -> Vec<(&'a TermLog, &'a TermLog)> {
    let mut terms: Vec<&TermLog> = ledger.log.terms.iter().filter(|term| term.end > term.begin).collect();
    terms.sort_by_key(|term| term.begin);
    let mut found = Vec::new();
    for (index, first) in terms.iter().enumerate() {
        let later = terms[index + 1..].iter().take_while(|second| second.begin < first.end);
        let counts = |second: &&&TermLog| {
            second.process != first.process
                && (ledger.is_ours(first.process) || ledger.is_ours(second.process))
        };
        found.extend(later.filter(counts).map(|second| (*first, *second)));
    }
    found
}

/// Whether a fault of another election explains that these two lead at once, and none of ours does.
fn is_theirs(ledger: &Ledger<'_>, shown: &[Shown], first: &TermLog, second: &TermLog) -> bool {
    let until = first.end.min(second.end);
    let outlives = |term: &TermLog| {
        ledger.is_ours(term.process)
            && ledger.outlives(term.process, term.begin, term.end).is_some_and(|at| at < until)
    };
    if outlives(first) || outlives(second) || ledger.acquired_too_early(second) {
        return false;
    }
    shown.iter().any(|shown| shown.explains(ledger, first, second))
}

/// Whether a term of this process went on for more than 10 ms after an instant.
fn leads_on(log: &Log, process: usize, at: Nanos) -> bool {
    let end = after(at, STEP_DOWN);
    log.terms.iter().any(|term| term.process == process && term.begin <= at && term.end > end)
}

const STEP_DOWN: std::time::Duration = std::time::Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{ProcessLog, Sign, WorkLog};

    const OURS: usize = 0;
    const PEER: usize = 1;

    /// One of ours, #0, and client-go, #1, both with a lease duration of 15 s.
    fn plan() -> Plan {
        Plan::draw(1, &PeerFault::ReleasesBeforeItStops.settings())
    }

    fn log() -> Log {
        let process =
            |machine| ProcessLog { machine, identity: format!("#{machine}"), ..ProcessLog::new(Nanos(0)) };
        Log { processes: vec![process(OURS), process(PEER)], ..Log::default() }
    }

    fn at(seconds: f64) -> Nanos {
        after(Nanos(0), std::time::Duration::from_secs_f64(seconds))
    }

    fn term(process: usize, begin: f64, end: f64) -> TermLog {
        TermLog { process, token: 7, begin: at(begin), end: at(end) }
    }

    fn lease(holder: &str, seconds: f64) -> Lease {
        let renewed = jiff::Timestamp::from_millisecond(1_767_225_600_000).unwrap();
        let renewed = renewed + std::time::Duration::from_secs_f64(seconds);
        Lease {
            uid: "u".to_owned(),
            version: 7,
            holder: holder.to_owned(),
            transitions: Some(3),
            acquire_time: None,
            renew_time: Some(format!("{renewed:.6}")),
            seconds: Some(15),
            marked: holder == "#0",
            strategy: false,
        }
    }

    /// A write of a process at a second, which found this lease.
    fn write(process: usize, operation: Operation, seconds: f64, before: Lease) -> Applied {
        let holder = if operation == Operation::Release { String::new() } else { format!("#{process}") };
        Applied { at: at(seconds), process, operation, before: Some(before), after: lease(&holder, seconds) }
    }

    fn broken(log: &Log, rule: fn(&Ledger<'_>) -> Vec<Violation>) -> usize {
        let plan = plan();
        rule(&Ledger::new(&plan, log)).len()
    }

    #[test]
    fn two_leaders_that_no_fault_of_others_explains_break_b1() {
        let mut log = log();
        log.terms = vec![term(PEER, 10.0, 30.0), term(OURS, 22.0, 36.0)];
        log.applied = vec![
            write(PEER, Operation::Acquire, 10.0, lease("", 0.0)),
            write(PEER, Operation::Renew, 20.0, lease("#1", 10.0)),
            write(OURS, Operation::Acquire, 22.0, lease("", 1.0)),
        ];
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 1);
        assert_eq!((blame(&plan(), &log).ours, blame(&plan(), &log).peers), (1, 0));
        log.signs = vec![Sign { process: PEER, at: at(21.0), kind: SignKind::Releases }];
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 0);
    }

    #[test]
    fn a_fault_of_another_is_no_excuse_for_one_of_ours() {
        let mut log = log();
        log.terms = vec![term(OURS, 10.0, 40.0), term(PEER, 30.0, 50.0)];
        log.applied = vec![
            write(OURS, Operation::Acquire, 10.0, lease("", 0.0)),
            write(PEER, Operation::Acquire, 30.0, lease("#0", 10.0)),
        ];
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 1, "ours leads past its lease");
        log.applied.insert(1, write(OURS, Operation::Renew, 29.0, lease("#0", 10.0)));
        log.terms[0].begin = at(29.0);
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 0, "a live lease was taken");
    }

    /// Seed 5944: an elector that goes by wall clocks took the lease from one of ours that had not been answered yet. Ours then
    /// began its term, rightly, by the event of its acquisition, and was held to be the cause.
    #[test]
    fn a_live_lease_is_taken_also_before_its_holder_knows_that_it_leads() {
        let mut log = log();
        log.terms = vec![term(PEER, 12.0, 40.0), term(OURS, 14.0, 15.0)];
        log.applied = vec![
            write(OURS, Operation::Acquire, 10.0, lease("", 0.0)),
            write(PEER, Operation::Acquire, 12.0, lease("#0", 10.0)),
        ];
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 0, "a live lease was taken");
        log.applied[0].at = at(12.5);
        assert_eq!(broken(&log, b1_no_overlap_of_ours_making), 1, "ours acquired after it");
    }

    #[test]
    fn leading_or_working_past_the_lease_or_after_its_release_breaks_b2() {
        let mut log = log();
        log.applied = vec![write(OURS, Operation::Acquire, 10.0, lease("", 0.0))];
        log.terms = vec![term(OURS, 10.0, 24.8)];
        assert_eq!(broken(&log, b2_leads_no_longer_than_the_lease), 0);
        log.terms[0].end = at(24.9);
        assert_eq!(broken(&log, b2_leads_no_longer_than_the_lease), 1);
        log.terms[0].end = at(21.0);
        log.works = vec![WorkLog { process: OURS, begin: at(10.0), end: at(24.9) }];
        assert_eq!(broken(&log, b2_leads_no_longer_than_the_lease), 1);
        log.works.clear();
        log.applied.push(write(OURS, Operation::Release, 20.0, lease("#0", 10.0)));
        assert_eq!(broken(&log, b2_leads_no_longer_than_the_lease), 1);
    }

    #[test]
    fn acquiring_what_is_not_free_breaks_b3_and_other_elections_get_more_time() {
        let mut log = log();
        let acquires = |seconds, before| write(OURS, Operation::Acquire, seconds, before);
        log.applied =
            vec![write(PEER, Operation::Acquire, 10.0, lease("", 0.0)), acquires(32.2, lease("#1", 10.0))];
        assert_eq!(broken(&log, b3_acquires_only_what_is_free), 1);
        log.applied[1].at = at(32.3);
        assert_eq!(broken(&log, b3_acquires_only_what_is_free), 0);
        // A term of ours that client-go has cleared.
        log.applied =
            vec![write(PEER, Operation::Release, 10.0, lease("#0", 9.0)), acquires(24.8, lease("", 10.0))];
        assert_eq!(broken(&log, b3_acquires_only_what_is_free), 1);
        log.applied[1].at = at(24.9);
        assert_eq!(broken(&log, b3_acquires_only_what_is_free), 0);
    }

    #[test]
    fn leading_on_at_the_sight_of_another_holder_breaks_b4() {
        let mut log = log();
        log.signs = vec![Sign { process: OURS, at: at(20.0), kind: SignKind::OtherHolder }];
        log.terms = vec![term(OURS, 10.0, 20.010)];
        assert_eq!(broken(&log, b4_stops_at_the_sight_of_another), 0);
        log.terms[0].end = at(20.011);
        assert_eq!(broken(&log, b4_stops_at_the_sight_of_another), 1);
    }

    #[test]
    fn a_renewal_that_looks_unchanged_by_the_second_breaks_b5() {
        let mut log = log();
        log.applied = vec![
            write(OURS, Operation::Acquire, 10.1, lease("", 0.0)),
            write(OURS, Operation::Renew, 11.0, lease("#0", 10.1)),
        ];
        assert_eq!(broken(&log, b5_renewals_are_seen_by_the_second), 0);
        log.applied[1] = write(OURS, Operation::Renew, 10.9, lease("#0", 10.1));
        assert_eq!(broken(&log, b5_renewals_are_seen_by_the_second), 1);
    }
}
