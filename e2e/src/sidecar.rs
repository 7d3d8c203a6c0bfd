//! The sidecar `leader-elector` as a process of its own, asked as a service, a kubelet and a person ask it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::control_plane::ControlPlane;
use crate::electorate::sibling;
use crate::ground::Ground;
use crate::piped::PipedProcess;
use crate::rbac::{LeasePermission, PodRef};

mod file;
mod http;

pub use file::{Content, FileSampler};
pub use http::{Answer, Endpoint, Events, free_address};

/// How a sidecar is to be started: as the Pod that it is part of, with listeners and a file of its own.
#[derive(Debug)]
pub struct SidecarSettings {
    /// The Pod, told by the downward API.
    pub pod: PodRef,
    /// Whose kubeconfig.
    pub kubeconfig: PathBuf,
    /// What the Pod's spec says as `args`.
    pub args: Vec<String>,
    /// What the Pod's spec says as `env`, resolved.
    pub env: Vec<(String, String)>,
    /// A copy of the program to be run instead of the one that was built.
    pub program: Option<PathBuf>,
    /// A program that runs it with other rights or in another place, such as `unshare`, and that one's flags.
    pub wrapper: Vec<String>,
    /// The is-leader file.
    pub file: PathBuf,
    /// Where the service asks.
    pub control: Endpoint,
    /// Where the kubelet asks.
    pub probes: Endpoint,
    folder: TempDir,
}

impl SidecarSettings {
    /// A sidecar for the Lease of `permission` in a new Pod, with a lease duration of three seconds.
    ///
    /// # Errors
    /// When the Pod, its token or a free port cannot be had.
    pub async fn new(control_plane: &ControlPlane, permission: &LeasePermission, pod: &str) -> Result<Self> {
        let admin = control_plane.admin_client().await?;
        let pod = permission.create_pod(&admin, pod).await?;
        let token = permission.bound_token(&admin, &pod).await?;
        let kubeconfig = control_plane.kubeconfig_for(&token, &control_plane.url())?;
        let args = [format!("--lease={}", permission.lease()), "--ttl=3s".to_owned()];
        let downward = [
            ("POD_NAME", pod.name.as_str()),
            ("POD_UID", pod.uid.as_str()),
            ("POD_NAMESPACE", permission.namespace()),
        ];
        let env = downward.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let settings = Self::bare(pod.clone(), kubeconfig)?;
        Ok(Self { args: args.to_vec(), env: env.to_vec(), ..settings })
    }

    /// A sidecar with nothing but free ports and a folder for its file.
    ///
    /// # Errors
    /// When a free port or a folder cannot be had.
    pub fn bare(pod: PodRef, kubeconfig: PathBuf) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for a sidecar")?;
        let (control, probes) = (free_address()?, free_address()?);
        Ok(Self {
            pod,
            kubeconfig,
            args: Vec::new(),
            env: Vec::new(),
            program: None,
            wrapper: Vec::new(),
            file: folder.path().join("is-leader"),
            control: Endpoint::Tcp(control),
            probes: Endpoint::Tcp(probes),
            folder,
        })
    }

    /// The folder of the file, gone with the sidecar.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts it. What every sidecar of one machine needs for itself comes by environment, which `args` overrule.
    ///
    /// # Errors
    /// When it is not built or cannot be started.
    pub fn start(self) -> Result<Sidecar> {
        let mut command = self.command()?;
        command
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("LEADER_ELECTOR_KUBECONFIG", &self.kubeconfig)
            .env("LEADER_ELECTOR_FILE", &self.file)
            .env("LEADER_ELECTOR_HTTP", self.control.flag())
            .env("LEADER_ELECTOR_PROBE_ADDR", self.probes.flag());
        Ok(Sidecar { process: PipedProcess::spawn(command)?, settings: self })
    }

    fn command(&self) -> Result<Command> {
        let usual = leader_elector()?;
        let program = self.program.as_ref().map_or(usual.get_program(), |copy| copy.as_os_str());
        let mut words = self.wrapper.iter().map(OsStr::new).chain([program]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        for (name, _) in usual.get_envs() {
            command.env_remove(name);
        }
        Ok(command)
    }
}

/// A running `leader-elector`.
#[derive(Debug)]
pub struct Sidecar {
    // Dropped in this order: the process before the folder it writes to.
    process: PipedProcess,
    settings: SidecarSettings,
}

impl Sidecar {
    /// How it was started.
    pub fn settings(&self) -> &SidecarSettings {
        &self.settings
    }

    /// The process, to stop or kill it.
    pub fn process(&mut self) -> &mut PipedProcess {
        &mut self.process
    }

    /// What it has logged, under the name of its Pod, for an error message.
    pub fn log(&self) -> String {
        format!("--- {}\n{}", self.settings.pod.name, self.process.errors())
    }

    /// Its is-leader file, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or is no line of the sidecar.
    pub fn content(&self) -> Result<Option<Content>> {
        Content::read(&self.settings.file)
    }

    /// Waits until it has ended; `None` if a signal ended it.
    ///
    /// # Errors
    /// When it still runs after `timeout`.
    pub async fn exit_code(&mut self, timeout: Duration) -> Result<Option<i32>> {
        Ok(self.process.finish(timeout).await?.code())
    }

    /// The exit code of `leader-elector check`, which is all that a service sees of it.
    ///
    /// # Errors
    /// When it cannot be run, or a signal ended it.
    pub async fn check(&self) -> Result<i32> {
        let mut command = leader_elector()?;
        command.arg("check").arg("--file").arg(&self.settings.file);
        let status = PipedProcess::spawn(command)?.wait(CHECK_TIMEOUT).await?;
        status.and_then(|status| status.code()).context("`leader-elector check` has no exit code")
    }

    /// A GET where the service asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.settings.control.ask("GET", path, "").await
    }

    /// A GET where the kubelet asks.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn probe(&self, path: &str) -> Result<Answer> {
        self.settings.probes.ask("GET", path, "").await
    }

    /// The document of `/v1/status`.
    ///
    /// # Errors
    /// When there is no answer or it is no JSON.
    pub async fn status(&self) -> Result<Value> {
        self.get("/v1/status").await?.json()
    }

    /// The sum of all samples of `/metrics` whose line begins with `start`; `None` where there is none.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn metric(&self, start: &str) -> Result<Option<f64>> {
        let answer = self.probe("/metrics").await?;
        let samples = answer.body.lines().filter(|line| line.starts_with(start));
        let values = samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.fold(None, |sum, value| Some(sum.unwrap_or_default() + value)))
    }

    /// Waits until it listens and its status is as wanted, and tells the status.
    ///
    /// # Errors
    /// When that does not happen within `timeout`: the error shows the last status and the log.
    pub async fn until_status(
        &self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let deadline = Instant::now() + timeout;
        loop {
            let status = self.status().await;
            match status {
                Ok(status) if wanted(&status) => return Ok(status),
                last if Instant::now() >= deadline => {
                    bail!(
                        "{what} did not happen within {timeout:?}, last {last:?}\n{}",
                        self.process.errors()
                    )
                }
                _ => tokio::time::sleep(POLL_INTERVAL).await,
            }
        }
    }
}

impl Ground {
    /// A sidecar in a new Pod, yet to be started.
    ///
    /// # Errors
    /// When the Pod, its token or a free port cannot be had.
    pub async fn settings(&self, pod: &str) -> Result<SidecarSettings> {
        SidecarSettings::new(&self.control_plane, &self.permission, pod).await
    }

    /// Running sidecars in Pods `app-0` and on.
    ///
    /// # Errors
    /// When one cannot be started.
    pub async fn sidecars(&self, count: usize) -> Result<Vec<Sidecar>> {
        let mut sidecars = Vec::new();
        for index in 0..count {
            sidecars.push(self.settings(&format!("app-{index}")).await?.start()?);
        }
        Ok(sidecars)
    }
}

/// `leader-elector` with nothing of it in the environment: neither what the caller's shell set, nor another cluster.
///
/// # Errors
/// When it is not built.
pub fn leader_elector() -> Result<Command> {
    let mut command = Command::new(sibling("leader-elector")?);
    let inherited = env::vars_os().map(|(name, _)| name);
    for name in inherited.filter(|name| name.as_encoded_bytes().starts_with(b"LEADER_ELECTOR_")) {
        command.env_remove(name);
    }
    for name in ["KUBECONFIG", "POD_NAME", "POD_UID", "POD_NAMESPACE", "RUST_LOG"] {
        command.env_remove(name);
    }
    Ok(command)
}

const CHECK_TIMEOUT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
