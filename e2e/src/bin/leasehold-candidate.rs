//! A candidate made with the library, for tests: tells what happens as JSON lines on stdout, like its client-go twin.
//!
//! Each line carries the CLOCK_BOOTTIME reading of its event. A line on stdin is answered by a `sample`, but for
//! `step-down`. SIGTERM stops as planned.

use std::io::{self, BufRead as _, Write as _};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use leasehold::kube::config::{Config, KubeConfigOptions, Kubeconfig};
use leasehold::{Candidate, Change, Handle, Leadership, TimingSettings, clock};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
struct Args {
    #[arg(long)]
    kubeconfig: std::path::PathBuf,
    #[arg(long)]
    namespace: String,
    #[arg(long)]
    lease: String,
    #[arg(long)]
    identity: Option<String>,
    /// In seconds; the other timings follow from it
    #[arg(long, default_value_t = 15)]
    lease_duration: u64,
    /// How long the work takes to stop, in milliseconds
    #[arg(long, default_value_t = 0)]
    stop_takes_ms: u64,
    /// No other electors use the Lease
    #[arg(long)]
    no_peers: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(campaign(args))
}

async fn campaign(args: Args) -> Result<()> {
    let kubeconfig = Kubeconfig::read_from(&args.kubeconfig)
        .with_context(|| format!("reading kubeconfig {}", args.kubeconfig.display()))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let timing = TimingSettings::from_lease_duration(Duration::from_secs(args.lease_duration)).build()?;
    let mut builder = Candidate::builder(args.namespace, args.lease)
        .kube_config(config)
        .timing(timing)
        .peers(!args.no_peers)
        .stop_timeout(Duration::from_secs(10));
    if let Some(identity) = args.identity {
        builder = builder.identity(identity);
    }
    let candidate = builder.build()?;
    let reporter = Reporter::new(candidate.identity());
    let handle = candidate.handle();
    report_changes(&handle, reporter.clone());
    answer_probes(handle.clone(), reporter.clone());
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        terminate.recv().await;
        handle.stop();
    });
    let stop_takes = Duration::from_millis(args.stop_takes_ms);
    candidate.run(|leadership| work(leadership, stop_takes, reporter.clone())).await?;
    Ok(())
}

/// The work does nothing but say when it began and ended: what it could do in between is for the judge to assume.
async fn work(leadership: Leadership, stop_takes: Duration, reporter: Reporter) {
    reporter.report(json!({ "event": "work_began", "token": leadership.token().get() }));
    leadership.stopping().await;
    tokio::time::sleep(stop_takes).await;
    reporter.report(json!({ "event": "work_ended", "token": leadership.token().get() }));
}

fn report_changes(handle: &Handle, reporter: Reporter) {
    let mut changes = handle.changes();
    tokio::spawn(async move {
        while let Some(change) = changes.recv().await {
            reporter.report(match change {
                Change::Started { token, transitions } => {
                    json!({ "event": "started", "token": token.get(), "transitions": transitions })
                }
                Change::Stopping { reason } => json!({ "event": "stopping", "reason": reason.to_string() }),
                Change::Stopped { released } => json!({ "event": "stopped", "released": released }),
                Change::NewLeader { holder } => json!({ "event": "new_leader", "leader": holder }),
                other => json!({ "event": "change", "change": other.to_string() }),
            });
        }
    });
}

fn answer_probes(handle: Handle, reporter: Reporter) {
    // A thread of its own: a blocked runtime must not delay the answers.
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if line == "step-down" {
                handle.step_down();
                continue;
            }
            let asked_ns = boottime_ns();
            let leading = handle.is_leader();
            let status = handle.status();
            reporter.report(json!({
                "event": "sample",
                "asked_ns": asked_ns,
                "leading": leading,
                "state": status.state.as_str(),
                "holder": status.holder,
                "token": status.token,
                "lead_until_ns": status.lead_until.map(|deadline| deadline.boottime_ns),
                "error": status.last_error,
            }));
        }
    });
}

fn boottime_ns() -> u64 {
    u64::try_from(clock::boottime().as_nanos()).unwrap_or(u64::MAX)
}

/// Writes lines whole and in the order of their readings.
#[derive(Clone)]
struct Reporter {
    identity: Arc<str>,
    out: Arc<Mutex<io::Stdout>>,
}

impl Reporter {
    fn new(identity: &str) -> Self {
        Self { identity: identity.into(), out: Arc::new(Mutex::new(io::stdout())) }
    }

    fn report(&self, mut line: Value) {
        let mut out = self.out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        line["boottime_ns"] = json!(boottime_ns());
        line["identity"] = json!(&*self.identity);
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            // Nobody reads any more: a candidate that cannot be judged must not lead on.
            std::process::exit(1);
        }
    }
}
