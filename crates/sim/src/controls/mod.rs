//! Other designs, known to be broken: the checker must find what is known of them.

mod client_go;
mod config_map;
mod kube_leader_election;

use std::time::Duration;

use leasehold_election::{Config, Limits, Reading, TimingSettings};
use serde::Serialize;

use crate::candidate::{Candidate, Ours};
use crate::clocks::ClockSight;
use crate::fault::FaultKind as F;
use crate::mutants::directed;
use crate::plan::Settings;

/// A design that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ControlKind {
    /// The algorithm of client-go's `leaderelection.go` with `ReleaseOnCancel` and the client timeout of its components.
    ClientGo,
    /// The same without `ReleaseOnCancel`.
    ClientGoNoRelease,
    /// With `ReleaseOnCancel` and without a client timeout.
    ClientGoNoTimeout,
    /// With neither.
    ClientGoBare,
    /// kube-leader-election 0.44: merge patches without a resourceVersion, judged by the wall clock.
    KubeLeaderElection,
    /// A lock in a ConfigMap that is written without a resourceVersion and judged by the wall clock.
    ConfigMapLock,
    /// Our elector with the wall clock in place of all clocks.
    WallClock,
}

impl ControlKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ClientGo,
        Self::ClientGoNoRelease,
        Self::ClientGoNoTimeout,
        Self::ClientGoBare,
        Self::KubeLeaderElection,
        Self::ConfigMapLock,
        Self::WallClock,
    ];

    /// Those that share a Lease with others.
    pub const PEERS: &[Self] = &[
        Self::ClientGo,
        Self::ClientGoNoRelease,
        Self::ClientGoNoTimeout,
        Self::ClientGoBare,
        Self::KubeLeaderElection,
    ];

    /// The name in reports and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientGo => "ClientGo",
            Self::ClientGoNoRelease => "ClientGoNoRelease",
            Self::ClientGoNoTimeout => "ClientGoNoTimeout",
            Self::ClientGoBare => "ClientGoBare",
            Self::KubeLeaderElection => "KubeLeaderElection",
            Self::ConfigMapLock => "ConfigMapLock",
            Self::WallClock => "WallClock",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ClientGo => {
                "client-go with ReleaseOnCancel and a client timeout of half of the renew deadline, as its components set it."
            }
            Self::ClientGoNoRelease => "client-go with that client timeout, without ReleaseOnCancel.",
            Self::ClientGoNoTimeout => "client-go with ReleaseOnCancel, without a client timeout.",
            Self::ClientGoBare => "client-go without a client timeout and without ReleaseOnCancel.",
            Self::KubeLeaderElection => {
                "kube-leader-election 0.44 with its example's loop: the wall clock, and patches without resourceVersion."
            }
            Self::ConfigMapLock => "A ConfigMap written without resourceVersion, judged by the wall clock.",
            Self::WallClock => "Our elector with the wall clock in place of all clocks.",
        }
    }

    pub(crate) fn is_client_go(self) -> bool {
        Self::PEERS.contains(&self) && self != Self::KubeLeaderElection
    }

    /// Worlds in which its faults show often.
    pub fn settings(self) -> Settings {
        let mut settings = directed(match self {
            // With a client timeout and nothing to release little is left but the clock.
            Self::ClientGoNoRelease => vec![F::Partition, F::HeldAnswer, F::Suspend],
            Self::ClientGo | Self::ClientGoNoTimeout | Self::ClientGoBare => {
                vec![F::Partition, F::HeldAnswer, F::Slow, F::RequestsLost]
            }
            Self::KubeLeaderElection => vec![F::Partition, F::WallForward, F::WallBack],
            Self::ConfigMapLock => vec![F::Slow, F::Partition, F::StepDown],
            Self::WallClock => vec![F::WallForward, F::WallBack],
        });
        if Self::PEERS.contains(&self) {
            settings.timings = vec![TimingSettings::default()];
            settings.twins_permille = 0;
        }
        settings
    }

    pub(crate) fn make(self, config: Config, reading: Reading) -> Box<dyn Candidate> {
        match self {
            Self::ClientGo | Self::ClientGoNoRelease | Self::ClientGoNoTimeout | Self::ClientGoBare => {
                Box::new(client_go::ClientGo::new(&config, self.options(&config)))
            }
            Self::KubeLeaderElection => Box::new(kube_leader_election::KubeLeaderElection::new(&config)),
            Self::ConfigMapLock => Box::new(config_map::ConfigMapLock::new(&config)),
            Self::WallClock => Box::new(Ours::of_wall_clock(config, reading)),
        }
    }

    /// `resourcelock.NewFromKubeconfig` sets the client timeout to half of the renew deadline, and at least 1 s.
    fn options(self, config: &Config) -> client_go::Options {
        let component = (config.timing.renew_deadline() / 2).max(Duration::from_secs(1));
        client_go::Options {
            release: matches!(self, Self::ClientGo | Self::ClientGoNoTimeout),
            client_timeout: matches!(self, Self::ClientGo | Self::ClientGoNoRelease).then_some(component),
        }
    }

    pub(crate) fn sight(self) -> ClockSight {
        match self {
            Self::ClientGo
            | Self::ClientGoNoRelease
            | Self::ClientGoNoTimeout
            | Self::ClientGoBare
            | Self::KubeLeaderElection
            | Self::ConfigMapLock => ClockSight::All,
            Self::WallClock => ClockSight::WallOnly,
        }
    }
}

/// What a peer that ignores time says of itself while it leads.
fn leads_for(lead_for: Option<Duration>) -> Limits {
    Limits { lead_for, valid_for: None, kill_in: None }
}
