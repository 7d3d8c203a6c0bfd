//! Class (b): ours and other elections on one Lease.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

use leasehold_sim::{Class, PeerFault, Scenario, Settings, SimReport, Variant, run_worlds};

#[test]
fn no_two_leaders_are_of_our_making_beside_other_elections() {
    let report = worlds(40, &Settings { length: Duration::from_secs(1_200), ..Scenario::ClassB.settings() });
    println!("{:?} {:?} {:?}", report.overlaps, report.blame, report.peer_faults);
    println!("terms {} void {}", report.terms, report.void_worlds);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert_eq!(report.blame["ours"], 0);
    // Without two leaders the worlds would show nothing of whom to blame.
    assert!(report.blame["peers"] > 20, "{:?}", report.blame);
    assert_eq!(report.overlaps[&Class::B], report.blame["peers"]);
}

#[test]
fn each_fault_of_others_shows_in_its_worlds_and_no_other_does() {
    for &fault in PeerFault::ALL {
        let report = worlds(20, &fault.settings());
        let name = fault.name();
        println!("{name}: {:?} {:?} {:?}", report.overlaps, report.blame, report.peer_faults);
        assert!(report.failures.is_empty(), "in the worlds of {name}: {:#?}", report.failures);
        assert!(report.peer_faults[&fault] > 0, "{name} does not show");
        for (other, &times) in &report.peer_faults {
            assert!(
                times == 0 || fault.shows().contains(other),
                "{} shows in the worlds of {name}",
                other.name()
            );
        }
        // Where the Lease is deleted, what follows is not judged.
        let leaders = report.blame["peers"];
        assert!(leaders > 0 || fault == PeerFault::LeadsOnWithoutLease, "{name} makes no two leaders");
        assert_eq!(report.blame["ours"], 0);
    }
}

fn worlds(count: u64, settings: &Settings) -> SimReport {
    let threads = available_parallelism().map_or(1, NonZero::get);
    run_worlds(0..count, settings, Variant::Shipped, threads, &|_| {})
}
