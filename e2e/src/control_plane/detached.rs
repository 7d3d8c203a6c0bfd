//! A control plane that outlives the program that started it: for trying things out by hand.
//!
//! There is at most one per user. What is needed to end it is kept in the cache folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::{ControlPlane, Server};
use crate::process::send;
use crate::tools::cache_folder;

/// A control plane that runs on its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DetachedControlPlane {
    /// Where the API server listens.
    pub url: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Data and logs of both servers.
    pub folder: PathBuf,
    etcd_id: u32,
    api_server_id: u32,
}

impl DetachedControlPlane {
    /// The one that runs, or else a new one.
    ///
    /// # Errors
    /// As [`ControlPlane::start`], and when the state cannot be written.
    pub async fn start() -> Result<Self> {
        if let Some(running) = Self::find()? {
            return Ok(running);
        }
        let control_plane = ControlPlane::start().await?;
        let mut servers = control_plane.servers();
        let detached = Self {
            url: control_plane.url(),
            kubeconfig: control_plane.kubeconfig(),
            folder: control_plane.folder.path().to_owned(),
            etcd_id: servers.running(Server::Etcd)?.id(),
            api_server_id: servers.running(Server::ApiServer)?.id(),
        };
        drop(servers);
        // Noted before it is let go: there is no moment in which nobody could end it.
        write_state(&detached)?;
        control_plane.let_go();
        Ok(detached)
    }

    /// The one that runs, if any. What is left of one that has ended is cleared away.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn find() -> Result<Option<Self>> {
        let path = state_file()?;
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.with_context(|| format!("reading {}", path.display()))?,
        };
        let noted: Self =
            serde_json::from_str(&text).with_context(|| format!("{}: remove this file", path.display()))?;
        if noted.is_ours(noted.api_server_id) && noted.is_ours(noted.etcd_id) {
            return Ok(Some(noted));
        }
        noted.end()?;
        Ok(None)
    }

    /// Ends both servers and removes their data.
    ///
    /// # Errors
    /// When a server does not end, or its folder cannot be removed.
    pub fn end(self) -> Result<()> {
        for id in [self.api_server_id, self.etcd_id] {
            self.end_server(id)?;
        }
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("removing {}", self.folder.display()));
            }
            _ => {}
        }
        fs::remove_file(state_file()?).context("removing the note about a control plane")
    }

    fn end_server(&self, id: u32) -> Result<()> {
        if !self.is_ours(id) {
            return Ok(());
        }
        send(id, Signal::KILL).with_context(|| format!("ending process {id}"))?;
        let deadline = Instant::now() + END_TIMEOUT;
        while self.is_ours(id) {
            ensure!(Instant::now() < deadline, "process {id} still runs {END_TIMEOUT:?} after it was killed");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// The id may belong to somebody else by now: our servers carry our folder in their arguments.
    fn is_ours(&self, id: u32) -> bool {
        let folder = self.folder.as_os_str().as_encoded_bytes();
        fs::read(Path::new("/proc").join(id.to_string()).join("cmdline"))
            .is_ok_and(|arguments| arguments.windows(folder.len()).any(|window| window == folder))
    }
}

impl ControlPlane {
    /// Lets both servers and their folder outlive this handle and our own process.
    pub(crate) fn let_go(self) {
        let servers = self.servers.into_inner().expect("nobody panics while holding the servers");
        servers.api_server.into_iter().chain(servers.etcd).for_each(crate::process::Process::detach);
        let _kept = self.folder.keep();
    }
}

fn write_state(control_plane: &DetachedControlPlane) -> Result<()> {
    let path = state_file()?;
    let text = serde_json::to_string_pretty(control_plane)?;
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn state_file() -> Result<PathBuf> {
    Ok(cache_folder()?.join("control-plane.json"))
}

const END_TIMEOUT: Duration = Duration::from_secs(10);
