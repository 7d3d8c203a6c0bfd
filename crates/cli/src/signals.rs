//! Signals that end a verb.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP, caught from its creation on.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to catch them.
    ///
    /// # Errors
    /// If they cannot be received.
    pub(crate) fn catch() -> Result<Self> {
        let catch = |kind| signal(kind).context("signals cannot be received");
        Ok(Self {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
        })
    }

    /// Waits for one, and gives the exit code that shells know it by.
    pub(crate) async fn received(&mut self) -> ExitCode {
        ExitCode::from(tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
            _ = self.hang_up.recv() => 128 + 1,
        })
    }
}
