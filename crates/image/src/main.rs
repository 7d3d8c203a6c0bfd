//! `cargo xtask image`: see the library.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use leasehold_image::{Files, Program, build_all};
use oci_spec::distribution::Reference;

/// Builds a static program, and writes its image as an OCI archive with a bill of materials and checksums.
///
/// No container engine is needed. The same commit gives the same bytes, in whatever folder it is built.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask image", max_term_width = 100)]
struct Args {
    /// Which program
    #[arg(long, value_enum, default_value_t = Program::LeaderElector)]
    bin: Program,
    /// Name of the image [default: the program's name and version]
    #[arg(long, value_name = "NAME[:TAG]")]
    tag: Option<Reference>,
    /// Where the files go; made if it is not there [default: target/image of the workspace]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Err(error) = make(&Args::parse()) else { return ExitCode::SUCCESS };
    // Where stderr is closed, the exit code has to say it alone.
    writeln!(io::stderr(), "error: {error:#}").ok();
    ExitCode::FAILURE
}

fn make(args: &Args) -> Result<()> {
    let reference = args.tag.clone().map_or_else(|| Files::reference(args.bin), Ok)?;
    let folder = args.out.clone().unwrap_or_else(Files::folder);
    let (files, digest) = build_all(args.bin, &reference, &folder)?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "image      {}@{digest}", reference.whole())?;
    for (what, path) in [
        ("archive", &files.archive),
        ("program", &files.program),
        ("materials", &files.bill),
        ("checksums", &files.checksums),
    ] {
        let size = std::fs::metadata(path)?.len();
        writeln!(stdout, "{what:<10} {} ({size} bytes)", path.display())?;
    }
    writeln!(stdout, "\ncontainerd: ctr -n k8s.io images import {}", files.archive.display())?;
    writeln!(stdout, "docker:     docker load -i {}", files.archive.display())?;
    Ok(())
}
