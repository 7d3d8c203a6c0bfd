//! When the service has done with what leadership allowed: only then is the lease given back in a planned stop.
//!
//! Without a command of its own this program cannot stop the service, and cannot see it stop unless it is told how.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use leasehold::{Leadership, StopReason, clock};
use procfs::process::all_processes;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use tokio::net::TcpStream;

/// By what the service is known to have done, before the time is over in which it may believe that it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppDone {
    /// By nothing: that time is waited for.
    Time,
    /// It asks before each act, and so has done at once.
    AtOnce,
    /// This is a native sidecar: it is asked to end after the service has ended.
    Native,
    /// This file is there. It is removed when a term begins.
    File(PathBuf),
    /// The process whose id is in this file has ended, or the file is gone.
    PidFile(PathBuf),
    /// Nobody listens there any more.
    PortClosed(SocketAddr),
    /// No process has this name. Needs a process namespace that the containers share.
    Process(String),
}

impl AppDone {
    /// Forgets what was said about an earlier term.
    pub(crate) fn begin(&self) -> io::Result<()> {
        match self {
            Self::File(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
            Self::Time
            | Self::AtOnce
            | Self::Native
            | Self::PidFile(_)
            | Self::PortClosed(_)
            | Self::Process(_) => Ok(()),
        }
    }

    /// Waits until the service has done, in a planned stop; after a lost lease there is nothing to give back. Begins when
    /// the service is told, with what it may believe until then.
    pub(crate) async fn wait(&self, leadership: &Leadership) {
        let reason = leadership.stopping().await;
        if !reason.is_planned() {
            return;
        }
        let until = clock::boottime() + leadership.valid_for();
        while !self.is_done(&reason).await {
            let left = until.saturating_sub(clock::boottime());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(POLL)).await;
        }
    }

    async fn is_done(&self, reason: &StopReason) -> bool {
        match self {
            Self::Time => false,
            Self::AtOnce => true,
            // Whoever asks for a step-down by HTTP does not end the service.
            Self::Native => *reason == StopReason::Requested,
            Self::File(path) => path.exists(),
            Self::PidFile(path) => is_pid_gone(path),
            Self::PortClosed(address) => {
                let connected = tokio::time::timeout(POLL * 4, TcpStream::connect(address)).await;
                matches!(connected, Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
            }
            Self::Process(name) => is_nobody_named(name),
        }
    }
}

impl FromStr for AppDone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text.split_once(':').unwrap_or((text, ""));
        let wrong = || {
            format!(
                "{text:?} says nothing of when the service has done; write time, at-once, native, file:PATH, \
                 pid-file:PATH, port-closed:PORT or process:NAME"
            )
        };
        match (kind, value) {
            ("time", "") => Ok(Self::Time),
            ("at-once", "") => Ok(Self::AtOnce),
            ("native", "") => Ok(Self::Native),
            (_, "") => Err(wrong()),
            ("file", path) => Ok(Self::File(path.into())),
            ("pid-file", path) => Ok(Self::PidFile(path.into())),
            ("port-closed", port) => match port.parse() {
                Ok(port) => Ok(Self::PortClosed(SocketAddr::from(([127, 0, 0, 1], port)))),
                Err(_) => port.parse().map(Self::PortClosed).map_err(|_| wrong()),
            },
            ("process", name) => Ok(Self::Process(name.to_owned())),
            _ => Err(wrong()),
        }
    }
}

/// A file that cannot be read says nothing.
fn is_pid_gone(path: &Path) -> bool {
    match fs::read_to_string(path) {
        Ok(text) => text
            .split_whitespace()
            .next()
            .and_then(|first| Pid::from_raw(first.parse().ok()?))
            .is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// By the name of the program in the command line, or of the process, which the kernel cuts at 15 bytes.
fn is_nobody_named(name: &str) -> bool {
    let Ok(processes) = all_processes() else { return false };
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let has_name = |process: procfs::process::Process| {
        let stat = process.stat().ok()?;
        let program = process.cmdline().ok()?.into_iter().next().unwrap_or_default();
        let by_program = Path::new(&program).file_name().is_some_and(|file| file == name);
        Some(stat.pid != own && stat.state != 'Z' && (by_program || stat.comm == name))
    };
    !processes.flatten().any(|process| has_name(process) == Some(true))
}

const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    async fn is_done(done: &AppDone) -> bool {
        done.is_done(&StopReason::Requested).await
    }

    #[test]
    fn what_people_write_is_read_and_the_rest_refused_with_the_forms() {
        let port = |address: &str| AppDone::PortClosed(address.parse().unwrap());
        for (text, done) in [
            ("time", AppDone::Time),
            ("at-once", AppDone::AtOnce),
            ("native", AppDone::Native),
            ("file:/run/app/done", AppDone::File("/run/app/done".into())),
            ("pid-file:/run/app.pid", AppDone::PidFile("/run/app.pid".into())),
            ("port-closed:5432", port("127.0.0.1:5432")),
            ("port-closed:[::1]:5432", port("[::1]:5432")),
            ("process:postgres", AppDone::Process("postgres".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(done), "{text}");
        }
        for text in ["", "file", "file:", "port-closed:http", "native:now", "soon"] {
            let error = text.parse::<AppDone>().unwrap_err();
            assert!(error.contains("write time, at-once, native, file:PATH"), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn a_native_sidecar_is_asked_to_end_after_the_service_but_to_step_down_before_it() {
        assert!(AppDone::Native.is_done(&StopReason::Requested).await);
        assert!(!AppDone::Native.is_done(&StopReason::StepDown).await);
    }

    #[tokio::test]
    async fn a_file_of_an_earlier_term_says_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("done");
        let done = AppDone::File(path.clone());
        fs::write(&path, "").unwrap();
        assert!(is_done(&done).await);
        done.begin().unwrap();
        assert!(!is_done(&done).await);
        done.begin().unwrap();
    }

    #[tokio::test]
    async fn a_process_has_done_when_it_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        fs::write(&path, format!("{}\n", child.id())).unwrap();
        let by_file = AppDone::PidFile(path.clone());
        assert!(!is_done(&by_file).await);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_done(&by_file).await);
        fs::write(&path, "not yet written").unwrap();
        assert!(!is_done(&by_file).await, "what cannot be read says nothing");
        fs::remove_file(&path).unwrap();
        assert!(is_done(&by_file).await);
    }

    #[tokio::test]
    async fn a_process_is_found_by_the_name_of_its_program() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("a-service-with-a-long-name");
        fs::copy("/bin/sleep", &program).unwrap();
        let done = AppDone::Process("a-service-with-a-long-name".to_owned());
        assert!(is_done(&done).await);
        let mut child = std::process::Command::new(&program).arg("1000").spawn().unwrap();
        assert!(!is_done(&done).await);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_done(&done).await);
    }

    #[tokio::test]
    async fn a_port_that_is_closed_shows_that_the_service_has_ended() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let done = AppDone::PortClosed(listener.local_addr().unwrap());
        assert!(!is_done(&done).await);
        drop(listener);
        assert!(is_done(&done).await);
    }
}
