//! The is-leader file: what it says, how it is written and taken back, and who may believe it.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use leasehold::{Leadership, clock};
use serde::{Deserialize, Serialize};

use crate::args::CheckArgs;

/// The one line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Holder identity.
    pub identity: String,
    /// `namespace/name` of the Lease.
    pub lease: String,
    /// Fencing token.
    pub token: u64,
    /// The term's transitions.
    pub transitions: i32,
    /// End of leadership, on the wall clock.
    pub lead_until: Timestamp,
    /// When work must be over, on the wall clock.
    pub valid_until: Timestamp,
    /// End of leadership, on `CLOCK_BOOTTIME`.
    pub lead_until_boottime_ns: u64,
    /// When work must be over, on `CLOCK_BOOTTIME`.
    pub valid_until_boottime_ns: u64,
    /// The boot that BOOTTIME counts from.
    pub boot_id: String,
}

/// Why a file does not make its reader a leader.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotLeader {
    /// There is no file.
    #[error("there is no file: this Pod does not lead")]
    Absent,
    /// Its time is over: it was left behind.
    #[error("leadership ended at {lead_until}, and the file was not refreshed since")]
    Over {
        /// When it ended.
        lead_until: Timestamp,
    },
    /// It was written before the machine was started.
    #[error("the file was written before this machine was started, or on another one")]
    OtherBoot,
}

impl Content {
    pub(crate) fn of(leadership: &Leadership, boot_id: &str) -> Self {
        let (lead_until, valid_until) = (leadership.lead_until(), leadership.valid_until());
        Self {
            identity: leadership.identity().to_owned(),
            lease: format!("{}/{}", leadership.namespace(), leadership.lease()),
            token: leadership.token().get(),
            transitions: leadership.transitions(),
            lead_until: lead_until.realtime,
            valid_until: valid_until.realtime,
            lead_until_boottime_ns: lead_until.boottime_ns,
            valid_until_boottime_ns: valid_until.boottime_ns,
            boot_id: boot_id.to_owned(),
        }
    }

    /// Whether whoever reads this now leads. Both clocks must agree, so that neither a suspended machine nor one whose
    /// clocks stood still lets a stale file pass.
    pub(crate) fn judge(
        &self,
        boot_id: &str,
        boottime: Duration,
        realtime: Timestamp,
    ) -> Result<(), NotLeader> {
        if self.boot_id != boot_id {
            return Err(NotLeader::OtherBoot);
        }
        let over =
            boottime >= Duration::from_nanos(self.lead_until_boottime_ns) || realtime >= self.lead_until;
        if over { Err(NotLeader::Over { lead_until: self.lead_until }) } else { Ok(()) }
    }
}

/// Reads the file and says whether this Pod leads now.
///
/// # Errors
///
/// `Ok(Err(..))` if it does not lead, and `Err` if that cannot be told.
pub fn check(path: &Path) -> io::Result<Result<Content, NotLeader>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err(NotLeader::Absent)),
        Err(error) => return Err(error),
    };
    // An elector that cannot remove the file empties it.
    if text.is_empty() {
        return Ok(Err(NotLeader::Absent));
    }
    let content: Content = serde_json::from_str(&text)?;
    let now = clock::now();
    let judged = content.judge(&clock::boot_id()?, now.boottime, now.realtime);
    Ok(judged.map(|()| content))
}

/// As `check` answers on the command line, with its exit code. 0: leads. 1: does not. 2: it cannot be told, which a
/// service must take for 1.
pub fn check_as_asked(args: &CheckArgs) -> ExitCode {
    let (code, message) = match check(&args.file) {
        Ok(Ok(Content { lease, token, lead_until, .. })) => {
            (0, format!("leads lease {lease} with token {token} until {lead_until}"))
        }
        Ok(Err(not_leader)) => (1, not_leader.to_string()),
        Err(error) => (2, format!("error: {} cannot be read: {error}", args.file.display())),
    };
    if !args.quiet {
        // If nobody reads it, the exit code still tells.
        let _ = writeln!(io::stderr(), "{message}");
    }
    ExitCode::from(code)
}

/// The file of one sidecar.
#[derive(Debug)]
pub(crate) struct LeaderFile {
    path: PathBuf,
    temporary: PathBuf,
    boot_id: String,
    /// Until when what was written may be believed, on BOOTTIME. Held while the file changes: it is taken back by force
    /// from another thread than the one that writes it.
    believed_until: Mutex<Duration>,
}

impl LeaderFile {
    /// Removes what an earlier process left, and makes sure that the folder can be written.
    pub(crate) fn prepare(path: PathBuf) -> io::Result<Self> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        name.push(".new");
        let file = Self {
            temporary: path.with_file_name(name),
            boot_id: clock::boot_id()?,
            path,
            believed_until: Mutex::default(),
        };
        File::create(&file.temporary)?;
        fs::remove_file(&file.temporary)?;
        file.take_back()?;
        Ok(file)
    }

    /// Says that this Pod leads, unless the term is over. Readers see the old line or the new one, never half of one.
    pub(crate) fn write(&self, leadership: &Leadership) -> io::Result<()> {
        let mut believed_until = self.believed_until.lock().unwrap_or_else(PoisonError::into_inner);
        // A term ends before its file is taken back: what was taken back is not written again.
        if leadership.check().is_err() {
            return Ok(());
        }
        self.put(&Content::of(leadership, &self.boot_id), &mut believed_until)
    }

    fn put(&self, content: &Content, believed_until: &mut Duration) -> io::Result<()> {
        let mut line = serde_json::to_vec(content)?;
        line.push(b'\n');
        let mut file = File::create(&self.temporary)?;
        file.write_all(&line)?;
        fs::rename(&self.temporary, &self.path)?;
        *believed_until = Duration::from_nanos(content.lead_until_boottime_ns);
        Ok(())
    }

    /// Until when the file as last written may be believed, on BOOTTIME.
    pub(crate) fn believed_until(&self) -> Duration {
        *self.believed_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it back: removes the file or, if that is refused, empties it.
    pub(crate) fn take_back(&self) -> io::Result<()> {
        let _changing = self.believed_until.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => fs::OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&self.path)
                .map(drop)
                .map_err(|_| error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content {
            identity: "db-0_0123456789abcdef".to_owned(),
            lease: "prod/db".to_owned(),
            token: 7,
            transitions: 1,
            lead_until: Timestamp::from_second(1_000).unwrap(),
            valid_until: Timestamp::from_second(1_005).unwrap(),
            lead_until_boottime_ns: 50_000_000_000,
            valid_until_boottime_ns: 55_000_000_000,
            boot_id: "boot".to_owned(),
        }
    }

    #[test]
    fn a_file_is_believed_only_before_both_clocks_say_that_it_is_over() {
        let judge = |boot: &str, boottime: u64, realtime: i64| {
            let realtime = Timestamp::from_second(realtime).unwrap();
            content().judge(boot, Duration::from_secs(boottime), realtime).is_ok()
        };
        assert!(judge("boot", 49, 999));
        assert!(!judge("boot", 50, 999), "BOOTTIME says that it is over");
        assert!(!judge("boot", 49, 1_000), "the wall clock says that it is over");
        assert!(!judge("other", 49, 999), "written before a restart of the machine");
    }

    #[test]
    fn a_file_that_is_absent_or_emptied_makes_nobody_a_leader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("is-leader");
        assert_eq!(check(&path).unwrap(), Err(NotLeader::Absent));
        fs::write(&path, "").unwrap();
        assert_eq!(check(&path).unwrap(), Err(NotLeader::Absent));
        fs::write(&path, "{\"token\":").unwrap();
        assert!(check(&path).is_err(), "half a line cannot be judged");
    }

    #[test]
    fn preparing_removes_what_a_dead_sidecar_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("is-leader");
        fs::write(&path, serde_json::to_string(&content()).unwrap()).unwrap();
        LeaderFile::prepare(path.clone()).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_at_the_start() {
        assert!(LeaderFile::prepare("/nonexistent/folder/is-leader".into()).is_err());
    }

    /// The work ended, and the lease was released, at the first refusal: the term, asked for its end after it was over,
    /// named the instant of asking.
    #[tokio::test]
    async fn a_file_that_cannot_be_removed_is_waited_for_until_nobody_believes_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = LeaderFile::prepare(folder.path().join("is-leader")).unwrap();
        let until = clock::boottime() + Duration::from_millis(300);
        let lead_until_boottime_ns = u64::try_from(until.as_nanos()).unwrap();
        file.put(&Content { lead_until_boottime_ns, ..content() }, &mut file.believed_until.lock().unwrap())
            .unwrap();
        // Neither removed nor emptied, also by root.
        fs::remove_file(file.path()).unwrap();
        fs::create_dir(file.path()).unwrap();
        crate::run::take_back(&file).await;
        assert!(clock::boottime() >= until);
    }
}
