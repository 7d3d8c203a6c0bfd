//! Our elector with one rule removed, from outside: `election` itself has no switches.

use leasehold_election::{Config, Effects, Elector, Input, Reading};

use crate::clocks::ClockSight;

/// An adapter around the shipped elector that breaks one rule.
pub(crate) trait Mutant: std::fmt::Debug {
    fn config(&self, config: Config) -> Config {
        config
    }

    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects;

    fn sight(&self) -> ClockSight {
        ClockSight::All
    }

    fn end_is_final(&self) -> bool {
        true
    }
}
