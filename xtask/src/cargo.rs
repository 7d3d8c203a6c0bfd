//! Calls of cargo and of what it builds.
//!
//! Every call names the whole workspace: features are resolved over the packages that are named, so another choice
//! would compile the same dependencies again.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};

/// A call of cargo.
pub(crate) struct Cargo {
    command: Command,
    words: Vec<String>,
}

/// What the test runner counted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// What a test said that it could not run here, and why.
    pub(crate) not_run: BTreeSet<String>,
}

impl Cargo {
    pub(crate) fn new(verb: &str) -> Self {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.current_dir(root());
        Self { command, words: Vec::new() }.arg(verb)
    }

    pub(crate) fn release(verb: &str) -> Self {
        Self::new(verb).arg("--release")
    }

    pub(crate) fn workspace(self) -> Self {
        self.arg("--workspace").arg("--locked")
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.command.arg(arg);
        self.words.push(arg.to_owned());
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn run(mut self) -> Result<()> {
        say(&format!("$ cargo {}", self.words.join(" ")));
        let status = self.command.status().context("cargo cannot be started")?;
        if !status.success() {
            bail!("cargo {} failed: {status}", self.words.join(" "));
        }
        Ok(())
    }

    /// Runs tests, shows their output, and adds up what the runner counted, also when some failed.
    pub(crate) fn test(mut self) -> Result<Totals> {
        say(&format!("$ cargo {}", self.words.join(" ")));
        let mut child = self.command.stdout(Stdio::piped()).spawn().context("cargo cannot be started")?;
        let stdout = child.stdout.take().context("cargo's output cannot be read")?;
        let mut totals = Totals::default();
        for line in BufReader::new(stdout).lines() {
            let line = line?;
            say(&line);
            totals.add(&line);
        }
        let status = child.wait()?;
        if !status.success() && totals.failed == 0 {
            bail!("cargo {} failed: {status}", self.words.join(" "));
        }
        Ok(totals)
    }
}

impl Totals {
    /// Adds a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        if let Some(what) = line.strip_prefix("not run: ") {
            self.not_run.insert(what.to_owned());
        }
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let count = |word: &str| {
            let before = counts.split(word).next()?;
            before.rsplit([' ', ';', '.']).find(|part| !part.is_empty())?.parse::<u64>().ok()
        };
        self.passed += count(" passed").unwrap_or(0);
        self.failed += count(" failed").unwrap_or(0);
        self.ignored += count(" ignored").unwrap_or(0);
    }

    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.not_run.extend(other.not_run);
        Self {
            not_run: self.not_run,
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

/// Runs a binary of this workspace, and hands its exit code on.
pub(crate) fn run_binary(profile: &str, name: &str, args: &[String]) -> Result<ExitCode> {
    let path = root().join("target").join(profile).join(name);
    let status = Command::new(&path)
        .args(args)
        .status()
        .with_context(|| format!("{name} cannot be started; is CARGO_TARGET_DIR set to another folder?"))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

/// The names of the integration tests in `folder`: files, and folders with a `main.rs`.
pub(crate) fn test_names(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let Ok(entries) = folder.read_dir() else { return Ok(names) };
    for entry in entries {
        let path = entry?.path();
        let is_test =
            path.extension().is_some_and(|extension| extension == "rs") || path.join("main.rs").is_file();
        if let Some(stem) = path.file_stem().filter(|_| is_test) {
            names.push(stem.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// A program of the registry, installed into the target folder if it is not there.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let tools = root().join("target/tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        let folder = tools.to_string_lossy().into_owned();
        Cargo::new("install").arg(name).arg("--locked").arg("--root").arg(&folder).run()?;
    }
    Ok(program)
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Prints a line; a reader that has gone away is no reason to stop.
pub(crate) fn say(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_those_of_the_runner() {
        let mut totals = Totals::default();
        totals.add(
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s",
        );
        totals.add("test result: FAILED. 2 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out");
        totals.add("test passed ... ok");
        totals.add("not run: a thing: no tool");
        totals.add("not run: a thing: no tool");
        assert_eq!((totals.passed, totals.failed, totals.ignored), (14, 4, 1));
        let all =
            totals.plus(Totals { not_run: BTreeSet::from(["another".to_owned()]), ..Totals::default() });
        assert_eq!(all.not_run.into_iter().collect::<Vec<_>>(), ["a thing: no tool", "another"]);
    }
}
