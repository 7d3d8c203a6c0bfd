//! The rule about the time after all faults.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::clocks::after;
use crate::fault::FaultKind;
use crate::plan::Plan;
use crate::world::{Healed, Log, TermLog, Violation};

/// L1: when all faults have ended, a leader appears within D + 2 s (DESIGN 8).
///
/// D is the longest lease duration, stored or configured. Four things add to it, each with its reason:
/// - A standby counts D from when it is *shown* a record that has changed. What changed while it was cut off, or by a write
///   that was on its way when the faults ended, is counted from there; a standby looks at the latest when the longest pause
///   of an outage is over.
/// - A planned stop that had begun keeps the lease until its work has ended, or its stop timeout.
/// - A record that is not ours is left alone for the peers' grace, too.
/// - After terms that ended for want of health all candidates may rest.
pub(crate) fn l1_a_leader_appears(plan: &Plan, log: &Log) -> Vec<Violation> {
    let Some(healed) = healed(plan, log) else { return Vec::new() };
    let allowed = allowed_until(plan, log, healed);
    let first = first_leader(log, healed);
    // A world that ends before that shows nothing.
    let too_short = first.is_none() && allowed > after(Nanos(0), plan.length);
    if too_short || first.is_some_and(|term| term.begin <= allowed) {
        return Vec::new();
    }
    let took = recovery(log).map_or_else(|| "never".to_owned(), |took| format!("after {took}"));
    let what = format!("a leader appeared {took}, and {} are allowed", allowed.since(healed.at));
    vec![Violation { rule: "L1", at: healed.at, what }]
}

/// L1: from then on the same leader leads to the end of the world: nothing happens that could end its term. That there is
/// no second one is S1.
pub(crate) fn l1_and_stays(plan: &Plan, log: &Log) -> Vec<Violation> {
    let Some(healed) = healed(plan, log) else { return Vec::new() };
    let end = after(Nanos(0), plan.length);
    // A planned stop that had begun ends one more term.
    let settled = after(allowed_until(plan, log, healed), longest_duration(plan, healed));
    let stays = log.terms.iter().any(|term| term.begin <= settled && term.end >= end);
    if stays || settled >= end {
        return Vec::new();
    }
    let what = format!("nobody led from {settled} to the end");
    vec![Violation { rule: "L1", at: settled, what }]
}

/// How long it took from the end of all faults to a leader.
pub(crate) fn recovery(log: &Log) -> Option<Nanos> {
    let healed = log.healed.as_ref()?;
    first_leader(log, healed).map(|term| term.begin.since(healed.at))
}

fn first_leader<'a>(log: &'a Log, healed: &Healed) -> Option<&'a TermLog> {
    log.terms.iter().filter(|term| term.end > healed.at).min_by_key(|term| term.begin)
}

/// The end of all faults, unless nobody may lead after it.
fn healed<'a>(plan: &Plan, log: &'a Log) -> Option<&'a Healed> {
    // Nobody leads with a token below one that was seen, until a person accepts the restore (DESIGN 4).
    log.healed.as_ref().filter(|_| !plan.has_any(&[FaultKind::StoreRestored]))
}

fn longest_duration(plan: &Plan, healed: &Healed) -> Duration {
    let own = plan.candidates.iter().map(|candidate| candidate.timing.lease_duration()).max();
    let stored = healed.lease.as_ref().and_then(|lease| lease.seconds).unwrap_or(0);
    let stored = Duration::from_secs(u64::try_from(stored).unwrap_or(0));
    own.unwrap_or_default().max(stored)
}

/// By when a leader must have appeared.
fn allowed_until(plan: &Plan, log: &Log, healed: &Healed) -> Nanos {
    let longest = longest_duration(plan, healed);
    let ours = healed.lease.as_ref().is_none_or(|lease| lease.marked || lease.holder.is_empty());
    let grace = if ours { Duration::ZERO } else { longest / 2 };
    let wait = longest + grace + healed.stop_timeout + healed.rest + Duration::from_secs(2);
    after(counted_from(plan, log, healed), wait)
}

/// When a standby was first shown the record from which the first leader acquired.
fn counted_from(plan: &Plan, log: &Log, healed: &Healed) -> Nanos {
    let until = first_leader(log, healed).map_or(Nanos(u64::MAX), |term| term.begin);
    let acquired = log.applied.iter().rev().filter(|applied| applied.at <= until);
    let mut acquired = acquired.filter(|applied| applied.operation == Operation::Acquire);
    let Some(record) = acquired.next().and_then(|applied| applied.before.as_ref()) else { return healed.at };
    let written = log.applied.iter().rev().find(|applied| applied.after.version == record.version);
    let written = written.map_or(healed.at, |applied| applied.at.max(healed.at));
    let shown = log.shown.iter().find(|(_, version)| *version >= record.version).map(|(at, _)| *at);
    let latest = after(written, longest_pause(plan));
    shown.unwrap_or(healed.at).clamp(healed.at, latest)
}

/// The longest pause between two looks at the Lease, with its jitter (DESIGN 4).
fn longest_pause(plan: &Plan) -> Duration {
    let pause = plan.candidates.iter().map(|candidate| {
        let timing = &candidate.timing;
        (timing.retry_period() * 15).min(timing.lease_duration() * 5 / 6) * 6 / 5 + timing.attempt_timeout()
    });
    pause.max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{acquisition, at, lease, log, plan, term};
    use super::*;

    fn healed_log() -> Log {
        let healed =
            Healed { at: at(3_000), lease: None, stop_timeout: Duration::ZERO, rest: Duration::ZERO };
        Log { healed: Some(healed), terms: vec![term(0, 5, 10, 20)], ..log() }
    }

    #[test]
    fn no_leader_after_the_faults_have_ended_breaks_l1() {
        let mut log = healed_log();
        assert_eq!(l1_a_leader_appears(&plan(), &log).len(), 1);
        log.terms.push(term(0, 9, 3_001, 3_600));
        assert!(l1_a_leader_appears(&plan(), &log).is_empty());
        assert!(l1_and_stays(&plan(), &log).is_empty());
    }

    #[test]
    fn a_leader_that_comes_late_breaks_l1_unless_no_standby_was_shown_the_record_before() {
        let plan = plan();
        let longest = longest_duration(&plan, healed_log().healed.as_ref().unwrap());
        let late = 3_000 + longest.as_secs() + 4;
        let mut log = healed_log();
        log.terms.push(term(1, 9, late, 3_600));
        let before = Some(lease(8));
        log.applied = vec![crate::world::Applied { before, ..acquisition(1, late) }];
        assert_eq!(l1_a_leader_appears(&plan, &log).len(), 1);
        log.shown = vec![(at(2_990), 7), (at(3_002), 8)];
        assert!(l1_a_leader_appears(&plan, &log).is_empty());
        log.shown[1] = (at(2_995), 8);
        assert_eq!(l1_a_leader_appears(&plan, &log).len(), 1, "that it was shown before is no excuse");
    }

    #[test]
    fn a_leader_that_does_not_stay_breaks_l1() {
        let mut log = healed_log();
        log.terms.push(term(0, 9, 3_001, 3_200));
        log.terms.push(term(0, 12, 3_300, 3_600));
        assert_eq!(l1_and_stays(&plan(), &log).len(), 1);
    }
}
