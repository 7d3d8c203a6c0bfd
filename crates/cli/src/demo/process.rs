//! A process that the demo started: signalled by id, and never left behind.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use leasehold_history::Nanos;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use rustix::time::{ClockId, clock_gettime};

/// A running process of this program's own file, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `leasehold ARGS --parent PID`, with what it says going to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(name: &str, args: &[String], log: PathBuf) -> Result<Self> {
        let stderr = File::create(&log).with_context(|| format!("writing {}", log.display()))?;
        let mut command = Command::new(OWN_PROGRAM);
        for (key, _) in std::env::vars_os().filter(|(key, _)| is_setting(&key.to_string_lossy())) {
            command.env_remove(key);
        }
        let child = command
            .arg0("leasehold")
            .args(args)
            .args(["--parent", &std::process::id().to_string()])
            .env("POD_NAME", name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(stderr)
            // Out of our group: Ctrl-C in a terminal is for the demo, which ends its processes itself.
            .process_group(0)
            .spawn()
            .context("starting a candidate")?;
        Ok(Self { child, log })
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// If the system cannot say.
    pub(crate) fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("asking whether a candidate has ended")
    }

    /// Sends a signal. The id cannot belong to another process: only `self.child` can reap ours, and it has not.
    ///
    /// # Errors
    /// If it has ended.
    pub(crate) fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            anyhow::bail!("a candidate has ended by itself ({status}){}", self.last_words());
        }
        kill_process(self.pid()?, signal).context("signalling a candidate")
    }

    /// Stops it in its tracks (SIGSTOP), and waits until it has stopped.
    ///
    /// # Errors
    /// If it has ended, or does not stop.
    pub(crate) fn stop(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let deadline = Instant::now() + STOP_PATIENCE;
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while waitid(WaitId::Pid(self.pid()?), options).context("waiting for a candidate to stop")?.is_none()
        {
            ensure!(Instant::now() < deadline, "a candidate did not stop on SIGSTOP in {STOP_PATIENCE:?}");
            thread::sleep(STOP_POLL);
        }
        Ok(())
    }

    fn pid(&self) -> Result<Pid> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.context("a process without an id")
    }

    /// The last lines that it wrote, for an error message.
    pub(crate) fn last_words(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let last = &lines[lines.len().saturating_sub(LAST_WORDS)..];
        last.iter().map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only for a process that has ended already. SIGKILL ends a paused one, too.
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// The clock that all candidates and the meter share.
pub(crate) fn boottime() -> Nanos {
    let now = clock_gettime(ClockId::Boottime);
    let nanos = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    Nanos(nanos.try_into().unwrap_or_default())
}

/// What the user set for another election must not change this one.
fn is_setting(key: &str) -> bool {
    key == "KUBECONFIG"
        || ["LEADER_ELECTOR_", "POD_", "LEASEHOLD_"].iter().any(|prefix| key.starts_with(prefix))
}

/// The running program, even if its file was replaced since it was started.
const OWN_PROGRAM: &str = "/proc/self/exe";
const LAST_WORDS: usize = 6;
/// It takes the kernel microseconds.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
const STOP_POLL: Duration = Duration::from_micros(100);
