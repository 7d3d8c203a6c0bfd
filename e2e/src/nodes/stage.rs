//! A service with a database on the nodes, made part of an election by what `leasehold generate` prints, and nothing
//! written by hand.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, EvictParams, ListParams};
use rustix::process::Signal;
use serde_json::json;

use super::images::Image;
use super::remains::running_programs;
use super::scrape::Scraper;
use super::{Nodes, Verdict};
use crate::electorate::sibling;
use crate::ledger::{Entry, Ledger};
use crate::process::send;
use crate::rbac::create_namespace;

/// How the elector and the service live together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The elector runs the service.
    Exec,
    /// The elector is a native sidecar.
    Native,
    /// The elector is one more container.
    Classic,
}

impl Form {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Exec, Self::Native, Self::Classic];

    /// For names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Native => "native",
            Self::Classic => "classic",
        }
    }

    fn generate(self) -> &'static [&'static str] {
        match self {
            Self::Exec => &["exec"],
            Self::Native => &["sidecar"],
            Self::Classic => &["sidecar", "--classic"],
        }
    }
}

/// What is to be staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StageSettings {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// How the elector and the service live together.
    pub form: Form,
    /// `Deployment` or `StatefulSet`.
    pub kind: &'static str,
}

/// A service that runs on the nodes.
pub struct Stage {
    settings: StageSettings,
    namespace: String,
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    admin: Client,
    ledger: Ledger,
    scraper: Scraper,
}

impl Stage {
    /// Two replicas of the service, one of which leads; the other one waits.
    ///
    /// # Errors
    /// When something is refused, or nobody leads in time.
    pub async fn set(nodes: &Nodes, settings: StageSettings) -> Result<Self> {
        let namespace = format!("{}-{}", settings.scenario, settings.form.as_str());
        let admin = nodes.control_plane().admin_client().await?;
        create_namespace(&admin, &namespace).await?;
        let folder = nodes.shared_folder(&namespace)?;
        let stage = Self {
            settings,
            kubectl: nodes.control_plane().kubectl().to_owned(),
            kubeconfig: nodes.control_plane().kubeconfig(),
            ledger: Ledger::open(&folder.join(LEDGER))?,
            scraper: Scraper::start(admin.clone(), &namespace),
            admin,
            namespace,
        };
        let service = stage.service(&folder.display().to_string());
        let flags = ["-f", "-", &format!("--ttl={LEASE_DURATION_SECONDS}s")];
        let generated = generate(&[settings.form.generate(), &flags].concat(), &service)?;
        stage.kubectl(&["apply", "--validate=strict", "-f", "-"], &generated)?;
        stage.until_term_after(0).await?;
        stage
            .until_pods("running, one of them standing by", |pods| {
                pods.len() == REPLICAS && pods.iter().all(runs_whole)
            })
            .await?;
        Ok(stage)
    }

    /// The service of somebody, before the election.
    fn service(&self, folder: &str) -> String {
        let mut args = vec![format!("--database=/data/{LEDGER}")];
        if self.settings.form != Form::Exec {
            args.push("--leader-file=/run/leader/is-leader".to_owned());
        }
        let labels = json!({ "app": Self::NAME });
        let mut service = json!({
            "apiVersion": "apps/v1",
            "kind": self.settings.kind,
            "metadata": { "name": Self::NAME, "namespace": self.namespace },
            "spec": {
                "replicas": REPLICAS,
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels }, "spec": {
                    "containers": [{
                        "name": "app",
                        "image": Image::WRITER.name,
                        "command": [Image::WRITER.entry_point()],
                        "args": args,
                        "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
                    }],
                    "volumes": [{ "name": "data", "hostPath": { "path": folder } }],
                } },
            },
        });
        if self.settings.kind == "StatefulSet" {
            service["spec"]["serviceName"] = json!(Self::NAME);
            service["spec"]["podManagementPolicy"] = json!("Parallel");
        }
        service.to_string()
    }

    /// kubectl in the namespace, as a person types it; what it warns of is no failure.
    ///
    /// # Errors
    /// When it fails: the error shows what it said.
    pub fn kubectl(&self, args: &[&str], input: &str) -> Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.args(["--namespace", &self.namespace]).args(args).env("KUBECONFIG", &self.kubeconfig);
        // What it finds out of the API is kept with the nodes.
        command.arg("--cache-dir").arg(self.kubeconfig.with_file_name("kubectl-cache"));
        piped(command, input)
    }

    /// The newest write.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn last_write(&self) -> Result<Option<Entry>> {
        self.ledger.last()
    }

    /// Waits for a write in a term newer than `token`.
    ///
    /// # Errors
    /// When there is none in time: the error shows the logs of the Pods.
    pub async fn until_term_after(&self, token: u64) -> Result<Entry> {
        let what = format!("in a newer term than {token}");
        self.until_write(&what, |entry| entry.token > token).await
    }

    /// Waits for a write as wanted.
    ///
    /// # Errors
    /// As [`until_term_after`](Self::until_term_after).
    pub async fn until_write(&self, what: &str, wanted: impl Fn(&Entry) -> bool) -> Result<Entry> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let newest = self.ledger.last()?;
            if let Some(entry) = newest.filter(|entry| entry.accepted && wanted(entry)) {
                return Ok(entry);
            }
            if Instant::now() >= deadline {
                let pods = self.kubectl(&["get", "pods", "-o", "wide"], "")?;
                bail!("nobody wrote {what} after {PATIENCE:?}\n{pods}\n{}", self.logs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until the Pods are as wanted, and gives them.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn until_pods(&self, what: &str, wanted: impl Fn(&[Pod]) -> bool) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &self.namespace);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = pods.list(&ListParams::default()).await?.items;
            if wanted(&found) {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                let pods = self.kubectl(&["get", "pods", "-o", "wide"], "")?;
                bail!("Pods are not {what} after {PATIENCE:?}\n{pods}\n{}", self.logs());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// A Pod as the API server knows it now.
    ///
    /// # Errors
    /// When there is none of this name.
    pub async fn pod(&self, name: &str) -> Result<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &self.namespace);
        pods.get(name).await.with_context(|| format!("Pod {name}"))
    }

    /// The node of a Pod.
    ///
    /// # Errors
    /// When there is no such Pod, or it has no node.
    pub async fn node_of(&self, pod: &str) -> Result<String> {
        self.pod(pod)
            .await?
            .spec
            .and_then(|spec| spec.node_name)
            .with_context(|| format!("{pod} has no node"))
    }

    /// The address of a Pod.
    ///
    /// # Errors
    /// When there is no such Pod, or it has no address.
    pub async fn address_of(&self, pod: &str) -> Result<String> {
        self.pod(pod)
            .await?
            .status
            .and_then(|status| status.pod_ip)
            .with_context(|| format!("{pod} has no address"))
    }

    /// Kills the first process of a program in a Pod from outside, as the kernel does when memory runs out.
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill(&self, pod: &str, image: Image) -> Result<()> {
        let pod = self.pod(pod).await?;
        let ids: Vec<_> =
            containers(&pod).filter_map(|status| status.container_id.as_ref()?.split("//").nth(1)).collect();
        let is_in_pod = |id: u32| {
            fs::read_to_string(format!("/proc/{id}/cgroup"))
                .is_ok_and(|text| ids.iter().any(|container| text.contains(container)))
        };
        let running = running_programs()?.into_iter();
        let found = running.filter(|(id, name)| image.entry_point() == format!("/{name}") && is_in_pod(*id));
        // The first one has started the others.
        let first =
            found.map(|(id, _)| id).min().with_context(|| format!("no {} runs", image.entry_point()))?;
        send(first, Signal::KILL)
    }

    /// Asks the API server to evict a Pod, as a drain does: again while the PodDisruptionBudget does not allow it, which is
    /// so until the controller has counted the Pods that are ready.
    ///
    /// # Errors
    /// When it refuses for another reason, or for too long.
    pub async fn evict(&self, pod: &str) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &self.namespace);
        let begun = Instant::now();
        loop {
            match pods.evict(pod, &EvictParams::default()).await {
                Err(kube::Error::Api(status)) if status.code == 429 && begun.elapsed() < PATIENCE => {
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
                answer => return answer.map(drop).with_context(|| format!("evicting {pod}")),
            }
        }
    }

    /// What all electors have logged, for an error message.
    pub fn logs(&self) -> String {
        let args = ["logs", "--selector", Self::SELECTOR, "--all-containers", "--prefix", "--tail=40"];
        self.kubectl(&args, "").unwrap_or_else(|error| error.to_string())
    }

    /// Judges what happened, prints it, and takes the service away.
    ///
    /// # Errors
    /// When the promise was broken: the error says by what, and shows the logs.
    pub async fn judged(self) -> Result<Verdict> {
        let samples = self.scraper.samples();
        let verdict = Verdict::of(&self.namespace, &self.ledger.entries()?, &samples);
        let verdict = verdict.and_then(Verdict::passed).with_context(|| self.logs());
        self.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "")?;
        let grace = ["delete", "pods", "--all", "--force", "--grace-period=0"];
        self.kubectl(&grace, "").ok();
        verdict
    }

    /// The name of the workload.
    pub const NAME: &str = "my-service";

    /// Selects its Pods.
    pub const SELECTOR: &str = "app=my-service";

    /// How long the service may pause: the lease duration and two seconds.
    pub(super) const PAUSE_MAX_NS: u64 = (LEASE_DURATION_SECONDS + 2) * 1_000_000_000;
}

/// Runs `leasehold generate` with a manifest on its standard input.
fn generate(args: &[&str], manifest: &str) -> Result<String> {
    let mut command = Command::new(sibling("leasehold")?);
    command.arg("generate").args(args);
    piped(command, manifest)
}

fn piped(mut command: Command, input: &str) -> Result<String> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("asked for above")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The statuses of all containers, native sidecars included.
pub(super) fn containers(pod: &Pod) -> impl Iterator<Item = &k8s_openapi::api::core::v1::ContainerStatus> {
    let status = pod.status.iter();
    status.flat_map(|status| {
        let init = status.init_container_statuses.iter().flatten();
        init.chain(status.container_statuses.iter().flatten())
    })
}

/// Whether it is not about to end, and each of its containers runs, or has ended as it should.
fn runs_whole(pod: &Pod) -> bool {
    let mut states = containers(pod).filter_map(|status| status.state.as_ref());
    let is_well = |state: &k8s_openapi::api::core::v1::ContainerState| {
        state.running.is_some() || state.terminated.as_ref().is_some_and(|ended| ended.exit_code == 0)
    };
    pod.metadata.deletion_timestamp.is_none()
        && pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))
        && states.all(is_well)
}

const LEDGER: &str = "ledger";
const REPLICAS: usize = 2;
const LEASE_DURATION_SECONDS: u64 = 3;
/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
