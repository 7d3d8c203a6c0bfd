//! What is noted about the nodes of this machine before any of them is made, so that whoever comes later can end them.
//!
//! There is at most one set of nodes per machine: names and addresses are the same each time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::tools::cache_folder;

/// A set of nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodesState {
    /// Everything that they write.
    pub folder: PathBuf,
    /// The administrator's kubeconfig, once there is one.
    pub kubeconfig: Option<PathBuf>,
    /// The names of the nodes.
    pub nodes: Vec<String>,
    /// The process whose end ends them; `None` if they run on their own.
    pub(super) owner: Option<Owner>,
    /// What the kubelet will change of the kernel's settings, as it was before.
    pub(super) settings: Vec<(PathBuf, String)>,
    /// Folders that a node writes to whatever it is told, and that are not there yet.
    pub(super) absent: Vec<PathBuf>,
}

/// A process that cannot be mistaken for a later one with its id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    id: u32,
    /// Clock ticks since boot.
    started: String,
}

impl Owner {
    /// This process.
    pub(super) fn own() -> Result<Self> {
        let id = std::process::id();
        Ok(Self { id, started: start_time(id).context("this process is not in /proc")? })
    }

    fn is_alive(&self) -> bool {
        start_time(self.id).as_deref() == Some(&self.started)
    }
}

impl NodesState {
    /// What is noted, if anything.
    ///
    /// # Errors
    /// When the note cannot be read.
    pub fn find() -> Result<Option<Self>> {
        let path = path()?;
        match fs::read_to_string(&path) {
            Ok(text) => {
                let state = serde_json::from_str(&text);
                state.map(Some).with_context(|| format!("{}: remove this file", path.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }

    /// Writes the note.
    pub(super) fn write(&self) -> Result<()> {
        let path = path()?;
        let text = serde_json::to_string_pretty(self)?;
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }

    /// Removes the note, if this is still what it says.
    pub(super) fn forget(&self) -> Result<()> {
        if Self::find()?.is_some_and(|noted| noted.folder == self.folder) {
            fs::remove_file(path()?).context("removing the note about nodes")?;
        }
        Ok(())
    }

    /// Whether they run on their own.
    pub fn is_detached(&self) -> bool {
        self.owner.is_none()
    }

    /// Fails if they end with a process that still runs: they are for that one.
    ///
    /// # Errors
    /// Names the process.
    pub fn check_unowned(&self) -> Result<()> {
        match self.owner.as_ref().filter(|owner| owner.is_alive()) {
            Some(owner) => bail!("process {} has nodes up: wait for its end, or end it", owner.id),
            None => Ok(()),
        }
    }
}

/// Settings of the kernel that a kubelet writes when it starts, as they are now.
pub(super) fn kernel_settings() -> Result<Vec<(PathBuf, String)>> {
    KERNEL_SETTINGS
        .iter()
        .map(|name| {
            let path = Path::new("/proc/sys").join(name);
            let value = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok((path, value))
        })
        .collect()
}

/// Those of [`SHARED_FOLDERS`] that are not there.
pub(super) fn absent_folders() -> Vec<PathBuf> {
    SHARED_FOLDERS.iter().map(PathBuf::from).filter(|folder| !folder.exists()).collect()
}

/// When a process was started: field 22 of its `stat`, and the second field may hold anything.
fn start_time(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(19).map(str::to_owned)
}

fn path() -> Result<PathBuf> {
    Ok(cache_folder()?.join("nodes.json"))
}

/// Device plugins, logs of containers, results of CNI, sockets of shims.
const SHARED_FOLDERS: [&str; 4] =
    ["/var/lib/kubelet", "/var/log/containers", "/var/lib/cni", "/run/containerd"];

/// Of `setupKernelTunables` in the kubelet's pkg/kubelet/cm/container_manager_linux.go.
const KERNEL_SETTINGS: [&str; 6] = [
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_alive_as_long_as_it_is_the_same_process() {
        let owner = Owner::own().unwrap();
        assert!(owner.is_alive());
        let earlier = Owner { started: "1".to_owned(), ..owner };
        assert!(!earlier.is_alive(), "its id was given to another process");
    }
}
