//! The guardian: a process between the elector and its command, one for each term.
//!
//! It ends the command, with all that this started, when the time to run is over or the elector has died, so that a
//! stopped or killed elector does not leave a second instance at work. The elector, for its part, kills everything
//! below itself when the guardian cannot. Each adopts what the other's end leaves behind.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result};
use leasehold::clock::Alarm;
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getppid, kill_process, set_child_subreaper,
    set_parent_process_death_signal, setsid, wait,
};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::signal::unix::{SignalKind, signal};

use super::link::{self, Order, Report, Until};
use super::{CHILD, NOT_EXECUTABLE, NOT_FOUND, tree};

/// Runs as the guardian of a command.
pub(super) fn main(command: Vec<OsString>) -> ExitCode {
    match guard(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The elector may be gone, and its log with it.
            let _ = writeln!(io::stderr(), "error: the guardian of the command failed: {error:#}");
            tree::kill_all_below();
            ExitCode::FAILURE
        }
    }
}

/// Becomes the command, tied to the guardian: the kernel kills it when that dies.
pub(super) fn become_command(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let guardian = arguments.next().and_then(|text| text.to_str()?.parse().ok()).and_then(Pid::from_raw);
    let program = arguments.next().unwrap_or_default();
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return failed(&program, &error.into());
    }
    // It may have died before the kernel was asked.
    if getppid() != guardian {
        return ExitCode::FAILURE;
    }
    failed(&program, &Command::new(&program).args(arguments).exec())
}

/// Exit codes as of `env` and `timeout`.
fn failed(program: &OsStr, error: &io::Error) -> ExitCode {
    let missing = error.kind() == io::ErrorKind::NotFound;
    let or_interpreter = if missing { ", or what its first line names is not there" } else { "" };
    let program = program.display();
    let _ = writeln!(io::stderr(), "error: {program} cannot be started: {error}{or_interpreter}");
    ExitCode::from(if missing { NOT_FOUND } else { NOT_EXECUTABLE })
}

fn guard(command: Vec<OsString>) -> Result<()> {
    // A session of its own: no signal of a terminal, and nothing of the command can join the elector's group.
    setsid().context("no session of its own")?;
    set_child_subreaper(Some(rustix::process::getpid())).context("orphans cannot be adopted")?;
    let link = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let input = link::take(&link)?;
    link.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (reader, writer) = UnixStream::from_std(link)?.into_split();
        let mut guardian = Guardian { command, input: Some(input), writer, child: None, until: None };
        guardian.run(BufReader::new(reader).lines()).await
    })
}

#[derive(Debug)]
struct Guardian {
    command: Vec<OsString>,
    /// Of the command.
    input: Option<OwnedFd>,
    writer: OwnedWriteHalf,
    /// The command while it runs.
    child: Option<Pid>,
    until: Option<Until>,
}

impl Guardian {
    async fn run(&mut self, mut orders: Lines<BufReader<OwnedReadHalf>>) -> Result<()> {
        let mut ended = signal(SignalKind::child())?;
        let _ignored = ignore_signals()?;
        let alarm = Alarm::new()?;
        loop {
            tokio::select! {
                // Time first: nothing that is told puts off what is due.
                biased;
                rings = alarm.rings() => rings?,
                line = orders.next_line() => match line?.map(|line| serde_json::from_str(&line)).transpose()? {
                    Some(order) => self.obey(order).await?,
                    // The elector is gone: nobody renews any more.
                    None => return self.end_all().await,
                },
                _ = ended.recv() => {}
            }
            if self.until.is_some_and(|until| until.left().is_zero()) {
                self.report(&Report::Expired).await;
                return self.end_all().await;
            }
            alarm.set(self.until.map(Until::left))?;
            if self.reap().await? {
                return Ok(());
            }
        }
    }

    async fn obey(&mut self, order: Order) -> Result<()> {
        match order {
            Order::Run(until) => {
                self.until = Some(until);
                if let Some(input) = self.input.take().filter(|_| !until.left().is_zero()) {
                    self.start(input).await;
                }
            }
            Order::Signal(number) => {
                if let (Some(child), Some(signal)) = (self.child, Signal::from_named_raw(number)) {
                    // It may end at this moment.
                    kill_process(child, signal).ok();
                }
            }
            Order::Kill => tree::kill_all_below(),
        }
        Ok(())
    }

    async fn start(&mut self, input: OwnedFd) {
        let mut command = Command::new(super::THIS_PROGRAM);
        command.arg0(CHILD).arg(std::process::id().to_string()).args(&self.command);
        // The group is what is killed: nothing can fork away from it.
        let spawned = command.stdin(Stdio::from(input)).process_group(0).spawn();
        match spawned.map(|child| Pid::from_child(&child)) {
            Ok(child) => {
                self.child = Some(child);
                self.report(&Report::Started(child.as_raw_pid())).await;
            }
            Err(error) => self.report(&Report::Failed(error.to_string())).await,
        }
    }

    /// Takes note of what has ended; true once nothing of the command is left.
    async fn reap(&mut self) -> Result<bool> {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.child => {
                    self.child = None;
                    self.report(&how_it_ended(status)).await;
                    // What the command has left behind has no other reason to end.
                    tree::terminate_all_below();
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                // Before its start there is nothing to wait for either.
                Err(Errno::CHILD) => return Ok(self.input.is_none()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error).context("waiting for the command"),
            }
        }
    }

    async fn end_all(&mut self) -> Result<()> {
        tree::kill_all_below();
        while !self.reap().await? && self.input.is_none() {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// If the elector is gone, the end of the link says so.
    async fn report(&mut self, report: &Report) {
        self.writer.write_all(&link::line(report)).await.ok();
    }
}

fn how_it_ended(status: WaitStatus) -> Report {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Report::Exited(code),
        (None, Some(signal)) => Report::Signalled(signal),
        (None, None) => Report::Failed("it ended in an unknown way".to_owned()),
    }
}

/// The elector decides what a signal means. Sent to both, it must not end the guardian.
fn ignore_signals() -> io::Result<Vec<tokio::signal::unix::Signal>> {
    super::signals::FORWARDED.iter().map(|&number| signal(SignalKind::from_raw(number))).collect()
}
