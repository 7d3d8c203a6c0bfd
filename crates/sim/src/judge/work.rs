//! The rule about work.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::clocks::after;
use crate::world::{Applied, Log, Violation, WorkLog};

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
    let matters = |(begin, end): &&(Nanos, Nanos)| after(*end, AFTER_PAUSE) > since && *begin < work.end;
    for &(begin, end) in frozen.iter().filter(matters) {
        ran += begin.since(from).0;
        from = after(end, AFTER_PAUSE);
    }
    ran + work.end.since(from).0
}

const AFTER_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::super::testing::{acquisition, at, log};
    use super::*;

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

    /// Seed 11604: another acquired 3 ms after the process ran again, and 9 ms before its watchdog killed the work. The 50 ms
    /// were only granted after a pause that the acquisition fell into.
    #[test]
    fn the_50_ms_after_a_pause_are_granted_also_where_the_acquisition_falls_into_them() {
        let mut log = log();
        let ms = |seconds, ms| after(at(seconds), Duration::from_millis(ms));
        log.works = vec![WorkLog { process: 0, begin: at(10), end: ms(30, 9) }];
        log.applied = vec![acquisition(1, 30)];
        log.processes[0].frozen = vec![(at(20), ms(29, 997))];
        assert!(s8_work_is_over(&log).is_empty());
        log.works[0].end = ms(30, 48);
        assert_eq!(s8_work_is_over(&log).len(), 1, "51 ms after the pause");
    }
}
