//! One of the three candidates: its place, its proxy, and the processes that have played it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use leasehold_apiserver::{Fault as NetworkFault, FaultProxy};
use leasehold_history::{Nanos, Sample, Span};
use rustix::process::Signal;

use crate::demo::args::Lock;
use crate::demo::meter::Probe;
use crate::demo::process::{Process, boottime};

/// A candidate: a process at most at any time, started again when it has ended, as a kubelet does.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    /// The processes that have played it, the present one last.
    pub(crate) lives: Vec<Life>,
    /// When it was cut off from the API server.
    pub(crate) cuts: Vec<Span>,
    lock: Lock,
    folder: PathBuf,
    proxy: FaultProxy,
    cut_since: Option<Nanos>,
    end_is_expected: bool,
    restart_at: Option<Instant>,
}

/// One process.
#[derive(Debug)]
pub(crate) struct Life {
    /// Just before it was started.
    pub(crate) started: Nanos,
    /// When it was seen to have ended.
    pub(crate) ended: Option<Nanos>,
    /// When it was stopped in its tracks.
    pub(crate) pauses: Vec<Span>,
    paused_since: Option<Nanos>,
    process: Process,
    probe: Probe,
}

impl Candidate {
    /// A candidate that reaches the API server by `proxy` alone, and keeps its files in `folder`.
    pub(crate) fn new(name: String, lock: Lock, folder: &Path, proxy: FaultProxy) -> Result<Self> {
        let folder = folder.to_owned();
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        let url = crate::apiserver::url(proxy.address());
        crate::apiserver::write_kubeconfig(&kubeconfig, &url, NAMESPACE)?;
        let (lives, cuts) = (Vec::new(), Vec::new());
        let mut candidate = Self {
            name,
            lives,
            cuts,
            lock,
            folder,
            proxy,
            cut_since: None,
            end_is_expected: false,
            restart_at: None,
        };
        candidate.start()?;
        Ok(candidate)
    }

    fn start(&mut self) -> Result<()> {
        let file = |ending: &str| self.folder.join(format!("{}.{}.{ending}", self.name, self.lives.len()));
        let socket = file("socket");
        let args = self.command_line(&socket);
        let started = boottime();
        let process = Process::start(&self.name, &args, file("log"))?;
        let probe = Probe::start(socket)?;
        self.lives.push(Life {
            started,
            ended: None,
            pauses: Vec::new(),
            paused_since: None,
            process,
            probe,
        });
        self.end_is_expected = false;
        self.restart_at = None;
        Ok(())
    }

    fn command_line(&self, socket: &Path) -> Vec<String> {
        let seconds = LEASE_DURATION.as_secs();
        let (words, socket_flag, socket) = match self.lock {
            Lock::Lease => (
                format!(
                    "elect --namespace {NAMESPACE} --lease {NAME} --ttl {seconds} --no-peers --file off --probe-addr off --app-done at-once"
                ),
                "--http",
                format!("unix:{}", socket.display()),
            ),
            Lock::Naive => (
                format!(
                    "demo-naive-candidate --namespace {NAMESPACE} --config-map {NAME} --name {} --expiry-seconds {seconds}",
                    self.name
                ),
                "--socket",
                socket.display().to_string(),
            ),
        };
        let mut args: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let kubeconfig = self.folder.join(format!("{}.kubeconfig", self.name));
        args.extend([socket_flag.to_owned(), socket]);
        args.extend(["--kubeconfig".to_owned(), kubeconfig.display().to_string()]);
        args
    }

    /// The present process, if there is one.
    pub(crate) fn life(&self) -> Option<&Life> {
        self.lives.last().filter(|life| life.ended.is_none())
    }

    /// Sends the present process a signal that it need not survive.
    pub(crate) fn end(&mut self, signal: Signal) -> Result<()> {
        self.end_is_expected = true;
        self.present()?.process.signal(signal)
    }

    /// Stops the present process in its tracks; it does nothing more when this returns.
    pub(crate) fn pause(&mut self) -> Result<()> {
        let life = self.present()?;
        life.process.stop()?;
        life.paused_since = Some(boottime());
        Ok(())
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self) -> Result<()> {
        let life = self.present()?;
        let now = boottime();
        life.process.signal(Signal::CONT)?;
        if let Some(since) = life.paused_since.take() {
            life.pauses.push(Span::new(since, now)?);
        }
        Ok(())
    }

    /// Cuts it off from the API server: what is sent meanwhile arrives late.
    pub(crate) fn cut(&mut self) {
        self.cut_since = Some(boottime());
        self.proxy.set(NetworkFault::HalfOpen);
    }

    /// Ends that.
    pub(crate) fn heal(&mut self) -> Result<()> {
        self.proxy.set(NetworkFault::None);
        if let Some(since) = self.cut_since.take() {
            self.cuts.push(Span::new(since, boottime())?);
        }
        Ok(())
    }

    /// Takes note of an end, and starts the candidate again a while later.
    ///
    /// # Errors
    /// If it ended without being told to.
    pub(crate) fn tend(&mut self) -> Result<()> {
        if self.restart_at.is_some_and(|at| at <= Instant::now()) {
            return self.start();
        }
        let Some(life) = self.lives.last_mut().filter(|life| life.ended.is_none()) else { return Ok(()) };
        let Some(status) = life.process.exit_status()? else { return Ok(()) };
        life.ended = Some(boottime());
        if !self.end_is_expected {
            bail!("{} ended by itself ({status}); its last words:{}", self.name, life.process.last_words());
        }
        self.restart_at = Some(Instant::now() + RESTART_DELAY);
        Ok(())
    }

    /// What it last said and wrote, for an error message.
    pub(crate) fn describe(&self) -> String {
        let Some(life) = self.lives.last() else { return String::new() };
        let failure = life.probe.failure().map(|failure| format!(" ({failure})")).unwrap_or_default();
        format!("\n{} last said {:?}{failure}{}", self.name, life.probe.latest(), life.process.last_words())
    }

    fn present(&mut self) -> Result<&mut Life> {
        match self.lives.last_mut().filter(|life| life.ended.is_none()) {
            Some(life) => Ok(life),
            None => bail!("{} does not run", self.name),
        }
    }
}

impl Life {
    /// All its answers so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        self.probe.samples()
    }

    /// When it ran: from its start to its end, less its pauses.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let begins = [self.started].into_iter().chain(self.pauses.iter().map(|pause| pause.latest));
        let ends = self.pauses.iter().map(|pause| Some(pause.earliest));
        let ends = ends.chain([self.ended.or(self.paused_since)]);
        begins.zip(ends).map(|(begin, end)| Run { begin, end }).collect()
    }

    /// The token of the term that it leads in; `None` if it does not lead, or cannot be asked.
    pub(crate) fn leads(&self) -> Option<Leads> {
        let latest = self.probe.latest().filter(|latest| latest.leading && self.is_running())?;
        Some(Leads { token: latest.token })
    }

    /// Whether it knows of another leader, or of a free lease, and waits.
    pub(crate) fn is_standby(&self) -> bool {
        self.is_running() && self.probe.is_standby()
    }

    /// Whether it has answered a question about a time after `instant`.
    pub(crate) fn has_answered_since(&self, instant: Nanos) -> bool {
        self.known_until().is_some_and(|until| until > instant)
    }

    /// The latest time that it has answered for; `None` while it has not answered at all.
    pub(crate) fn known_until(&self) -> Option<Nanos> {
        self.probe.latest().map(|latest| latest.taken.earliest)
    }

    fn is_running(&self) -> bool {
        self.ended.is_none() && self.paused_since.is_none()
    }
}

/// A time in which a process ran.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) begin: Nanos,
    /// `None` while it runs.
    pub(crate) end: Option<Nanos>,
}

/// That a process leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leads {
    /// Its fencing token, where the lock has any.
    pub(crate) token: Option<u64>,
}

/// The duration of the Lease, and the age at which the naive lock's timestamp counts for nothing.
pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(3);
/// Of the Lease, and of the ConfigMap.
pub(crate) const NAME: &str = "demo";
pub(crate) const NAMESPACE: &str = "demo";
/// A kubelet starts a container that ended for the first time again at once; this leaves time to see that it ended.
const RESTART_DELAY: Duration = Duration::from_millis(500);
