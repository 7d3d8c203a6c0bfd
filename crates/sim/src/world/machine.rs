//! What happens to machines and to the running of processes: freezes, clocks that change their course, restarts.

use std::time::Duration;

use leasehold_history::Nanos;

use super::process::GOES_DOWN;
use super::{Event, World};
use crate::clocks::{Clocks, Motion, after};
use crate::fault::FaultKind;

impl World {
    pub(super) fn freeze(&mut self, process: usize) {
        let now = self.now;
        let running = &mut self.processes[process];
        if running.alive && running.frozen_since.is_none() {
            running.frozen_since = Some(now);
            self.trace.note(now, process, "freezes", 0);
        }
    }

    /// The end of a freeze, unless something else still holds the process.
    pub(super) fn thaw(&mut self, machine: usize, process: Option<usize>) {
        match process {
            Some(process) => self.processes[process].frozen_by_signal = false,
            None => self.change_clocks(machine, |clocks, now| clocks.set_motion(now, Motion::Runs)),
        }
        let Some(process) = process.or(self.machines[machine].process) else {
            return self.queue.plan(self.now, Event::StartProcess(machine));
        };
        let runs = self.machines[machine].clocks.motion() == Motion::Runs;
        let running = &mut self.processes[process];
        if !runs || running.frozen_by_signal || !running.alive {
            return;
        }
        let Some(since) = running.frozen_since.take() else { return };
        self.log.processes[process].frozen.push((since, self.now));
        // What does not run counts no rest.
        let stood = Duration::from_nanos(self.now.since(since).0);
        let running = &mut self.processes[process];
        running.care.prolong_rest(since, stood);
        self.trace.note(self.now, process, "thaws", 0);
        // Its threads start to run in any order.
        let deferred = std::mem::take(&mut self.processes[process].deferred);
        for event in deferred.into_iter().chain([Event::Driver(process), Event::Watchdog(process)]) {
            let at = after(self.now, self.chance.millis(0, 20));
            self.queue.plan(at, event);
        }
    }

    pub(super) fn strike_machine(&mut self, kind: FaultKind, machine: usize) {
        let error = self.plan.candidates[machine].rate_error_ppm;
        let hour = 3_600_000_000_000;
        match kind {
            FaultKind::Suspend => self.halt(machine, Motion::Suspended, Duration::from_secs(600)),
            FaultKind::MachinePaused => self.halt(machine, Motion::Stopped, Duration::from_secs(600)),
            FaultKind::Reboot => {
                if let Some(process) = self.machines[machine].process {
                    self.end_process(process, GOES_DOWN);
                }
                self.end_app(machine, String::new());
                self.machines[machine].clocks.reboot(self.now);
            }
            FaultKind::WallForward | FaultKind::WallBack => {
                let most = Duration::from_secs(3_600);
                let step = self.chance.spread(Duration::from_millis(10), most).as_nanos();
                let step = i64::try_from(step).unwrap_or(hour);
                let step = if kind == FaultKind::WallBack { -step } else { step };
                self.trace.explain(|| format!("by {} ms", step / 1_000_000));
                self.change_clocks(machine, |clocks, now| clocks.step_wall(now, step));
            }
            FaultKind::WallTo1970 => {
                self.change_clocks(machine, |clocks, now| clocks.set_wall_to_1970(now));
            }
            FaultKind::LeapSecond => {
                self.change_clocks(machine, |clocks, now| clocks.step_wall(now, -1_000_000_000));
            }
            _ => {
                let most = if kind == FaultKind::RateChange { error } else { 1_000_000 };
                let (raw, boottime) = (self.chance.either_way(most), self.chance.either_way(most));
                self.trace.explain(|| format!("RAW {raw:+} ppm, BOOTTIME {boottime:+} ppm"));
                self.change_clocks(machine, |clocks, now| clocks.set_rates(now, raw, boottime));
            }
        }
    }

    fn halt(&mut self, machine: usize, motion: Motion, most: Duration) {
        if self.machines[machine].clocks.motion() != Motion::Runs {
            return;
        }
        self.change_clocks(machine, |clocks, now| clocks.set_motion(now, motion));
        if let Some(process) = self.machines[machine].process {
            self.freeze(process);
        }
        let lasts = self.plan.lasting(self.chance.spread(Duration::from_millis(100), most));
        self.queue.plan(after(self.now, lasts), Event::Thaw { machine, process: None });
    }

    /// Changes the course of a machine's clocks, and everything that was computed from it.
    pub(super) fn change_clocks(&mut self, machine: usize, change: impl FnOnce(&mut Clocks, Nanos)) {
        let process = self.machines[machine].process;
        if let Some(process) = process {
            self.settle_belief(process);
        }
        change(&mut self.machines[machine].clocks, self.now);
        if let Some(process) = process {
            self.renew_belief(process);
            self.plan_timer(process);
            self.replan_watchdog(process);
        }
    }
}
