//! Real nodes on one machine: kubelets with a container runtime, a scheduler and the controllers, beside a real control
//! plane. Pods run, are deleted, evicted and drained as in any cluster.
//!
//! Each node has a network namespace of its own, joined to the machine by a pair of devices that can be cut. What is
//! written lies in one fresh folder. Everything is noted before it is made, and is cleared away at the end, also when
//! the process that made it is killed: another one waits for that.

mod images;
mod managers;
mod needs;
mod network;
mod node;
mod remains;
mod scrape;
mod shell;
mod stage;
mod state;
mod verdict;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::api::{Api, ListParams};
use tokio::sync::{Mutex, OwnedMutexGuard};

pub use images::Image;
pub use managers::forward;
use managers::{Managers, Reaper};
pub use needs::check_root;
use network::Link;
pub use node::Node;
pub use scrape::Scraper;
pub use stage::{Form, Stage, StageSettings};
pub use state::NodesState;
use state::{Owner, absent_folders, kernel_settings};
pub use verdict::Verdict;

use crate::control_plane::{API_SERVICE, ControlPlane};
use crate::kubectl::kubectl;
use crate::tools;

/// Nodes that end with this handle, or with our own process.
#[derive(Debug)]
pub struct Nodes {
    // Dropped in this order: the one that clears away comes last.
    nodes: Vec<Node>,
    managers: Managers,
    control_plane: ControlPlane,
    state: NodesState,
    reaper: Reaper,
}

impl Nodes {
    /// Starts a control plane and `count` nodes, and waits until all are ready. The first use on a machine builds and
    /// installs what is needed, which takes minutes.
    ///
    /// # Errors
    /// When something is missing, other nodes are up, or these are not ready in time: the error holds the ends of logs.
    pub async fn start(count: u8) -> Result<Self> {
        if !(1..=COUNT_MAX).contains(&count) {
            bail!("{count} nodes are not possible: from 1 to {COUNT_MAX} are");
        }
        check_root()?;
        clear_leftovers()?;
        needs::check_no_kubelet()?;
        let system = needs::ensure_system()?;
        let node_tools = tools::ensure_node()?;
        let programs = images::build_programs()?;
        let folder = tempfile::Builder::new().prefix("leasehold-nodes-").tempdir()?.keep();
        let links: Vec<Link> = (1..=count).map(Link::new).collect();
        let mut state = NodesState {
            folder: folder.clone(),
            kubeconfig: None,
            nodes: links.iter().map(|link| link.namespace()).collect(),
            owner: Some(Owner::own()?),
            settings: kernel_settings()?,
            absent: absent_folders(),
        };
        state.write()?;
        let reaper = Reaper::start()?;
        let control_plane = ControlPlane::start_in(&folder).await?;
        state.kubeconfig = Some(control_plane.kubeconfig());
        state.write()?;
        network::add_api_address()?;
        let mut nodes = Vec::new();
        for &link in &links {
            link.create()?;
            let own = folder.join(link.namespace());
            nodes.push(Node::start_runtime(link, own, &node_tools, &system)?);
        }
        let managers = Managers::start(&folder, &control_plane, &node_tools)?;
        let kubeconfig = control_plane
            .kubeconfig_for(control_plane.admin_token(), &format!("https://{API_SERVICE}:443"))?;
        std::fs::copy(&kubeconfig, folder.join(node::KUBECONFIG))
            .context("writing the kubelets' kubeconfig")?;
        let mut started = Self { nodes, managers, control_plane, state, reaper };
        started.load_images(&programs, &folder).await?;
        for node in &mut started.nodes {
            node.start_kubelet()?;
        }
        started.until_ready().await?;
        Ok(started)
    }

    /// The two nodes that all tests of this process share, for one test at a time: it may do anything to them. They are
    /// started by the first one, made whole again for each, and end with the last one that waits for its turn.
    ///
    /// # Errors
    /// As [`start`](Self::start), and when they cannot be made whole.
    pub async fn turn() -> Result<OwnedMutexGuard<Self>> {
        static SHARED: Mutex<Weak<Mutex<Nodes>>> = Mutex::const_new(Weak::new());
        let running = {
            let mut shared = SHARED.lock().await;
            match shared.upgrade() {
                Some(running) => running,
                None => {
                    let started = Arc::new(Mutex::new(Self::start(2).await?));
                    *shared = Arc::downgrade(&started);
                    started
                }
            }
        };
        let mut nodes = running.lock_owned().await;
        nodes.heal().await?;
        Ok(nodes)
    }

    /// Ends what an earlier test has done to the nodes.
    async fn heal(&mut self) -> Result<()> {
        network::restore_all_pods()?;
        for node in &mut self.nodes {
            node.restore()?;
            if !node.has_kubelet() {
                node.start_kubelet()?;
            }
            kubectl(&self.control_plane, &["uncordon", &node.name()], "")?;
        }
        self.until_ready().await
    }

    /// A folder for what Pods share, which goes with the nodes.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn shared_folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.state.folder.join("data").join(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    }

    /// The control plane that they belong to.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// The nodes.
    pub fn nodes(&mut self) -> &mut [Node] {
        &mut self.nodes
    }

    /// The node of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        let found = self.nodes.iter_mut().find(|node| node.name() == name);
        found.with_context(|| format!("there is no node {name}"))
    }

    /// Cuts one Pod off from the API server, by its address. Its node stays reachable.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn cut_pod(&self, address: &str) -> Result<()> {
        network::cut_pod(address)
    }

    /// Ends [`cut_pod`](Self::cut_pod).
    ///
    /// # Errors
    /// When the system refuses.
    pub fn restore_pod(&self, address: &str) -> Result<()> {
        network::restore_pod(address)
    }

    /// Lets everything run on when this process has ended, until [`NodesState::remove`].
    ///
    /// # Errors
    /// When that cannot be noted.
    pub fn detach(mut self) -> Result<NodesState> {
        self.state.owner = None;
        self.state.write()?;
        self.reaper.dismiss()?;
        self.nodes.into_iter().for_each(Node::let_go);
        self.managers.let_go();
        self.control_plane.let_go();
        Ok(self.state)
    }

    /// Waits until each node is ready.
    ///
    /// # Errors
    /// When that does not happen in time.
    pub async fn until_ready(&self) -> Result<()> {
        let nodes: Api<NodeObject> = Api::all(self.control_plane.admin_client().await?);
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let list = nodes.list(&ListParams::default()).await?.items;
            if list.iter().filter(|node| is_ready(node)).count() == self.nodes.len() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let logs: String = self.nodes.iter().map(Node::log_tails).collect();
                bail!("not all nodes are ready after {READY_TIMEOUT:?}\n{logs}");
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    async fn load_images(&mut self, programs: &Path, folder: &Path) -> Result<()> {
        let archives: Vec<PathBuf> =
            Image::ALL.iter().map(|image| image.write(programs, folder)).collect::<Result<_>>()?;
        for node in &mut self.nodes {
            let deadline = Instant::now() + READY_TIMEOUT;
            while !node.runtime_is_ready()? {
                if Instant::now() >= deadline {
                    bail!("containerd is not ready after {READY_TIMEOUT:?}\n{}", node.log_tails());
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            for archive in &archives {
                node.load(archive)?;
            }
        }
        Ok(())
    }
}

/// Builds and installs what is missing, and tells where the programs are.
///
/// # Errors
/// When this is not root, or something cannot be had.
pub fn build() -> Result<Vec<PathBuf>> {
    check_root()?;
    let system = needs::ensure_system()?;
    let tools = tools::ensure_node()?;
    images::build_programs()?;
    let programs =
        [tools.containerd, tools.ctr, tools.kubelet, tools.kube_controller_manager, tools.kube_scheduler];
    Ok(programs.into_iter().chain([system.runc]).collect())
}

/// Ends nodes whose owner is gone, so that new ones can be made.
fn clear_leftovers() -> Result<()> {
    if let Some(left) = NodesState::find()? {
        left.check_unowned()?;
        ensure!(!left.is_detached(), "nodes are up already: end them first with `cargo xtask node down`");
        left.remove()?;
    }
    Ok(())
}

fn is_ready(node: &NodeObject) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// As many as the addresses suffice for, and more than a machine can bear.
const COUNT_MAX: u8 = 9;
const READY_TIMEOUT: Duration = Duration::from_secs(120);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
