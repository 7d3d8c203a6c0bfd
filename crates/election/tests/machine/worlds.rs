//! Worlds of several electors: never two leaders while anything goes wrong, and one leader soon after nothing does.

use std::time::Duration;

use crate::world::{Seen, World};

#[test]
fn in_no_world_do_two_lead_and_in_each_one_leads_again_once_nothing_goes_wrong() {
    let (first, count) = seeds();
    let seen = (first..first + count).map(play).fold(Seen::default(), Seen::plus);
    println!("{seen:?} in {count} worlds");
    // Worlds without traffic show nothing.
    assert!(seen.terms > 2 * count && seen.releases > count / 2 && seen.kills > count / 20, "{seen:?}");
}

fn play(seed: u64) -> Seen {
    let mut world = World::new(seed);
    world.run(FAULTY);
    world.heal();
    world.run(FAULTY + HEALING);
    assert_eq!(world.leaders(), 1, "seed {seed}: nobody leads though nothing goes wrong any more");
    let requests = world.seen.requests;
    world.run(FAULTY + HEALING + QUIET);
    assert_eq!(world.leaders(), 1, "seed {seed}: it leads on");
    let renewals = QUIET.as_nanos() / world.timing().renew_interval().as_nanos();
    let sent = world.seen.requests - requests;
    let most = u64::try_from(renewals).unwrap() * 11 / 10 + 2;
    assert!(sent <= most, "seed {seed}: {sent} requests, though {renewals} renewals are all that is needed");
    world.stop_all();
    world.run(FAULTY + HEALING + QUIET + STOPPING);
    assert!(world.all_finished(), "seed {seed}: asked to stop, and it did not");
    assert_eq!(world.holder(), "", "seed {seed}: the lease was given back");
    world.seen
}

/// `LEASEHOLD_SEED=N` plays one world again.
fn seeds() -> (u64, u64) {
    if let Ok(seed) = std::env::var("LEASEHOLD_SEED") {
        return (seed.parse().unwrap(), 1);
    }
    (0, if std::env::var_os("LEASEHOLD_FULL").is_some() { 20_000 } else { 200 })
}

const FAULTY: Duration = Duration::from_secs(300);
/// Pauses (25 s), late writes (40 s), overrunning work (60 s) and back-off (30 s) end in this time.
const HEALING: Duration = Duration::from_secs(150);
const QUIET: Duration = Duration::from_secs(100);
const STOPPING: Duration = Duration::from_secs(30);
