//! Worlds whose candidates run in Pods: what the kubelet reports, and what others say of Pods, under every fault of both.

use std::time::Duration;

use leasehold_sim::{FaultKind, Mixed, Settings, Variant, run_worlds};

/// Half of the deaths of a process cost no wait, though what proves them comes late, or stale, or is written over.
#[test]
fn take_overs_by_evidence_make_no_two_leaders_whatever_is_said_of_pods() {
    use FaultKind as F;
    let pods = [F::PodReportsLate, F::PodReportsLost, F::PodStatusStale, F::PodForceDeleted, F::PodEvicted];
    let more = [F::PodFailed, F::PodStatusUnknown, F::PodImitated, F::PodWatchRefused, F::AppEnds];
    let deaths = [F::Killed, F::KilledAtAcquire, F::StoppedGracefully, F::Reboot, F::Frozen, F::Partition];
    let ways = [F::LaggingCache, F::HeldRequest, F::Duplicate, F::PolicyDenies, F::RateChange];
    let settings = Settings {
        length: Duration::from_secs(1_800),
        faults: [&pods[..], &more, &deaths, &ways].concat(),
        fault_permille: 500,
        fault_every: (Duration::from_secs(10), Duration::from_secs(120)),
        pods_permille: 1_000,
        mixed: Mixed { permille: 0, ..Mixed::default() },
        ..Settings::default()
    };
    let worlds = 100;
    let report = run_worlds(0..worlds, &settings, Variant::Shipped, threads(), &|_| {});
    println!("{} of {} hand-overs by evidence", report.evidence_take_overs, report.hand_overs);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(report.evidence_take_overs > worlds, "only {} by evidence", report.evidence_take_overs);
    let struck = |kind: &FaultKind| report.faults[kind];
    assert!(pods.iter().chain(&more).all(|kind| struck(kind) > worlds / 4), "{:?}", report.faults);
}

/// Without Pods nobody watches any, and nothing is taken over before its lease has expired.
#[test]
fn without_pods_there_is_no_evidence() {
    let settings = Settings { length: Duration::from_secs(600), pods_permille: 0, ..Settings::default() };
    let report = run_worlds(0..20, &settings, Variant::Shipped, threads(), &|_| {});
    assert_eq!((report.evidence_take_overs, report.failures.len()), (0, 0));
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
