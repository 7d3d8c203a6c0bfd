//! Named worlds: what is drawn where somebody wants to look at one part of the promise.

use std::time::Duration;

use crate::controls::ControlKind;
use crate::fault::{FaultKind as F, Target};
use crate::mutants::directed;
use crate::plan::{Mixed, Settings, Writes};

macro_rules! scenarios {
    ($($kind:ident, $name:literal, $sentence:literal, $settings:expr;)+) => {
        /// Settings with a name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Scenario {
            $(#[doc = $sentence] $kind,)+
        }

        impl Scenario {
            /// All of them, the default first.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The name on the command line, in reports and documents.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)+
                }
            }

            /// What its worlds are, in a sentence.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }

            /// What is drawn.
            pub fn settings(self) -> Settings {
                match self {
                    $(Self::$kind => $settings,)+
                }
            }
        }
    };
}

scenarios! {
    Swarm, "swarm", "An hour with any faults, switched on and off by the seed; the default.",
        Settings::default();
    ClassA, "class-a", "The swarm with the contract kept: everything is judged.",
        Settings { broken_permille: 0, ..Settings::default() };
    ClassB, "class-b", "The swarm with other elections on the same Lease and the contract kept.",
        Settings { broken_permille: 0, mixed: every_world(), ..Settings::default() };
    ClassC, "class-c", "The swarm with faults that break the contract.",
        Settings { broken_permille: 1_000, ..Settings::default() };
    Network, "network", "Only the way to the API servers and the watches fail.",
        of_targets(&[Target::Path, Target::Watch]);
    Server, "server", "Only the API servers and the store fail.",
        of_targets(&[Target::Servers]);
    LeaseEdited, "lease-edited", "Only the Lease is edited or deleted by others.",
        Settings { broken_permille: 500, ..of_targets(&[Target::Lease]) };
    Process, "process", "Only processes and their work fail.",
        of_targets(&[Target::Process]);
    Clocks, "clocks", "Only machines and their clocks fail.",
        of_targets(&[Target::Machine]);
    Pods, "pods", "Candidates in Pods, of which the API server tells too late, too little or what is not so; and processes end.",
        in_pods();
    GateWithoutClocks, "gate-without-clocks",
        "Clocks at any rate, machines stopped for minutes, and work that goes on: the gate is all that holds.",
        gate_without_clocks();
    Mixed, "mixed", "One of ours and client-go on one Lease, with the faults under which client-go has two leaders.",
        mixed();
    Steady, "steady", "Nothing fails.",
        Settings { faults: Vec::new(), ..Settings::default() };
}

fn every_world() -> Mixed {
    Mixed { permille: 1_000, ..Mixed::default() }
}

fn mixed() -> Settings {
    let kinds = ControlKind::PEERS.iter().copied().filter(|kind| kind.is_client_go()).collect();
    let mixed = Mixed { ours: (1, 1), peers: (1, 2), kinds, ..every_world() };
    Settings {
        mixed,
        length: Duration::from_secs(3_600),
        ..directed(vec![F::Partition, F::HeldAnswer, F::Killed, F::StepDown])
    }
}

/// Faults of one kind of target only, and most of them switched on.
fn of_targets(targets: &[Target]) -> Settings {
    let faults = F::ALL.iter().copied().filter(|kind| targets.contains(&kind.target())).collect();
    Settings { faults, fault_permille: 600, ..Settings::default() }
}

fn in_pods() -> Settings {
    let of_pods = of_targets(&[Target::Pod]);
    let faults = of_pods.faults.iter().copied().chain([F::Killed, F::StoppedGracefully]).collect();
    Settings { faults, pods_permille: 1_000, ..of_pods }
}

fn gate_without_clocks() -> Settings {
    let seconds = Duration::from_secs;
    Settings {
        length: seconds(900),
        faults: vec![
            F::RateBeyondBound,
            F::MachinePaused,
            F::Suspend,
            F::Frozen,
            F::StubbornWork,
            F::SlowWrites,
            F::Partition,
            F::StepDown,
        ],
        fault_permille: 1_000,
        fault_every: (seconds(10), seconds(120)),
        broken_permille: 1_000,
        writes: Writes { at_once: 100, held_permille: 900, held_most: seconds(600) },
        gate_restart_every: Some(seconds(60)),
        ..Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::plan::Plan;

    #[test]
    fn each_scenario_has_a_name_of_its_own_and_worlds_that_can_be_drawn() {
        let names: BTreeSet<_> = Scenario::ALL.iter().map(|scenario| scenario.name()).collect();
        assert_eq!(names.len(), Scenario::ALL.len());
        for scenario in Scenario::ALL {
            let plan = Plan::draw(1, &scenario.settings());
            assert!(!plan.candidates.is_empty(), "{} has no candidate", scenario.name());
        }
    }

    #[test]
    fn scenarios_of_one_part_have_all_faults_of_this_part() {
        let parts =
            [Scenario::Network, Scenario::Server, Scenario::LeaseEdited, Scenario::Process, Scenario::Clocks];
        let mut faults: Vec<F> = parts.iter().flat_map(|scenario| scenario.settings().faults).collect();
        faults.extend(Scenario::Pods.settings().faults);
        let missing: Vec<&F> = F::ALL.iter().filter(|kind| !faults.contains(kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
