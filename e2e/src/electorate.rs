//! Several candidates for one Lease, ours and client-go's, asked all the time whether they lead.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::control_plane::ControlPlane;
use crate::piped::PipedProcess;
use crate::process::boottime_ns;
use crate::rbac::LeasePermission;
use crate::tools;

/// Whose election a candidate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elector {
    /// The library under test.
    Ours,
    /// client-go, with ReleaseOnCancel.
    ClientGo,
}

/// One line of a candidate.
#[derive(Clone, Debug, Deserialize)]
pub struct Said {
    /// `started`, `stopping`, `stopped`, `new_leader`, `work_began`, `work_ended`, `sample`, ...
    pub event: String,
    /// CLOCK_BOOTTIME, read after what the line tells.
    pub boottime_ns: u64,
    /// CLOCK_BOOTTIME, read before a sample was taken; only our candidates tell it.
    pub asked_ns: Option<u64>,
    /// Whether it leads, in a sample.
    pub leading: Option<bool>,
    /// Fencing token.
    pub token: Option<u64>,
    /// End of leadership as of the latest renewal, in a sample of ours.
    pub lead_until_ns: Option<u64>,
    /// State, in a sample of ours.
    pub state: Option<String>,
    /// Latest failure, in a sample of ours.
    pub error: Option<String>,
    /// The holder seen.
    pub leader: Option<String>,
    /// Whether the lease was released.
    pub released: Option<bool>,
    /// Why the term ended.
    pub reason: Option<String>,
}

/// One candidate.
#[derive(Debug)]
pub struct Member {
    /// Its name: that of its Pod, and client-go's identity.
    pub name: String,
    /// Whose election it runs.
    pub elector: Elector,
    /// All that it has said so far.
    pub said: Vec<Said>,
    /// CLOCK_BOOTTIME just before its process was started.
    pub started_ns: u64,
    process: PipedProcess,
    /// When it was seen to have ended, if it has.
    pub(crate) ended_ns: Option<u64>,
    pub(crate) was_paused: bool,
    has_ended: bool,
}

impl Member {
    /// Kills it; it has ended when this returns.
    ///
    /// # Errors
    /// When it had ended already.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        self.ended_ns = Some(boottime_ns());
        Ok(())
    }

    /// Stops it in its tracks (SIGSTOP).
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&mut self) -> Result<()> {
        self.was_paused = true;
        self.process.pause()
    }

    /// The process, to pause, resume or kill it.
    pub fn process(&mut self) -> &mut PipedProcess {
        &mut self.process
    }

    /// The latest answer to the question whether it leads.
    pub fn last_sample(&self) -> Option<&Said> {
        self.said.iter().rev().find(|said| said.event == "sample")
    }

    /// Whether it led when it last answered, and has not ended since.
    pub fn leads(&self) -> bool {
        !self.has_ended && self.last_sample().and_then(|said| said.leading) == Some(true)
    }

    fn collect(&mut self) -> Result<()> {
        self.has_ended = self.process.exit_status()?.is_some();
        if self.has_ended {
            // The library ends a process whose work has no time left: it says nothing more, and works no more.
            self.ended_ns.get_or_insert_with(boottime_ns);
        }
        for line in self.process.arrived_lines() {
            let said = serde_json::from_str(&line.text)
                .with_context(|| format!("{} said {:?}", self.name, line.text))?;
            self.said.push(said);
        }
        Ok(())
    }
}

/// All candidates for one Lease.
#[derive(Debug)]
pub struct Electorate {
    /// In the order in which they were started.
    pub members: Vec<Member>,
    lease_duration: Duration,
    namespace: String,
    lease: String,
    peers: bool,
    client_go_flags: Vec<String>,
}

impl Electorate {
    /// A lease duration that keeps tests short.
    pub const SHORT: Duration = Duration::from_secs(3);

    /// An electorate for the Lease of this permission, still empty. `peers`: whether client-go takes part.
    pub fn new(permission: &LeasePermission, lease_duration: Duration, peers: bool) -> Self {
        let (namespace, lease) = (permission.namespace().to_owned(), permission.lease().to_owned());
        let client_go_flags = vec!["--release-on-cancel=true".to_owned()];
        Self { members: Vec::new(), lease_duration, namespace, lease, peers, client_go_flags }
    }

    /// How candidates of client-go that are started from now on differ from its usual settings: flags of
    /// `client-go/main.go`. By default they release on cancellation.
    #[must_use]
    pub fn with_client_go_flags(self, flags: &[&str]) -> Self {
        Self { client_go_flags: flags.iter().map(|&flag| flag.to_owned()).collect(), ..self }
    }

    /// Starts a candidate with a token that is bound to a Pod of its own.
    ///
    /// # Errors
    /// When the Pod, its token or the process cannot be had.
    pub async fn start(
        &mut self,
        control_plane: &ControlPlane,
        permission: &LeasePermission,
        name: &str,
        elector: Elector,
    ) -> Result<usize> {
        let kubeconfig = kubeconfig(control_plane, permission, name, &control_plane.url()).await?;
        self.start_with(&kubeconfig, name, elector).await
    }

    /// Starts a candidate with this kubeconfig.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub async fn start_with(&mut self, kubeconfig: &Path, name: &str, elector: Elector) -> Result<usize> {
        let command = match elector {
            Elector::Ours => self.our_command(kubeconfig, name)?,
            Elector::ClientGo => self.client_go_command(kubeconfig, name).await?,
        };
        let started_ns = boottime_ns();
        let process = PipedProcess::spawn(command)?;
        self.members.push(Member {
            name: name.to_owned(),
            elector,
            said: Vec::new(),
            started_ns,
            process,
            ended_ns: None,
            was_paused: false,
            has_ended: false,
        });
        Ok(self.members.len() - 1)
    }

    fn our_command(&self, kubeconfig: &Path, name: &str) -> Result<Command> {
        let mut command = Command::new(sibling("leasehold-candidate")?);
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", &self.namespace, "--lease", &self.lease])
            .args(["--lease-duration", &self.lease_duration.as_secs().to_string()])
            .env("POD_NAME", name)
            .env("RUST_LOG", "leasehold=debug");
        if !self.peers {
            command.arg("--no-peers");
        }
        Ok(command)
    }

    async fn client_go_command(&self, kubeconfig: &Path, name: &str) -> Result<Command> {
        let program =
            tokio::task::spawn_blocking(tools::ensure_client_go).await.context("building client-go")??;
        let milliseconds = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--namespace", &self.namespace, "--lease", &self.lease, "--identity", name])
            .args(["--lease-duration", &milliseconds(self.lease_duration)])
            .args(["--renew-deadline", &milliseconds(self.lease_duration * 2 / 3)])
            .args(["--retry-period", &milliseconds(self.lease_duration * 2 / 15)])
            .args(&self.client_go_flags);
        Ok(command)
    }

    /// Asks all candidates once, and takes in what they have said.
    ///
    /// # Errors
    /// As [`listen`](Self::listen).
    pub fn probe(&mut self) -> Result<()> {
        for member in &mut self.members {
            // One that has ended cannot be asked: that it says no more is its answer.
            member.process.write_line("probe").ok();
        }
        self.listen()
    }

    /// Takes in what all candidates have said, and asks nothing: what is measured is not disturbed.
    ///
    /// # Errors
    /// When one says what is no line of a candidate.
    pub fn listen(&mut self) -> Result<()> {
        self.members.iter_mut().try_for_each(Member::collect)
    }

    /// Asks all candidates every few milliseconds for this long.
    ///
    /// # Errors
    /// As [`probe`](Self::probe).
    pub async fn observe(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.probe()?;
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
        Ok(())
    }

    /// Asks all candidates until `wanted` holds.
    ///
    /// # Errors
    /// When it does not within `timeout`: the error shows what each last said.
    pub async fn until(
        &mut self,
        what: &str,
        timeout: Duration,
        wanted: impl Fn(&[Member]) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + timeout;
        loop {
            self.probe()?;
            if wanted(&self.members) {
                return Ok(());
            }
            if Instant::now() >= end {
                bail!("{what} did not happen within {timeout:?}{}", self.describe());
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    }

    /// Waits until exactly one candidate but `except` leads, and tells which.
    ///
    /// # Errors
    /// When there is none within `timeout`.
    pub async fn leader(&mut self, timeout: Duration, except: Option<usize>) -> Result<usize> {
        let leaders = |members: &[Member]| -> Vec<usize> {
            let others = members.iter().enumerate().filter(|(index, _)| Some(*index) != except);
            others.filter(|(_, member)| member.leads()).map(|(index, _)| index).collect()
        };
        self.until("a new leader", timeout, |members| leaders(members).len() == 1).await?;
        leaders(&self.members).first().copied().context("a leader was there a moment ago")
    }

    /// Whether every candidate still runs.
    ///
    /// # Errors
    /// When that cannot be found out.
    pub fn are_all_alive(&mut self) -> Result<bool> {
        for member in &mut self.members {
            if member.process.exit_status()?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What each candidate last said and logged, for an error message.
    pub fn describe(&self) -> String {
        let tails = self.members.iter().map(|member| {
            let errors = member.process.errors();
            let lines: Vec<&str> = errors.lines().collect();
            let tail = lines[lines.len().saturating_sub(12)..].join("\n");
            format!("\n--- {} last said {:?}\n{tail}", member.name, member.said.last())
        });
        tails.collect()
    }
}

/// A kubeconfig for the bearer of a token that is bound to a new Pod of this name.
///
/// # Errors
/// When the Pod or its token cannot be had.
pub async fn kubeconfig(
    control_plane: &ControlPlane,
    permission: &LeasePermission,
    pod: &str,
    server_url: &str,
) -> Result<PathBuf> {
    let admin = control_plane.admin_client().await?;
    let pod = permission.create_pod(&admin, pod).await?;
    let token = permission.bound_token(&admin, &pod).await?;
    control_plane.kubeconfig_for(&token, server_url)
}

/// A program of this workspace, which the build has put beside the running one.
///
/// # Errors
/// When it was not built.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding the running program")?;
    let folders = own.ancestors().skip(1).take(2);
    let found = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    found.with_context(|| {
        format!("{name} is not built; run `cargo build --workspace --bins`, or `cargo xtask test`")
    })
}

const PROBE_INTERVAL: Duration = Duration::from_millis(5);
