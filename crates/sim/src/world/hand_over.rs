//! What is expected after a release, and the only fault of a world that has one.

use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use super::{Event, World};
use crate::clocks::after;

/// A release, and the standbys of which one must lead soon.
#[derive(Debug)]
pub(super) struct Expected {
    released: Nanos,
    ready: Vec<usize>,
}

impl World {
    /// The standbys that nothing hinders when `releasing` gives the lease back: they run, are told of changes at once and
    /// know the Lease as it is, no fault is on that strikes them, no server has asked them to wait, nothing of theirs is
    /// under way, and no term of their own has ended sooner than two lease durations ago (after a short one they back off).
    pub(super) fn ready_standbys(&self, releasing: usize) -> Vec<usize> {
        let all_up = (0..self.servers.list.len()).all(|server| self.servers.is_up(server, self.now));
        if !all_up {
            return Vec::new();
        }
        let Some(lease) = self.servers.lease.as_ref().filter(|lease| !lease.strategy) else {
            return Vec::new();
        };
        let is_ready = |&process: &usize| {
            let running = &self.processes[process];
            let plan = &self.plan.candidates[running.machine];
            let runs = running.alive && running.frozen_since.is_none() && self.now >= running.starved_until;
            let asked = running.quiet.is_some_and(|quiet| self.now < quiet.waits_until());
            let back_off = plan.timing.lease_duration() * 2;
            let rested = self.log.works.iter().rev().find(|work| work.process == process);
            let rested = rested.is_none_or(|work| after(work.end, back_off) <= self.now);
            runs && rested
                && running.care.is_fit(self.now)
                && !asked
                && running.work.is_none()
                && running.flights.is_empty()
                && running.newest_sight == lease.version
                && self.hears_at_once(process)
                && !self.suffers(process)
        };
        (0..self.processes.len()).filter(|&process| process != releasing).filter(is_ready).collect()
    }

    /// A release was carried out.
    pub(super) fn expect_hand_over(&mut self, ready: Vec<usize>) {
        if !ready.is_empty() {
            let expected = Expected { released: self.now, ready };
            self.queue.plan(after(self.now, HAND_OVER_MAX), Event::HandOver(expected));
        }
    }

    /// L3: after a release with a live, reachable standby, a standby leads within 1 s (safety.md L3), unless a fault struck
    /// meanwhile, the store stood still, or a candidate that was hindered got the lease.
    pub(super) fn check_hand_over(&mut self, expected: &Expected) {
        let Expected { released, ready } = expected;
        let since = *released;
        if self.last_strike >= since || self.servers.stalled_until >= since {
            return;
        }
        let acquired = self.log.applied.iter().rev().take_while(|applied| applied.at >= since);
        let mut acquired = acquired.filter(|applied| applied.operation == Operation::Acquire);
        if acquired.any(|applied| !ready.contains(&applied.process)) {
            return;
        }
        self.log.hand_overs += 1;
        if !self
            .log
            .terms
            .iter()
            .rev()
            .take_while(|term| term.begin >= since)
            .any(|term| ready.contains(&term.process))
        {
            let what = format!("none of {ready:?} leads a second after the release at {since}");
            self.violate("L3", what);
        }
    }

    /// The only fault of this world strikes, its leader most of the time.
    pub(super) fn strike_once(&mut self) {
        let Some(kind) = self.plan.single.as_ref().map(|single| single.kind) else { return };
        let leader = self.processes.iter().find(|process| process.leads_at(self.now));
        let leader = leader.map(|process| process.machine).filter(|_| self.chance.happens(700));
        self.strike(kind, leader);
    }
}

/// Two round trips, a step of priority and the spread of standbys take a part of it.
const HAND_OVER_MAX: Duration = Duration::from_secs(1);
