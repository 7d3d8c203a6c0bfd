//! What can happen to the servers: they are killed and come back with the same data, or stand still for a while.

use std::fmt;

use anyhow::{Context as _, Result, ensure};

use super::{ControlPlane, Servers};
use crate::process::Process;

/// One of the two servers of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// The store.
    Etcd,
    /// What candidates talk to.
    ApiServer,
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
        })
    }
}

impl ControlPlane {
    /// Begins an outage: the API server is killed, its connections break, etcd keeps the data.
    ///
    /// # Errors
    /// When it was not running.
    pub fn stop_api_server(&self) -> Result<()> {
        self.stop(Server::ApiServer)
    }

    /// Ends an outage: the API server is back on the same port with the same data.
    ///
    /// # Errors
    /// When it runs already, or is not ready in time.
    pub async fn start_api_server(&self) -> Result<()> {
        self.start_again(Server::ApiServer).await
    }

    /// Kills a server, which breaks its connections. Its data stay.
    ///
    /// # Errors
    /// When it was not running.
    pub fn stop(&self, server: Server) -> Result<()> {
        let process = self.servers().slot(server).take();
        process.with_context(|| format!("{server} is stopped already"))?.kill()?;
        Ok(())
    }

    /// Starts a server that was stopped, on the same port with the same data. The API server is ready when this returns.
    ///
    /// # Errors
    /// When it runs already, or the API server is not ready in time.
    pub async fn start_again(&self, server: Server) -> Result<()> {
        {
            let mut servers = self.servers();
            ensure!(servers.process(server).is_none(), "{server} runs already");
            let command = match server {
                Server::Etcd => self.plan.etcd()?,
                Server::ApiServer => self.plan.api_server()?,
            };
            *servers.slot(server) = Some(Process::spawn(command)?);
        }
        self.wait_until_ready().await
    }

    /// Stops a server in its tracks: connections stay open and nothing answers (SIGSTOP).
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, server: Server) -> Result<()> {
        self.servers().running(server)?.pause()
    }

    /// Lets a server run on after [`pause`](Self::pause). The API server is ready when this returns.
    ///
    /// # Errors
    /// When it does not run, or the API server is not ready in time.
    pub async fn resume(&self, server: Server) -> Result<()> {
        self.servers().running(server)?.resume()?;
        self.wait_until_ready().await
    }
}

impl Servers {
    pub(super) fn process(&mut self, server: Server) -> Option<&mut Process> {
        self.slot(server).as_mut()
    }

    pub(super) fn running(&mut self, server: Server) -> Result<&mut Process> {
        self.process(server).with_context(|| format!("{server} is stopped"))
    }

    fn slot(&mut self, server: Server) -> &mut Option<Process> {
        match server {
            Server::Etcd => &mut self.etcd,
            Server::ApiServer => &mut self.api_server,
        }
    }
}
