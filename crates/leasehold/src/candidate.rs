//! A candidate: built from what the user says and where the process runs, then run.

use std::env;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{io, thread};

use leasehold_election::{
    Config, Failure, Health, Identity, IdentityError, LeaseName, LeaseNameError, Mode, OnMissing, Secret,
    Timing,
};

use tokio::sync::watch;

use crate::checks::Checks;
use crate::evidence::{Proof, TERMINATION_LOG};
use crate::handle::{Handle, Shared};
use crate::leadership::Leadership;
use crate::machine::Machine;
use crate::transport::{self, Transport, describe};
use crate::watchdog::{HardStop, Stopper, Watchdog};
use campaign::{Campaign, Running};

mod campaign;
mod care;
#[cfg(test)]
mod simulated;

/// One process's candidacy for one Lease.
pub struct Candidate {
    kube_config: Option<kube::Config>,
    stopper: Stopper,
    proof: Option<Proof>,
    campaign: Campaign,
}

impl Candidate {
    /// Begins a candidate for the Lease `lease` in `namespace`.
    pub fn builder(namespace: impl Into<String>, lease: impl Into<String>) -> CandidateBuilder {
        CandidateBuilder::new(namespace.into(), lease.into())
    }

    /// The identity that this candidate writes as holder.
    pub fn identity(&self) -> &str {
        self.campaign.config.identity.as_str()
    }

    /// Looks at the candidate and stops it, also from other tasks and threads.
    pub fn handle(&self) -> Handle {
        Handle::new(Arc::clone(&self.campaign.shared))
    }

    /// **Work that does not end in time after leadership was lost is ended by aborting the process**, unless
    /// [`CandidateBuilder::hard_stop`] says otherwise: another leader may start, and two must not work.
    ///
    /// Campaigns until [`Handle::stop`]. Each term calls `work` once and awaits it; the lease is released after
    /// that, never before. The work learns by [`Leadership::stopping`] that it has to end. Work that ends by itself
    /// gives the lease up, and another term begins after a pause.
    ///
    /// Dropping the returned future ends the work with it, and the lease is then released in the background. Losing
    /// the API server, the Lease or permissions does not end a candidate: see [`Handle::status`].
    ///
    /// # Errors
    ///
    /// [`RunError`] if it cannot start, or if the driver of the election has died.
    pub async fn run<W, F>(self, work: W) -> Result<(), RunError>
    where
        W: FnMut(Leadership) -> F,
        F: Future<Output = ()>,
    {
        self.start()?.run(work).await
    }

    /// [`Candidate::run`] as a task of the current tokio runtime. [`Handle::changes`] tells what happens.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn spawn<W, F>(self, work: W) -> tokio::task::JoinHandle<Result<(), RunError>>
    where
        W: FnMut(Leadership) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(self.run(work))
    }

    fn start(self) -> Result<Running, RunError> {
        let Self { kube_config, stopper, proof, campaign } = self;
        if let Some(proof) = proof {
            proof.leave_behind(campaign.config.mode);
        }
        let lease = campaign.config.lease.to_string();
        let watchdog = Watchdog::start(lease, stopper).map_err(RunError::Thread)?;
        let (running, driving) = campaign.begin(watchdog);
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
        thread::Builder::new()
            .name("leasehold-driver".to_owned())
            .spawn(move || {
                runtime.block_on(driving.drive(connect(kube_config)));
                // Requests given up, and the release of a dropped future, need nobody to hear of them.
                runtime.shutdown_background();
            })
            .map_err(RunError::Thread)?;
        Ok(running)
    }
}

impl std::fmt::Debug for Candidate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Candidate").field("config", &self.campaign.config).finish_non_exhaustive()
    }
}

async fn connect(kube_config: Option<kube::Config>) -> Result<Transport, RunError> {
    let config = match kube_config {
        Some(config) => config,
        None => transport::configuration().await.map_err(|detail| RunError::Configuration { detail })?,
    };
    Transport::new(config).map_err(|error| RunError::Configuration { detail: describe(&error) })
}

/// What is to be said about a candidate before it runs.
pub struct CandidateBuilder {
    namespace: String,
    lease: String,
    kube_config: Option<kube::Config>,
    identity: Option<String>,
    timing: Timing,
    stop_timeout: Duration,
    on_missing: OnMissing,
    peers: bool,
    accept_restore: bool,
    priority: u8,
    mode: Mode,
    record_events: bool,
    evidence: bool,
    termination_log: PathBuf,
    stopper: Stopper,
    heartbeat_deadline: Option<Duration>,
    lead_unhealthy_after: Option<Duration>,
    health: Option<watch::Receiver<Health>>,
    machine: Machine,
}

impl CandidateBuilder {
    fn new(namespace: String, lease: String) -> Self {
        Self {
            namespace,
            lease,
            kube_config: None,
            identity: None,
            timing: Timing::default(),
            stop_timeout: Duration::from_secs(25),
            on_missing: OnMissing::default(),
            peers: true,
            accept_restore: false,
            priority: 0,
            mode: Mode::Library,
            record_events: false,
            evidence: true,
            termination_log: TERMINATION_LOG.into(),
            stopper: Box::new(abort),
            heartbeat_deadline: None,
            lead_unhealthy_after: None,
            health: None,
            machine: Machine::HERE,
        }
    }

    /// How to reach the API server. Default: the kubeconfig named by `KUBECONFIG` or in the home folder, else the
    /// service account of the Pod, as in [`kube::Config::infer`]. It takes a configuration and not a client, since
    /// a client's connections live on the runtime that it was made on, and the caller's may be blocked.
    #[must_use]
    pub fn kube_config(mut self, config: kube::Config) -> Self {
        self.kube_config = Some(config);
        self
    }

    /// An identity used as given; two candidates must never have the same. Default:
    /// `<POD_NAME>_<POD_UID>_<nonce>` from the environment, without `POD_UID` `<POD_NAME>_<nonce>`, and outside a
    /// Pod the host's name and the nonce, which is another one for each process.
    #[must_use]
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Timings, 15/10/2 s by default.
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Time that work has to end in a planned stop, while the lease is renewed. Default 25 s: the grace period of a
    /// Pod, 30 s by default, less 5 s.
    #[must_use]
    pub fn stop_timeout(mut self, stop_timeout: Duration) -> Self {
        self.stop_timeout = stop_timeout;
        self
    }

    /// What to do about a Lease that is not there. Default: create it after one lease duration.
    #[must_use]
    pub fn on_missing(mut self, on_missing: OnMissing) -> Self {
        self.on_missing = on_missing;
        self
    }

    /// Whether other electors, such as client-go, may use the same Lease. Default true, which waits half a lease
    /// duration longer before taking over from one of them: its work ends late.
    #[must_use]
    pub fn peers(mut self, peers: bool) -> Self {
        self.peers = peers;
        self
    }

    /// Leads although the revisions of the store went back behind tokens that were seen. Default false.
    #[must_use]
    pub fn accept_restore(mut self, accept_restore: bool) -> Self {
        self.accept_restore = accept_restore;
        self
    }

    /// Place in the order of standbys: each step waits 50 ms longer for a free lease. Default 0.
    #[must_use]
    pub fn priority(mut self, priority: u8) -> Self {
        self.priority = priority;
        self
    }

    /// How the work is run, for the mark of each term. Default [`Mode::Library`].
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Records Kubernetes Events about the Lease, `<identity> became leader` and `<identity> stopped leading`, as
    /// client-go does. Default false, since it needs the right to create Events in the namespace.
    #[must_use]
    pub fn record_events(mut self, record_events: bool) -> Self {
        self.record_events = record_events;
        self
    }

    /// Whether to take over at once on the kubelet's report that the holder's process has ended, and to leave behind what
    /// makes such a report of this process a proof: a line in the container's termination message. Default true; it
    /// needs the right to watch Pods in the namespace, and `POD_NAME` and `POD_UID`, without which the lease expires as
    /// ever.
    #[must_use]
    pub fn evidence(mut self, evidence: bool) -> Self {
        self.evidence = evidence;
        self
    }

    /// The container's `terminationMessagePath`. Default `/dev/termination-log`, as in Kubernetes. A line is appended to
    /// it, if the file is there; what overwrites it later takes the proof away, and no more.
    #[must_use]
    pub fn termination_log(mut self, path: impl Into<PathBuf>) -> Self {
        self.termination_log = path.into();
        self
    }

    /// Ends work that did not end in time, from a thread of its own, 500 ms before the lease is worth nothing.
    /// It must not return before the work is ended. Default: log the reason and abort the process.
    #[must_use]
    pub fn hard_stop(mut self, stop: impl Fn(HardStop) + Send + 'static) -> Self {
        self.stopper = Box::new(stop);
        self
    }

    /// Checks everything that can be checked without the API server.
    ///
    /// # Errors
    ///
    /// [`BuildError`] says what is wrong.
    pub fn build(self) -> Result<Candidate, BuildError> {
        let lease = LeaseName::new(&self.namespace, &self.lease)?;
        let secret = secret()?;
        let identity = match &self.identity {
            Some(identity) => Identity::explicit(identity, &secret)?,
            None => identity_of_process(&secret),
        };
        self.check_care()?;
        let (shared, commands) = Shared::new(&lease, identity.as_str(), self.machine);
        let config = Config {
            stop_timeout: self.stop_timeout,
            on_missing: self.on_missing,
            peers: self.peers,
            accept_restore: self.accept_restore,
            priority: self.priority,
            mode: self.mode,
            heartbeat_deadline: self.heartbeat_deadline,
            lead_unhealthy_after: self.lead_unhealthy_after,
            evidence: self.evidence,
            ..Config::new(lease, identity, self.timing)
        };
        let names_pod = self.identity.is_none() && names_pod();
        let proof = self.evidence.then_some(Proof { secret, names_pod, path: self.termination_log });
        let record_events = self.record_events;
        let checks = Checks::of(self.health);
        let campaign = Campaign { config, record_events, checks, shared: Arc::new(shared), commands };
        Ok(Candidate { kube_config: self.kube_config, stopper: self.stopper, proof, campaign })
    }
}

impl std::fmt::Debug for CandidateBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { namespace, lease, .. } = self;
        f.debug_struct("CandidateBuilder")
            .field("namespace", namespace)
            .field("lease", lease)
            .finish_non_exhaustive()
    }
}

/// A candidate that cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name that Kubernetes would refuse.
    #[error(transparent)]
    LeaseName(#[from] LeaseNameError),
    /// An identity that cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The operating system gives no randomness, without which two processes could have one identity.
    #[error("no randomness for an identity: {0}")]
    Randomness(getrandom::Error),
    /// No work can be that quick.
    #[error("a heartbeat deadline of 0s leaves the work no time; give it longer than its longest step takes")]
    HeartbeatDeadline,
    /// An unhealthy candidate would win races against healthy ones.
    #[error(
        "leading unhealthy after {given:?} leaves healthy candidates no time to lead; give them at least 1s"
    )]
    LeadUnhealthyAfter {
        /// The time given.
        given: Duration,
    },
}

/// A candidate that could not start, or ended without having been asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration for reaching the API server cannot be used.
    #[error("no usable configuration for the API server: {detail}")]
    Configuration {
        /// What is wrong with it.
        detail: String,
    },
    /// The operating system refused a thread or a timer.
    #[error("the election's threads cannot be started")]
    Thread(#[source] io::Error),
    /// What the candidate was told to fail on.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The driver of the election panicked; nobody leads by it any more.
    #[error("the driver of the election has died; see the log for its panic")]
    DriverDied,
}

fn secret() -> Result<Secret, BuildError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(BuildError::Randomness)?;
    Ok(Secret::from_random(bytes))
}

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether the default identity names a Pod and its uid.
fn names_pod() -> bool {
    variable("POD_NAME").is_some() && variable("POD_UID").is_some()
}

fn identity_of_process(secret: &Secret) -> Identity {
    match variable("POD_NAME") {
        Some(pod) => Identity::of_process(&pod, variable("POD_UID").as_deref(), secret),
        None => Identity::of_process(&rustix::system::uname().nodename().to_string_lossy(), None, secret),
    }
}

/// The default hard stop.
fn abort(stop: HardStop) {
    tracing::error!(%stop, "aborting the process");
    std::process::abort();
}
