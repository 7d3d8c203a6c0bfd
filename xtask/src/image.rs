//! Static programs and their container images, made by `leasehold-image`; cargo builds only what has changed.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cargo::{Cargo, root, run_binary};

/// Runs it with these arguments.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    Cargo::new("build").workspace().arg("--bin").arg("leasehold-image").run()?;
    run_binary("debug", "leasehold-image", args)
}

/// The sidecar's image and its static program, for all who run them: `leasehold_image::Files::of` tells their names in
/// the folder that this returns.
pub(crate) fn build_all() -> Result<PathBuf> {
    let folder = root().join("target/image");
    let code = run(&["--out".to_owned(), folder.to_string_lossy().into_owned()])?;
    if code != ExitCode::SUCCESS {
        bail!("the image was not made");
    }
    Ok(folder)
}
