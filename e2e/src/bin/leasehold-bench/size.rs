//! Sizes of the programs, in bytes on disk.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::{Elector, tools};
use leasehold_image::{Program, target};

use crate::figures::{Measure, Unit};
use crate::progress;

/// The sidecar as this bench was built, the small static one if it is there, and client-go's candidate, which is
/// static and stripped.
pub(crate) async fn size() -> Result<Vec<Measure>> {
    let sidecar = sidecar()?;
    let client_go =
        tokio::task::spawn_blocking(tools::ensure_client_go).await.context("building client-go")??;
    let mut built = Measure::new("size", "program: sidecar as built for this run", Unit::Bytes);
    built.add(Elector::Ours, bytes(&sidecar)?);
    built.add(Elector::ClientGo, bytes(&client_go)?);
    let mut measures = vec![built];
    if let Some(dist) = find_dist(&sidecar) {
        let mut small = Measure::new("size-dist", "program: sidecar, static (profile dist)", Unit::Bytes);
        small.add(Elector::Ours, bytes(&dist)?);
        small.add(Elector::ClientGo, bytes(&client_go)?);
        measures.push(small);
    } else {
        progress("size: the static sidecar was not built; --dist builds it");
    }
    Ok(measures)
}

/// The sidecar as this bench was built.
pub(crate) fn sidecar() -> Result<PathBuf> {
    sibling(SIDECAR)
}

/// Builds the static sidecar as the image has it.
pub(crate) fn build_dist() -> Result<()> {
    progress("size: building the static sidecar");
    leasehold_image::build(Program::LeaderElector)?;
    Ok(())
}

/// The static sidecar, if it was built: in `<target>/<triple>/dist`, where `<target>` is the grandparent of what this run
/// was built into.
pub(crate) fn find_dist(sidecar: &Path) -> Option<PathBuf> {
    let folder = sidecar.ancestors().nth(2)?;
    Some(folder.join(target()).join("dist").join(SIDECAR)).filter(|path| path.is_file())
}

fn bytes(path: &Path) -> Result<f64> {
    let length = fs::metadata(path).with_context(|| format!("measuring {}", path.display()))?.len();
    u32::try_from(length).map(f64::from).with_context(|| format!("{} has {length} bytes", path.display()))
}

const SIDECAR: &str = "leader-elector";
