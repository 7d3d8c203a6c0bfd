//! Faults of the network, of the servers and of processes on the real control plane, one a round.
//!
//! `LEASEHOLD_SEED=7` strikes one of them again, `LEASEHOLD_SEED=50..250` so many others.

use std::env;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::future::try_join_all;
use leasehold_apiserver::Fault as Network;
use leasehold_e2e::faults::{self, Arena, Fault, Report, Strike, Victims};
use leasehold_e2e::{ControlPlane, Elector};

/// Seeds of the gate, and of `cargo xtask test --full`.
const SEEDS: Range<u64> = 0..50;
const SEEDS_FULL: Range<u64> = 0..1_000;
/// Rounds on one control plane: tokens of Pods live for an hour.
const BATCH: usize = 50;
const ELECTORATES: usize = 6;
const CANDIDATES: usize = 3;
/// One round in so many may prove nothing, on a machine that is too busy to ask everybody in time.
const VOID_SHARE: usize = 5;

fn seeds() -> Result<Range<u64>> {
    let Ok(text) = env::var("LEASEHOLD_SEED") else {
        return Ok(if env::var_os("LEASEHOLD_FULL").is_some() { SEEDS_FULL } else { SEEDS });
    };
    let number = |text: &str| {
        text.parse::<u64>()
            .with_context(|| format!("LEASEHOLD_SEED={text} is neither a seed, as 7, nor seeds, as 50..250"))
    };
    match text.split_once("..") {
        Some((first, end)) => Ok(number(first)?..number(end)?),
        None => number(&text).map(|seed| seed..seed + 1),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_of_the_network_a_server_or_a_process_makes_two_leaders() -> Result<()> {
    let strikes: Vec<Strike> = seeds()?.map(Strike::drawn).collect();
    let mut report = Report::default();
    for batch in strikes.chunks(BATCH) {
        let played = faults::play(batch, ELECTORATES.min(batch.len()), CANDIDATES).await?;
        println!("{played}");
        for failure in played.failures() {
            println!("\n{failure}");
        }
        report.append(played);
    }
    println!("{report}");
    let failures = report.failures();
    ensure!(failures.is_empty(), "{} of {} rounds went wrong: see above", failures.len(), report.rounds());
    ensure!(report.overlap() == Duration::ZERO, "two led for {:?}", report.overlap());
    ensure!(report.rounds() == strikes.len(), "{} rounds of {}", report.rounds(), strikes.len());
    ensure!(
        report.void() * VOID_SHARE <= report.rounds(),
        "{} of {} rounds prove nothing: this machine is too busy",
        report.void(),
        report.rounds()
    );
    Ok(())
}

/// It releases before its work has ended, and does not wait for an answer any shorter because of that: a leader that is
/// cut off still works when the next one begins.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_judge_finds_the_two_leaders_of_client_go() -> Result<()> {
    let control_plane = Arc::new(ControlPlane::start().await?);
    let settings: [(&str, &[&str]); 3] = [
        ("no-client-timeout", &["--release-on-cancel=true", "--client-timeout=0s"]),
        ("usual-client-timeout", &["--release-on-cancel=true"]),
        ("no-release", &[]),
    ];
    let strike = Strike {
        seed: 0,
        fault: Fault::Hang,
        victims: Victims::Leader,
        network: Some(Network::Hang),
        after: Duration::ZERO,
        lasts: Duration::from_secs(6),
    };
    let arenas = settings.map(|(name, flags)| {
        let control_plane = Arc::clone(&control_plane);
        async move {
            let mut arena = Arena::start(control_plane, name, (Elector::ClientGo, 4), flags).await?;
            let mut found = Vec::new();
            for _ in 0..CLIENT_GO_ROUNDS {
                found.push(arena.play(&strike).await?.overlap);
            }
            anyhow::Ok((name, found))
        }
    });
    let mut overlaps = Vec::new();
    for (name, found) in try_join_all(arenas).await? {
        let rounds = found.iter().filter(|overlap| !overlap.is_zero()).count();
        println!("client-go, {name}: two leaders in {rounds} of {} rounds: {found:?}", found.len());
        overlaps.push(rounds);
    }
    ensure!(overlaps[0] > 0, "the checker has found none of the overlaps that are there");
    Ok(())
}

const CLIENT_GO_ROUNDS: usize = 3;
