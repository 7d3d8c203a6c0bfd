//! A candidate made of client-go: the peer that most clusters run.
//!
//! It creates a missing Lease with a POST, which a [`LeasePermission`](crate::LeasePermission)
//! does not allow: beside such a permission the Lease has to be there first.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use tokio::time::Instant;

use crate::piped::PipedProcess;
use crate::tools;

/// How a candidate campaigns.
#[derive(Debug, Clone)]
pub struct ClientGoOptions {
    /// Whose permissions it has, and where it talks to.
    pub kubeconfig: std::path::PathBuf,
    /// The namespace of the Lease.
    pub namespace: String,
    /// The name of the Lease.
    pub lease: String,
    /// What it writes as the holder.
    pub identity: String,
    /// How long standbys wait; whole seconds.
    pub lease_duration: Duration,
    /// How long the leader tries to renew.
    pub renew_deadline: Duration,
    /// The pause between attempts.
    pub retry_period: Duration,
    /// Whether SIGTERM clears the holder.
    pub release_on_cancel: bool,
}

impl ClientGoOptions {
    /// client-go's defaults, 15/10/2 s, and a release on SIGTERM.
    pub fn new(kubeconfig: &Path, namespace: &str, lease: &str, identity: &str) -> Self {
        Self {
            kubeconfig: kubeconfig.to_owned(),
            namespace: namespace.to_owned(),
            lease: lease.to_owned(),
            identity: identity.to_owned(),
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            release_on_cancel: true,
        }
    }

    /// The same ratios around another lease duration: short ones keep tests short.
    #[must_use]
    pub fn scaled_to(self, lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            renew_deadline: lease_duration * 2 / 3,
            retry_period: lease_duration * 2 / 15,
            ..self
        }
    }
}

/// What a candidate says, with the CLOCK_BOOTTIME of the moment it speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ClientGoEvent {
    /// What happened.
    #[serde(flatten)]
    pub kind: ClientGoEventKind,
    /// When, read by the candidate itself.
    pub boottime_ns: u64,
    /// Whose candidate it is.
    pub identity: String,
}

/// The kinds of events of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ClientGoEventKind {
    /// `OnStartedLeading` was called: the work runs.
    Started,
    /// The context of the work has ended: the work can know that it has to stop.
    Cancelled,
    /// `OnStoppedLeading` was called; client-go also does so when it never led.
    Stopped,
    /// `OnNewLeader` was called.
    NewLeader {
        /// The holder it saw; empty after a release.
        #[serde(default)]
        leader: String,
    },
    /// The answer to a probe.
    Sample {
        /// Whether the context of the work was alive.
        leading: bool,
    },
}

/// A running candidate, killed when it is dropped.
#[derive(Debug)]
pub struct ClientGoCandidate {
    process: PipedProcess,
}

impl ClientGoCandidate {
    /// Starts a candidate.
    ///
    /// # Errors
    /// When the program cannot be had or started.
    pub async fn start(options: &ClientGoOptions) -> Result<Self> {
        let program =
            tokio::task::spawn_blocking(tools::ensure_client_go).await.context("building client-go")??;
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(&options.kubeconfig)
            .args([
                "--namespace",
                &options.namespace,
                "--lease",
                &options.lease,
                "--identity",
                &options.identity,
            ])
            .args(["--lease-duration", &milliseconds(options.lease_duration)])
            .args(["--renew-deadline", &milliseconds(options.renew_deadline)])
            .args(["--retry-period", &milliseconds(options.retry_period)])
            .arg(format!("--release-on-cancel={}", options.release_on_cancel));
        Ok(Self { process: PipedProcess::spawn(command)? })
    }

    /// The next event; `None` when the process has ended.
    ///
    /// # Errors
    /// When none came within `timeout`, or a line is no event.
    pub async fn next_event(&mut self, timeout: Duration) -> Result<Option<ClientGoEvent>> {
        let Some(line) = self.process.next_line(timeout).await? else { return Ok(None) };
        serde_json::from_str(&line.text).with_context(|| format!("{} is no event", line.text)).map(Some)
    }

    /// Passes over events until the wanted one.
    ///
    /// # Errors
    /// When it did not come within `timeout`, or the process ended before.
    pub async fn wait_for(
        &mut self,
        wanted: impl Fn(&ClientGoEventKind) -> bool,
        timeout: Duration,
    ) -> Result<ClientGoEvent> {
        let deadline = Instant::now() + timeout;
        loop {
            let event = self.next_event(deadline.saturating_duration_since(Instant::now())).await?;
            let event = event
                .with_context(|| format!("the candidate has ended; stderr:\n{}", self.process.errors()))?;
            if wanted(&event.kind) {
                return Ok(event);
            }
        }
    }

    /// Asks the candidate whether it leads, passing over events that came before its answer.
    ///
    /// # Errors
    /// When it does not answer within `timeout`.
    pub async fn is_leading(&mut self, timeout: Duration) -> Result<bool> {
        self.process.write_line("probe")?;
        let answer = self.wait_for(|kind| matches!(kind, ClientGoEventKind::Sample { .. }), timeout).await?;
        Ok(answer.kind == ClientGoEventKind::Sample { leading: true })
    }

    /// Sends SIGTERM and waits: it releases, if it was asked to, and ends.
    ///
    /// # Errors
    /// When it has ended already, or not after `timeout`.
    pub async fn stop(&mut self, timeout: Duration) -> Result<()> {
        self.process.terminate()?;
        let status = self.process.wait(timeout).await?;
        ensure!(
            status.is_some_and(|status| status.success()),
            "ended with {status:?}:\n{}",
            self.process.errors()
        );
        Ok(())
    }

    /// The process itself, to pause, resume or kill it.
    pub fn process(&mut self) -> &mut PipedProcess {
        &mut self.process
    }
}

/// A duration as Go's flags read it.
fn milliseconds(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}
