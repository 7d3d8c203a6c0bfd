//! The rule about how many requests a candidate sends.

use leasehold_history::Nanos;

use crate::plan::{CandidatePlan, Plan};
use crate::world::{Log, Violation};

/// L4: in every window of time, however long, a candidate sends no more than one request per renew interval, which is the
/// rate of a leader without faults, and one per retry period, and a burst on top (safety.md L4; the issue's "no retry
/// storm"). Watches count as requests. The timing is the shortest of the world: the stored lease duration binds all.
///
/// A vessel that loses water at that rate and gets one measure per request holds, at each instant, the largest excess of all
/// windows that end there.
pub(crate) fn l4_no_retry_storm(plan: &Plan, log: &Log) -> Vec<Violation> {
    let mut vessels: Vec<Vessel> = vec![Vessel::default(); log.processes.len()];
    let per_second = plan.candidates.iter().map(rate).fold(0.0, f64::max);
    for sent in &log.sent {
        vessels[sent.process].pour(sent.at, per_second);
    }
    let overflowed = vessels.iter().enumerate().filter(|(_, vessel)| vessel.highest > BURST);
    overflowed
        .map(|(process, vessel)| {
            let what = format!("#{process} sends {:.1} requests more than its rate allows", vessel.highest);
            Violation { rule: "L4", at: vessel.highest_at, what }
        })
        .collect()
}

#[derive(Clone, Debug, Default)]
struct Vessel {
    level: f64,
    last: Nanos,
    highest: f64,
    highest_at: Nanos,
}

impl Vessel {
    fn pour(&mut self, at: Nanos, per_second: f64) {
        let passed = std::time::Duration::from_nanos(at.since(self.last).0).as_secs_f64();
        self.level = (self.level - passed * per_second).max(0.0) + 1.0;
        self.last = at;
        if self.level > self.highest {
            (self.highest, self.highest_at) = (self.level, at);
        }
    }
}

/// Requests per second of true time, by clocks that run as fast as they may.
fn rate(candidate: &CandidatePlan) -> f64 {
    let timing = &candidate.timing;
    let least = |counted| candidate.at_least(counted).as_secs_f64();
    1.0 / least(timing.renew_interval()) + 1.0 / least(timing.retry_period())
}

/// Twice eight tries where an admission policy may mean "not yet" (DESIGN 4), since renewals and the acquisitions after them
/// may follow each other closely, and what a change of the holder brings about at once: an acquisition, a look at who has won,
/// a watch that is opened anew and a renewal.
const BURST: f64 = 20.0;

#[cfg(test)]
mod tests {
    use leasehold_election::Operation;

    use super::super::testing::{at, log, plan};
    use super::*;
    use crate::world::Sent;

    fn broken_by(times: impl Iterator<Item = Nanos>) -> usize {
        let mut plan = plan();
        let default = leasehold_election::Timing::default();
        plan.candidates.iter_mut().for_each(|candidate| candidate.timing = default.clone());
        let sent = times.map(|at| Sent { at, process: 0, operation: Operation::Read }).collect();
        l4_no_retry_storm(&plan, &Log { sent, ..log() }).len()
    }

    #[test]
    fn a_request_each_second_is_a_storm_and_one_each_retry_period_is_none() {
        assert_eq!(broken_by((0..1_000).map(|step| at(2 * step))), 0);
        assert_eq!(broken_by((0..1_000).map(at)), 1);
    }

    #[test]
    fn a_short_burst_is_no_storm() {
        let burst = |count| (0..count).map(|step| Nanos(at(50).0 + step));
        assert_eq!(broken_by(burst(20)), 0);
        assert_eq!(broken_by(burst(30)), 1);
    }
}
