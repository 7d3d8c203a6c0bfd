//! Programs of the system that are called and end at once.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Runs a program, and gives what it wrote to its stdout.
///
/// # Errors
/// When it cannot be started or fails: the error shows the call and what it wrote to its stderr.
pub(super) fn run(program: impl AsRef<Path>, args: &[&str]) -> Result<String> {
    let program = program.as_ref();
    let shown = || format!("{} {}", program.display(), args.join(" "));
    let output = Command::new(program).args(args).output().with_context(shown)?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", shown(), errors.trim());
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `ip` with these words.
///
/// # Errors
/// As [`run`].
pub(super) fn ip(words: &str) -> Result<String> {
    run("ip", &words.split(' ').collect::<Vec<_>>())
}
