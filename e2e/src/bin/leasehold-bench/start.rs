//! How soon a process leads that finds its Lease free.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leasehold_e2e::Elector;

use crate::arena::{Arena, Ground, Wiring, elector_name, seconds};
use crate::figures::{Measure, Unit, order};
use crate::progress;
use crate::sidecar::{Mode, Working};
use crate::size::{find_dist, sidecar};

/// From the start of a process until its work begins, each time on another Lease that is there and free; of the static
/// sidecar, if it is there, until its file is.
pub(crate) async fn start(ground: &Ground, starts: u32) -> Result<Vec<Measure>> {
    let mut measure = Measure::new("start", "process start to leadership of a free Lease", Unit::Seconds);
    let title = "static sidecar: process start to its file";
    let mut small = Measure::new("start-sidecar-dist", title, Unit::Seconds);
    let dist = find_dist(&sidecar()?);
    for round in 0..starts {
        for elector in order(round) {
            let mut arena =
                Arena::open(ground, &format!("{}-{round}", measure.name), elector, 1, Wiring::Direct).await?;
            let begin = arena.next_begin(0, None).await?;
            let position = arena.position(&begin.name)?;
            let taken = seconds(arena.electorate.members[position].started_ns, begin.at_ns);
            measure.add(elector, taken);
            progress(&format!("start {}/{starts}: {} {taken:.3} s", round + 1, elector_name(elector)));
        }
        if let Some(dist) = &dist {
            let taken = to_file(ground, dist, round).await?;
            small.add(Elector::Ours, taken.as_secs_f64());
            progress(&format!("start {}/{starts}: static sidecar {:.3} s", round + 1, taken.as_secs_f64()));
        }
    }
    small.samples.client_go = if dist.is_some() { measure.samples.client_go.clone() } else { Vec::new() };
    Ok([measure, small].into_iter().filter(|measure| !measure.samples.leasehold.is_empty()).collect())
}

async fn to_file(ground: &Ground, program: &Path, round: u32) -> Result<Duration> {
    let mut arena =
        Arena::open(ground, &format!("start-sidecar-{round}"), Elector::Ours, 0, Wiring::Direct).await?;
    let kubeconfig = arena.kubeconfig("sidecar", Wiring::Direct).await?;
    let begun = Instant::now();
    let working = Working::start(program, &kubeconfig, &arena, Mode::File)?;
    let (file, patience) = (working.file(), ground.patience());
    let waited = tokio::task::spawn_blocking(move || {
        while !file.exists() && begun.elapsed() < patience {
            std::thread::sleep(POLL_INTERVAL);
        }
        (file.exists(), begun.elapsed())
    });
    let (leads, taken) = waited.await.context("waiting for a file")?;
    ensure!(leads, "a sidecar did not lead within {patience:?}:\n{}", working.process.errors());
    Ok(taken)
}

/// How exact the time to the file is.
const POLL_INTERVAL: Duration = Duration::from_micros(200);
