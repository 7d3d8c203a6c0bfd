//! A file that the service writes as long as it is well.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use leasehold::clock;

use super::Outcome;

/// A file, and when it was seen to change.
#[derive(Clone, Debug)]
pub(super) struct File {
    path: PathBuf,
    max_age: Duration,
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    written: SystemTime,
    /// On BOOTTIME.
    at: Duration,
    age: Duration,
}

impl File {
    pub(super) fn new(path: PathBuf, max_age: Duration) -> Self {
        Self { path, max_age, seen: None }
    }

    pub(super) async fn ask(&mut self, timeout: Duration) -> Outcome {
        let path = self.path.display().to_string();
        // A volume of the network may hang.
        let written = match tokio::time::timeout(timeout, tokio::fs::metadata(&self.path)).await {
            Err(_) => return Outcome::TimedOut(format!("{path} cannot be looked at within {timeout:?}")),
            Ok(found) => found.and_then(|metadata| metadata.modified()),
        };
        let written = match written {
            Ok(written) => written,
            Err(error) => return Outcome::Failed(format!("{path} cannot be looked at: {error}")),
        };
        let age = self.age(written, SystemTime::now(), clock::boottime());
        if age <= self.max_age {
            return Outcome::Passed;
        }
        Outcome::Failed(format!(
            "{path} was not written for {} s, longer than {:?}",
            age.as_secs(),
            self.max_age
        ))
    }

    /// For how long it has not been written. The wall clock says so at first sight only: it may be set at any time.
    fn age(&mut self, written: SystemTime, wall: SystemTime, now: Duration) -> Duration {
        let seen = match self.seen {
            Some(seen) if seen.written == written => seen,
            Some(_) => Seen { written, at: now, age: Duration::ZERO },
            None => Seen { written, at: now, age: wall.duration_since(written).unwrap_or_default() },
        };
        self.seen = Some(seen);
        seen.age + now.saturating_sub(seen.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_clock_that_is_set_makes_no_file_old_or_new() {
        let mut file = File::new("x".into(), MINUTE);
        let (written, hour) = (SystemTime::UNIX_EPOCH + MINUTE * 600, MINUTE * 60);
        assert_eq!(
            file.age(written, written + MINUTE, MINUTE),
            MINUTE,
            "at first sight the wall clock counts"
        );
        assert_eq!(file.age(written, written + hour, MINUTE * 2), MINUTE * 2);
        assert_eq!(file.age(written, written - hour, MINUTE * 3), MINUTE * 3);
        let again = written - hour;
        assert_eq!(file.age(again, again, MINUTE * 4), Duration::ZERO, "it was written, by a clock set back");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_or_old_is_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alive");
        let mut file = File::new(path.clone(), MINUTE);
        assert!(matches!(file.ask(MINUTE).await, Outcome::Failed(_)));
        let handle = std::fs::File::create(&path).unwrap();
        assert_eq!(file.ask(MINUTE).await, Outcome::Passed);
        handle.set_modified(SystemTime::now() - MINUTE * 2).unwrap();
        let outcome = File::new(path, MINUTE).ask(MINUTE).await;
        assert!(
            matches!(&outcome, Outcome::Failed(reason) if reason.contains("not written for 12")),
            "{outcome:?}"
        );
    }
}
