//! Static programs and their container images, made by `leasehold-image`; cargo builds only what has changed.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::cargo::{Cargo, run_binary};

/// Runs it with these arguments.
pub(crate) fn run(args: &[String]) -> Result<ExitCode> {
    Cargo::new("build").workspace().arg("--bin").arg("leasehold-image").run()?;
    run_binary("debug", "leasehold-image", args)
}

/// The sidecar's image and its static program, for all who run them: `leasehold_image::Files` tells where they are.
pub(crate) fn build_all() -> Result<()> {
    if run(&[])? != ExitCode::SUCCESS {
        bail!("the image was not made");
    }
    Ok(())
}
