//! The programs that images hold, and how they are built: static, small, and without a path of the machine in them.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use cargo_metadata::{Message, Metadata};
use clap::ValueEnum;

use crate::linked::{self, Linked};

/// A program that an image can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The sidecar
    LeaderElector,
    /// The command line tool, which is the sidecar, too: `leasehold elect`
    Leasehold,
}

/// A program that was built.
#[derive(Clone, Debug)]
pub struct Built {
    /// Where it is.
    pub path: PathBuf,
    /// What the compiler put into it, itself included.
    pub linked: Linked,
}

impl Program {
    /// The name of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::LeaderElector => "leader-elector",
            Self::Leasehold => "leasehold",
        }
    }

    /// The package that it is built from.
    pub fn package(self) -> &'static str {
        match self {
            Self::LeaderElector => "leasehold-sidecar",
            Self::Leasehold => "leasehold-cli",
        }
    }

    /// What it is for, in a line.
    pub fn description(self) -> &'static str {
        match self {
            Self::LeaderElector => {
                "Elects a leader on a Kubernetes Lease for a service that cannot be changed"
            }
            Self::Leasehold => "Leader election that keeps its promise, for stateful services on Kubernetes",
        }
    }
}

/// Builds a program with the profile `dist`: minutes for the first time, no time when it is there.
///
/// Alone, and not with the rest of the workspace: what another program asks of a dependency would be in this one, too.
///
/// # Errors
///
/// If it cannot be built, or cargo does not say where it is.
pub fn build(program: Program) -> Result<Built> {
    let metadata = metadata()?;
    let mut cargo = cargo()
        .current_dir(&metadata.workspace_root)
        .args(["build", "--locked", "--profile", "dist", "--message-format", "json-render-diagnostics"])
        .args(["--package", program.package(), "--bin", program.name(), "--target", &target()])
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&metadata))
        .env_remove("RUSTFLAGS")
        .stdout(Stdio::piped())
        .spawn()
        .context("cargo cannot be started")?;
    let messages = cargo.stdout.take().context("cargo's output cannot be read")?;
    let mut artifacts = Vec::new();
    for message in Message::parse_stream(BufReader::new(messages)) {
        if let Message::CompilerArtifact(artifact) = message.context("reading what cargo says")? {
            artifacts.push(artifact);
        }
    }
    let status = cargo.wait().context("waiting for cargo")?;
    if !status.success() {
        bail!("{} was not built: cargo ended with {status}", program.name());
    }
    let executable = artifacts.iter().find_map(|artifact| artifact.executable.clone());
    let path = executable.with_context(|| format!("cargo does not say where {} is", program.name()))?;
    let folder = path.parent().context("a program is in a folder")?;
    let built_here =
        artifacts.iter().filter(|artifact| artifact.filenames.iter().any(|file| file.starts_with(folder)));
    let linked = built_here
        .map(|artifact| linked::crate_of(&metadata, &artifact.package_id))
        .collect::<Result<_>>()?;
    Ok(Built { path: path.into(), linked })
}

/// A named target keeps the flags away from build scripts and procedural macros, which cannot be static.
pub fn target() -> String {
    format!("{}-unknown-linux-gnu", env::consts::ARCH)
}

/// All packages of the workspace and what they depend on, as the lock file says.
pub(crate) fn metadata() -> Result<Metadata> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let mut command = cargo_metadata::MetadataCommand::new();
    // Of this target alone: packages for other systems are not even downloaded.
    let filter = ["--locked", "--filter-platform", &target()].map(str::to_owned);
    command.manifest_path(manifest).other_options(filter);
    command.exec().context("asking cargo for the packages of the workspace")
}

pub(crate) fn cargo() -> Command {
    Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Static, and with names instead of the folders that sources are in: a panic names its file.
fn flags(metadata: &Metadata) -> String {
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned()];
    flags.push(format!("--remap-path-prefix={}=/leasehold", metadata.workspace_root));
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some());
    let folders: BTreeSet<&str> =
        foreign.filter_map(|package| Some(package.manifest_path.parent()?.parent()?.as_str())).collect();
    flags.extend(folders.into_iter().map(|folder| format!("--remap-path-prefix={folder}=/crates")));
    flags.join("\u{1f}")
}
