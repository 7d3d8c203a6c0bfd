//! Exec mode: the command runs only while this process leads, and is gone before the lease is given back.
//!
//! Below the elector runs a guardian, and below that the command; see `guardian.rs` for why there are three. They are
//! parts of one program: [`part`] must be asked first in its `main`.

mod guardian;
mod link;
mod signals;
mod tree;

use std::env;
use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use leasehold::{Handle, KILL_MARGIN, Leadership, StopReason, clock};
use rustix::process::{Pid, set_child_subreaper};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::health::RunningCheck;

use self::link::{Order, Report, Until};
use self::signals::{Forward, ToCommand};

pub(crate) use self::signals::by_name as signal_by_name;

/// Plays the guardian of a command, or becomes the command, if this process was started for that: by the elector, with a
/// name of its own. Ask it first in `main`, and return what it says.
#[must_use]
pub fn part() -> Option<ExitCode> {
    let mut arguments = env::args_os();
    match arguments.next()?.to_str()? {
        GUARDIAN => Some(guardian::main(arguments.collect())),
        CHILD => Some(guardian::become_command(arguments)),
        _ => None,
    }
}

/// Takes note of the end of orphans that this process was given as the first of its container, where it runs no command.
pub(crate) fn reap_orphans() {
    tree::reap_orphans([None; 2]);
}

/// A command that cannot be run at all.
#[derive(Debug, thiserror::Error)]
#[error("{program} {what}")]
pub(crate) struct NoCommand {
    program: String,
    what: &'static str,
    pub(crate) code: u8,
}

/// The command of exec mode.
#[derive(Debug)]
pub(crate) struct Exec {
    command: Vec<OsString>,
    stop_signal: i32,
    env_file: Option<PathBuf>,
    to_command: ToCommand,
    /// Held while a guardian is started, and while everything is killed: what was killed is not started again.
    killed: Arc<Mutex<bool>>,
    guardian: Mutex<Option<Pid>>,
    /// The health check under way.
    check: RunningCheck,
    /// How the command ended the last time that it did.
    last_code: Mutex<Option<u8>>,
}

/// How the command of a term ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It was asked to, or killed.
    Stopped,
    /// By itself, while it was to run.
    ByItself,
}

impl Exec {
    /// Finds the program, so that a wrong name is known at once and not when this process comes to lead.
    ///
    /// # Errors
    /// [`NoCommand`] if there is no such program or it may not be executed.
    pub(crate) fn prepare(
        command: &[OsString],
        stop_signal: i32,
        env_file: Option<PathBuf>,
        check: RunningCheck,
    ) -> Result<Self> {
        find(Path::new(&command[0]))?;
        let exec = Self {
            command: command.to_vec(),
            stop_signal,
            env_file,
            to_command: ToCommand::default(),
            killed: Arc::default(),
            guardian: Mutex::default(),
            check,
            last_code: Mutex::default(),
        };
        exec.remove_env_file()?;
        Ok(exec)
    }

    /// Passes signals on, and takes care of orphans, as process 1 of a container has to.
    ///
    /// # Errors
    /// If the kernel refuses that.
    pub(crate) fn attend(self: &Arc<Self>, handle: &Handle) -> Result<()> {
        signals::pass_on(handle, &self.to_command)?;
        set_child_subreaper(Some(rustix::process::getpid())).context("orphans cannot be adopted")?;
        let mut ended = signal(SignalKind::child()).context("SIGCHLD cannot be received")?;
        let exec = Arc::clone(self);
        tokio::spawn(async move {
            while ended.recv().await.is_some() {
                tree::reap_orphans([*lock(&exec.guardian), exec.check.pid()]);
            }
        });
        Ok(())
    }

    /// Runs the command for one term. Returns when nothing of it is left.
    pub(crate) async fn lead(&self, leadership: &Leadership) -> End {
        let mut forwards = self.to_command.begin();
        *lock(&self.killed) = false;
        let end = match self.start(leadership) {
            Ok(Some(guarded)) => self.attend_to(guarded, leadership, &mut forwards).await,
            // The term was over before the command could start.
            Ok(None) => End::Stopped,
            Err(error) => {
                tracing::error!(error = format!("{error:#}"), "the command cannot be started");
                *lock(&self.last_code) = Some(WRAPPER_FAILED);
                End::ByItself
            }
        };
        self.to_command.end();
        // What was stopped for another leader says nothing about how this elector will end.
        if end == End::Stopped && leadership.stopping().await != StopReason::Requested {
            *lock(&self.last_code) = None;
        }
        if let Err(error) = self.remove_env_file() {
            tracing::error!(%error, "the file of the command's environment cannot be removed");
        }
        end
    }

    /// The exit code of the command that ran last, as a shell gives it.
    pub(crate) fn last_code(&self) -> Option<u8> {
        *lock(&self.last_code)
    }

    /// Kills all that runs below this process. It has ended when this returns.
    pub(crate) fn kill(&self) {
        kill(&self.killed);
    }

    fn start(&self, leadership: &Leadership) -> Result<Option<Guarded>> {
        let environment = environment(leadership);
        self.write_env_file(&environment)?;
        let (ours, theirs) = StdUnixStream::pair().context("no sockets")?;
        link::give(&ours, io::stdin()).context("standard input cannot be passed on")?;
        let mut command = Command::new(THIS_PROGRAM);
        command
            .arg0(GUARDIAN)
            .args(&self.command)
            .envs(environment)
            .stdin(Stdio::from(OwnedFd::from(theirs)));
        let killed = lock(&self.killed);
        if *killed || leadership.check().is_err() {
            return Ok(None);
        }
        let process = command.spawn().context("no process for the guardian of the command")?;
        *lock(&self.guardian) = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        drop(killed);
        ours.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        Ok(Some(Guarded { process, reports: BufReader::new(reader).lines(), orders: Orders { writer } }))
    }

    async fn attend_to(
        &self,
        mut guarded: Guarded,
        leadership: &Leadership,
        forwards: &mut tokio::sync::mpsc::UnboundedReceiver<Forward>,
    ) -> End {
        let mut end = End::ByItself;
        let mut asked = false;
        let mut renewals = leadership.renewals();
        loop {
            guarded.orders.run_on(leadership).await;
            tokio::select! {
                biased;
                report = guarded.reports.next_line() => match report.ok().flatten() {
                    // Its time was over while this process stood still: leadership is lost.
                    Some(report) if self.note(&report) == Noted::Expired => (asked, end) = (true, End::Stopped),
                    Some(_) => {}
                    None => break,
                },
                Some(forward) = forwards.recv() => {
                    let (order, stops) = match forward {
                        Forward::Signal(number) => (Order::Signal(number), STOPS.contains(&number)),
                        Forward::Kill => (Order::Kill, true),
                    };
                    guarded.orders.give(&order).await;
                    if stops {
                        (asked, end) = (true, End::Stopped);
                    }
                }
                reason = leadership.stopping(), if !asked => {
                    tracing::info!(%reason, signal = self.stop_signal, "asking the command to end");
                    guarded.orders.give(&Order::Signal(self.stop_signal)).await;
                    (asked, end) = (true, End::Stopped);
                }
                Some(()) = renewals.next(), if !asked => {}
                // In a planned stop the lease is renewed as long as the command runs.
                () = tokio::time::sleep(RUN_ON_EVERY), if asked => {}
            }
        }
        self.await_end(guarded.process).await;
        end
    }

    /// The guardian has closed the link. Unless it ended as it should, everything is killed.
    async fn await_end(&self, mut guardian: Child) {
        let status = guardian.wait().await;
        *lock(&self.guardian) = None;
        if status.as_ref().is_ok_and(std::process::ExitStatus::success) {
            return;
        }
        // It is held while another thread kills, which lasts as long as anything runs.
        let is_killed = self.killed.try_lock().map_or(true, |killed| *killed);
        if is_killed {
            lock(&self.last_code).get_or_insert(KILLED);
        } else {
            tracing::error!(?status, "the guardian of the command has died; ending the command");
            lock(&self.last_code).get_or_insert(WRAPPER_FAILED);
        }
        // Apart, so that HTTP is answered meanwhile.
        let killed = Arc::clone(&self.killed);
        let killing = tokio::task::spawn_blocking(move || kill(&killed));
        killing.await.expect("killing does not panic");
    }

    fn note(&self, line: &str) -> Noted {
        let code = match serde_json::from_str::<Report>(line) {
            Ok(Report::Started(pid)) => {
                *lock(&self.last_code) = None;
                tracing::info!(pid, "command started");
                return Noted::Other;
            }
            Ok(Report::Exited(code)) => {
                tracing::info!(code, "command ended");
                u8::try_from(code).unwrap_or(WRAPPER_FAILED)
            }
            Ok(Report::Signalled(signal)) => {
                tracing::info!(signal, "command ended by a signal");
                u8::try_from(128 + signal).unwrap_or(WRAPPER_FAILED)
            }
            Ok(Report::Failed(error)) => {
                tracing::error!(error, "the command cannot be started");
                WRAPPER_FAILED
            }
            Ok(Report::Expired) => {
                tracing::error!(
                    "the guardian ended the command: its time was over, and the elector had not ended it"
                );
                return Noted::Expired;
            }
            Err(error) => {
                tracing::error!(%error, line, "the guardian says what cannot be understood");
                return Noted::Other;
            }
        };
        *lock(&self.last_code) = Some(code);
        Noted::Other
    }

    fn write_env_file(&self, environment: &[(&str, String)]) -> Result<()> {
        let Some(path) = &self.env_file else { return Ok(()) };
        let quoted = |value: &str| value.replace('\'', r"'\''");
        let lines: String =
            environment.iter().map(|(name, value)| format!("{name}='{}'\n", quoted(value))).collect();
        let mut name = path.file_name().context("--env-file needs the path of a file")?.to_owned();
        name.push(".new");
        let temporary = path.with_file_name(name);
        let written = std::fs::write(&temporary, lines).and_then(|()| std::fs::rename(&temporary, path));
        written.with_context(|| format!("--env-file {} cannot be written", path.display()))
    }

    fn remove_env_file(&self) -> Result<()> {
        let Some(path) = &self.env_file else { return Ok(()) };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("--env-file {} cannot be removed", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// What a report means for how the term goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Noted {
    Expired,
    Other,
}

/// A guardian at work.
struct Guarded {
    process: Child,
    reports: tokio::io::Lines<BufReader<tokio::net::unix::OwnedReadHalf>>,
    orders: Orders,
}

struct Orders {
    writer: OwnedWriteHalf,
}

impl Orders {
    /// Lets the command run until shortly after the elector itself would have killed it.
    async fn run_on(&mut self, leadership: &Leadership) {
        // The reading first: what is left is then never counted from too late.
        let from = clock::now();
        let until = Until::new(&from, leadership.valid_for().saturating_sub(KILL_MARGIN / 2));
        self.give(&Order::Run(until)).await;
    }

    /// If the guardian is gone, the end of its reports says so.
    async fn give(&mut self, order: &Order) {
        self.writer.write_all(&link::line(order)).await.ok();
    }
}

/// What the command is told of its term.
fn environment(leadership: &Leadership) -> Vec<(&'static str, String)> {
    vec![
        ("LEADER_TOKEN", leadership.token().get().to_string()),
        ("LEADER_TERM", leadership.transitions().to_string()),
        ("LEADER_IDENTITY", leadership.identity().to_owned()),
        ("LEADER_LEASE", format!("{}/{}", leadership.namespace(), leadership.lease())),
    ]
}

/// Looks for a program as `execvp` does.
pub(crate) fn find(program: &Path) -> Result<(), NoCommand> {
    let no = |what, code| NoCommand { program: program.display().to_string(), what, code };
    let candidates: Vec<PathBuf> = if program.components().count() > 1 || program.is_absolute() {
        vec![program.to_owned()]
    } else {
        let path = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
        env::split_paths(&path).map(|folder| folder.join(program)).collect()
    };
    let mut found = candidates.iter().filter(|path| path.is_file()).peekable();
    if found.peek().is_none() {
        return Err(no("is not there, or not in PATH: nothing could be started", NOT_FOUND));
    }
    let may_run = |path: &&PathBuf| rustix::fs::access(*path, rustix::fs::Access::EXEC_OK).is_ok();
    if found.any(|path| may_run(&path)) { Ok(()) } else { Err(no("may not be executed", NOT_EXECUTABLE)) }
}

/// Kills all that runs below this process, and keeps a command from being started meanwhile.
fn kill(killed: &Mutex<bool>) {
    let mut killed = lock(killed);
    *killed = true;
    tree::kill_all_below();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// This program, also when its file was replaced or removed meanwhile.
const THIS_PROGRAM: &str = "/proc/self/exe";
const GUARDIAN: &str = "leader-elector-guardian";
const CHILD: &str = "leader-elector-command";
/// As of `timeout` and `env`: their own failure, a program that may not be executed, none such.
const WRAPPER_FAILED: u8 = 125;
const NOT_EXECUTABLE: u8 = 126;
const NOT_FOUND: u8 = 127;
/// 128 and SIGKILL, as a shell gives it.
const KILLED: u8 = 137;
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// SIGINT and SIGTERM.
const STOPS: [i32; 2] = [2, 15];
/// A fraction of the shortest renew interval.
const RUN_ON_EVERY: Duration = Duration::from_millis(200);
