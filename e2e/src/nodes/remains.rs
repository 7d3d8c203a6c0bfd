//! Clearing away a set of nodes, whatever state it is in: running, half made, or left behind by who made it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;

use super::network::{self, Link};
use super::shell::run;
use super::state::NodesState;
use crate::process::send;

impl NodesState {
    /// Ends and removes everything of these nodes, and tells what that was.
    ///
    /// What is gone already is no error, so this can be done again and by anybody.
    ///
    /// # Errors
    /// When something of it cannot be removed.
    pub fn remove(&self) -> Result<Vec<String>> {
        let mut removed = Vec::new();
        let mut tell = |count: usize, what: &str| {
            if count > 0 {
                removed.push(format!("{count} {what}"));
            }
        };
        // Who would start containers anew goes first.
        tell(self.end_all(|| self.programs())?, "processes of nodes and control plane");
        let containers = self.containers()?;
        tell(self.end_all(|| processes(&containers))?, "processes of containers");
        tell(remove_cgroups(&containers)?, "cgroups");
        tell(self.remove_shim_sockets()?, "sockets of shims");
        tell(self.unmount()?, "mounts");
        let links = (1..=self.nodes.len()).filter_map(|number| u8::try_from(number).ok()).map(Link::new);
        let links: Vec<bool> = links.map(Link::remove).collect::<Result<_>>()?;
        tell(links.into_iter().filter(|there| *there).count(), "network namespaces with their devices");
        tell(network::restore_all_pods()?, "rules that cut Pods off");
        tell(usize::from(network::remove_api_address()?), "address");
        tell(self.remove_log_links()?, "links to logs");
        tell(self.remove_shared_folders()?, "folders that were not there before");
        tell(self.restore_settings()?, "settings of the kernel put back");
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder)
                .with_context(|| format!("removing {}", self.folder.display()))?;
            removed.push(self.folder.display().to_string());
        }
        self.forget()?;
        Ok(removed)
    }

    /// Kills what `find` finds until it finds nothing, and tells how many there were.
    fn end_all(&self, find: impl Fn() -> Result<BTreeSet<u32>>) -> Result<usize> {
        let deadline = Instant::now() + END_TIMEOUT;
        let mut ended = BTreeSet::new();
        loop {
            let running = find()?;
            if running.is_empty() {
                return Ok(ended.len());
            }
            ensure!(
                Instant::now() < deadline,
                "processes {running:?} of {} still run {END_TIMEOUT:?} after they were killed",
                self.folder.display()
            );
            for &id in &running {
                // It may have ended meanwhile.
                send(id, Signal::KILL).ok();
            }
            ended.extend(running);
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Our programs that carry our folder in their arguments: an id alone may belong to somebody else by now.
    fn programs(&self) -> Result<BTreeSet<u32>> {
        let folder = self.folder.as_os_str().as_encoded_bytes();
        let has_folder = |id: u32| {
            fs::read(format!("/proc/{id}/cmdline"))
                .is_ok_and(|words| words.windows(folder.len()).any(|window| window == folder))
        };
        let running = running_programs()?.into_iter();
        let ours = running.filter(|(id, name)| PROGRAMS.contains(&name.as_str()) && has_folder(*id));
        Ok(ours.map(|(id, _)| id).collect())
    }

    /// What the container runtime keeps of each container that it has not removed, named by its id.
    fn bundles(&self) -> Result<Vec<PathBuf>> {
        let folders = self.nodes.iter().map(|node| self.folder.join(node).join("state").join(BUNDLES));
        Ok(folders.map(|folder| list(&folder)).collect::<Result<Vec<_>>>()?.concat())
    }

    /// The cgroups of all containers in every hierarchy, and at last those that hold them.
    fn containers(&self) -> Result<Vec<PathBuf>> {
        let bundles = self.bundles()?;
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = list(root)?.into_iter().chain([root.to_owned()]);
        let above: Vec<_> = hierarchies.map(|path| path.join(CGROUP)).filter(|path| path.is_dir()).collect();
        let ids: Vec<_> = bundles.iter().filter_map(|bundle| bundle.file_name()).collect();
        let of_containers = above.iter().flat_map(|above| ids.iter().map(|id| above.join(id)));
        let there = of_containers.filter(|path| path.is_dir()).collect();
        let mut found = below(there)?;
        found.extend(above);
        Ok(found)
    }

    /// Shims listen in a folder that all of them share, and a killed one leaves its socket there.
    fn remove_shim_sockets(&self) -> Result<usize> {
        let mut count = 0;
        for bundle in self.bundles()? {
            let Ok(text) = fs::read_to_string(bundle.join("bootstrap.json")) else { continue };
            let bootstrap: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let socket = bootstrap["address"].as_str().and_then(|address| address.strip_prefix("unix://"));
            // All containers of a Pod share one shim.
            count += usize::from(socket.is_some_and(|socket| fs::remove_file(socket).is_ok()));
        }
        Ok(count)
    }

    /// The deepest first, the later of two at one place first.
    fn unmount(&self) -> Result<usize> {
        let text = fs::read_to_string("/proc/self/mountinfo").context("listing mounts")?;
        let points = text.lines().filter_map(|line| line.split(' ').nth(4));
        let mut ours: Vec<_> = points.filter(|point| Path::new(point).starts_with(&self.folder)).collect();
        ours.reverse();
        for point in &ours {
            run("umount", &["--lazy", point])?;
        }
        Ok(ours.len())
    }

    /// The kubelet's links to logs of containers lie in a folder that cannot be chosen.
    fn remove_log_links(&self) -> Result<usize> {
        let mut links = list(Path::new(LOG_LINKS))?;
        links.retain(|link| fs::read_link(link).is_ok_and(|target| target.starts_with(&self.folder)));
        for link in &links {
            fs::remove_file(link).with_context(|| format!("removing {}", link.display()))?;
        }
        Ok(links.len())
    }

    /// Folders that cannot be chosen, either, and that nobody else has used before.
    fn remove_shared_folders(&self) -> Result<usize> {
        let there: Vec<_> = self.absent.iter().filter(|folder| folder.is_dir()).collect();
        for folder in &there {
            fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
        }
        Ok(there.len())
    }

    fn restore_settings(&self) -> Result<usize> {
        let mut count = 0;
        for (path, value) in &self.settings {
            if fs::read_to_string(path).is_ok_and(|now| now != *value) {
                fs::write(path, value).with_context(|| format!("writing {}", path.display()))?;
                count += 1;
            }
        }
        Ok(count)
    }
}

/// All processes with the names of their programs. One that has ended and waits for its parent has none.
pub(super) fn running_programs() -> Result<Vec<(u32, String)>> {
    let processes = fs::read_dir("/proc").context("listing processes")?;
    let named = processes.filter_map(|entry| {
        let path = entry.ok()?.path();
        let id = path.file_name()?.to_str()?.parse().ok()?;
        let program = fs::read_link(path.join("exe")).ok()?;
        Some((id, program.file_name()?.to_string_lossy().into_owned()))
    });
    Ok(named.collect())
}

/// Everything that runs in the cgroups of containers.
fn processes(cgroups: &[PathBuf]) -> Result<BTreeSet<u32>> {
    let mut found = BTreeSet::new();
    for cgroup in cgroups.iter().filter(|cgroup| !cgroup.ends_with(CGROUP)) {
        // It is gone with its last process where the runtime removes it.
        let text = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
        found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    }
    Ok(found)
}

/// Removes what is empty, and tells how many it were: where another runtime has containers, theirs stay.
fn remove_cgroups(cgroups: &[PathBuf]) -> Result<usize> {
    let mut count = 0;
    for cgroup in cgroups {
        match fs::remove_dir(cgroup) {
            Ok(()) => count += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound || cgroup.ends_with(CGROUP) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("removing cgroup {}", cgroup.display()));
            }
        }
    }
    Ok(count)
}

/// These folders and all below them, the deepest first.
fn below(mut folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut at = 0;
    while at < folders.len() {
        let inside = list(&folders[at])?;
        folders.extend(inside.into_iter().filter(|path| path.is_dir()));
        at += 1;
    }
    folders.reverse();
    Ok(folders)
}

/// What is in a folder; nothing if it is not there.
fn list(folder: &Path) -> Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error).with_context(|| format!("listing {}", folder.display())),
    }
}

/// Below the root of every hierarchy: what containerd's CRI puts containers in unless the kubelet says otherwise.
const CGROUP: &str = "k8s.io";
/// The program that forwards, and starts nodes for people.
pub(super) const OWN_PROGRAM: &str = "leasehold-nodes";

/// The kubelet and the runtime come before what they would start again.
const PROGRAMS: [&str; 8] = [
    "kubelet",
    "containerd",
    "containerd-shim-runc-v2",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-apiserver",
    "etcd",
    OWN_PROGRAM,
];
/// Where containerd keeps what its shims run, below its state.
const BUNDLES: &str = "io.containerd.runtime.v2.task/k8s.io";
const LOG_LINKS: &str = "/var/log/containers";
const END_TIMEOUT: Duration = Duration::from_secs(20);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
