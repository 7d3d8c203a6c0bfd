//! The rule about the fenced register.
//!
//! Each write has a value of its own, so that a read says which write it saw. Then a history can be judged in the time that
//! sorting takes (Gibbons and Korach, Testing Shared Memories, 1997), where a search over orders, as general testers do it,
//! takes exponential time: a world has some ten thousand acts.

use std::collections::BTreeMap;

use leasehold_history::Nanos;

use crate::world::{ActKind, Log, RegisterAct, Violation};

/// S5: every write that was acknowledged was carried out, between its begin and its answer (safety.md S5).
pub(crate) fn s5_no_write_is_lost(log: &Log) -> Vec<Violation> {
    let lost = log.acts.iter().filter(|act| {
        let (ActKind::Write(_), Some(end), true) = (act.kind, act.end, act.accepted) else { return false };
        act.applied.is_none_or(|applied| applied < act.begin || applied > end)
    });
    lost.map(|act| {
        broken(act.begin, format!("{:?} of #{} was acknowledged and is not there", act.kind, act.process))
    })
    .collect()
}

/// S5: there is an order of all reads and writes in which each read sees the write before it, and which keeps the order of
/// acts of which one ended before the other began. A write without an answer may be carried out at any later time, or
/// never (safety.md S5; Herlihy and Wing 1990).
pub(crate) fn s5_reads_are_linearizable(log: &Log) -> Vec<Violation> {
    let clusters = match clusters(&log.acts) {
        Ok(clusters) => clusters,
        Err(violation) => return vec![violation],
    };
    // While a value is sure to be there, no other can be: not in part, and not in between.
    let mut sure: Vec<Zone> = clusters.values().filter_map(Cluster::sure).collect();
    sure.sort_unstable_by_key(|zone| (zone.begin, zone.end));
    let together = sure.windows(2).find(|pair| pair[1].begin < pair[0].end);
    let mut found: Vec<_> = together.map(|pair| both(pair[0], pair[1])).into_iter().collect();
    let brief = clusters.values().filter_map(Cluster::brief);
    let within = brief.filter_map(|brief| {
        let before = sure.partition_point(|zone| zone.begin < brief.begin);
        let zone = sure[..before].last().filter(|zone| brief.end < zone.end)?;
        Some(both(*zone, brief))
    });
    found.extend(within.take(1));
    found
}

/// All acts on one value.
#[derive(Debug)]
struct Cluster {
    value: u64,
    write_begin: Nanos,
    /// The earliest end and the latest begin of them.
    first_end: Nanos,
    last_begin: Nanos,
}

/// From where to where.
#[derive(Clone, Copy, Debug)]
struct Zone {
    value: u64,
    begin: Nanos,
    end: Nanos,
}

impl Cluster {
    /// The time in which the register surely held this value: one act on it has ended, and another begins later.
    fn sure(&self) -> Option<Zone> {
        let (begin, end) = (self.first_end, self.last_begin);
        (begin < end).then_some(Zone { value: self.value, begin, end })
    }

    /// The time of which any instant suffices for all acts on this value.
    fn brief(&self) -> Option<Zone> {
        let (begin, end) = (self.last_begin, self.first_end);
        (begin <= end).then_some(Zone { value: self.value, begin, end })
    }
}

/// The acts by value. What was refused has no effect; a write without an answer counts if somebody saw it.
fn clusters(acts: &[RegisterAct]) -> Result<BTreeMap<u64, Cluster>, Violation> {
    let first = Cluster { value: 0, write_begin: Nanos(0), first_end: Nanos(0), last_begin: Nanos(0) };
    let mut clusters = BTreeMap::from([(0, first)]);
    for act in acts {
        let ActKind::Write(value) = act.kind else { continue };
        let end = if act.accepted { act.end.unwrap_or(FOR_EVER) } else { FOR_EVER };
        let cluster = Cluster { value, write_begin: act.begin, first_end: end, last_begin: act.begin };
        if act.end.is_none() || act.accepted {
            clusters.insert(value, cluster);
        }
    }
    for act in acts {
        let (ActKind::Load(value) | ActKind::Recall(value)) = act.kind else { continue };
        let (Some(end), true) = (act.end, act.accepted) else { continue };
        let Some(cluster) = clusters.get_mut(&value) else {
            return Err(broken(act.begin, format!("#{} read {value}, which was refused", act.process)));
        };
        if end < cluster.write_begin {
            return Err(broken(act.begin, format!("#{} read {value} before it was written", act.process)));
        }
        cluster.first_end = cluster.first_end.min(end);
        cluster.last_begin = cluster.last_begin.max(act.begin);
    }
    clusters.retain(|_, cluster| cluster.first_end != FOR_EVER);
    Ok(clusters)
}

fn both(one: Zone, other: Zone) -> Violation {
    let Zone { value, begin, end } = other;
    let what = format!(
        "{} was there from {} to {}, and {value} between {begin} and {end}",
        one.value, one.begin, one.end
    );
    broken(begin, what)
}

fn broken(at: Nanos, what: String) -> Violation {
    Violation { rule: "S5", at, what }
}

const FOR_EVER: Nanos = Nanos(u64::MAX);

#[cfg(test)]
mod tests {
    use super::super::testing::{at, log};
    use super::*;

    fn act(kind: ActKind, begin: u64, end: Option<u64>) -> RegisterAct {
        let (begin, end) = (at(begin), end.map(at));
        RegisterAct { process: 0, kind, begin, end, applied: Some(begin), accepted: end.is_some() }
    }

    fn broken_by(acts: Vec<RegisterAct>) -> usize {
        let log = Log { acts, ..log() };
        s5_reads_are_linearizable(&log).len()
    }

    #[test]
    fn a_leader_that_recalls_what_another_has_overwritten_breaks_s5() {
        let written = vec![act(ActKind::Write(1), 1, Some(2)), act(ActKind::Write(2), 5, Some(6))];
        let recalled = |value, when| act(ActKind::Recall(value), when, Some(when));
        let with = |read| broken_by([written.clone(), vec![read]].concat());
        assert_eq!(with(recalled(1, 4)), 0);
        assert_eq!(with(recalled(2, 7)), 0);
        assert_eq!(with(recalled(1, 7)), 1, "1 is gone");
        assert_eq!(with(recalled(2, 4)), 1, "2 is not there yet");
        assert_eq!(with(recalled(0, 3)), 1, "so is what was there at first");
    }

    #[test]
    fn values_that_come_and_go_and_come_again_break_s5() {
        let loads = |values: [u64; 3]| {
            let load =
                |(index, value): (u64, u64)| act(ActKind::Load(value), 10 + 2 * index, Some(11 + 2 * index));
            let loads = (0..).zip(values).map(load).collect::<Vec<_>>();
            let writes = vec![act(ActKind::Write(1), 1, Some(20)), act(ActKind::Write(2), 1, Some(20))];
            broken_by([writes, loads].concat())
        };
        assert_eq!(loads([1, 1, 2]), 0);
        assert_eq!(loads([1, 2, 1]), 1);
    }

    #[test]
    fn a_write_without_an_answer_may_be_carried_out_at_any_later_time_or_never() {
        let unanswered = act(ActKind::Write(1), 1, None);
        let acknowledged = act(ActKind::Write(2), 3, Some(4));
        let load = |value, begin| act(ActKind::Load(value), begin, Some(begin + 1));
        assert_eq!(broken_by(vec![unanswered.clone(), acknowledged.clone(), load(2, 5), load(1, 50)]), 0);
        assert_eq!(broken_by(vec![unanswered.clone(), acknowledged.clone(), load(1, 5), load(2, 50)]), 1);
        assert_eq!(broken_by(vec![unanswered, acknowledged]), 0);
    }

    #[test]
    fn a_refused_write_that_is_seen_breaks_s5() {
        let refused = RegisterAct { accepted: false, ..act(ActKind::Write(1), 1, Some(2)) };
        assert_eq!(broken_by(vec![refused.clone()]), 0);
        assert_eq!(broken_by(vec![refused, act(ActKind::Load(1), 5, Some(6))]), 1);
    }

    #[test]
    fn an_acknowledged_write_that_was_not_carried_out_breaks_s5() {
        let write = act(ActKind::Write(1), 1, Some(2));
        let found = |act| s5_no_write_is_lost(&Log { acts: vec![act], ..log() }).len();
        assert_eq!(found(write.clone()), 0);
        assert_eq!(found(RegisterAct { applied: None, ..write.clone() }), 1);
        assert_eq!(found(RegisterAct { applied: Some(at(3)), ..write.clone() }), 1, "after its answer");
        assert_eq!(found(RegisterAct { accepted: false, applied: None, ..write }), 0);
    }
}
