//! What the store carried out, process by process: when a lease was written last, and from when on it was free.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::clocks::{after, nanos};
use crate::plan::{CandidatePlan, Plan};
use crate::world::{Applied, Lease, Log, TermLog};

/// The log of a world, by process.
pub(super) struct Ledger<'a> {
    plan: &'a Plan,
    pub(super) log: &'a Log,
    /// Acquisitions and renewals of each process that were carried out, as indices into the log.
    writes: Vec<Vec<usize>>,
    releases: Vec<Vec<Nanos>>,
    processes: BTreeMap<&'a str, usize>,
}

impl<'a> Ledger<'a> {
    pub(super) fn new(plan: &'a Plan, log: &'a Log) -> Self {
        let mut writes = vec![Vec::new(); log.processes.len()];
        let mut releases = vec![Vec::new(); log.processes.len()];
        let identity = |process: usize| log.processes[process].identity.as_str();
        for (index, applied) in log.applied.iter().enumerate() {
            match applied.operation {
                Operation::Acquire | Operation::Renew
                    if applied.after.holder == identity(applied.process) =>
                {
                    writes[applied.process].push(index);
                }
                Operation::Release if found(applied) == identity(applied.process) => {
                    releases[applied.process].push(applied.at);
                }
                _ => {}
            }
        }
        let processes = (0..log.processes.len()).map(|process| (identity(process), process)).collect();
        Self { plan, log, writes, releases, processes }
    }

    fn candidate(&self, process: usize) -> &CandidatePlan {
        &self.plan.candidates[self.log.processes[process].machine]
    }

    pub(super) fn is_ours(&self, process: usize) -> bool {
        self.candidate(process).peer.is_none()
    }

    pub(super) fn process_of(&self, identity: &str) -> Option<usize> {
        self.processes.get(identity).copied()
    }

    /// The first instant from `begin` to `end` at which the lease of this process had surely ended, or was given back.
    pub(super) fn outlives(&self, process: usize, begin: Nanos, end: Nanos) -> Option<Nanos> {
        let released = self.releases[process].iter().copied().find(|at| *at >= begin && *at < end);
        self.lapses(process, begin, end).into_iter().chain(released).min()
    }

    /// The first instant from `begin` to `end` at which the lease of this process had surely ended.
    pub(super) fn lapses(&self, process: usize, begin: Nanos, end: Nanos) -> Option<Nanos> {
        let lasts = self.least(process, self.candidate(process).timing.lease_duration());
        let writes: Vec<Nanos> =
            self.writes[process].iter().map(|&index| self.log.applied[index].at).collect();
        let first = writes.partition_point(|at| *at <= begin).saturating_sub(1);
        let lapse = writes[first..].iter().take_while(|at| **at < end).enumerate().find_map(|(step, at)| {
            let lapse = after(*at, lasts).max(begin);
            let next = writes.get(first + step + 1).copied().unwrap_or(end).min(end);
            (lapse < next).then_some(lapse)
        });
        let unwritten = writes.first().is_none_or(|first| *first > begin).then_some(begin);
        unwritten.filter(|_| end > begin).into_iter().chain(lapse).min()
    }

    /// Whether the lease of this process could not be free yet at an instant.
    pub(super) fn is_live(&self, process: usize, at: Nanos) -> bool {
        let lasts = self.least(process, self.candidate(process).timing.lease_duration());
        let before = self.writes[process].iter().rev().map(|&index| self.log.applied[index].at);
        let last = before.into_iter().find(|write| *write <= at);
        last.is_some_and(|write| at < after(write, lasts))
    }

    /// Since when the records that this write found had what an acquisition tests, and the shortest duration stored since.
    fn found_since(&self, index: usize) -> (usize, Option<i32>) {
        let applied = &self.log.applied;
        let tested = |lease: &Lease| {
            (lease.uid.clone(), lease.holder.clone(), lease.transitions, lease.renew_time.clone())
        };
        let Some(before) = &applied[index].before else { return (index, None) };
        let mut seconds = before.seconds;
        let mut since = index;
        while since > 0 && tested(&applied[since - 1].after) == tested(before) {
            since -= 1;
            seconds = seconds.min(applied[since].after.seconds);
            let changed =
                applied[since].before.as_ref().is_none_or(|earlier| tested(earlier) != tested(before));
            if changed {
                break;
            }
        }
        (since, seconds)
    }

    /// When the lease that this acquisition found was free to its process; `None` if it was at once.
    pub(super) fn free_at(&self, index: usize) -> Option<Nanos> {
        let Applied { process, before, .. } = &self.log.applied[index];
        let before = before.as_ref()?;
        let (since, seconds) = self.found_since(index);
        if since == index {
            // Nobody in the world has written it: it was there from the start, or an administrator's.
            return None;
        }
        let cause = &self.log.applied[since];
        let own = self.candidate(*process).timing.lease_duration();
        let wait = if before.holder.is_empty() {
            let cleared = cause.before.as_ref().filter(|held| !held.holder.is_empty())?;
            let foreign = cleared.holder != self.log.processes[cause.process].identity;
            if !foreign || !cleared.marked {
                return None;
            }
            own
        } else if before.holder == self.log.processes[*process].identity {
            return None;
        } else {
            let stored =
                seconds.and_then(|seconds| u64::try_from(seconds).ok()).map_or(own, Duration::from_secs);
            let grace = !before.marked && self.candidate(*process).peers;
            if grace { stored + stored / 2 } else { stored }
        };
        Some(after(cause.at, self.least(*process, wait)))
    }

    /// The acquisition from which a term came, as an index into the log.
    fn acquisition(&self, term: &TermLog) -> Option<usize> {
        self.writes[term.process].iter().rev().copied().find(|&index| {
            let applied = &self.log.applied[index];
            applied.operation == Operation::Acquire && applied.at <= term.begin
        })
    }

    pub(super) fn acquired_at(&self, term: &TermLog) -> Nanos {
        self.acquisition(term).map_or(term.begin, |index| self.log.applied[index].at)
    }

    /// Whether a term of ours came from an acquisition of what was not free.
    pub(super) fn acquired_too_early(&self, term: &TermLog) -> bool {
        let free_at =
            self.acquisition(term).and_then(|index| Some((self.log.applied[index].at, self.free_at(index)?)));
        self.is_ours(term.process) && free_at.is_some_and(|(at, free_at)| at < free_at)
    }

    /// The least true time in which a clock of this world's candidates counts a duration.
    fn least(&self, process: usize, duration: Duration) -> Duration {
        let error = u128::try_from(self.candidate(process).rate_error_ppm).unwrap_or(0);
        let least = u128::from(nanos(duration)) * MILLION / (MILLION + error);
        Duration::from_nanos(u64::try_from(least).unwrap_or(u64::MAX))
    }
}

/// The holder that a write found.
pub(super) fn found(applied: &Applied) -> &str {
    applied.before.as_ref().map_or("", |before| before.holder.as_str())
}

const MILLION: u128 = 1_000_000;
