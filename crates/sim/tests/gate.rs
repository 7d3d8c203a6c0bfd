//! The gate without clocks: clocks at any rate and stopped ones, processes and machines that stand still for minutes,
//! work that does not stop, and many writes on their way for as long. The tokens come from acquisitions in the world.

use std::num::NonZero;
use std::thread::available_parallelism;

use leasehold_sim::{Class, GateKind, Scenario, Variant, hunt, run_worlds};

/// Ten million stale writes with `LEASEHOLD_FULL=1`, a hundred thousand without.
#[test]
fn no_stale_write_passes_and_no_good_one_is_refused_without_any_clock() {
    let (worlds, stale_min) = if is_full() { (1_200, 10_000_000) } else { (12, 50_000) };
    let settings = Scenario::GateWithoutClocks.settings();
    let threads = available_parallelism().map_or(1, NonZero::get);
    let report = run_worlds(0..worlds, &settings, Variant::Shipped, threads, &|_| {});
    println!(
        "{} worlds, {} terms, {} writes tried, {} stale ones refused, {} overlaps",
        report.worlds,
        report.terms,
        report.writes_tried,
        report.stale_writes_refused,
        report.overlaps[&Class::C]
    );
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!((report.stale_writes_passed, report.good_writes_refused), (0, 0));
    assert!(report.stale_writes_refused >= stale_min, "{} stale writes", report.stale_writes_refused);
    assert!(report.overlaps[&Class::C] > 0, "without two leaders the gate had nothing to do");
}

#[test]
fn every_broken_gate_is_caught() {
    for &kind in GateKind::BROKEN {
        let caught = hunt(Variant::Shipped, &kind.settings(), 200);
        let caught = caught.unwrap_or_else(|| panic!("{} was not caught", kind.name()));
        println!("{}: {} worlds, {}", kind.name(), caught.worlds, caught.violation);
        assert!(caught.violation.rule == "S4", "{} broke another rule: {}", kind.name(), caught.violation);
    }
}

#[expect(clippy::disallowed_methods, reason = "how long a test runs is the caller's choice")]
fn is_full() -> bool {
    std::env::var_os("LEASEHOLD_FULL").is_some()
}
