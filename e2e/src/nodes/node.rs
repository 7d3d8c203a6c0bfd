//! One node: a container runtime and a kubelet, in a network namespace of their own.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::images::Image;
use super::needs::SystemTools;
use super::network::Link;
use super::shell::run;
use crate::control_plane::tail;
use crate::process::Process;
use crate::tools::NodeTools;

/// A node that runs.
#[derive(Debug)]
pub struct Node {
    link: Link,
    folder: PathBuf,
    tools: NodeTools,
    containerd: Process,
    /// `None` while it is stopped.
    kubelet: Option<Process>,
}

impl Node {
    /// Starts the runtime of a node whose network is there.
    pub(super) fn start_runtime(
        link: Link,
        folder: PathBuf,
        tools: &NodeTools,
        system: &SystemTools,
    ) -> Result<Self> {
        fs::create_dir_all(folder.join("cni"))?;
        fs::write(folder.join("cni/10-bridge.conflist"), bridge(link, &folder))?;
        fs::write(folder.join("containerd.toml"), runtime_settings(&folder, system))?;
        fs::write(folder.join("resolv.conf"), "")?;
        let mut command = command(link, &folder, &tools.containerd, "containerd.log")?;
        command.arg("--config").arg(folder.join("containerd.toml"));
        let containerd = Process::spawn(command)?;
        Ok(Self { link, folder, tools: tools.clone(), containerd, kubelet: None })
    }

    /// Its name in the cluster.
    pub fn name(&self) -> String {
        self.link.namespace()
    }

    /// Loads an image; fails while the runtime is not ready.
    pub(super) fn load(&self, archive: &Path) -> Result<()> {
        let (socket, archive) = (self.socket(), archive.display().to_string());
        run(
            &self.tools.ctr,
            &["--address", &socket, "--namespace", "k8s.io", "images", "import", "--no-unpack", &archive],
        )
        .map(drop)
    }

    /// Whether the runtime answers.
    pub(super) fn runtime_is_ready(&mut self) -> Result<bool> {
        if let Some(status) = self.containerd.exit_status()? {
            anyhow::bail!("containerd of {} ended with {status}\n{}", self.name(), self.log_tails());
        }
        Ok(run(&self.tools.ctr, &["--address", &self.socket(), "--timeout=1s", "version"]).is_ok())
    }

    /// Starts the kubelet, for the first time or after [`stop_kubelet`](Self::stop_kubelet).
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn start_kubelet(&mut self) -> Result<()> {
        ensure!(self.kubelet.is_none(), "the kubelet of {} runs already", self.name());
        let settings = self.folder.join("kubelet.json");
        fs::write(&settings, self.kubelet_settings())?;
        let mut command = command(self.link, &self.folder, &self.tools.kubelet, "kubelet.log")?;
        command
            .arg("--config")
            .arg(settings)
            .arg(format!("--kubeconfig={}", self.folder.with_file_name(KUBECONFIG).display()))
            .arg(format!("--root-dir={}", self.folder.join("kubelet").display()))
            .arg(format!("--cert-dir={}", self.folder.join("certificates").display()))
            .arg(format!("--hostname-override={}", self.name()))
            .arg(format!("--node-ip={}", self.link.address()));
        self.kubelet = Some(Process::spawn(command)?);
        Ok(())
    }

    pub(super) fn has_kubelet(&self) -> bool {
        self.kubelet.is_some()
    }

    /// Kills the kubelet: containers run on, and nobody reports on them.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stop_kubelet(&mut self) -> Result<()> {
        let mut kubelet = self.kubelet.take().with_context(|| format!("{} has no kubelet", self.name()))?;
        kubelet.kill().map(drop)
    }

    /// Cuts the node off from everything, as a broken cable does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn cut(&self) -> Result<()> {
        self.link.cut()
    }

    /// Ends [`cut`](Self::cut).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn restore(&self) -> Result<()> {
        self.link.restore()
    }

    /// The ends of its logs, for an error message.
    pub fn log_tails(&self) -> String {
        ["containerd.log", "kubelet.log"].map(|name| tail(&self.folder.join(name))).concat()
    }

    pub(super) fn let_go(self) {
        [Some(self.containerd), self.kubelet].into_iter().flatten().for_each(Process::detach);
    }

    fn socket(&self) -> String {
        socket(&self.folder)
    }

    fn kubelet_settings(&self) -> String {
        json!({
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self.link.address().to_string(),
            // Whoever reaches it is on this machine.
            "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
            "authorization": { "mode": "AlwaysAllow" },
            "containerRuntimeEndpoint": format!("unix://{}", self.socket()),
            "podLogsDir": self.folder.join("logs"),
            "volumePluginDir": self.folder.join("volume-plugins"),
            "resolvConf": self.folder.join("resolv.conf"),
            // Nothing of the machine is measured or reserved: it belongs to others, too.
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": false,
            "enforceNodeAllocatable": [],
            "evictionHard": {},
            "localStorageCapacityIsolation": false,
            "failCgroupV1": false,
            "failSwapOn": false,
            "makeIPTablesUtilChains": false,
            // Images come from nowhere else, so none may be cleared away.
            "imageGCHighThresholdPercent": 100,
        })
        .to_string()
    }
}

/// A program in the node's network. Not by `ip netns exec`, which mounts a /sys of its own: the cgroups would be gone.
fn command(link: Link, folder: &Path, program: &Path, log: &str) -> Result<Command> {
    let path = folder.join(log);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("opening {}", path.display()))?;
    let mut command = Command::new("nsenter");
    command
        .arg(format!("--net=/run/netns/{}", link.namespace()))
        .arg(program)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // An interrupt from the keyboard is for whoever started the nodes.
        .process_group(0);
    Ok(command)
}

fn socket(folder: &Path) -> String {
    folder.join("containerd.sock").display().to_string()
}

/// Pods of one node hang on one bridge, which is their gateway.
fn bridge(link: Link, folder: &Path) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [{
            "type": "bridge",
            "bridge": "pods",
            "isGateway": true,
            "ipMasq": false,
            "ipam": {
                "type": "host-local",
                "dataDir": folder.join("addresses"),
                "ranges": [[{ "subnet": link.pods() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        }],
    })
    .to_string()
}

/// Everything below the node's folder. What would write elsewhere is off.
fn runtime_settings(folder: &Path, system: &SystemTools) -> String {
    let place = |name: &str| folder.join(name).display().to_string();
    format!(
        r#"version = 3
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{pause}"

[plugins."io.containerd.cri.v1.runtime"]
  # Where the machine itself has not the right to make a process less killable, no process could be started.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true

[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["{plugins}"]
  conf_dir = "{networks}"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{containers}"
"#,
        root = place("root"),
        state = place("state"),
        socket = socket(folder),
        pause = Image::PAUSE.name,
        plugins = system.cni.display(),
        networks = place("cni"),
        runc = system.runc.display(),
        containers = place("runc"),
    )
}

/// For all nodes: beside their folders.
pub(super) const KUBECONFIG: &str = "nodes.kubeconfig";
