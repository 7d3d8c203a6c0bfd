//! What is left in memory after an hour of work.
//!
//! The hour is lived five times as fast: with a lease duration of 3 s instead of 15 s all timings of both electors are a
//! fifth, so that twelve minutes see as many renewals as an hour does. What comes from outside comes five times as often,
//! too: the service's questions, the kubelet's probes, the scrapes, edits of the Lease's labels, and ends of connections.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams};
use leasehold::TimingSettings;
use leasehold_apiserver::Fault;
use leasehold_e2e::Elector;
use serde_json::json;

use crate::arena::{Arena, Ground, Wiring};
use crate::figures::{Measure, Unit};
use crate::progress;
use crate::sidecar::{Mode, Working};
use crate::size::{find_dist, sidecar};
use crate::usage;

/// The static sidecar with its file and with a command, and client-go's candidate, in the same twelve minutes.
pub(crate) async fn hour() -> Result<Vec<Measure>> {
    let Some(program) = find_dist(&sidecar()?) else {
        progress("hour: the static sidecar was not built; --dist builds it");
        return Ok(Vec::new());
    };
    let timing = TimingSettings::from_lease_duration(LEASE_DURATION / PACE).build()?;
    let ground = Ground::prepare(timing).await?;
    // Copies, so that the two share no memory: what one needs alone is asked.
    let copies = tempfile::tempdir().context("making a folder for programs")?;
    let [of_file, of_exec] = ["file", "exec"].map(|name| copies.path().join(name));
    for copy in [&of_file, &of_exec] {
        fs::copy(&program, copy).context("copying the static sidecar")?;
    }
    let file = Subject::start(&ground, &of_file, Mode::File).await?;
    let exec = Subject::start(&ground, &of_exec, Mode::Exec).await?;
    let mut peer = Arena::open(&ground, "hour", Elector::ClientGo, 1, Wiring::Proxied).await?;
    let leader = peer.next_begin(0, None).await?.name;
    let mut beats = tokio::time::interval(SECOND / PACE);
    for second in 0..SECONDS {
        beats.tick().await;
        file.live(second).await?;
        exec.live(second).await?;
        disturb(&peer, second).await?;
        if second.is_multiple_of(300) {
            progress(&format!("hour: minute {} of 60", second / 60));
        }
    }
    file.has_worked().await?;
    exec.has_worked().await?;
    let position = peer.position(&leader)?;
    let peer_bytes = usage::resident_bytes(peer.electorate.members[position].process().id())?;
    figures(file.working.process.id(), exec.working.process.id(), peer_bytes)
}

fn figures(file: u32, exec: u32, peer_bytes: f64) -> Result<Vec<Measure>> {
    let guardians = usage::children(exec)?;
    ensure!(guardians.len() == 1, "a command has one guardian, not {guardians:?}");
    let row = |name, title, ours: f64, theirs: Option<f64>| {
        let mut measure = Measure::new(name, title, Unit::Bytes);
        measure.add(Elector::Ours, ours);
        theirs.into_iter().for_each(|theirs| measure.add(Elector::ClientGo, theirs));
        progress(&format!("{name}: {ours} bytes"));
        measure
    };
    let (resident, peer) = (usage::resident_bytes, Some(peer_bytes));
    let both = usage::resident_bytes_together(&[exec, guardians[0]])?;
    Ok(vec![
        row("rss-hour-file", "after an hour: static sidecar with its file", resident(file)?, peer),
        row("own-hour-file", "after an hour: of that, its own", usage::own_bytes(file)?, None),
        row("rss-hour-exec", "after an hour: static sidecar with a command", resident(exec)?, peer),
        row("rss-hour-guardian", "after an hour: the command's guardian", resident(guardians[0])?, None),
        row("pss-hour-exec", "after an hour: these two, what they share once", both, peer),
    ])
}

/// A sidecar whose hour is watched.
struct Subject<'a> {
    working: Working,
    arena: Arena<'a>,
}

impl<'a> Subject<'a> {
    async fn start(ground: &'a Ground, program: &Path, mode: Mode) -> Result<Self> {
        let name = match mode {
            Mode::File => "hour-file",
            Mode::Exec => "hour-exec",
        };
        let mut arena = Arena::open(ground, name, Elector::Ours, 0, Wiring::Proxied).await?;
        let kubeconfig = arena.kubeconfig(name, Wiring::Proxied).await?;
        let working = Working::start(program, &kubeconfig, &arena, mode)?;
        working.until_it_leads(arena.patience()).await?;
        Ok(Self { working, arena })
    }

    /// What an hour's second brings: the service asks each second, the kubelet each 10 s, Prometheus each 15 s.
    async fn live(&self, second: u32) -> Result<()> {
        let Working { control, probes, .. } = &self.working;
        let answer = control.ask("GET", "/leader", "").await?;
        ensure!(answer.code == 200, "it leads no more: {}", self.working.process.errors());
        if second.is_multiple_of(10) {
            probes.ask("GET", "/livez", "").await?;
            probes.ask("GET", "/readyz", "").await?;
        }
        if second.is_multiple_of(15) {
            probes.ask("GET", "/metrics", "").await?;
        }
        disturb(&self.arena, second).await
    }

    /// It has renewed as often as in an hour.
    async fn has_worked(&self) -> Result<()> {
        let metrics = self.working.probes.ask("GET", "/metrics", "").await?.body;
        let renewals = metrics.lines().filter(|line| line.starts_with(RENEWALS));
        let renewals: f64 = renewals.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum();
        progress(&format!("hour: {renewals} renewals"));
        ensure!(renewals >= RENEWALS_MIN, "{renewals} renewals are no hour's");
        Ok(())
    }
}

/// Somebody edits a label each minute; all connections end each half hour, as watches do on a real server, and once more
/// between.
async fn disturb(arena: &Arena<'_>, second: u32) -> Result<()> {
    if second % 60 == 30 {
        let leases: &Api<Lease> = &arena.leases;
        let label = json!({ "metadata": { "labels": { "minute": (second / 60).to_string() } } });
        leases
            .patch(arena.permission.lease(), &PatchParams::default(), &Patch::Merge(label))
            .await
            .context("editing a label")?;
    }
    if second % 900 == 899 {
        arena.proxies.values().for_each(|proxy| proxy.set(Fault::Cut));
        tokio::time::sleep(CUT).await;
        arena.proxies.values().for_each(|proxy| proxy.set(Fault::None));
    }
    Ok(())
}

/// How many times as fast.
const PACE: u32 = 5;
const SECOND: Duration = Duration::from_secs(1);
const SECONDS: u32 = 3_600;
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// One in 5 s, less those that a cut delays.
const RENEWALS_MIN: f64 = 700.0;
const RENEWALS: &str = "leasehold_renew_duration_seconds_count";
const CUT: Duration = Duration::from_millis(20);
