//! Worlds in which one rule matters often.

use std::time::Duration;

use leasehold_election::TimingSettings;
use leasehold_sim::{FaultKind, Mixed, MutantKind, Settings, SimReport, Variant, run_worlds};

/// Safety.md L2: zero transitions in 24 simulated hours without faults; servers end watches, as they do.
#[test]
fn in_a_day_without_faults_one_candidate_leads_and_nothing_else_happens() {
    let hours = |hours: u64| Duration::from_secs(3_600 * hours);
    for faults in [vec![], vec![FaultKind::WatchClosed]] {
        let settings = Settings {
            length: hours(24),
            faults,
            fault_permille: 1_000,
            fault_every: (hours(1) / 2, hours(1)),
            broken_permille: 0,
            mixed: Mixed { permille: 0, ..Mixed::default() },
            ..Settings::default()
        };
        let report = shipped(0..3, &settings);
        assert_eq!((report.terms, report.hand_overs), (report.worlds, 0));
        // A leader renews some 3,000 to 90,000 times a day; standbys add a few requests at the start.
        assert!(report.requests > report.worlds * 2_000, "{}", report.requests);
    }
}

#[test]
fn no_single_short_fault_of_a_way_or_a_server_or_a_process_ends_a_term() {
    let timings = [
        TimingSettings::default(),
        TimingSettings::from_lease_duration(Duration::from_secs(3)),
        TimingSettings {
            renew_deadline: Duration::from_secs(13),
            lost_stop_timeout: None,
            ..TimingSettings::default()
        },
    ];
    for kind in short_faults() {
        for timing in &timings {
            let settings = Settings {
                faults: vec![kind],
                timings: vec![timing.clone()],
                mixed_timings: false,
                single_fault: true,
                strict: true,
                mixed: Mixed { permille: 0, ..Mixed::default() },
                ..Settings::default()
            };
            let report = shipped(0..12, &settings);
            assert_eq!(report.void_worlds, 0, "{}", kind.name());
        }
    }
}

#[test]
fn a_second_after_each_release_a_standby_leads() {
    let settings = MutantKind::ReleaseUnheard.settings();
    let report = shipped(0..40, &settings);
    assert!(report.hand_overs_judged > 200, "only {} were judged", report.hand_overs_judged);
}

/// Where clocks lie, two lead, and what one remembers is stale once the other has written; the gate cannot help there.
#[test]
fn a_leader_beside_another_answers_from_memory_what_is_no_longer_there() {
    use FaultKind as F;
    let settings = Settings {
        length: Duration::from_secs(900),
        faults: vec![F::RateBeyondBound, F::MachinePaused, F::Partition],
        fault_permille: 1_000,
        fault_every: (Duration::from_secs(10), Duration::from_secs(60)),
        broken_permille: 1_000,
        strict: true,
        mixed: Mixed { permille: 0, ..Mixed::default() },
        ..Settings::default()
    };
    let report = run_worlds(0..40, &settings, Variant::Shipped, threads(), &|_| {});
    let broken = |rule| report.broken.get(rule).copied().unwrap_or(0);
    assert!(broken("S1") > 0 && broken("S5") > 0, "{:?}", report.broken);
}

/// The faults of ways, servers, watches and processes that last, or strike once, and after which all is as before.
fn short_faults() -> Vec<FaultKind> {
    use FaultKind as F;
    // A release, the end of a process, ill health and a store that went back end terms, as they must.
    let ends_terms = [
        F::StoreRestored,
        F::Killed,
        F::KilledAtAcquire,
        F::StoppedGracefully,
        F::StepDown,
        F::WorkEnds,
        F::HungWork,
        F::UnhealthyLeader,
        F::FlappingHealth,
        F::EverybodyUnhealthy,
        F::Reboot,
        F::WallForward,
        F::WallTo1970,
        F::RateChange,
        F::RateBeyondBound,
        F::PodForceDeleted,
        F::PodEvicted,
    ];
    let about_the_lease = [
        F::LeaseDeleted,
        F::LeaseReplaced,
        F::HolderCleared,
        F::HolderEdited,
        F::DurationShortened,
        F::TransitionsLowered,
        F::RenewTimeGarbage,
    ];
    let all = FaultKind::ALL.iter().copied();
    all.filter(|kind| !ends_terms.contains(kind) && !about_the_lease.contains(kind)).collect()
}

fn shipped(seeds: std::ops::Range<u64>, settings: &Settings) -> SimReport {
    let report = run_worlds(seeds, settings, Variant::Shipped, threads(), &|_| {});
    assert!(report.failures.is_empty(), "with {:?}: {:#?}", settings.faults, report.failures);
    report
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
