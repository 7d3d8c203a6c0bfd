//! Mutants that do not care for their health, or for that of their work.

use std::time::Duration;

use leasehold_election::{Config, Effects, Elector, Health, Input, Reading};

use super::Mutant;
use super::lease::joined;

/// Forgets that it is unhealthy as soon as it has acted upon it.
#[derive(Debug)]
pub(super) struct UnhealthyCampaigns;

impl Mutant for UnhealthyCampaigns {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let ill = matches!(&input, Input::Health(health) if !health.is_healthy());
        let effects = elector.handle(reading, chance, input);
        if !ill {
            return effects;
        }
        joined(effects, elector.handle(reading, chance, Input::Health(Health::Healthy)))
    }
}

/// Hears of its health only when it is good.
#[derive(Debug)]
pub(super) struct UnhealthyLeads;

impl Mutant for UnhealthyLeads {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = match input {
            Input::Health(Health::Unhealthy { .. }) => Input::Wake,
            input => input,
        };
        elector.handle(reading, chance, input)
    }
}

/// Waits for no sign of life.
#[derive(Debug)]
pub(super) struct HeartbeatIgnored;

impl Mutant for HeartbeatIgnored {
    fn config(&self, config: Config) -> Config {
        Config { heartbeat_deadline: None, ..config }
    }
}

/// Waits for nobody before it leads although it is unhealthy.
#[derive(Debug)]
pub(super) struct DegradedAtOnce;

impl Mutant for DegradedAtOnce {
    fn config(&self, config: Config) -> Config {
        Config { lead_unhealthy_after: Some(Duration::ZERO), ..config }
    }
}
