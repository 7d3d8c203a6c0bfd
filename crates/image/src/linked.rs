//! Which packages are in a program: those that run at compile time alone are not.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, Package, PackageId};

use crate::program::{Program, cargo, target};

/// Packages, each by name and version.
pub type Linked = BTreeSet<(String, String)>;

/// What cargo's tree says of a program: known before it is built.
///
/// # Errors
///
/// If cargo fails.
pub(crate) fn planned(metadata: &Metadata, program: Program) -> Result<Linked> {
    let output = cargo()
        .current_dir(&metadata.workspace_root)
        .args(["tree", "--locked", "--package", program.package(), "--edges", "normal,no-proc-macro"])
        .args(["--target", &target(), "--prefix", "none", "--no-dedupe", "--format", "{p}"])
        .output()
        .context("cargo cannot be started")?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8(output.stdout).context("cargo tree prints text")?;
    text.lines().filter(|line| !line.is_empty()).map(package_in).collect()
}

/// The package of this id.
///
/// # Errors
///
/// If there is none.
pub(crate) fn crate_of(metadata: &Metadata, id: &PackageId) -> Result<(String, String)> {
    let package = metadata.packages.iter().find(|package| package.id == *id);
    package.map(key).with_context(|| format!("cargo names {id}, which is in no list of its packages"))
}

/// By what a package is known here.
pub(crate) fn key(package: &Package) -> (String, String) {
    (package.name.to_string(), package.version.to_string())
}

/// Reads a line such as `tokio v1.52.0` or `leasehold v0.1.0 (/path)`.
fn package_in(line: &str) -> Result<(String, String)> {
    let mut words = line.split(' ');
    let (name, version) = (words.next(), words.next().and_then(|word| word.strip_prefix('v')));
    let package = name.zip(version).map(|(name, version)| (name.to_owned(), version.to_owned()));
    package.with_context(|| format!("cargo tree says {line:?}, which is no package"))
}
