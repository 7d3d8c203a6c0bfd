//! Which commit an image is made of. Nothing else of the moment or the machine is written into it.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

/// The time that an image names as its own, and the commit that it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `SOURCE_DATE_EPOCH`, else when the commit was made.
    pub time: Timestamp,
    /// The commit, with `-dirty` where files differ from it; `None` outside a repository.
    pub revision: Option<String>,
}

impl Origin {
    /// Of the commit that is checked out in `folder`.
    ///
    /// # Errors
    ///
    /// If neither git nor `SOURCE_DATE_EPOCH` tells a time.
    pub fn of(folder: &Path) -> Result<Self> {
        let commit = git(folder, &["log", "-1", "--format=%ct %H"]);
        let epoch = env::var("SOURCE_DATE_EPOCH").ok().filter(|epoch| !epoch.is_empty());
        match (commit, epoch) {
            (Ok(commit), epoch) => {
                let (time, hash) = commit.split_once(' ').context("git log prints two words")?;
                let changed =
                    !git(folder, &["status", "--porcelain", "--untracked-files=no"])?.is_empty();
                let revision = if changed { format!("{hash}-dirty") } else { hash.to_owned() };
                Ok(Self { time: seconds(epoch.as_deref().unwrap_or(time))?, revision: Some(revision) })
            }
            (Err(_), Some(epoch)) => Ok(Self { time: seconds(&epoch)?, revision: None }),
            (Err(error), None) => Err(error.context(
                "no time for the image: set SOURCE_DATE_EPOCH to seconds since 1970, or build in a git repository",
            )),
        }
    }

    /// The time as images write it.
    pub(crate) fn created(&self) -> String {
        self.time.to_string()
    }

    /// The time as archives write it.
    ///
    /// # Errors
    ///
    /// If it is before 1970.
    pub(crate) fn seconds(&self) -> Result<u64> {
        u64::try_from(self.time.as_second()).context("archives know no time before 1970")
    }
}

fn seconds(epoch: &str) -> Result<Timestamp> {
    let seconds = epoch.trim().parse().ok().filter(|seconds| *seconds >= 0);
    let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.with_context(|| format!("SOURCE_DATE_EPOCH is {epoch:?}, and not a number of seconds since 1970"))
}

fn git(folder: &Path, args: &[&str]) -> Result<String> {
    let output =
        Command::new("git").current_dir(folder).args(args).output().context("git cannot be started")?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr).trim());
    let text = String::from_utf8(output.stdout)?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_seconds_and_nothing_else() {
        assert_eq!(seconds("0").unwrap().to_string(), "1970-01-01T00:00:00Z");
        for wrong in ["", "-1", "yesterday", "1e9", "99999999999999999"] {
            let error = seconds(wrong).unwrap_err().to_string();
            assert!(error.contains("SOURCE_DATE_EPOCH") && error.contains(wrong), "{error}");
        }
    }
}
