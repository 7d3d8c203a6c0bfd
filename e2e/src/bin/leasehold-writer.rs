//! A service that cannot be changed, in tests on nodes: it writes to a database, as long as it may.
//!
//! Run by the elector, it may as long as it runs. Beside the elector, it reads the is-leader file before each write, by
//! the three rules of docs/sidecar.md. Each write carries the fencing token, and the database refuses one that is older
//! than the newest it has seen; what was refused is noted there, too.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use leasehold_e2e::boottime_ns;
use leasehold_e2e::ledger::Ledger;
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

/// Writes until it is asked to end.
#[derive(Debug, Parser)]
struct Args {
    /// The database: an SQLite file
    #[arg(long)]
    database: PathBuf,
    /// The is-leader file; without it, this process may write as long as it runs
    #[arg(long)]
    leader_file: Option<PathBuf>,
    /// Milliseconds that it goes on after SIGTERM
    #[arg(long, default_value_t = 0)]
    stop_takes: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let who = std::env::var("HOSTNAME").context("HOSTNAME")?;
    let mut ledger = Ledger::open(&args.database)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut until = None;
    while until.is_none_or(|until| boottime_ns() < until) {
        tokio::select! {
            biased;
            _ = terminate.recv() => until = Some(boottime_ns() + args.stop_takes * 1_000_000),
            () = tokio::time::sleep(PAUSE) => {}
        }
        let token = match &args.leader_file {
            Some(file) => leads(file)?,
            None => Some(std::env::var("LEADER_TOKEN").context("LEADER_TOKEN")?.parse()?),
        };
        if let Some(token) = token {
            ledger.write(&who, token)?;
        }
    }
    Ok(())
}

/// The part of the is-leader file that a service reads.
#[derive(Debug, Deserialize)]
struct IsLeader {
    token: u64,
    lead_until: jiff::Timestamp,
    lead_until_boottime_ns: u64,
    boot_id: String,
}

/// The token of this Pod's term, if it leads now.
fn leads(file: &Path) -> Result<Option<u64>> {
    // No file, or an empty one: it does not lead.
    let Ok(text) = fs::read_to_string(file) else { return Ok(None) };
    let Ok(found) = serde_json::from_str::<IsLeader>(&text) else { return Ok(None) };
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("reading the boot id")?;
    let leads = found.boot_id == boot_id.trim()
        && boottime_ns() < found.lead_until_boottime_ns
        && jiff::Timestamp::now() < found.lead_until;
    Ok(leads.then_some(found.token))
}

const PAUSE: Duration = Duration::from_millis(5);
