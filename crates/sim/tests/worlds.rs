//! The shipped elector in many worlds, and what is known to be broken beside it.

use leasehold_sim::{
    Class, ControlKind, FaultKind, GateKind, MutantKind, PeerFault, Scenario, Settings, Variant, hunt,
    run_world, run_worlds,
};

#[test]
fn equal_seeds_give_equal_worlds_and_others_do_not() {
    let settings = Settings { length: minutes(10), ..Settings::default() };
    let hashes = |seeds: std::ops::Range<u64>| -> Vec<String> {
        seeds.map(|seed| run_world(seed, &settings, false).hash).collect()
    };
    let first = hashes(0..8);
    assert_eq!(first, hashes(0..8));
    assert!(first.iter().all(|hash| !hashes(8..16).contains(hash)));
}

#[test]
fn a_trace_changes_nothing() {
    let settings = Settings { length: minutes(5), ..Settings::default() };
    let (silent, told) = (run_world(3, &settings, false), run_world(3, &settings, true));
    assert_eq!(silent.hash, told.hash);
    assert!(silent.trace.is_empty() && told.trace.len() > 100);
}

#[test]
fn the_shipped_elector_breaks_no_rule_in_worlds_of_the_swarm() {
    let settings = Settings { length: minutes(20), ..Settings::default() };
    let report = run_worlds(0..60, &settings, Variant::Shipped, threads(), &|_| {});
    assert!(report.failures.is_empty(), "replay with run_world: {:#?}", report.failures);
    assert_eq!((report.overlaps[&Class::A], report.stale_writes_passed), (0, 0));
    // A run without traffic shows nothing.
    assert!(report.void_worlds < report.worlds / 4, "{} of {} are void", report.void_worlds, report.worlds);
    assert!(report.hand_overs > report.worlds && report.stale_writes_refused > 0, "{report:?}");
    let struck = report.faults.values().filter(|times| **times > 0).count();
    assert!(struck > FaultKind::ALL.len() * 9 / 10, "only {struck} kinds of faults struck");
}

#[test]
fn the_sum_does_not_depend_on_the_number_of_threads() {
    let settings = Settings { length: minutes(5), ..Settings::default() };
    let sums = [1, 3].map(|threads| {
        let report = run_worlds(0..12, &settings, Variant::Shipped, threads, &|_| {});
        (report.requests, report.terms, report.matrix)
    });
    assert_eq!(sums[0], sums[1]);
}

#[test]
fn every_mutant_is_caught() {
    for &kind in MutantKind::ALL {
        let caught = hunt(Variant::Mutant(kind), &kind.settings(), WORLDS_MAX);
        let caught = caught.unwrap_or_else(|| panic!("{} was not caught", kind.name()));
        println!("{}: {} worlds, {}", kind.name(), caught.worlds, caught.violation);
    }
}

#[test]
fn every_control_has_two_leaders() {
    for &kind in ControlKind::ALL {
        let caught = hunt(Variant::Control(kind), &kind.settings(), WORLDS_MAX);
        let caught = caught.unwrap_or_else(|| panic!("{} was not caught", kind.name()));
        println!("{}: {} worlds, {}", kind.name(), caught.worlds, caught.violation);
    }
}

#[test]
fn the_shipped_elector_breaks_no_rule_where_mutants_are_caught() {
    let mutants = MutantKind::ALL.iter().map(|kind| (kind.name(), kind.settings()));
    let controls = ControlKind::ALL.iter().map(|kind| (kind.name(), kind.settings()));
    for (name, settings) in mutants.chain(controls) {
        let report = run_worlds(0..20, &settings, Variant::Shipped, threads(), &|_| {});
        assert!(report.failures.is_empty(), "in the worlds of {name}: {:#?}", report.failures);
    }
}

/// A renewal that is delivered twice once brought an old renew time back, which a cut off standby had counted from.
#[test]
fn a_proxy_that_sends_requests_again_makes_no_two_leaders() {
    use FaultKind as F;
    let faults = vec![F::Duplicate, F::Partition, F::WatchSilent];
    let settings = Settings { faults, ..MutantKind::TermNotTested.settings() };
    let report = run_worlds(0..100, &settings, Variant::Shipped, threads(), &|_| {});
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
}

#[test]
fn the_documentation_lists_exactly_what_there_is() {
    let text = include_str!("../../../docs/simulation.md");
    let faults = FaultKind::ALL.iter().map(|kind| (kind.name(), kind.sentence()));
    let mutants = MutantKind::ALL.iter().map(|kind| (kind.name(), kind.sentence()));
    let controls = ControlKind::ALL.iter().map(|kind| (kind.name(), kind.sentence()));
    let scenarios = Scenario::ALL.iter().map(|scenario| (scenario.name(), scenario.sentence()));
    let gates = GateKind::BROKEN.iter().map(|kind| (kind.name(), kind.sentence()));
    let peers = PeerFault::ALL.iter().map(|fault| (fault.name(), fault.sentence()));
    let known: Vec<_> =
        faults.chain(mutants).chain(controls).chain(scenarios).chain(gates).chain(peers).collect();
    for (name, sentence) in &known {
        let row = format!("| `{name}` | {sentence} |");
        assert!(text.contains(&row), "docs/simulation.md lacks {row}");
    }
    let rows = text.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, known.len(), "docs/simulation.md has rows that the code does not know");
    assert!(FaultKind::ALL.len() >= 40);
}

fn minutes(minutes: u64) -> std::time::Duration {
    std::time::Duration::from_secs(60 * minutes)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

const WORLDS_MAX: u64 = 2_000;
