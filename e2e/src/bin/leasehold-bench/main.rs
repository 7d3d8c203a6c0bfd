//! leasehold and client-go side by side: `cargo xtask bench`.
//!
//! Both campaign with the same timings, on one API server, in the same run, in interleaved rounds. Each elector has
//! Leases of its own: what is compared is the elector, not how they share one.

mod arena;
mod args;
mod cut;
mod figures;
mod handover;
mod hour;
mod report;
mod sidecar;
mod size;
mod start;
mod steady;
mod store;
mod usage;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

use arena::Ground;
use args::{Args, Output, What};
use figures::Measure;

#[tokio::main]
async fn main() -> ExitCode {
    let Err(error) = bench(&Args::parse()).await else { return ExitCode::SUCCESS };
    // Where stderr is closed, the exit code has to say it alone.
    writeln!(io::stderr(), "error: {error:#}").ok();
    ExitCode::FAILURE
}

async fn bench(args: &Args) -> Result<()> {
    let timing = &args.lease_duration;
    if args.dist {
        tokio::task::spawn_blocking(size::build_dist).await.context("building the static sidecar")??;
    }
    progress("starting etcd and kube-apiserver");
    let ground = Ground::prepare(timing.clone()).await?;
    let mut measures = Vec::new();
    let mut failure = Ok(());
    for what in args.wanted() {
        match measure(&ground, what, args).await {
            Ok(measured) => measures.extend(measured),
            Err(error) => {
                // Minutes of measuring are not thrown away: what there is is printed, and the exit code says the rest.
                failure = Err(error.context(format!("measuring {what:?}")));
                break;
            }
        }
    }
    let result = match args.output {
        Output::Table => format!("{}\n\n{}", report::headline(timing)?, report::table(&measures)),
        Output::Json => serde_json::to_string_pretty(&report::document(&measures, timing)?)?,
    };
    writeln!(io::stdout(), "{result}").context("writing the result")?;
    failure
}

async fn measure(ground: &Ground, what: What, args: &Args) -> Result<Vec<Measure>> {
    match what {
        What::Graceful => handover::graceful(ground, args.rounds).await,
        What::Crash => handover::crash(ground, args.crashes).await,
        What::Cut => cut::cut(ground, args.cuts).await,
        What::Start => start::start(ground, args.starts).await,
        What::Steady => steady::steady(ground, args.steady).await,
        What::Sidecar => sidecar::memory(ground).await,
        What::Hour => hour::hour().await,
        What::Size => size::size().await,
        What::Store => store::store().await,
    }
}

/// Tells on stderr what goes on; nobody has to listen.
pub(crate) fn progress(text: &str) {
    writeln!(io::stderr(), "{text}").ok();
}
