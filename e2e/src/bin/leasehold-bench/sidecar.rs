//! What a sidecar needs in memory while it leads, with its file and both of its HTTP listeners.
//!
//! client-go has no sidecar: there is nothing to compare with.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_e2e::electorate::kubeconfig;
use leasehold_e2e::{Elector, PipedProcess};

use crate::arena::{Arena, Ground, Wiring};
use crate::figures::{Measure, Unit};
use crate::progress;
use crate::size::{find_dist, sidecar};
use crate::usage;

/// The sidecar as this bench was built, and the small static one if it is there.
pub(crate) async fn memory(ground: &Ground) -> Result<Vec<Measure>> {
    let program = sidecar()?;
    let mut built = Measure::new("rss-sidecar", "resident memory of the leading sidecar", Unit::Bytes);
    built.add(Elector::Ours, resident(ground, &program, "sidecar").await?);
    let mut measures = vec![built];
    if let Some(dist) = find_dist(&program) {
        let title = "resident memory of the leading sidecar, static";
        let mut small = Measure::new("rss-sidecar-dist", title, Unit::Bytes);
        small.add(Elector::Ours, resident(ground, &dist, "sidecar-dist").await?);
        measures.push(small);
    }
    Ok(measures)
}

async fn resident(ground: &Ground, program: &Path, name: &str) -> Result<f64> {
    let arena = Arena::open(ground, name, Elector::Ours, 0, Wiring::Direct).await?;
    let control_plane = &ground.control_plane;
    let kubeconfig = kubeconfig(control_plane, &arena.permission, name, &control_plane.url()).await?;
    let folder = tempfile::tempdir().context("making a folder for the file of a sidecar")?;
    let file = folder.path().join("is-leader");
    let mut command = Command::new(program);
    command
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(["--namespace", arena.permission.namespace(), "--lease", arena.permission.lease()])
        .args(["--ttl", &format!("{}s", ground.timing.lease_duration().as_secs())])
        .args(["--http", ANY_PORT, "--probe-addr", ANY_PORT])
        .arg("--file")
        .arg(&file)
        .env("POD_NAME", name);
    let process = PipedProcess::spawn(command)?;
    let end = Instant::now() + ground.patience();
    while !file.exists() {
        if Instant::now() >= end {
            bail!("{} did not lead within {:?}:\n{}", program.display(), ground.patience(), process.errors());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    // Several renewals: what a connection needs is in it.
    tokio::time::sleep(ground.timing.lease_duration()).await;
    let bytes = usage::resident_bytes(process.id())?;
    progress(&format!("{name}: {bytes} bytes"));
    Ok(bytes)
}

/// One that is free.
const ANY_PORT: &str = "127.0.0.1:0";
const POLL_INTERVAL: Duration = Duration::from_millis(20);
