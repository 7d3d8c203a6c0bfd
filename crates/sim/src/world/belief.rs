//! Until when a process believes that it leads, to the nanosecond of true time: what its published limits and its clocks
//! say at each instant, whether anybody asks or not.

use leasehold_election::{Limits, Reading};

use super::{Event, NEVER, World};

impl World {
    pub(super) fn publish(&mut self, process: usize, from: Reading, limits: Limits) {
        if self.processes[process].term.is_none() {
            return;
        }
        self.settle_belief(process);
        let final_end = self.processes[process].candidate.end_is_final();
        let Some(term) = &mut self.processes[process].term else { return };
        if limits.lead_for.is_none() {
            term.over = true;
        } else if !final_end {
            term.over = false;
        }
        term.from = from;
        term.limits = limits;
        self.renew_belief(process);
    }

    /// Writes down until when the process has led so far.
    pub(super) fn settle_belief(&mut self, process: usize) {
        let Some(term) = &self.processes[process].term else { return };
        if !term.over {
            let end = &mut self.log.terms[term.log].end;
            *end = (*end).max(term.ends.min(self.now));
        }
    }

    /// Computes anew until when the process will lead, after its limits or its clocks have changed.
    pub(super) fn renew_belief(&mut self, process: usize) {
        let clocks = &self.machines[self.processes[process].machine].clocks;
        let Some(term) = &self.processes[process].term else { return };
        let lead_for = term.limits.lead_for.unwrap_or_default();
        let sight = self.processes[process].candidate.sight();
        let ends = clocks.when_led(sight, &term.from, lead_for, self.now).unwrap_or(NEVER);
        let deadline = self.heartbeat_deadline(process);
        let silent =
            deadline.and_then(|deadline| clocks.when_stopped(sight, &term.pulse, deadline, self.now));
        let ends = ends.min(silent.unwrap_or(NEVER));
        if let Some(term) = &mut self.processes[process].term {
            // What has ended already has ended when it did.
            term.ends = if ends <= self.now { term.ends.min(self.now) } else { ends };
        }
    }

    pub(super) fn end_belief(&mut self, process: usize) {
        self.settle_belief(process);
        if let Some(term) = &mut self.processes[process].term {
            term.over = true;
        }
    }

    /// What `Leadership::check` does: reads the clocks; once over is for ever over.
    pub(super) fn check(&mut self, process: usize) -> bool {
        let now = self.reading(process);
        let running = &self.processes[process];
        let Some(term) = &running.term else { return false };
        if term.over {
            return false;
        }
        let silent_for = now.elapsed_for_stopping(&term.pulse);
        let alive = self.heartbeat_deadline(process).is_none_or(|deadline| silent_for < deadline);
        let leads = alive && now.elapsed_for_leading(&term.from) < term.limits.lead_for.unwrap_or_default();
        if !leads {
            self.end_belief(process);
            self.processes[process].found_over = true;
            self.queue.plan(self.now, Event::Driver(process));
        }
        leads
    }
}
