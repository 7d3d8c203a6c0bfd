//! The command that makes a world again: everything that decides it, and nothing else.

use std::time::Duration;

use leasehold_sim::{FaultKind, Scenario, Settings, Simulation, Variant};

use crate::sim::args::{Choice, SimArgs, described};

/// What was asked for: which worlds, of whom.
#[derive(Clone, Debug)]
pub(crate) struct Worlds {
    pub(crate) scenario: Option<Scenario>,
    pub(crate) variant: Variant,
    pub(crate) length: Option<Duration>,
    pub(crate) faults: Option<Vec<FaultKind>>,
}

impl Worlds {
    /// As the flags have it.
    pub(crate) fn of(args: &SimArgs) -> Self {
        let faults = args.faults.iter().flatten().filter_map(|choice| choice.one());
        Self {
            scenario: args.scenario.and_then(Choice::one),
            variant: args.elector.and_then(Choice::one).unwrap_or(Variant::Shipped),
            length: args.length,
            faults: args.faults.as_ref().map(|_| faults.collect()),
        }
    }

    /// The worlds in which a variant is hunted.
    pub(crate) fn of_variant(variant: Variant) -> Self {
        Self { scenario: None, variant, length: None, faults: None }
    }

    /// What runs them.
    pub(crate) fn simulation(&self) -> Simulation {
        let mut settings = self.settings();
        if let Some(length) = self.length {
            settings.length = length;
        }
        Simulation { only: self.faults.clone(), ..Simulation::of(self.variant, settings) }
    }

    /// The same after something was left out.
    pub(crate) fn shrunk(&self, simulation: &Simulation) -> Self {
        let length = simulation.settings.length;
        let own_length = self.settings().length;
        Self {
            length: Some(length).filter(|length| *length != own_length),
            faults: simulation.only.clone(),
            ..self.clone()
        }
    }

    /// A name for the settings.
    pub(crate) fn name(&self) -> String {
        match (self.scenario, self.variant) {
            (Some(scenario), _) => scenario.name().to_owned(),
            (None, Variant::Shipped) => Scenario::ALL[0].name().to_owned(),
            (None, variant) => format!("worlds of {}", described(variant).0),
        }
    }

    /// The command that makes the world of this seed again.
    pub(crate) fn replay(&self, seed: u64) -> String {
        let mut words = vec!["leasehold sim".to_owned()];
        if self.variant != Variant::Shipped {
            words.push(format!("--elector {}", described(self.variant).0));
        }
        words.extend(self.scenario.map(|scenario| format!("--scenario {}", scenario.name())));
        words.extend(self.length.map(|length| format!("--length {}s", length.as_secs_f64())));
        words.extend(self.faults.as_ref().map(|faults| {
            let names: Vec<&str> = faults.iter().map(|kind| kind.name()).collect();
            format!("--faults {}", names.join(","))
        }));
        words.push(format!("--seed {seed}"));
        words.join(" ")
    }

    fn settings(&self) -> Settings {
        match (self.scenario, self.variant) {
            (Some(scenario), _) => scenario.settings(),
            (None, Variant::Shipped) => Settings::default(),
            (None, Variant::Mutant(kind)) => kind.settings(),
            (None, Variant::Control(kind)) => kind.settings(),
        }
    }
}

impl<T> Choice<T> {
    pub(crate) fn one(self) -> Option<T> {
        match self {
            Self::List => None,
            Self::One(one) => Some(one),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use leasehold_sim::MutantKind;

    use super::*;
    use crate::args::{Cli, Command};

    fn parse(words: &str) -> Worlds {
        let Command::Sim(args) = Cli::try_parse_from(words.split(' ')).unwrap().command else {
            panic!("another verb: {words}")
        };
        Worlds::of(&args)
    }

    #[test]
    fn the_command_that_replays_a_world_names_all_that_decides_it() {
        for words in [
            "leasehold sim --seed 7",
            "leasehold sim --elector ClientGo --seed 8",
            "leasehold sim --elector RateIgnored --scenario clocks --length 900s --faults Frozen,Suspend --seed 3",
        ] {
            let seed = words.rsplit(' ').next().unwrap().parse().unwrap();
            assert_eq!(parse(words).replay(seed), words);
        }
    }

    #[test]
    fn a_world_that_was_shrunk_has_its_length_and_its_faults_in_the_command() {
        let worlds = Worlds::of_variant(Variant::Mutant(MutantKind::RateIgnored));
        let mut simulation = worlds.simulation();
        assert_eq!(worlds.shrunk(&simulation).replay(1), "leasehold sim --elector RateIgnored --seed 1");
        simulation.settings.length = Duration::from_secs(71);
        simulation.only = Some(vec![FaultKind::Frozen]);
        let replay = worlds.shrunk(&simulation).replay(1);
        assert_eq!(replay, "leasehold sim --elector RateIgnored --length 71s --faults Frozen --seed 1");
        assert_eq!(parse(&replay).simulation().settings.length, Duration::from_secs(71));
    }
}
