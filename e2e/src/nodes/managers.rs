//! What a cluster has once: controllers, scheduler, the way to the API server; and who clears everything away.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use tokio::net::{TcpListener, TcpStream};

use super::remains::OWN_PROGRAM;
use crate::control_plane::{API_SERVICE, ControlPlane};
use crate::electorate::sibling;
use crate::process::Process;
use crate::tools::NodeTools;

/// Running programs of the cluster.
#[derive(Debug)]
pub(super) struct Managers {
    processes: [Process; 3],
}

impl Managers {
    pub(super) fn start(folder: &Path, control_plane: &ControlPlane, tools: &NodeTools) -> Result<Self> {
        let kubeconfig = format!("--kubeconfig={}", control_plane.kubeconfig().display());
        // Alone, and not listening anywhere.
        let alone = ["--leader-elect=false", "--secure-port=0"];
        let mut controllers = command(folder, &tools.kube_controller_manager, "controllers.log")?;
        controllers
            .arg(&kubeconfig)
            .args(alone)
            .arg(format!("--root-ca-file={}", control_plane.ca_file().display()))
            .arg(format!("--flex-volume-plugin-dir={}", folder.join("volume-plugins").display()));
        let mut scheduler = command(folder, &tools.kube_scheduler, "scheduler.log")?;
        scheduler.arg(&kubeconfig).args(alone);
        let api_server = control_plane.url().trim_start_matches("https://").to_owned();
        let mut forwarder = command(folder, &sibling(OWN_PROGRAM)?, "forwarder.log")?;
        forwarder
            .args(["forward", "--listen", &format!("{API_SERVICE}:443"), "--to", &api_server])
            .arg("--nodes")
            .arg(folder);
        Ok(Self {
            processes: [Process::spawn(forwarder)?, Process::spawn(controllers)?, Process::spawn(scheduler)?],
        })
    }

    pub(super) fn let_go(self) {
        self.processes.into_iter().for_each(Process::detach);
    }
}

/// Passes connections on, both ways, until it is killed.
///
/// # Errors
/// When it cannot listen.
pub async fn forward(listen: SocketAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    loop {
        let (mut near, _) = listener.accept().await.context("accepting a connection")?;
        tokio::spawn(async move {
            // A server that is not there is seen as a connection that ends.
            let Ok(mut far) = TcpStream::connect(to).await else { return };
            near.set_nodelay(true).and_then(|()| far.set_nodelay(true)).ok();
            tokio::io::copy_bidirectional(&mut near, &mut far).await.ok();
        });
    }
}

/// Another process that clears the nodes away when ours has ended in any way: it reads from a pipe of which only we
/// have the other end.
#[derive(Debug)]
pub(super) struct Reaper(Child);

impl Reaper {
    pub(super) fn start() -> Result<Self> {
        let child = Command::new(sibling(OWN_PROGRAM)?)
            .arg("reap")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()
            .context("starting the process that clears nodes away")?;
        Ok(Self(child))
    }

    /// Ends it with nothing cleared away.
    pub(super) fn dismiss(&mut self) -> Result<()> {
        self.0.kill().and_then(|()| self.0.wait()).context("ending the process that clears nodes away")?;
        Ok(())
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        // Our end of the pipe closes, and it begins. It has been waited for if it was dismissed.
        drop(self.0.stdin.take());
        match self.0.wait() {
            Ok(status) if status.success() || status.code().is_none() => {}
            other => {
                writeln!(
                    std::io::stderr(),
                    "nodes were not cleared away: {other:?}; try `cargo xtask node down`"
                )
                .ok();
            }
        }
    }
}

fn command(folder: &Path, program: &Path, log: &str) -> Result<Command> {
    ensure!(program.is_file(), "there is no {}", program.display());
    let path = folder.join(log);
    let log = File::options().create(true).append(true).open(&path);
    let log = log.with_context(|| format!("opening {}", path.display()))?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    Ok(command)
}
