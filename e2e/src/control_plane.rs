//! A real control plane: etcd and kube-apiserver on loopback, for one test or for a developer.
//!
//! RBAC is on, clients verify the server's certificate, and every request is in the audit log.
//! There is no kubelet, no scheduler and no controller: a Pod is an object that never runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kube::Client;
use tempfile::TempDir;

use crate::process::Process;
use audit::AuditEvent;
pub use outage::Server;
pub(crate) use servers::API_SERVICE;
use servers::Plan;

pub mod audit;
mod certificates;
pub mod detached;
mod kubeconfig;
mod outage;
mod servers;

/// A running control plane. Dropping it kills both servers and removes their folder.
///
/// They are killed, not asked: the data is of no use to anybody, and a
/// kube-apiserver that is asked to end waits a minute for open watches.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: the servers before the folder they write to.
    servers: Mutex<Servers>,
    plan: Plan,
    kubeconfigs: AtomicU32,
    folder: TempDir,
}

#[derive(Debug)]
struct Servers {
    /// `None` during an outage.
    api_server: Option<Process>,
    /// As `api_server`.
    etcd: Option<Process>,
}

impl ControlPlane {
    /// Starts both servers and waits until they are ready, which takes about three seconds; the
    /// first use on a machine builds them first, which takes minutes.
    ///
    /// # Errors
    /// When the programs cannot be had, or a server ends or is not ready in time: the error holds
    /// the ends of both logs.
    pub async fn start() -> Result<Self> {
        Self::start_in(&std::env::temp_dir()).await
    }

    /// The same with its folder in `parent`.
    pub(crate) async fn start_in(parent: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("leasehold-e2e-")
            .tempdir_in(parent)
            .context("making a folder for servers")?;
        let path = folder.path().to_owned();
        let plan = tokio::task::spawn_blocking(move || Plan::prepare(&path))
            .await
            .context("preparing a control plane")??;
        let etcd = Some(Process::spawn(plan.etcd()?)?);
        // The API server waits for etcd by itself.
        let api_server = Some(Process::spawn(plan.api_server()?)?);
        let servers = Mutex::new(Servers { api_server, etcd });
        let control_plane = Self { servers, plan, kubeconfigs: AtomicU32::new(0), folder };
        let admin =
            kubeconfig::text(&control_plane.url(), &control_plane.ca_file(), &control_plane.plan.admin_token);
        write(&control_plane.kubeconfig(), &admin)?;
        control_plane.wait_until_ready().await?;
        Ok(control_plane)
    }

    /// The control plane that all tests of this process share, started by the first of them. It
    /// ends with the last [`Arc`]. Each test should use a namespace of its own, and an outage
    /// belongs on a control plane of its own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: tokio::sync::Mutex<Weak<ControlPlane>> = tokio::sync::Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Where the API server listens: `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        self.plan.url()
    }

    /// The certificate of the authority that signed the server's certificate.
    pub fn ca_pem(&self) -> &str {
        &self.plan.ca_pem
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.plan.path(ADMIN_KUBECONFIG)
    }

    /// The kubectl of the same version.
    pub fn kubectl(&self) -> &Path {
        self.plan.kubectl()
    }

    /// Writes a kubeconfig for a bearer of `token` who talks to `server_url`: the server itself,
    /// or a proxy on another port of 127.0.0.1 that passes TLS through. It lives as long as `self`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for(&self, token: &str, server_url: &str) -> Result<PathBuf> {
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        let path = self.plan.path(&format!("{number}.kubeconfig"));
        write(&path, &kubeconfig::text(server_url, &self.ca_file(), token))?;
        Ok(path)
    }

    /// A new client of the administrator, who may do everything. It never retries.
    ///
    /// # Errors
    /// When the kubeconfig does not make a client.
    pub async fn admin_client(&self) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig()).await
    }

    /// A new client of a bearer of `token`. It never retries.
    ///
    /// # Errors
    /// When the kubeconfig cannot be written or does not make a client.
    pub async fn client_for(&self, token: &str) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig_for(token, &self.url())?).await
    }

    /// Every event of the audit log so far, in the order in which the requests ended. An event is
    /// written before its answer is sent.
    ///
    /// # Errors
    /// When the log cannot be read or understood.
    pub fn audit_events(&self) -> Result<Vec<AuditEvent>> {
        audit::read(&self.plan.path(servers::AUDIT_LOG))
    }

    async fn wait_until_ready(&self) -> Result<()> {
        let client = self.admin_client().await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let readyz = http_get("/readyz");
            match tokio::time::timeout(READY_REQUEST_TIMEOUT, client.request_text(readyz)).await {
                Ok(Ok(_)) => return Ok(()),
                answer if Instant::now() >= deadline => {
                    bail!("not ready after {READY_TIMEOUT:?}, last answer {answer:?}\n{}", self.log_tails());
                }
                _ => self.check_alive()?,
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
    }

    fn check_alive(&self) -> Result<()> {
        let mut servers = self.servers();
        for server in [Server::Etcd, Server::ApiServer] {
            if let Some(process) = servers.process(server)
                && let Some(status) = process.exit_status()?
            {
                bail!("{server} ended with {status} while starting\n{}", self.log_tails());
            }
        }
        Ok(())
    }

    fn log_tails(&self) -> String {
        [servers::ETCD_LOG, servers::API_SERVER_LOG].map(|name| tail(&self.plan.path(name))).concat()
    }

    /// What makes a request the administrator's.
    pub(crate) fn admin_token(&self) -> &str {
        &self.plan.admin_token
    }

    pub(crate) fn ca_file(&self) -> PathBuf {
        self.plan.path(servers::CA_FILE)
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().expect("nobody panics while holding the servers")
    }
}

fn http_get(path: &str) -> http::Request<Vec<u8>> {
    http::Request::get(path).body(Vec::new()).expect("a constant path")
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// The last lines of a log under its name, for an error message.
pub(crate) fn tail(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("--- {}\n{}\n", path.display(), last.join("\n"))
}

const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";
const READY_TIMEOUT: Duration = Duration::from_secs(90);
const READY_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
const READY_INTERVAL: Duration = Duration::from_millis(100);
const TAIL_LINES: usize = 25;
