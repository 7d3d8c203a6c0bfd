//! What is-leader files say, and whether two of them ever said it at once.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::process::boottime_ns;

/// What an is-leader file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Content(pub Value);

impl Content {
    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no JSON.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.with_context(|| format!("reading {}", path.display()))?;
                let value = serde_json::from_str(&text).with_context(|| format!("it says {text:?}"))?;
                Ok(Some(Self(value)))
            }
        }
    }

    /// The fencing token.
    pub fn token(&self) -> u64 {
        self.number("token")
    }

    /// The end of leadership on CLOCK_BOOTTIME.
    pub fn lead_until_ns(&self) -> u64 {
        self.number("lead_until_boottime_ns")
    }

    /// Whether its reader leads now.
    pub fn leads_now(&self) -> bool {
        boottime_ns() < self.lead_until_ns()
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_default()
    }
}

/// Reads several is-leader files every few milliseconds, on a thread of its own, and notes when two lead at once.
#[derive(Debug)]
pub struct FileSampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Sampled>>,
}

#[derive(Debug, Default)]
struct Sampled {
    rounds: u64,
    rounds_with_a_leader: u64,
}

impl FileSampler {
    /// Begins to read these files.
    pub fn start(files: Vec<PathBuf>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut sampled = Sampled::default();
            while !stopped.load(Ordering::SeqCst) {
                let leaders = leaders(&files)?;
                sampled.rounds += 1;
                sampled.rounds_with_a_leader += u64::from(!leaders.is_empty());
                check_alone(&leaders)?;
                thread::sleep(SAMPLE_INTERVAL);
            }
            Ok(sampled)
        });
        Self { stop, thread }
    }

    /// Ends it.
    ///
    /// # Errors
    /// When two files led at once, one could not be read, or too little was seen to say so.
    pub fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        let sampled = self.thread.join().expect("the sampling thread does not panic")?;
        ensure!(
            sampled.rounds > 100 && sampled.rounds_with_a_leader > 50,
            "too little was seen: {sampled:?}"
        );
        Ok(())
    }
}

fn leaders(files: &[PathBuf]) -> Result<Vec<(&Path, Content)>> {
    let mut leaders = Vec::new();
    for file in files {
        if let Some(content) = Content::read(file)?.filter(Content::leads_now) {
            leaders.push((file.as_path(), content));
        }
    }
    Ok(leaders)
}

/// Files are read one after the other: the first leads together with the last only if it still leads afterwards.
fn check_alone(leaders: &[(&Path, Content)]) -> Result<()> {
    let [(path, first), .., (_, last)] = leaders else { return Ok(()) };
    let again = Content::read(path)?.filter(Content::leads_now);
    let still = again.is_some_and(|again| again.token() == first.token());
    ensure!(!still, "two files led at once:\n{first:?}\n{last:?}");
    Ok(())
}

const SAMPLE_INTERVAL: Duration = Duration::from_millis(2);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sampled(leading: [bool; 2]) -> Result<()> {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| folder.path().join(name));
        for (token, (file, leads)) in files.iter().zip(leading).enumerate() {
            let lead_until = if leads { u64::MAX } else { 0 };
            let line = json!({ "token": token, "lead_until_boottime_ns": lead_until });
            fs::write(file, line.to_string()).unwrap();
        }
        let sampler = FileSampler::start(files.to_vec());
        thread::sleep(Duration::from_secs(2));
        sampler.finish()
    }

    #[test]
    fn two_files_that_lead_at_once_are_found_and_one_that_is_stale_is_no_leader() {
        let error = sampled([true, true]).unwrap_err().to_string();
        assert!(error.contains("two files led at once"), "{error}");
        sampled([false, true]).unwrap();
    }

    #[test]
    fn who_saw_no_leader_cannot_say_that_there_were_not_two() {
        let error = sampled([false, false]).unwrap_err().to_string();
        assert!(error.contains("too little was seen"), "{error}");
    }
}
