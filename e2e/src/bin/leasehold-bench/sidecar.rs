//! Sidecars at work: with their file, or with a command, and both of their HTTP listeners; and what one needs in memory.
//!
//! client-go has no sidecar: there is nothing to compare with.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_e2e::sidecar::{Endpoint, free_address};
use leasehold_e2e::{Elector, PipedProcess};
use tempfile::TempDir;

use crate::arena::{Arena, Ground, Wiring};
use crate::figures::{Measure, Unit};
use crate::progress;
use crate::size::{find_dist, sidecar};
use crate::usage;

/// How a service is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By a file, or by HTTP.
    File,
    /// It is started and stopped.
    Exec,
}

/// A sidecar at work.
pub(crate) struct Working {
    // Dropped in this order: the process before the folder it writes to.
    pub(crate) process: PipedProcess,
    /// Where the service asks.
    pub(crate) control: Endpoint,
    /// Where the kubelet asks.
    pub(crate) probes: Endpoint,
    folder: TempDir,
}

impl Working {
    /// Starts one in the Pod whose kubeconfig this is, for the Lease of the arena.
    pub(crate) fn start(program: &Path, kubeconfig: &Path, arena: &Arena<'_>, mode: Mode) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for the file of a sidecar")?;
        let (control, probes) = (Endpoint::Tcp(free_address()?), Endpoint::Tcp(free_address()?));
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", arena.permission.namespace(), "--lease", arena.permission.lease()])
            .args(["--ttl", &format!("{}s", arena.lease_duration().as_secs())])
            .args(["--http", &control.flag(), "--probe-addr", &probes.flag()])
            .env("POD_NAME", "sidecar");
        match mode {
            Mode::File => command.arg("--file").arg(folder.path().join(FILE)),
            Mode::Exec => command.args(["--", "sleep", "infinity"]),
        };
        Ok(Self { process: PipedProcess::spawn(command)?, control, probes, folder })
    }

    /// Its is-leader file.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join(FILE)
    }

    /// Waits until it says that it leads.
    pub(crate) async fn until_it_leads(&self, patience: Duration) -> Result<()> {
        let end = Instant::now() + patience;
        while !self.control.ask("GET", "/leader", "").await.is_ok_and(|answer| answer.code == 200) {
            if Instant::now() >= end {
                bail!("a sidecar did not lead within {patience:?}:\n{}", self.process.errors());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }
}

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
    let mut arena = Arena::open(ground, name, Elector::Ours, 0, Wiring::Direct).await?;
    let kubeconfig = arena.kubeconfig(name, Wiring::Direct).await?;
    let working = Working::start(program, &kubeconfig, &arena, Mode::File)?;
    working.until_it_leads(ground.patience()).await?;
    // Several renewals: what a connection needs is in it.
    tokio::time::sleep(ground.timing.lease_duration()).await;
    let bytes = usage::resident_bytes(working.process.id())?;
    progress(&format!("{name}: {bytes} bytes"));
    Ok(bytes)
}

const FILE: &str = "is-leader";
const POLL_INTERVAL: Duration = Duration::from_millis(20);
