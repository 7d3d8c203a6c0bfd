//! Where one lock is tried: an API server, three candidates, and a person with kubectl.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use leasehold_apiserver::{ApiServer, FaultProxy};
use leasehold_history::Nanos;
use tempfile::TempDir;

use crate::demo::args::Lock;
use crate::demo::candidate::{Candidate, Life, NAME, NAMESPACE};
use crate::demo::naive;
use crate::demo::process::boottime;
use crate::demo::round::Person;

/// Everything that runs for one lock; dropping it ends it all.
pub(crate) struct Arena {
    pub(crate) lock: Lock,
    /// When it was there.
    pub(crate) started: Nanos,
    pub(crate) candidates: Vec<Candidate>,
    admin: kube::Client,
    _server: ApiServer,
    _folder: TempDir,
}

impl Arena {
    /// Starts all of it.
    ///
    /// # Errors
    /// If something cannot be started.
    pub(crate) async fn start(lock: Lock) -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("leasehold-demo-").tempdir().context("a folder for sockets")?;
        let server = ApiServer::start(([127, 0, 0, 1], 0).into()).await.context("starting the API server")?;
        let kubeconfig = folder.path().join("admin.kubeconfig");
        crate::apiserver::write_kubeconfig(&kubeconfig, &server.url(), NAMESPACE)?;
        let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        let admin = kube::Client::try_from(config)?;
        create_objects(&admin, lock).await.context("preparing the API server")?;
        let started = boottime();
        let mut candidates = Vec::new();
        for index in 0..CANDIDATES {
            let proxy = FaultProxy::start(server.address()).await.context("starting a proxy")?;
            candidates.push(Candidate::new(format!("app-{index}"), lock, folder.path(), proxy)?);
        }
        Ok(Self { lock, started, candidates, admin, _server: server, _folder: folder })
    }

    /// The numbers of those that lead, as far as their latest answers tell.
    pub(crate) fn leaders(&self) -> Vec<usize> {
        let leads = |index: &usize| self.candidates[*index].life().is_some_and(|life| life.leads().is_some());
        (0..self.candidates.len()).filter(leads).collect()
    }

    /// Waits until the same one has led alone for a while, and the others wait.
    ///
    /// # Errors
    /// If that does not come about.
    pub(crate) async fn settle(&mut self) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        let mut leader: Option<(usize, Instant)> = None;
        while Instant::now() < deadline {
            self.wait(TICK).await?;
            leader = match (self.sole_leader(), leader) {
                (Some(now), Some((before, since))) if now == before => Some((before, since)),
                (now, _) => now.map(|now| (now, Instant::now())),
            };
            if let Some((index, since)) = leader
                && since.elapsed() >= CALM
            {
                return Ok(index);
            }
        }
        bail!(
            "one leader and {} standbys did not come about in {PATIENCE:?}{}",
            CANDIDATES - 1,
            self.describe()
        );
    }

    /// The one that leads, if all others wait.
    fn sole_leader(&self) -> Option<usize> {
        let lives = self.candidates.iter().filter_map(Candidate::life);
        let standbys = lives.filter(|life| life.is_standby()).count();
        self.leaders().first().copied().filter(|_| standbys + 1 == self.candidates.len())
    }

    /// Waits until `wanted` holds, while ended candidates are started again; false if it does not within `timeout`.
    ///
    /// # Errors
    /// If a candidate ends by itself.
    pub(crate) async fn until(&mut self, timeout: Duration, wanted: impl Fn(&Self) -> bool) -> Result<bool> {
        let deadline = Instant::now() + timeout;
        loop {
            self.candidates.iter_mut().try_for_each(Candidate::tend)?;
            if wanted(self) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Lets time pass.
    ///
    /// # Errors
    /// If a candidate ends by itself.
    pub(crate) async fn wait(&mut self, time: Duration) -> Result<()> {
        self.until(time, |_| false).await.map(drop)
    }

    /// What the person does who finds that nobody works: `kubectl get configmap demo`, and `kubectl delete` of it.
    ///
    /// # Errors
    /// If it cannot be read or deleted.
    pub(crate) async fn delete_config_map(&self) -> Result<Person> {
        let config_maps = Api::<ConfigMap>::namespaced(self.admin.clone(), NAMESPACE);
        let lock = config_maps.get(NAME).await.context("reading the ConfigMap")?;
        let age = naive::age(&lock).context("a lock without a timestamp")?;
        let at = boottime();
        config_maps.delete(NAME, &DeleteParams::default()).await.context("deleting the ConfigMap")?;
        Ok(Person { at, holder: naive::holder(&lock).to_owned(), age: age.into() })
    }

    /// Until when all that run have answered: what comes later is not known yet.
    pub(crate) fn known_until(&self) -> Nanos {
        let lives = self.candidates.iter().filter_map(Candidate::life);
        lives.filter_map(Life::known_until).min().unwrap_or(self.started)
    }

    /// What all candidates last said, for an error message.
    pub(crate) fn describe(&self) -> String {
        self.candidates.iter().map(Candidate::describe).collect()
    }
}

/// The namespace and, as generated manifests do, a Lease that is free from the start.
async fn create_objects(admin: &kube::Client, lock: Lock) -> Result<()> {
    let post = PostParams::default();
    let named = |name: &str| ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata: named(NAMESPACE), ..Namespace::default() };
    Api::all(admin.clone()).create(&post, &namespace).await.context("creating the namespace")?;
    if lock == Lock::Lease {
        let spec = Some(LeaseSpec::default());
        let lease = Lease { metadata: named(NAME), spec };
        Api::namespaced(admin.clone(), NAMESPACE)
            .create(&post, &lease)
            .await
            .context("creating the Lease")?;
    }
    Ok(())
}

const CANDIDATES: usize = 3;
/// Longer than anything that works takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between a settled state and the next fault.
const CALM: Duration = Duration::from_millis(500);
const TICK: Duration = Duration::from_millis(5);
