//! Thousands of hours of the swarm: the gate plays 2,000, `LEASEHOLD_FULL=1` plays 100,000, `LEASEHOLD_SEED=10000..20000`
//! a part of them.

use std::num::NonZero;
use std::ops::Range;

use leasehold_sim::{Class, FaultKind, Settings, SimReport, Variant, run_worlds};

#[test]
fn thousands_of_hours_have_never_two_leaders_and_every_fault_in_every_window() {
    let seeds = seeds();
    let worlds = seeds.end - seeds.start;
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let report = run_worlds(seeds, &Settings::default(), Variant::Shipped, threads, &|done| {
        if done.is_multiple_of(1_000) {
            println!("{done} of {worlds} worlds");
        }
    });
    println!("{}", counts(&report));

    let broken: Vec<String> = report.failures.iter().map(|(seed, what)| replay(*seed, what)).collect();
    assert!(broken.is_empty(), "worlds that broke a rule:\n{}", broken.join("\n"));
    assert_eq!((report.worlds, report.violations, report.overlaps[&Class::A]), (worlds, 0, 0));
    assert_eq!((report.stale_writes_passed, report.good_writes_refused), (0, 0));
    assert!(report.void_worlds <= worlds / 100, "{} worlds prove nothing", report.void_worlds);
    assert!(report.hand_overs >= worlds * 20, "{} hand-overs are too few", report.hand_overs);
    assert!(report.evidence_take_overs >= worlds / 2, "{} are too few", report.evidence_take_overs);
    let never = report.faults.iter().filter(|(_, times)| **times == 0).map(|(kind, _)| kind.name());
    assert_eq!(never.collect::<Vec<_>>(), [""; 0], "faults that never struck");
    assert_eq!(report.thin_cells(STRIKES_MIN), [], "cells of faults and windows that were struck too seldom");
    for &kind in FaultKind::ALL {
        for (window, times) in &report.matrix[&kind] {
            let can_strike = kind.never_in(window).is_none();
            assert!(can_strike || *times == 0, "{} struck in {window}, where it never can", kind.name());
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the gate asks for the long run by the environment; worlds never see it"
)]
fn seeds() -> Range<u64> {
    if let Ok(text) = std::env::var("LEASEHOLD_SEED") {
        let range =
            text.split_once("..").and_then(|(first, end)| Some(first.parse().ok()?..end.parse().ok()?));
        return range.expect("LEASEHOLD_SEED is a range of seeds, as 10000..20000");
    }
    let full = std::env::var_os("LEASEHOLD_FULL").is_some_and(|value| value == "1");
    0..if full { 100_000 } else { 2_000 }
}

fn replay(seed: u64, what: &str) -> String {
    format!("seed {seed}: {what}\n  leasehold sim --seeds 1 --seed {seed}")
}

fn counts(report: &SimReport) -> String {
    let rows = [
        ("worlds", report.worlds),
        ("void worlds", report.void_worlds),
        ("overlaps of class a", report.overlaps[&Class::A]),
        ("rules broken", report.violations),
        ("terms", report.terms),
        ("hand-overs", report.hand_overs),
        ("take-overs by evidence", report.evidence_take_overs),
        ("requests", report.requests),
        ("writes tried", report.writes_tried),
        ("stale writes refused", report.stale_writes_refused),
        ("stale writes passed", report.stale_writes_passed),
        ("good writes refused", report.good_writes_refused),
        ("longest recovery in ms", report.recovery_max_ms),
        ("hand-overs judged", report.hand_overs_judged),
        ("register acts", report.register_acts),
        ("cells under 20", report.thin_cells(STRIKES_MIN).len() as u64),
    ];
    rows.map(|(what, count)| format!("{what:<24}{count:>12}")).join("\n")
}

const STRIKES_MIN: u64 = 20;
