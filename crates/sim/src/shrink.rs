//! Finds a smaller world that still breaks the same rule: shorter, and with fewer kinds of faults.

use std::time::Duration;

use crate::fault::FaultKind;
use crate::runs::{Simulation, WorldReport};
use crate::world::Violation;

/// A smaller world of the same seed.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// What makes it.
    pub simulation: Simulation,
    /// What it came to, without a trace.
    pub report: WorldReport,
    /// How many worlds were tried.
    pub tried: usize,
}

impl Simulation {
    /// Leaves out what the world of this seed does not need in order to break this rule. Stops early when `goes_on` says
    /// no; what was found by then still breaks it. `None` if the world does not break it at all.
    pub fn shrink(&self, seed: u64, rule: &str, goes_on: &dyn Fn() -> bool) -> Option<Shrunk> {
        let report = self.world(seed, false);
        broken(&report, rule)?;
        let mut shrunk = Shrunk { simulation: self.clone(), report, tried: 0 };
        shrunk.shorten(rule);
        let mut smaller = true;
        while smaller && goes_on() {
            smaller = false;
            for kind in shrunk.report.faults.clone() {
                smaller |= goes_on() && shrunk.leave_out(rule, kind);
            }
        }
        shrunk.shorten(rule);
        Some(shrunk)
    }
}

impl Shrunk {
    /// Ends the world soon after the violation; until then it is the same world, since faults end at nine tenths.
    fn shorten(&mut self, rule: &str) {
        let Some(violation) = broken(&self.report, rule) else { return };
        let needed = Duration::from_nanos(violation.at.0) + AFTER;
        let length = Duration::from_secs((needed * 10 / 9).as_secs() + 1);
        if length < self.simulation.settings.length {
            let mut simulation = self.simulation.clone();
            simulation.settings.length = length;
            self.accept(simulation, rule);
        }
    }

    fn leave_out(&mut self, rule: &str, kind: FaultKind) -> bool {
        let mut simulation = self.simulation.clone();
        let others = self.report.faults.iter().copied().filter(|other| *other != kind);
        simulation.only = Some(others.collect());
        self.accept(simulation, rule)
    }

    /// Takes the other world if it breaks the rule, too.
    fn accept(&mut self, simulation: Simulation, rule: &str) -> bool {
        let report = simulation.world(self.report.seed, false);
        self.tried += 1;
        let breaks = broken(&report, rule).is_some();
        if breaks {
            (self.simulation, self.report) = (simulation, report);
        }
        breaks
    }
}

fn broken<'a>(report: &'a WorldReport, rule: &str) -> Option<&'a Violation> {
    report.violations.iter().find(|violation| violation.rule == rule)
}

/// The least that a violation lasts on in a world that was shortened.
const AFTER: Duration = Duration::from_secs(10);
