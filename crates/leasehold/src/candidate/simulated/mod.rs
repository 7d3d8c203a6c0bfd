//! The shipped driver, kube's client and its HTTP under simulated networks, in virtual time, against the API server in memory.
//!
//! What the worlds of `leasehold-sim` replace by a model is real here: the driver's loop, timeouts that give connections
//! up, watches that are read in pieces. The watchdog is not here: it is a thread of its own, which virtual time does not
//! reach. All hosts share one clock, and no process stands still.

mod faults;
mod health;
mod network;
mod time;
mod world;

use std::ops::Range;
use std::time::Duration;

use leasehold_history::Nanos;

use world::{Settings, World};

/// Worlds of ten simulated minutes each.
const SEEDS: Range<u64> = 0..40;

fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("LEASEHOLD_SEED") else { return SEEDS };
    let number = |text: &str| text.parse().expect("LEASEHOLD_SEED is a seed, as 7, or seeds, as 0..1000");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(&text)..number(&text) + 1,
    }
}

#[test]
fn no_fault_of_a_simulated_network_makes_two_leaders_and_somebody_leads_when_it_is_over() {
    let seeds = seeds();
    let (mut terms, mut faults) = (0, 0);
    for seed in seeds.clone() {
        let outcome = World::play(&Settings::drawn(seed));
        let report = outcome.history.judge();
        let again = format!(
            "again: LEASEHOLD_SEED={seed} cargo test -p leasehold --lib simulated\n{}\n{report}",
            outcome.story.join("\n")
        );
        assert_eq!(report.ours.overlap_proven, Nanos(0), "two led: {:?}\n{again}", report.ours.overlaps);
        assert!(report.token_faults.is_empty(), "{again}");
        assert!(outcome.recovered.is_some_and(|took| took <= outcome.recovery_max), "{again}");
        assert!(outcome.ended.is_empty(), "{:?} ended\n{again}", outcome.ended);
        terms += report.terms;
        faults += outcome.faults;
    }
    println!("{} worlds, {faults} faults, {terms} terms", seeds.clone().count());
    let worlds = seeds.count();
    assert!(terms >= 5 * worlds, "{terms} terms in {worlds} worlds prove nothing");
}

#[test]
fn the_same_seed_is_the_same_history() {
    for seed in 0..3 {
        let [first, second] = [(); 2].map(|()| World::play(&Settings::drawn(seed)));
        assert_eq!(first.story, second.story);
        assert_eq!(format!("{:?}", first.history), format!("{:?}", second.history));
    }
}

/// Limits count on clocks that are wrong by one percent at most: with one that is wrong by half, the judge has to find what
/// it looks for.
#[test]
fn a_candidate_whose_clock_runs_at_half_its_rate_leads_beside_another() {
    let lease_duration = Duration::from_secs(3);
    let slow = Settings { slow_clock: true, lease_duration, ..Settings::drawn(0) };
    let report = World::play(&slow).history.judge();
    assert!(report.ours.overlap_proven > Nanos(0), "{report}");
}

/// From the end of the last fault to the end of a world.
const QUIET: Duration = Duration::from_secs(60);
const DURATION: Duration = Duration::from_secs(600);
