//! The sidecar at work: listeners, signals, the election, and the file as its work.

use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use anyhow::{Context as _, Result, anyhow, bail};
use leasehold::{Candidate, Change, Handle, HardStop, Health, Leadership, clock};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, OnLost};
use crate::config::{Config, Listener};
use crate::done::AppDone;
use crate::exec::{End, Exec, NoCommand};
use crate::file::LeaderFile;
use crate::health::RunningCheck;
use crate::{http, kubeconfig};

/// How the sidecar ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// Asked to stop, and stopped. 0.
    Stopped,
    /// The flags or the environment cannot be used, or the election could not start. 2.
    Unusable,
    /// Leadership was lost, and `--on-lost exit` was given. 75, EX_TEMPFAIL.
    Lost,
    /// Did not lead within `--acquire-timeout`. 124, as of `timeout`.
    NeverLed,
    /// The command's own: what it exited with, 128 and the number of the signal that ended it, 125 if it could not be run
    /// or watched, 126 if it may not be executed, 127 if it is not there, as of `env` and `timeout`.
    Command(u8),
}

impl ExitStatus {
    /// How the program ends that could not elect because of this error.
    pub fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref::<NoCommand>().map_or(Self::Unusable, |no_command| Self::Command(no_command.code))
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Stopped => 0,
            ExitStatus::Unusable => 2,
            ExitStatus::Lost => 75,
            ExitStatus::NeverLed => 124,
            ExitStatus::Command(code) => code,
        })
    }
}

/// Elects until a signal comes.
///
/// # Errors
///
/// If the election cannot start.
pub fn run(config: &Config) -> Result<ExitStatus> {
    log_to_stderr(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(elect(config))
}

async fn elect(config: &Config) -> Result<ExitStatus> {
    let check = RunningCheck::default();
    let work = Arc::new(Work::prepare(config, check.clone())?);
    let health = config.health.as_ref().map(|health| watch::channel(health.at_start()));
    let (told, health) = health.unzip();
    let candidate = candidate(config, Arc::clone(&work), health).await?;
    let handle = candidate.handle();
    listen(config, &handle).await?;
    match &work.exec {
        Some(exec) => exec.attend(&handle)?,
        None => stop_on_signals(handle.clone())?,
    }
    if let (Some(health), Some(told)) = (config.health.clone(), told) {
        tokio::spawn(health.watch(handle.clone(), told, check));
    }
    let lost = note_loss(config.on_lost, handle.clone());
    let never_led = give_up_after(config.acquire_timeout, handle.clone());
    tracing::info!(lease = %config.lease, namespace = %config.namespace, identity = candidate.identity(), "campaigning");
    candidate.run(|leadership| lead(leadership, Arc::clone(&work), handle.clone())).await?;
    Ok(match work.exec.as_ref().and_then(|exec| exec.last_code()) {
        _ if lost.load(Ordering::SeqCst) => ExitStatus::Lost,
        _ if never_led.load(Ordering::SeqCst) => ExitStatus::NeverLed,
        Some(code) => ExitStatus::Command(code),
        None => ExitStatus::Stopped,
    })
}

/// What a term does: the is-leader file, the command, or both.
#[derive(Debug)]
struct Work {
    file: Option<LeaderFile>,
    exec: Option<Arc<Exec>>,
    /// Of the service that asks; a command is seen to end.
    app_done: AppDone,
}

impl Work {
    fn prepare(config: &Config, check: RunningCheck) -> Result<Self> {
        let file = config.file.clone().map(|path| {
            let shown = path.display().to_string();
            LeaderFile::prepare(path).with_context(|| {
                format!("the is-leader file {shown} cannot be written; mount an emptyDir there, name another --file, or --file off")
            })
        });
        let exec = (!config.command.is_empty())
            .then(|| Exec::prepare(&config.command, config.stop_signal, config.env_file.clone(), check));
        Ok(Self {
            file: file.transpose()?,
            exec: exec.transpose()?.map(Arc::new),
            app_done: config.app_done.clone(),
        })
    }

    /// Ends a term's work by force. To abort, the library's default, would end the sidecar and leave the file behind, and
    /// the command at work until the guardian ends it. Without either there is nothing to end, since HTTP says by itself
    /// that the term is over.
    fn end_at_once(&self, stop: &HardStop) {
        if let Some(exec) = &self.exec {
            tracing::error!(%stop, "killing the command");
            exec.kill();
        }
        let Some(file) = &self.file else { return };
        if let Err(error) = file.take_back() {
            tracing::error!(%error, %stop, file = %file.path().display(), "the is-leader file cannot be removed; it counts until its lead_until");
        }
    }
}

async fn candidate(
    config: &Config,
    work: Arc<Work>,
    health: Option<watch::Receiver<Health>>,
) -> Result<Candidate> {
    let mut builder = Candidate::builder(&config.namespace, &config.lease)
        .timing(config.timing.clone())
        .stop_timeout(config.stop_timeout())
        .on_missing(config.on_missing)
        .peers(config.peers)
        .accept_restore(config.accept_restore)
        .priority(config.priority)
        .record_events(config.events)
        .evidence(config.evidence)
        .termination_log(&config.termination_log)
        .mode(config.mode())
        .hard_stop(move |stop| work.end_at_once(&stop));
    if let Some(health) = health {
        builder = builder.health(health);
    }
    if let Some(time) = config.lead_unhealthy_after {
        builder = builder.lead_unhealthy_after(time);
    }
    if let Some(identity) = &config.identity {
        builder = builder.identity(identity);
    }
    if config.kubeconfig.is_some() || config.context.is_some() {
        builder = builder
            .kube_config(kubeconfig::load(config.kubeconfig.as_deref(), config.context.as_deref()).await?);
    }
    Ok(builder.build()?)
}

/// The work of a term. A command that ends by itself ends the candidate: whoever started it decides what comes next.
async fn lead(leadership: Leadership, work: Arc<Work>, handle: Handle) {
    if let Err(error) = work.app_done.begin() {
        tracing::error!(%error, "the file by which the service says that it has done cannot be removed");
    }
    let run = async {
        match &work.exec {
            Some(exec) => {
                if exec.lead(&leadership).await == End::ByItself {
                    handle.stop();
                }
                // Somebody else may read the file, and go on by it when the command has ended.
                if work.file.is_some() {
                    work.app_done.wait(&leadership).await;
                }
            }
            None => work.app_done.wait(&leadership).await,
        }
    };
    let publish = async {
        if let Some(file) = &work.file {
            publish(&leadership, file).await;
            // A leader whose file cannot be written is none.
            if leadership.check().is_ok() {
                handle.step_down();
            }
        }
    };
    tokio::join!(run, publish);
}

/// Says in the file that this Pod leads, and takes it back before the lease is released.
async fn publish(leadership: &Leadership, file: &LeaderFile) {
    let mut renewals = leadership.renewals();
    loop {
        if let Err(error) = file.write(leadership) {
            // A leader that nobody can see is none: let another one lead.
            tracing::error!(%error, file = %file.path().display(), "the is-leader file cannot be written; stepping down");
            break;
        }
        if renewals.next().await.is_none() {
            break;
        }
    }
    take_back(file).await;
}

/// The work has not ended as long as the file may be believed.
pub(crate) async fn take_back(file: &LeaderFile) {
    while let Err(error) = file.take_back() {
        let left = file.believed_until().saturating_sub(clock::boottime());
        tracing::error!(%error, ?left, file = %file.path().display(), "the is-leader file cannot be removed");
        if left.is_zero() {
            return;
        }
        tokio::time::sleep(left.min(TAKE_BACK_PAUSE)).await;
    }
}

/// Both listeners are bound before the campaign begins, so that a port in use is known at once.
async fn listen(config: &Config, handle: &Handle) -> Result<()> {
    match &config.control {
        Some(Listener::Tcp(address)) => {
            let writable = address.ip().is_loopback();
            if !writable {
                tracing::warn!(%address, "HTTP is open beyond this Pod, and therefore read-only");
            }
            serve(bind("--http", *address).await?, http::control(handle.clone(), writable));
        }
        Some(Listener::Unix(path)) => {
            remove_old_socket(path)?;
            let listener =
                UnixListener::bind(path).with_context(|| format!("--http unix:{}", path.display()))?;
            let router = http::control(handle.clone(), true);
            tokio::spawn(async move { axum::serve(listener, router).await });
        }
        None => {}
    }
    if let Some(address) = config.probes {
        serve(bind("--probe-addr", address).await?, http::probes(handle.clone()));
    }
    Ok(())
}

/// A socket left behind by an earlier process refuses to be bound again. What is no socket is somebody's file.
fn remove_old_socket(path: &Path) -> Result<()> {
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Ok(metadata) if metadata.file_type().is_socket() => {
            fs::remove_file(path).with_context(|| format!("removing the old socket {shown}"))
        }
        Ok(_) => bail!("--http unix:{shown} is there and is no socket; name a path that nothing else uses"),
        Err(error) => Err(error).with_context(|| format!("--http unix:{shown}")),
    }
}

async fn bind(flag: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => "another process of this Pod, or of the node with hostNetwork, uses the port; name another one",
            io::ErrorKind::AddrNotAvailable => "this Pod has no such address; name one of its own, or only a port as in :8081",
            io::ErrorKind::PermissionDenied => "ports below 1024 are for root; name a larger one",
            _ => "name another address",
        };
        anyhow!("{flag} {address} cannot be listened on: {error}; {hint}")
    })
}

fn serve(listener: TcpListener, router: axum::Router) {
    tokio::spawn(async move { axum::serve(listener, router).await });
}

/// The first signal stops as planned, the second ends at once.
fn stop_on_signals(handle: Handle) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be received")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be received")?;
    tokio::spawn(async move {
        let mut signals = 0;
        loop {
            let code = tokio::select! {
                _ = terminate.recv() => 128 + 15,
                _ = interrupt.recv() => 128 + 2,
            };
            signals += 1;
            if signals > 1 {
                tracing::warn!("second signal, ending at once");
                std::process::exit(code);
            }
            tracing::info!("signal received, stopping");
            handle.stop();
        }
    });
    Ok(())
}

/// With `--on-lost exit`, a leadership that was lost ends the candidate.
fn note_loss(on_lost: OnLost, handle: Handle) -> Arc<AtomicBool> {
    let lost = Arc::new(AtomicBool::new(false));
    if on_lost == OnLost::Exit {
        let mut changes = handle.changes();
        let noted = Arc::clone(&lost);
        tokio::spawn(async move {
            while let Some(change) = changes.recv().await {
                if matches!(&change, Change::Stopping { reason } if !reason.is_planned()) {
                    noted.store(true, Ordering::SeqCst);
                    handle.stop();
                }
            }
        });
    }
    lost
}

/// With `--acquire-timeout`, a candidate that has not led by then ends.
fn give_up_after(timeout: Option<Duration>, handle: Handle) -> Arc<AtomicBool> {
    let never_led = Arc::new(AtomicBool::new(false));
    if let Some(timeout) = timeout {
        let mut changes = handle.changes();
        let noted = Arc::clone(&never_led);
        tokio::spawn(async move {
            let led = async {
                while changes.recv().await.is_some_and(|change| !matches!(change, Change::Started { .. })) {}
            };
            if tokio::time::timeout(timeout, led).await.is_err() {
                tracing::error!(?timeout, "did not lead in time, giving up");
                noted.store(true, Ordering::SeqCst);
                handle.stop();
            }
        });
    }
    never_led
}

fn log_to_stderr(config: &Config) -> Result<()> {
    let filter = EnvFilter::try_new(&config.log_level)
        .map_err(|error| anyhow!("--log-level {:?} is no level or filter: {error}", config.log_level))?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let result = match config.log_format {
        LogFormat::Text => subscriber.with_ansi(io::IsTerminal::is_terminal(&io::stderr())).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    // A program that embeds this one may have its own.
    result.ok();
    Ok(())
}

const TAKE_BACK_PAUSE: Duration = Duration::from_millis(100);
