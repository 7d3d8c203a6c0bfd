//! Small worlds of the shipped electors, followed in every way that they can go.
//!
//! Where the worlds of the simulator are drawn by chance, these are exhausted: all orders in which messages arrive, all
//! places at which something goes wrong, up to a bound that is stated (`docs/simulation.md`, "Model check").

mod course;
mod model;
mod mutants;
mod network;
mod possible;
mod process;
mod rules;
mod server;
mod state;
mod store;
mod story;

use std::collections::BTreeSet;
use std::time::Instant;

use model::{Bound, Deviation, Rates, Start, Worlds};
use mutants::Mutant;
use rules::{Event, Rule};
use stateright::{Checker, HasDiscoveries, Model};

/// Two candidates: everything within the bounds.
#[test]
fn no_world_within_the_bounds_breaks_a_rule_and_all_that_can_happen_does() {
    let (counts, reached) = exhaust(&gate());
    assert!(counts.iter().any(|&states| states >= 1_000_000), "{counts:?}");
    let missed: Vec<_> = Event::ALL.iter().filter(|event| !reached.contains(event.sentence())).collect();
    assert!(missed.is_empty(), "never happened: {missed:?}");
}

/// More deviations of more kinds, and three candidates: `LEASEHOLD_FULL=1`.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long a test may take is said from outside")]
fn no_world_within_the_wider_bounds_breaks_a_rule() {
    if std::env::var_os("LEASEHOLD_FULL").is_some() {
        exhaust(&full());
    } else {
        println!("left out without LEASEHOLD_FULL=1");
    }
}

#[test]
fn every_mutant_has_a_counterexample() {
    for &mutant in Mutant::ALL {
        let story = counterexample(mutant);
        println!("{mutant:?}\n{}", story.join("\n"));
        let last = story.last().unwrap();
        assert!(mutant.rules().iter().any(|rule| last.ends_with(rule.sentence())), "{mutant:?}: {last}");
    }
}

/// It is the missing rule that is found, and nothing else.
#[test]
fn the_shipped_elector_breaks_nothing_where_mutants_do() {
    let bounds: Vec<_> = Mutant::ALL.iter().map(|mutant| (mutant.name(), mutant.bound())).collect();
    exhaust(&bounds);
}

/// A counterexample can be read by somebody who does not know the model.
#[test]
fn a_counterexample_tells_its_story() {
    let story = counterexample(Mutant::RateIgnored).join("\n");
    let expected = "\
the clocks of a1 are slow, the clocks of b1 are fast, a1 leads
 5 s  the driver of a1 is starved
 7 s  the timer of b1 is due; b1 sends a read
 7 s  the read of b1 reaches the server
 7 s  b1 hears that its read was carried out
10 s  the timer of b1 is due; b1 sends an acquisition
10 s  the acquisition of b1 reaches the server; the Lease is held by b1; BROKEN S8: work has ended before another \
candidate acquires";
    assert_eq!(story, expected);
}

#[test]
fn the_documentation_tells_what_is_checked() {
    let text = include_str!("../../../../docs/simulation.md");
    let sentences = Rule::ALL.iter().map(|rule| rule.sentence());
    for sentence in sentences.chain(Event::ALL.iter().map(|event| event.sentence())) {
        assert!(text.contains(sentence), "docs/simulation.md lacks: {sentence}");
    }
    for (name, _) in gate().iter().chain(&full()) {
        assert!(text.contains(name), "docs/simulation.md lacks the bound: {name}");
    }
}

/// Follows all worlds within each bound: the number of states of each, and what has happened.
#[expect(clippy::disallowed_methods, reason = "the time is printed, and decides nothing")]
#[expect(clippy::print_stdout, reason = "a count that nobody sees is worth nothing")]
fn exhaust(bounds: &[(&'static str, Bound)]) -> (Vec<usize>, BTreeSet<&'static str>) {
    let mut reached = BTreeSet::new();
    let mut counts = Vec::new();
    for (name, bound) in bounds {
        let begun = Instant::now();
        let worlds = Worlds { bound: bound.clone(), mutant: None };
        let checker = worlds.clone().checker().threads(threads()).spawn_dfs().join();
        let (states, steps, depth) =
            (checker.unique_state_count(), checker.state_count(), checker.max_depth());
        println!("{name}: {states} states, {steps} steps, depth {depth}, {:.0?}", begun.elapsed());
        let mut discoveries = checker.discoveries();
        for rule in Rule::ALL {
            if let Some(path) = discoveries.remove(rule.sentence()) {
                panic!("{name}, {}:\n{}", rule.sentence(), story::tell(&worlds, path).join("\n"));
            }
        }
        assert!(checker.is_done());
        reached.extend(discoveries.keys().copied());
        counts.push(states);
    }
    (counts, reached)
}

/// What a mutant breaks, told.
fn counterexample(mutant: Mutant) -> Vec<String> {
    let worlds = Worlds { bound: mutant.bound(), mutant: Some(mutant) };
    // One thread, breadth first: the same story each time, and nearly the shortest.
    let checker = worlds.clone().checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let path = Rule::ALL.iter().find_map(|rule| discoveries.remove(rule.sentence()));
    let path = path.unwrap_or_else(|| panic!("{mutant:?} breaks nothing in {:?}", worlds.bound));
    story::tell(&worlds, path)
}

fn gate() -> Vec<(&'static str, Bound)> {
    use Deviation as D;
    let two = &[D::Hold, D::Copy, D::Cut, D::Starve, D::StepDown, D::Hang];
    vec![
        ("two deviations under a leader", bound(Start::Led, 12, 2, two)),
        ("one deviation of any kind under a leader", bound(Start::Led, 24, 1, ALL)),
        ("one deviation of any kind from the start", bound(Start::Free, 6, 1, ALL)),
        ("one deviation of any kind without a Lease", bound(Start::Missing, 14, 1, ALL)),
        ("the Lease is deleted and one cut off", bound(Start::Led, 10, 2, &[D::Cut, D::Delete])),
        ("the Lease is deleted once it was created", bound(Start::Missing, 26, 1, &[D::Delete])),
    ]
}

fn full() -> Vec<(&'static str, Bound)> {
    let three = Bound { candidates: 3, ..bound(Start::Led, 14, 1, ALL) };
    vec![
        ("two deviations of any kind under a leader", bound(Start::Led, 12, 2, ALL)),
        ("three candidates, one deviation of any kind", three),
    ]
}

fn bound(start: Start, seconds: u8, deviations: u8, kinds: &'static [Deviation]) -> Bound {
    Bound { candidates: 2, seconds, deviations, kinds, rates: Rates::All, start, watches: true, orphans: 2 }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// All kinds that the contract allows for.
const ALL: &[Deviation] = &[
    Deviation::Hold,
    Deviation::Copy,
    Deviation::Cut,
    Deviation::Freeze,
    Deviation::Starve,
    Deviation::Crash,
    Deviation::StepDown,
    Deviation::Stop,
    Deviation::Lag,
    Deviation::Hang,
    Deviation::Drift,
];
