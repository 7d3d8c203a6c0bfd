//! How etcd and kube-apiserver are started: their flags, ports and files.

use std::collections::hash_map::RandomState;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow};
use serde_json::json;

use super::certificates::Certificates;
use crate::tools::{self, ControlPlaneTools};

/// Everything that both servers need, ready on disk. The same plan can start a server twice.
#[derive(Debug)]
pub(super) struct Plan {
    tools: ControlPlaneTools,
    folder: PathBuf,
    etcd_port: u16,
    etcd_peer_port: u16,
    api_port: u16,
    pub(super) admin_token: String,
    pub(super) ca_pem: String,
}

impl Plan {
    /// Picks ports and writes keys, tokens and the audit policy into an empty folder.
    pub(super) fn prepare(folder: &Path) -> Result<Self> {
        let tools = tools::ensure_control_plane()?;
        let certificates = Certificates::generate()?;
        let [etcd_port, etcd_peer_port, api_port] = free_ports()?;
        let plan = Self {
            tools,
            folder: folder.to_owned(),
            etcd_port,
            etcd_peer_port,
            api_port,
            admin_token: random_token(),
            ca_pem: certificates.authority,
        };
        let admin = format!("{},admin,admin,system:masters\n", plan.admin_token);
        plan.write(CA_FILE, &plan.ca_pem)?;
        plan.write(SERVER_CERTIFICATE_FILE, &certificates.server_certificate)?;
        plan.write(SERVER_KEY_FILE, &certificates.server_key)?;
        plan.write(TOKEN_SIGNING_KEY_FILE, &certificates.token_signing_key)?;
        plan.write(TOKEN_VERIFYING_KEY_FILE, &certificates.token_verifying_key)?;
        plan.write(TOKENS_FILE, &admin)?;
        plan.write(AUDIT_POLICY_FILE, &audit_policy())?;
        Ok(plan)
    }

    pub(super) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn kubectl(&self) -> &Path {
        &self.tools.kubectl
    }

    pub(super) fn etcd(&self) -> Result<Command> {
        let clients = format!("http://127.0.0.1:{}", self.etcd_port);
        let peers = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let mut command = self.command(&self.tools.etcd, ETCD_LOG)?;
        command
            .arg("--name=etcd")
            .arg(flag("--data-dir", &self.path("etcd")))
            .arg(format!("--listen-client-urls={clients}"))
            .arg(format!("--advertise-client-urls={clients}"))
            .arg(format!("--listen-peer-urls={peers}"))
            .arg(format!("--initial-advertise-peer-urls={peers}"))
            .arg(format!("--initial-cluster=etcd={peers}"))
            // The data never has to survive the machine, and a slow disk must not decide a test.
            .arg("--unsafe-no-fsync")
            .arg("--log-level=warn");
        Ok(command)
    }

    pub(super) fn api_server(&self) -> Result<Command> {
        let mut command = self.command(&self.tools.kube_apiserver, API_SERVER_LOG)?;
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.etcd_port))
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"])
            .arg(format!("--secure-port={}", self.api_port))
            .arg(flag("--tls-cert-file", &self.path(SERVER_CERTIFICATE_FILE)))
            .arg(flag("--tls-private-key-file", &self.path(SERVER_KEY_FILE)))
            .arg(flag("--cert-dir", &self.path("certificates")))
            .arg(flag("--token-auth-file", &self.path(TOKENS_FILE)))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag("--service-account-signing-key-file", &self.path(TOKEN_SIGNING_KEY_FILE)))
            .arg(flag("--service-account-key-file", &self.path(TOKEN_VERIFYING_KEY_FILE)))
            .arg(format!("--service-cluster-ip-range={API_SERVICE}/24"))
            .arg("--kubelet-preferred-address-types=InternalIP")
            .arg("--endpoint-reconciler-type=none")
            .arg(flag("--audit-policy-file", &self.path(AUDIT_POLICY_FILE)))
            .arg(flag("--audit-log-path", &self.path(AUDIT_LOG)))
            // Megabytes: a rotated file would hide events from the reader.
            .arg("--audit-log-maxsize=4096");
        Ok(command)
    }

    /// Appends to the log, so that a second start keeps what the first one said.
    fn command(&self, program: &Path, log: &str) -> Result<Command> {
        let path = self.path(log);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("opening {}", path.display()))?;
        let mut command = Command::new(program);
        // A group of its own: an interrupt from the keyboard is for the test, whose end ends the servers.
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
        Ok(command)
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.path(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

/// Request bodies where the locks live; who did what for the rest.
fn audit_policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {"level": "Request", "resources": [
                {"group": "coordination.k8s.io", "resources": ["leases"]},
                {"group": "", "resources": ["configmaps"]},
            ]},
            {"level": "Metadata"},
        ],
    })
    .to_string()
}

/// Loopback ports that nobody listens on, from below the range that the kernel
/// gives to outgoing connections: a candidate that knocks during an outage must
/// neither be given the server's port nor connect to itself.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    // Held together until all are found, so that they differ.
    let mut listeners = Vec::with_capacity(N);
    for _ in 0..PORT_TRIES {
        if listeners.len() == N {
            break;
        }
        let offset = random() % u64::from(PORTS.end - PORTS.start);
        let port = PORTS.start + u16::try_from(offset).expect("a remainder below a u16");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            listeners.push((port, listener));
        }
    }
    let ports: Vec<u16> = listeners.iter().map(|(port, _)| *port).collect();
    ports.try_into().map_err(|_| anyhow!("no {N} free ports after {PORT_TRIES} tries in {PORTS:?}"))
}

/// Good enough for a server on loopback that lives for one test.
fn random_token() -> String {
    format!("{:016x}{:016x}", random(), random())
}

/// Each `RandomState` has other keys, seeded by the system.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// The address of the Service `kubernetes`, the first one of the range, by which Pods reach the API server. The range is
/// one of those that are set apart for tests of networks (RFC 2544): no machine's own network is there.
pub(crate) const API_SERVICE: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

pub(super) const CA_FILE: &str = "ca.pem";
pub(super) const AUDIT_LOG: &str = "audit.log";
pub(super) const ETCD_LOG: &str = "etcd.log";
pub(super) const API_SERVER_LOG: &str = "kube-apiserver.log";

const SERVER_CERTIFICATE_FILE: &str = "server.pem";
const SERVER_KEY_FILE: &str = "server.key";
const TOKEN_SIGNING_KEY_FILE: &str = "token-signing.key";
const TOKEN_VERIFYING_KEY_FILE: &str = "token-verifying.pem";
const TOKENS_FILE: &str = "tokens.csv";
const AUDIT_POLICY_FILE: &str = "audit-policy.json";

const PORTS: Range<u16> = 20_000..32_000;
const PORT_TRIES: u32 = 100;
