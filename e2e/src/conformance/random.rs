//! Scripts from a seed: several writers on the same few objects, with right, stale and missing versions.
//!
//! The same seed is the same script. A script that fails is shrunk by leaving steps out, and replayed by its seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use anyhow::Result;
use tokio::task::JoinSet;

use super::compare::Pair;
use super::differences::{self, LISTED};
use super::script::Case;

mod chance;

pub use chance::script;

/// What a campaign of random scripts did.
#[derive(Debug, Default)]
pub struct Tally {
    /// Scripts that ran.
    pub scripts: usize,
    /// Requests, on each server.
    pub steps: usize,
    /// Requests that were refused because of what was stored.
    pub conflicts: usize,
    /// Scripts without any such refusal.
    pub scripts_without_conflict: usize,
    /// For the first failures: what is to be read about each.
    pub failures: Vec<String>,
}

/// Runs the scripts of `count` seeds from `first` on, `at_once` at a time.
///
/// # Errors
/// When a server does not answer.
pub async fn campaign(pair: &Pair, first: u64, count: u64, at_once: usize) -> Result<Tally> {
    let next = Arc::new(AtomicU64::new(first));
    let failed = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (pair, next, failed) = (pair.clone(), Arc::clone(&next), Arc::clone(&failed));
        workers.spawn(async move {
            let mut tally = Tally::default();
            while failed.load(Ordering::Relaxed) < FAILURES_SHOWN {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first.saturating_add(count) {
                    break;
                }
                if run_seed(&pair, seed, &mut tally).await? {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            anyhow::Ok(tally)
        });
    }
    let mut total = Tally::default();
    while let Some(tally) = workers.join_next().await {
        total.add(tally??);
    }
    Ok(total)
}

/// Whether the two servers differ on the script of `seed`.
async fn run_seed(pair: &Pair, seed: u64, tally: &mut Tally) -> Result<bool> {
    let comparison = pair.run(&format!("seed-{seed}"), &script(seed)).await?;
    tally.scripts += 1;
    tally.steps += comparison.real.len();
    tally.conflicts += comparison.conflicts();
    tally.scripts_without_conflict += usize::from(comparison.conflicts() == 0);
    let Err(seen) = differences::judge(std::slice::from_ref(&comparison), &LISTED) else {
        return Ok(false);
    };
    let shrunk = shrink(pair, &format!("seed-{seed}"), comparison.case).await?;
    let shrunk = shrunk.unwrap_or_else(|| format!("{seen}no difference when it was run again\n"));
    tally.failures.push(format!("{shrunk}replay: {SEED_VARIABLE}={seed} {REPLAY_COMMAND}\n"));
    Ok(true)
}

/// Leaves out each step without which the servers still differ, from the last one backwards, and tells what is left;
/// none if they do not differ any more.
async fn shrink(pair: &Pair, namespace: &str, mut case: Case) -> Result<Option<String>> {
    let mut attempt = 0;
    let mut told = None;
    for index in (0..=case.steps.len()).rev() {
        let mut smaller = case.clone();
        if index < smaller.steps.len() {
            smaller.steps.remove(index);
        }
        attempt += 1;
        let comparison = pair.run(&format!("{namespace}-{attempt}"), &smaller).await?;
        if let Err(text) = differences::judge(&[comparison], &LISTED) {
            case = smaller;
            told = Some(text);
        }
    }
    Ok(told)
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.scripts += other.scripts;
        self.steps += other.steps;
        self.conflicts += other.conflicts;
        self.scripts_without_conflict += other.scripts_without_conflict;
        self.failures.extend(other.failures);
    }
}

/// Names the one seed to run.
pub const SEED_VARIABLE: &str = "LEASEHOLD_SEED";

const REPLAY_COMMAND: &str = "cargo test -p leasehold-e2e --test conformance random_scripts";
/// A campaign ends after so many.
const FAILURES_SHOWN: usize = 3;
