//! A command whose exit code says whether this Pod is fit to lead.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Child;

use super::Outcome;
use crate::exec;

/// A command in words.
#[derive(Clone, Debug)]
pub(super) struct Command {
    words: Vec<String>,
}

/// The check under way: who reaps orphans leaves it to the one who waits for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunningCheck {
    pid: Arc<Mutex<Option<Pid>>>,
}

impl RunningCheck {
    pub(crate) fn pid(&self) -> Option<Pid> {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, pid: Option<Pid>) {
        *self.pid.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }
}

impl Command {
    /// Finds the program, so that a wrong name is known at once and not taken for ill health.
    pub(super) fn read(text: &str) -> Result<Self> {
        let words = shlex::split(text)
            .with_context(|| format!("--health-exec {text:?} has a quote without its end"))?;
        let program =
            words.first().context("--health-exec is empty; write a command, as in 'pg_isready -q'")?;
        exec::find(Path::new(program)).map_err(|error| anyhow!("--health-exec: {error}"))?;
        Ok(Self { words })
    }

    pub(super) async fn ask(&self, timeout: Duration, running: &RunningCheck) -> Outcome {
        let name = &self.words[0];
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => return Outcome::Failed(format!("{name} cannot be started: {error}")),
        };
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        running.set(group);
        let said = Said::listen(&mut child);
        let status = tokio::time::timeout(timeout, child.wait()).await;
        if status.is_err() {
            // What it has started goes with it.
            if let Some(group) = group {
                kill_process_group(group, Signal::KILL).ok();
            }
            child.wait().await.ok();
        }
        running.set(None);
        let said = said.end().await;
        match status {
            Ok(Ok(status)) if status.success() => Outcome::Passed,
            Ok(Ok(status)) => Outcome::Failed(format!("{name} says {}{said}", how(status))),
            Ok(Err(error)) => Outcome::Failed(format!("{name} cannot be waited for: {error}")),
            Err(_) => {
                Outcome::TimedOut(format!("{name} did not end within {timeout:?} and was killed{said}"))
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        tokio::process::Command::new(&self.words[0])
            .args(&self.words[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
    }
}

fn how(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("no: exit code {code}"),
        (None, signal) => format!("nothing: signal {} ended it", signal.unwrap_or_default()),
    }
}

/// What a command says while it runs: its first words are kept, for people.
struct Said {
    words: Arc<Mutex<Vec<u8>>>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
}

impl Said {
    fn listen(child: &mut Child) -> Self {
        let words = Arc::<Mutex<Vec<u8>>>::default();
        let out = child.stdout.take().map(|pipe| tokio::spawn(keep(pipe, Arc::clone(&words))));
        let err = child.stderr.take().map(|pipe| tokio::spawn(keep(pipe, Arc::clone(&words))));
        Self { words, listeners: out.into_iter().chain(err).collect() }
    }

    /// What it has left running may hold the pipes open for ever.
    async fn end(self) -> String {
        for mut listener in self.listeners {
            if tokio::time::timeout(LISTENS_ON, &mut listener).await.is_err() {
                listener.abort();
            }
        }
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&words).split_whitespace().collect::<Vec<_>>().join(" ");
        if text.is_empty() { text } else { format!(": {text}") }
    }
}

async fn keep(mut pipe: impl AsyncRead + Unpin, words: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1_024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        let room = KEPT_MAX.saturating_sub(words.len());
        words.extend(&buffer[..length.min(room)]);
    }
}

const KEPT_MAX: usize = 200;
const LISTENS_ON: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    async fn ask(text: &str, timeout: Duration) -> Outcome {
        Command::read(text).unwrap().ask(timeout, &RunningCheck::default()).await
    }

    #[tokio::test]
    async fn an_exit_code_and_what_was_said_decide_and_tell() {
        assert_eq!(ask("true", LONG).await, Outcome::Passed);
        let failed = ask("sh -c 'echo not  yet; exit 3'", LONG).await;
        assert_eq!(failed, Outcome::Failed("sh says no: exit code 3: not yet".to_owned()));
        let signalled = ask("sh -c 'kill -9 $$'", LONG).await;
        assert_eq!(signalled, Outcome::Failed("sh says nothing: signal 9 ended it".to_owned()));
    }

    #[tokio::test]
    async fn a_check_that_says_a_lot_or_leaves_somebody_behind_does_not_hang() {
        assert_eq!(ask("sh -c 'head -c 1000000 /dev/zero'", LONG).await, Outcome::Passed);
        assert_eq!(ask("sh -c 'sleep 3 & exit 0'", LONG).await, Outcome::Passed);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_has_started() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pids");
        let script = format!("sh -c 'sleep 1000 & echo $! $$ > {}; wait'", path.display());
        let command = Command::read(&script).unwrap();
        let mut timeout = Duration::from_millis(50);
        let pids = loop {
            // However loaded the machine is, it comes to write them.
            assert!(matches!(command.ask(timeout, &RunningCheck::default()).await, Outcome::TimedOut(_)));
            match std::fs::read_to_string(&path) {
                Ok(pids) if pids.ends_with('\n') => break pids,
                _ => timeout *= 2,
            }
        };
        for pid in pids.split_whitespace() {
            let state = || std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The kernel ends what was killed in its own time; what nobody reaps stays as a zombie.
            while !(state().is_empty() || state().contains(") Z ") || state().contains(") X ")) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[test]
    fn a_command_that_cannot_be_run_is_refused_at_the_start() {
        let error = |text: &str| format!("{:#}", Command::read(text).unwrap_err());
        assert!(error("no-such-program --ok").contains("no-such-program is not there"));
        assert!(error("sh -c 'exit").contains("a quote without its end"));
        assert!(error("").contains("is empty"));
    }
}
