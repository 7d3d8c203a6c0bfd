//! Sizes of the programs, in bytes on disk.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::{Elector, tools};

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

/// Builds the static sidecar as the image has it: see `deploy/Containerfile`.
pub(crate) fn build_dist() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a package in a workspace")?;
    progress("size: building the static sidecar");
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "--locked", "--profile", "dist", "-p", "leasehold-sidecar", "--target", &target()])
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "cargo build of the static sidecar ended with {status}");
    Ok(())
}

/// The static sidecar, if it was built: in `<target>/<triple>/dist` or `<target>/dist`, where `<target>` is the grandparent of what this run was built into.
pub(crate) fn find_dist(sidecar: &Path) -> Option<PathBuf> {
    let folder = sidecar.ancestors().nth(2)?;
    let candidates = [folder.join(target()).join("dist"), folder.join("dist")];
    candidates.into_iter().map(|folder| folder.join(SIDECAR)).find(|path| path.is_file())
}

/// A named target keeps `RUSTFLAGS` away from build scripts and proc macros, which cannot be static.
fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

fn bytes(path: &Path) -> Result<f64> {
    let length = fs::metadata(path).with_context(|| format!("measuring {}", path.display()))?.len();
    u32::try_from(length).map(f64::from).with_context(|| format!("{} has {length} bytes", path.display()))
}

const SIDECAR: &str = "leader-elector";
