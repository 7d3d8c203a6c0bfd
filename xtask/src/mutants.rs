//! Mutation of the core: each rule of `election` is removed in turn, and its tests must notice.

use std::fmt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cargo::{root, say, tool};

/// How many mutants were caught.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    caught: usize,
    missed: usize,
    /// Mutants that do not compile say nothing.
    unviable: usize,
}

/// Tries every mutant on the quick tests, then those that were missed on all of them.
///
/// # Errors
///
/// If the tests fail without a mutant, or fewer than [`PERCENT_MIN`] of a hundred mutants are caught.
pub(crate) fn run(args: &[String]) -> Result<Score> {
    pass(&[args, &strings(&["--", "--", "--skip", "fuzz::", "--skip", "worlds::"])].concat())?;
    let viable = count("caught")? + count("timeout")? + count("missed")?;
    let unviable = count("unviable")?;
    if count("missed")? > 0 {
        say("\nthose that were missed, on all tests:");
        pass(&[args, &strings(&["--iterate"])].concat())?;
    }
    let missed = count("missed")?;
    let score = Score { caught: viable - missed, missed, unviable };
    if score.percent() < PERCENT_MIN {
        bail!("{score}; at least {PERCENT_MIN} % must be caught: see {}", file("missed").display());
    }
    Ok(score)
}

impl Score {
    fn percent(self) -> usize {
        self.caught * 100 / (self.caught + self.missed).max(1)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { caught, missed, unviable } = self;
        write!(
            f,
            "{} % of the mutants caught: {caught} caught, {missed} missed, {unviable} do not compile",
            self.percent()
        )
    }
}

fn pass(args: &[String]) -> Result<()> {
    let program = tool("cargo-mutants")?;
    let status = Command::new(&program)
        .current_dir(root())
        .args(["mutants", "--package", "leasehold-election", "--output", "target", "--no-times"])
        // Not in mutants.toml: what stands there comes after all that follows `--`.
        .args(
            ["--lib", "--test", "foreign", "--test", "machine"].map(|arg| format!("--cargo-test-arg={arg}")),
        )
        .args(args)
        .status()
        .context("cargo-mutants cannot be started")?;
    // 2: some were missed; 3: some took too long, which is noticed, too. All else says that nothing was tried.
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => bail!("cargo mutants failed: {status}"),
    }
}

fn count(outcome: &str) -> Result<usize> {
    let path = file(outcome);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.lines().count())
}

fn file(outcome: &str) -> PathBuf {
    root().join("target/mutants.out").join(outcome).with_extension("txt")
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

const PERCENT_MIN: usize = 90;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_not_rounded_up() {
        let score = Score { caught: 899, missed: 101, unviable: 7 };
        assert_eq!(score.percent(), 89);
        assert_eq!(score.to_string(), "89 % of the mutants caught: 899 caught, 101 missed, 7 do not compile");
    }
}
