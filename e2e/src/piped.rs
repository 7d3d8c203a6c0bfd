//! A process that talks in lines: what it prints arrives with the time of arrival.

use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::ops::{Deref, DerefMut};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use crate::process::{Process, boottime_ns};

/// One line that a process wrote to its stdout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// CLOCK_BOOTTIME when the line was complete here, in nanoseconds. It was written before that.
    pub boottime_ns: u64,
    /// The line without its end.
    pub text: String,
}

/// A [`Process`] whose stdin is written, and whose stdout and stderr are read.
#[derive(Debug)]
pub struct PipedProcess {
    process: Process,
    stdin: ChildStdin,
    lines: UnboundedReceiver<Line>,
    errors: Arc<Mutex<String>>,
}

impl PipedProcess {
    /// Starts a program and the threads that read from it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn spawn(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(command)?;
        let child = process.child_mut();
        let stdin = child.stdin.take().expect("asked for above");
        let stdout = child.stdout.take().expect("asked for above");
        let stderr = child.stderr.take().expect("asked for above");
        Ok(Self { process, stdin, lines: read_lines(stdout), errors: keep_text(stderr) })
    }

    /// The next line of its stdout; `None` when it has closed it.
    ///
    /// # Errors
    /// When no line came within `timeout`: the error holds what it wrote to stderr.
    pub async fn next_line(&mut self, timeout: Duration) -> Result<Option<Line>> {
        tokio::time::timeout(timeout, self.lines.recv())
            .await
            .with_context(|| format!("no line within {timeout:?}; stderr:\n{}", self.errors()))
    }

    /// The lines that have arrived and were not taken yet.
    pub fn arrived_lines(&mut self) -> Vec<Line> {
        std::iter::from_fn(|| self.lines.try_recv().ok()).collect()
    }

    /// Writes a line to its stdin.
    ///
    /// # Errors
    /// When it no longer reads.
    pub fn write_line(&mut self, text: &str) -> Result<()> {
        writeln!(self.stdin, "{text}")
            .and_then(|()| self.stdin.flush())
            .context("writing to a process's stdin")
    }

    /// Waits until it has ended and all that it wrote to its stderr has arrived.
    ///
    /// # Errors
    /// When that is not so after `timeout`.
    pub async fn finish(&mut self, timeout: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        let status = self.process.wait(timeout).await?;
        let status =
            status.with_context(|| format!("runs on after {timeout:?}; stderr:\n{}", self.errors()))?;
        // The thread that reads lets go of the text at the end of the pipe.
        while Arc::strong_count(&self.errors) > 1 {
            ensure!(Instant::now() < deadline, "somebody else holds its stderr open:\n{}", self.errors());
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(status)
    }

    /// All that it has written to its stderr.
    pub fn errors(&self) -> String {
        self.errors.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }
}

impl Deref for PipedProcess {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for PipedProcess {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// A thread of its own, so that a busy runtime never delays the stamp. A line that the end of the process tore is none.
fn read_lines(stdout: impl Read + Send + 'static) -> UnboundedReceiver<Line> {
    let (sender, receiver) = mpsc::unbounded_channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut text = String::new();
        while stdout.read_line(&mut text).is_ok() && text.ends_with('\n') {
            text.pop();
            let line = Line { boottime_ns: boottime_ns(), text: std::mem::take(&mut text) };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn keep_text(stderr: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let target = Arc::clone(&kept);
    thread::spawn(move || {
        for line in BufReader::new(stderr).lines() {
            let Ok(line) = line else { return };
            let mut text = target.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            text.push_str(&line);
            text.push('\n');
        }
    });
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> PipedProcess {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        PipedProcess::spawn(command).unwrap()
    }

    #[tokio::test]
    async fn lines_arrive_in_order_and_stamped_and_the_end_is_seen() {
        let before = boottime_ns();
        let mut process = PipedProcess::spawn(Command::new("cat")).unwrap();
        process.write_line("one").unwrap();
        process.write_line("two").unwrap();
        let one = process.next_line(PATIENCE).await.unwrap().unwrap();
        let two = process.next_line(PATIENCE).await.unwrap().unwrap();
        assert_eq!((one.text.as_str(), two.text.as_str()), ("one", "two"));
        assert!(before < one.boottime_ns && one.boottime_ns <= two.boottime_ns);
        process.terminate().unwrap();
        assert_eq!(process.next_line(PATIENCE).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_silent_process_is_an_error_that_shows_its_stderr() {
        let mut process = shell("echo broken >&2; exec sleep 600");
        let error = process.next_line(Duration::from_secs(1)).await.unwrap_err().to_string();
        assert!(error.contains("broken"), "{error}");
    }

    /// A candidate that ended while it answered left a `{` behind, and the test that read it failed.
    #[tokio::test]
    async fn a_line_that_the_end_of_the_process_tore_is_none() {
        let mut process = shell("echo whole; printf '{'");
        assert_eq!(process.next_line(PATIENCE).await.unwrap().unwrap().text, "whole");
        assert_eq!(process.next_line(PATIENCE).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_last_words_of_a_process_are_there_when_it_has_finished() {
        let mut process = shell("echo last words >&2; exit 3");
        let status = process.finish(PATIENCE).await.unwrap();
        assert_eq!((status.code(), process.errors().as_str()), (Some(3), "last words\n"));
    }
}
