//! Deterministic worlds of the shipped electors.
//!
//! A world is one Lease with its candidates, machines, clocks, networks and API servers, in one thread and in virtual
//! time. One seed is one world: everything that happens follows from it, so that a world that breaks a rule can be run
//! again. The candidates are `leasehold_election::Elector`s as shipped; the API server is the store of
//! `leasehold-apiserver`; only what lies between is simulated.

mod candidate;
mod chance;
mod clocks;
mod controls;
mod fault;
mod gates;
mod judge;
mod mixed;
mod mutants;
mod picture;
mod plan;
mod queue;
mod report;
mod rules;
mod runs;
mod scenario;
mod script;
mod shrink;
mod story;
mod trace;
mod world;

pub use candidate::Variant;
pub use controls::ControlKind;
pub use fault::FaultKind;
pub use gates::GateKind;
pub use mixed::PeerFault;
pub use mutants::MutantKind;
pub use plan::{Class, Mixed, Settings, Writes};
pub use report::SimReport;
pub use rules::{RULES, rule};
pub use runs::{Catch, Progress, Simulation, WorldReport, hunt, run_world, run_worlds};
pub use scenario::Scenario;
pub use script::{Stroke, StrokeOutcome, Struck};
pub use shrink::Shrunk;
pub use story::{Story, StoryLine, Tone};
pub use trace::{Happened, Who};
pub use world::Violation;
