//! A process that this one started: signalled by id, and never left behind.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};

/// A running process, killed when this is dropped, or when our own process ends in any way.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// `None` once it may outlive us.
    guard: Option<Guard>,
}

impl Process {
    /// Starts a program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().with_context(|| format!("starting {name}"))?;
        let guard = Guard::over(child.id()).or_else(|error| {
            child.kill().and_then(|()| child.wait()).context("ending an unguarded process")?;
            Err(error)
        })?;
        Ok(Self { name, child, guard: Some(guard) })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it in its tracks, as a long pause does (SIGSTOP).
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it run on after [`pause`](Self::pause) (SIGCONT).
    ///
    /// # Errors
    /// When it has ended.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// When it has ended already.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Ends it at once (SIGKILL). It is gone when this returns.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.child.wait().with_context(|| format!("waiting for {} to end", self.name))
    }

    /// How it ended, or `None` while it runs.
    ///
    /// # Errors
    /// When the system cannot say.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking whether {} has ended", self.name))
    }

    /// Waits until it has ended; `None` when it still runs after `timeout`.
    ///
    /// # Errors
    /// When the system cannot say.
    pub async fn wait(&mut self, timeout: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.exit_status()?;
            if status.is_some() || Instant::now() >= deadline {
                return Ok(status);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Lets it outlive this handle and our own process.
    pub(crate) fn detach(mut self) {
        self.guard = None;
    }

    pub(crate) fn child_mut(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The id cannot belong to another process: only `self.child` can reap ours, and it has not.
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if let Some(status) = self.exit_status()? {
            bail!("{} has already ended with {status}", self.name);
        }
        send(self.id(), signal).with_context(|| format!("signalling {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.guard.is_some() {
            // Both fail only for a process that has ended already.
            self.child.kill().and_then(|()| self.child.wait()).ok();
        }
    }
}

/// Kills a process when our own is gone, however it ended.
///
/// `Drop` does not run in a test that is killed or aborts, and a server left
/// behind would hold its ports for ever. A shell reads from a pipe of which
/// only we have the other end: at our end it reads the end of file.
#[derive(Debug)]
struct Guard(Child);

impl Guard {
    fn over(id: u32) -> Result<Self> {
        let child = Command::new("sh")
            .args(["-c", "read -r _; kill -KILL \"$0\"", &id.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of our group: an interrupt from the keyboard must not end the guard first.
            .process_group(0)
            .spawn()
            .context("starting the shell that guards a process")?;
        Ok(Self(child))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // Killed before its pipe closes, so that it never signals an id that is free again.
        self.0.kill().and_then(|()| self.0.wait()).ok();
    }
}

/// Reads the clock that also counts suspended time, in nanoseconds since boot.
///
/// # Panics
/// When the clock is before zero, which it never is.
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let nanoseconds = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    u64::try_from(nanoseconds).expect("CLOCK_BOOTTIME starts at zero and lasts 584 years")
}

pub(crate) fn send(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("no process has this id")?;
    Ok(kill_process(pid, signal)?)
}

const POLL_INTERVAL: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Process {
        let mut command = Command::new("sleep");
        command.arg("600");
        Process::spawn(command).unwrap()
    }

    fn is_running(id: u32) -> bool {
        // A zombie still has an entry: what counts is whether it executes.
        std::fs::read_to_string(format!("/proc/{id}/stat"))
            .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z'))
    }

    #[test]
    fn a_process_is_gone_when_its_handle_is_dropped_even_if_it_is_paused() {
        let mut process = sleeper();
        let id = process.id();
        process.pause().unwrap();
        assert!(is_running(id));
        drop(process);
        assert!(!is_running(id));
    }

    #[tokio::test]
    async fn a_guard_kills_its_process_when_the_pipe_closes() {
        let mut process = sleeper();
        let pipe = process.guard.as_mut().unwrap().0.stdin.take();
        drop(pipe);
        let status = process.wait(Duration::from_secs(10)).await.unwrap();
        assert!(status.is_some_and(|status| !status.success()), "{status:?}");
    }

    #[test]
    fn a_signal_to_an_ended_process_is_an_error_that_says_how_it_ended() {
        let mut process = sleeper();
        process.kill().unwrap();
        let error = process.pause().unwrap_err().to_string();
        assert!(error.contains("has already ended with signal: 9"), "{error}");
    }
}
