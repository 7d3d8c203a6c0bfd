//! Health that comes and goes, work that hangs, and the rules that are seen broken when a candidate does not care.

use std::time::Duration;

use leasehold_election::{Health, Limits, Reading};
use leasehold_history::Nanos;

use super::checks::Sight;
use super::log::Lease;
use super::{Event, World};
use crate::candidate::{Happening, Variant};
use crate::clocks::after;
use crate::fault::FaultKind;

/// What a process was told of its health, and what the rules remember of it.
#[derive(Debug)]
pub(super) struct Care {
    /// What was found last, and may not have been told yet.
    found: bool,
    /// As it was told last.
    healthy: bool,
    healthy_since: Nanos,
    /// The newest acquisition was sent although it had been told that it is unhealthy.
    tried_unhealthy: bool,
    /// It may lead its present term although it is unhealthy.
    excused: bool,
    /// Holder, transitions and renew time as it was shown them last, and since when it was shown no news of a holder.
    shown: Option<(String, Option<i32>, Option<String>)>,
    unheld_since: Option<Nanos>,
    /// The present term ends for want of health.
    fails: bool,
    /// After such a term it may rest until then.
    rests_until: Nanos,
}

impl Care {
    pub(super) fn new() -> Self {
        Self {
            found: true,
            healthy: true,
            healthy_since: Nanos(0),
            tried_unhealthy: false,
            excused: false,
            shown: None,
            unheld_since: None,
            fails: false,
            rests_until: Nanos(0),
        }
    }

    /// The clock that rests are counted on may have stood still from an instant on.
    pub(super) fn prolong_rest(&mut self, since: Nanos, stood: Duration) {
        if self.rests_until > since {
            self.rests_until = after(self.rests_until, stood);
        }
    }

    /// Whether nothing of its health keeps the candidate from leading.
    pub(super) fn is_fit(&self, now: Nanos) -> bool {
        self.healthy && now >= self.rests_until
    }
}

impl World {
    /// Whether a process runs an election that knows of health.
    fn cares(&self, process: usize) -> bool {
        !self.is_peer(process) && !matches!(self.variant, Variant::Control(_))
    }

    /// What a new process knows of its health before it starts: nothing yet, or how its machine is.
    pub(super) fn begin_health(&mut self, process: usize) {
        let machine = self.processes[process].machine;
        if !self.cares(process) {
            return;
        }
        if !self.plan.candidates[machine].checks_first {
            return self.tell_health(process);
        }
        self.processes[process].care.found = false;
        self.step(process, Happening::Health(Health::unhealthy("not checked yet")));
        let most = if self.healed { Duration::from_millis(50) } else { Duration::from_secs(2) };
        let at = after(self.now, self.chance.within(Duration::ZERO, most));
        self.queue.plan(at, Event::Checked(process));
    }

    /// A check of this process has been answered.
    pub(super) fn tell_health(&mut self, process: usize) {
        let healthy = self.machines[self.processes[process].machine].healthy;
        let running = &mut self.processes[process];
        if running.alive && std::mem::replace(&mut running.care.found, healthy) != healthy {
            let health = if healthy { Health::Healthy } else { Health::unhealthy("the disk is full") };
            self.command(process, Happening::Health(health));
        }
    }

    pub(super) fn set_health(&mut self, machine: usize, healthy: bool) {
        if self.healed && !healthy {
            return;
        }
        if std::mem::replace(&mut self.machines[machine].healthy, healthy) && !healthy {
            self.last_strike = self.now;
        }
        if let Some(process) = self.machines[machine].process.filter(|&process| self.cares(process)) {
            self.tell_health(process);
        }
    }

    pub(super) fn strike_health(&mut self, kind: FaultKind, machine: usize) {
        let short = Duration::from_millis(200);
        match kind {
            FaultKind::FlappingHealth => {
                let mut at = self.now;
                for flip in 0..2 + self.chance.below(20) {
                    self.queue.plan(at, Event::Health(machine, flip % 2 == 1));
                    at = after(at, self.chance.spread(short, Duration::from_secs(10)));
                }
                self.queue.plan(at, Event::Health(machine, true));
            }
            FaultKind::EverybodyUnhealthy => {
                for machine in 0..self.machines.len() {
                    self.fall_ill(machine);
                }
            }
            _ => self.fall_ill(machine),
        }
    }

    fn fall_ill(&mut self, machine: usize) {
        self.set_health(machine, false);
        let lasts = self.chance.spread(Duration::from_secs(1), Duration::from_secs(300));
        self.queue.plan(after(self.now, lasts), Event::Health(machine, true));
    }

    /// The work of a machine, or of its next term, neither acts nor ends for a while.
    pub(super) fn hang_work(&mut self, machine: usize) {
        let process = self.machines[machine].process;
        match process.and_then(|process| self.processes[process].work.as_mut()) {
            Some(work) => work.hangs = true,
            None => self.machines[machine].hanging_terms += 1,
        }
        if let Some(process) = process {
            self.plan_going_on(process);
        }
    }

    /// Work that hangs goes on some time.
    pub(super) fn plan_going_on(&mut self, process: usize) {
        let Some(work) = self.processes[process].work.as_ref().filter(|work| work.hangs) else { return };
        let number = work.number;
        let lasts = self.chance.spread(Duration::from_secs(1), Duration::from_secs(300));
        self.queue.plan(after(self.now, lasts), Event::WorkGoesOn(process, number));
    }

    pub(super) fn go_on(&mut self, process: usize, number: u64) {
        let Some(work) = self.processes[process].work.as_mut().filter(|work| work.number == number) else {
            return;
        };
        work.hangs = false;
        if work.asked_to_stop {
            self.queue.plan(self.now, Event::WorkStops(process, number));
        }
    }

    /// All are healthy, and all work goes on.
    pub(super) fn heal_health(&mut self) {
        for machine in 0..self.machines.len() {
            self.machines[machine].hanging_terms = 0;
            self.set_health(machine, true);
            let Some(process) = self.machines[machine].process else { continue };
            if let Some(number) = self.processes[process].work.as_ref().map(|work| work.number) {
                self.go_on(process, number);
                self.give_sign_of_life(process);
            }
        }
    }

    /// How long no candidate may acquire because all of them rest.
    pub(super) fn all_rest_for(&self) -> Duration {
        let missing = self.servers.lease.is_none();
        let rest = |machine: usize| {
            let process = self.machines[machine].process?;
            Some(self.processes[process].care.rests_until.since(self.now))
        };
        let creates = |machine: &usize| {
            let plan = &self.plan.candidates[*machine];
            plan.peer.is_none() && (!missing || plan.on_missing == leasehold_election::OnMissing::Create)
        };
        let rests = (0..self.machines.len()).filter(creates).map(|machine| rest(machine).unwrap_or(Nanos(0)));
        Duration::from_nanos(rests.min().unwrap_or_default().0)
    }

    /// What `Leadership::heartbeat` does.
    pub(super) fn give_sign_of_life(&mut self, process: usize) {
        let now = self.reading(process);
        self.settle_belief(process);
        if let Some(term) = self.processes[process].term.as_mut().filter(|term| !term.over) {
            term.pulse = now;
        }
        self.renew_belief(process);
    }

    /// How long the work may be silent.
    pub(super) fn heartbeat_deadline(&self, process: usize) -> Option<Duration> {
        let plan = &self.plan.candidates[self.processes[process].machine];
        plan.heartbeat_deadline.filter(|_| self.cares(process))
    }

    /// Before every other input the driver hands over when the work last gave a sign of life.
    pub(super) fn hand_over_pulse(&mut self, process: usize) {
        if self.heartbeat_deadline(process).is_none() {
            return;
        }
        let term = self.processes[process].term.as_ref().filter(|term| !term.over);
        if let Some(pulse) = term.map(|term| term.pulse) {
            self.step(process, Happening::Heartbeat(pulse));
        }
    }

    /// Takes down what a process is about to be told of its health.
    pub(super) fn note_health(&mut self, process: usize, happening: &Happening) {
        let Happening::Health(health) = happening else { return };
        let healthy = health.is_healthy();
        self.trace.note(self.now, process, if healthy { "is healthy" } else { "is unhealthy" }, 0);
        let plan = &self.plan.candidates[self.processes[process].machine];
        let settled = plan.at_most(plan.timing.lease_duration());
        let care = &mut self.processes[process].care;
        if healthy && !care.healthy {
            care.healthy_since = self.now;
        } else if !healthy && care.healthy && after(care.healthy_since, settled) <= self.now {
            care.excused = false;
        }
        care.healthy = healthy;
    }

    /// Takes down since when a process was shown no news of a holder.
    pub(super) fn note_holder(&mut self, process: usize, sight: &Sight) {
        let Some(lease) = sight.lease() else {
            // Where there is no Lease, nobody holds it.
            let care = &mut self.processes[process].care;
            care.unheld_since = care.unheld_since.or(Some(self.now));
            return;
        };
        let Lease { holder, transitions, renew_time, .. } = lease;
        let shown = (holder.clone(), *transitions, renew_time.clone());
        let care = &mut self.processes[process].care;
        let held = |shown: &(String, Option<i32>, Option<String>)| !shown.0.is_empty();
        let news = match &care.shown {
            None => true,
            Some(before) => *before != shown && (held(before) || held(&shown)),
        };
        if news {
            care.unheld_since = Some(self.now);
        }
        care.shown = Some(shown);
    }

    /// H1: nobody who was told that it is unhealthy campaigns, unless nobody has held the lease for as long as was chosen.
    pub(super) fn check_fitness(&mut self, process: usize) {
        let care = &mut self.processes[process].care;
        care.tried_unhealthy = !care.healthy;
        if care.healthy {
            return;
        }
        let plan = &self.plan.candidates[self.processes[process].machine];
        let unheld = self.now.since(self.processes[process].care.unheld_since.unwrap_or(self.now));
        let due = plan
            .lead_unhealthy_after
            .is_some_and(|time| Nanos(crate::clocks::nanos(plan.at_least(time))) <= unheld);
        if !due {
            self.violate(
                "H1",
                format!("#{process} is unhealthy, and campaigns {unheld} after news of a holder"),
            );
        }
    }

    /// A term begins.
    pub(super) fn excuse(&mut self, process: usize) {
        let care = &mut self.processes[process].care;
        care.excused = !care.healthy && care.tried_unhealthy;
    }

    /// The work is asked to stop, for want of health or not.
    pub(super) fn note_failing(&mut self, process: usize, fails: bool) {
        self.processes[process].care.fails = fails;
    }

    /// The work of a term has ended: after want of health its candidate may rest.
    pub(super) fn note_rest(&mut self, process: usize) {
        let plan = &self.plan.candidates[self.processes[process].machine];
        let longest = plan.at_most(plan.timing.lease_duration() * LONGEST_REST);
        let care = &mut self.processes[process].care;
        if std::mem::take(&mut care.fails) {
            care.rests_until = after(self.now, longest);
        }
    }

    /// A term that was never led, since its candidate became unhealthy meanwhile, is given back: it counts as a short one.
    pub(super) fn note_given_back(&mut self, process: usize) {
        if self.processes[process].term.is_none() {
            let plan = &self.plan.candidates[self.processes[process].machine];
            let longest = after(self.now, plan.at_most(plan.timing.lease_duration() * 2));
            let care = &mut self.processes[process].care;
            care.rests_until = care.rests_until.max(longest);
        }
    }

    /// H2 and H3: who was told that it is unhealthy leads no more after that input, unless it leads rather than nobody, and
    /// neither does who has work that gave no sign of life within its deadline.
    pub(super) fn check_care(&mut self, process: usize, limits: Limits) {
        if limits.lead_for.is_none() {
            return;
        }
        let care = &self.processes[process].care;
        if !care.healthy && !care.excused {
            self.violate("H2", format!("#{process} was told that it is unhealthy, and leads on"));
        }
        let now = self.reading(process);
        let silent_for = |pulse: Reading| now.elapsed_for_stopping(&pulse);
        let pulse = self.processes[process].term.as_ref().map(|term| term.pulse);
        if let (Some(deadline), Some(pulse)) = (self.heartbeat_deadline(process), pulse)
            && silent_for(pulse) >= deadline
        {
            let silent_for = silent_for(pulse);
            self.violate(
                "H3",
                format!("the work of #{process} is silent for {silent_for:?}, and it leads on"),
            );
        }
    }
}

/// In lease durations.
const LONGEST_REST: u32 = 8;
