//! The work of a leader, which reads and writes the fenced register.

use std::time::Duration;

use leasehold_election::Mode;

use super::log::{Applied, WorkLog};
use super::register::Memory;
use super::{Event, World};
use crate::candidate::Happening;
use crate::clocks::after;
use crate::fault::FaultKind;
use crate::plan::Writes;

/// Work under way.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) token: u64,
    pub(super) log: usize,
    /// Names this work among all, so that what was planned for another does not touch it.
    pub(super) number: u64,
    pub(super) asked_to_stop: bool,
    stubborn: bool,
    /// It neither acts nor ends, and gives no sign of life.
    pub(super) hangs: bool,
    pub(super) memory: Memory,
}

impl World {
    pub(super) fn start_work(&mut self, process: usize, token: u64) {
        let written = |applied: &&Applied| applied.after.version == token;
        let confirmed = || self.log.applied.iter().rev().find(written)?.after.transitions;
        self.register.learn(token, confirmed);
        let log = self.log.works.len();
        self.log.works.push(WorkLog { process, begin: self.now, end: self.now });
        let machine = self.processes[process].machine;
        let plan = &self.plan.candidates[machine].work;
        let stubborn = self.machines[machine].stubborn_terms > 0
            || (!self.healed && self.chance.happens(plan.stubborn_permille));
        if stubborn {
            let terms = &mut self.machines[machine].stubborn_terms;
            *terms = terms.saturating_sub(1);
        }
        let hanging = &mut self.machines[machine].hanging_terms;
        let hangs = *hanging > 0;
        *hanging = hanging.saturating_sub(1);
        let number = log as u64;
        let memory = Memory::default();
        self.processes[process].work =
            Some(Work { token, log, number, asked_to_stop: false, stubborn, hangs, memory });
        self.plan_going_on(process);
        self.load_register(process);
        self.plan_act(process, number);
    }

    fn plan_act(&mut self, process: usize, number: u64) {
        let (least, most) = self.plan.candidates[self.processes[process].machine].work.act_every;
        let at = after(self.now, self.chance.within(least, most));
        self.queue.plan(at, Event::Act(process, number));
    }

    fn works(&self, process: usize, number: u64) -> bool {
        let running = &self.processes[process];
        running.alive && running.work.as_ref().is_some_and(|work| work.number == number)
    }

    /// One act of the work: it checks, answers a read from what it remembers, and writes with its token. Between the check
    /// and the write, and on the way, time passes.
    pub(super) fn act(&mut self, process: usize, number: u64) {
        if !self.works(process, number) {
            return;
        }
        if self.processes[process].frozen_since.is_some() {
            self.processes[process].deferred.push(Event::Act(process, number));
            return;
        }
        let Some(work) = &self.processes[process].work else { return };
        let (stubborn, asked) = (work.stubborn, work.asked_to_stop);
        if work.hangs {
            return self.plan_act(process, number);
        }
        let leads = self.check(process);
        if leads {
            self.give_sign_of_life(process);
            self.recall_register(process);
        }
        // Work that ignores everything goes on to write, which is what the gate is for.
        if leads || stubborn {
            let slow = self.strikes(process, FaultKind::SlowWrites);
            for _ in 0..self.plan.writes.at_once {
                self.send_write(process, slow);
            }
        }
        if !asked || stubborn {
            self.plan_act(process, number);
        }
    }

    fn send_write(&mut self, process: usize, slow: bool) {
        let Writes { held_permille, held_most, .. } = self.plan.writes;
        let held = slow || (held_permille > 0 && self.chance.happens(held_permille));
        let most = if held { held_most } else { Duration::from_millis(20) };
        let way = self.chance.within(Duration::ZERO, most);
        self.begin_write(process, way);
    }

    pub(super) fn stop_work(&mut self, process: usize) {
        let machine = self.processes[process].machine;
        let most = self.plan.candidates[machine].work.stops_within;
        let Some(work) = &mut self.processes[process].work else { return };
        if std::mem::replace(&mut work.asked_to_stop, true) || work.stubborn {
            return;
        }
        let number = work.number;
        let takes = self.chance.spread(Duration::ZERO, most);
        self.queue.plan(after(self.now, takes), Event::WorkStops(process, number));
    }

    /// The work that was asked to stop has done so, unless something in it hangs since.
    pub(super) fn finish_stop(&mut self, process: usize, number: u64) {
        if !self.works(process, number) {
            return;
        }
        if self.processes[process].frozen_since.is_some() {
            self.processes[process].deferred.push(Event::WorkStops(process, number));
        } else if self.processes[process].work.as_ref().is_some_and(|work| !work.stubborn && !work.hangs) {
            self.end_work(process, number);
        }
    }

    /// The work of a machine, or of its next term, stops for nobody from now on.
    pub(super) fn harden_work(&mut self, machine: usize) {
        let process = self.machines[machine].process;
        match process.and_then(|process| self.processes[process].work.as_mut()) {
            Some(work) => work.stubborn = true,
            None => self.machines[machine].stubborn_terms += 1,
        }
    }

    /// The work has come to its end by itself.
    pub(super) fn end_work(&mut self, process: usize, number: u64) {
        if !self.works(process, number) {
            return;
        }
        if self.processes[process].frozen_since.is_some() {
            self.processes[process].deferred.push(Event::WorkEnds(process, number));
            return;
        }
        self.note_work_end(process, "work ends");
        self.command(process, Happening::WorkEnded);
    }

    /// The watchdog's hard stop: a library aborts its process, an exec sidecar kills its child.
    pub(super) fn kill_work(&mut self, process: usize) {
        if self.processes[process].work.is_none() {
            return;
        }
        self.note_work_end(process, "work is killed");
        match self.plan.candidates[self.processes[process].machine].mode {
            Mode::Exec | Mode::File | Mode::Http => self.command(process, Happening::WorkEnded),
            Mode::Library => self.end_process(process, "aborts"),
        }
    }

    fn note_work_end(&mut self, process: usize, how: &'static str) {
        self.end_belief(process);
        let Some(work) = self.processes[process].work.take() else { return };
        self.log.works[work.log].end = self.now;
        self.trace.note(self.now, process, how, work.number);
    }
}
