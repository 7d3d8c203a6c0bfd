//! The sidecar `leader-elector` as a process of its own, asked as a service, a kubelet and a person ask it.

use std::env;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::control_plane::ControlPlane;
use crate::electorate::sibling;
use crate::piped::PipedProcess;
use crate::process::boottime_ns;
use crate::rbac::{LeasePermission, PodRef};

/// How a sidecar is to be started: as the Pod that it is part of, with listeners and a file of its own.
#[derive(Debug)]
pub struct SidecarSettings {
    /// The Pod, told by the downward API.
    pub pod: PodRef,
    /// Whose kubeconfig.
    pub kubeconfig: PathBuf,
    /// The Lease's namespace.
    pub namespace: String,
    /// `--file`, `--http`, `--probe-addr` and all that is not about the account.
    pub args: Vec<String>,
    /// The is-leader file.
    pub file: PathBuf,
    /// Where the service asks.
    pub control: Endpoint,
    /// Where the kubelet asks.
    pub probes: Endpoint,
    folder: TempDir,
}

/// Where HTTP is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A port of 127.0.0.1.
    Tcp(SocketAddr),
    /// A socket in the file system.
    Unix(PathBuf),
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
        Self::bare(pod, kubeconfig, permission.namespace(), args.to_vec())
    }

    /// A sidecar with no arguments but these, and free ports.
    ///
    /// # Errors
    /// When a free port or a folder cannot be had.
    pub fn bare(pod: PodRef, kubeconfig: PathBuf, namespace: &str, args: Vec<String>) -> Result<Self> {
        let folder = tempfile::tempdir().context("making a folder for a sidecar")?;
        let (control, probes) = (free_address()?, free_address()?);
        Ok(Self {
            pod,
            kubeconfig,
            namespace: namespace.to_owned(),
            args,
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

    /// Starts it. What is not in `args` comes by environment, as the README's Pod has it.
    ///
    /// # Errors
    /// When it is not built or cannot be started.
    pub fn start(self) -> Result<Sidecar> {
        let mut command = leader_elector()?;
        command
            .args(&self.args)
            .env("POD_NAME", &self.pod.name)
            .env("POD_UID", &self.pod.uid)
            .env("POD_NAMESPACE", &self.namespace)
            .env("LEADER_ELECTOR_KUBECONFIG", &self.kubeconfig)
            .env("LEADER_ELECTOR_FILE", &self.file)
            .env("LEADER_ELECTOR_HTTP", self.control.flag())
            .env("LEADER_ELECTOR_PROBE_ADDR", self.probes.flag());
        Ok(Sidecar { process: PipedProcess::spawn(command)?, settings: self })
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

    /// Its is-leader file, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or is no line of the sidecar.
    pub fn content(&self) -> Result<Option<Content>> {
        Content::read(&self.settings.file)
    }

    /// The exit code of `leader-elector check`, which is all that a service sees of it.
    ///
    /// # Errors
    /// When it cannot be run, or a signal ended it.
    pub async fn check(&self) -> Result<i32> {
        let mut command = leader_elector()?;
        command.arg("check").arg("--file").arg(&self.settings.file);
        let status = PipedProcess::spawn(command)?.wait(ANSWER_TIMEOUT).await?;
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

/// What an is-leader file says.
#[derive(Debug, Clone, PartialEq)]
pub struct Content(pub Value);

impl Content {
    /// Reads a file; `None` where there is none.
    ///
    /// # Errors
    /// When it cannot be read or is no JSON.
    pub fn read(path: &Path) -> Result<Option<Self>> {
        match std::fs::read_to_string(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            text => {
                let text = text.with_context(|| format!("reading {}", path.display()))?;
                let value = serde_json::from_str(&text).with_context(|| format!("it says {text:?}"))?;
                Ok(Some(Self(value)))
            }
        }
    }

    /// The fencing token.
    pub fn token(&self) -> u64 {
        self.number("token")
    }

    /// The end of leadership on CLOCK_BOOTTIME.
    pub fn lead_until_ns(&self) -> u64 {
        self.number("lead_until_boottime_ns")
    }

    /// Whether its reader leads now.
    pub fn leads_now(&self) -> bool {
        boottime_ns() < self.lead_until_ns()
    }

    fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_default()
    }
}

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("{self:?} is no JSON"))
    }
}

/// A stream of server-sent events.
#[derive(Debug)]
pub struct Events {
    stream: Stream,
    text: String,
}

impl Events {
    /// The document of the next event.
    ///
    /// # Errors
    /// When none comes in time, or it is no JSON.
    pub async fn next(&mut self) -> Result<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).map(str::to_owned);
                self.text = rest.to_owned();
                if let Some(data) = data {
                    return serde_json::from_str(&data).with_context(|| format!("an event says {data:?}"));
                }
            } else {
                let mut bytes = [0; 4096];
                let read = tokio::time::timeout(EVENT_TIMEOUT, self.stream.read(&mut bytes));
                let count = read.await.context("no event came in time")??;
                anyhow::ensure!(count > 0, "the stream of events has ended");
                self.text.push_str(std::str::from_utf8(&bytes[..count]).context("an event is no text")?);
            }
        }
    }
}

impl Endpoint {
    /// As a flag names it.
    pub fn flag(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// Asks once. `headers` are whole lines.
    ///
    /// # Errors
    /// When nobody listens or the answer is not complete in time.
    pub async fn ask(&self, method: &str, path: &str, headers: &str) -> Result<Answer> {
        let ask = async {
            let mut stream = self.send(method, path, headers).await?;
            let mut text = String::new();
            stream.read_to_string(&mut text).await?;
            parse_answer(&text)
        };
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask).await;
        answer.context("no answer in time").flatten().with_context(|| format!("{method} {path} of {self:?}"))
    }

    /// Opens `/v1/watch`.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn watch(&self) -> Result<Events> {
        let mut events = Events { stream: self.send("GET", "/v1/watch", "").await?, text: String::new() };
        let mut byte = [0];
        while !events.text.ends_with("\r\n\r\n") {
            events.stream.read_exact(&mut byte).await.context("the head of /v1/watch")?;
            events.text.push(byte[0].into());
        }
        anyhow::ensure!(events.text.contains(" 200 OK\r\n"), "/v1/watch was answered {:?}", events.text);
        events.text.clear();
        Ok(events)
    }

    /// HTTP/1.0: the answer is not chunked, and its end is the end of the stream.
    async fn send(&self, method: &str, path: &str, headers: &str) -> Result<Stream> {
        let mut stream: Stream = match self {
            Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            Self::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).await?;
        Ok(stream)
    }
}

trait ReadWrite: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + std::fmt::Debug {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + std::fmt::Debug> ReadWrite for T {}

type Stream = Box<dyn ReadWrite>;

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

/// A port of 127.0.0.1 that nobody listens on.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?)
}

fn parse_answer(text: &str) -> Result<Answer> {
    let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("{text:?} is no answer"))?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { code: code.with_context(|| format!("{head:?} has no code"))?, body: body.to_owned() })
}

const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
const EVENT_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
