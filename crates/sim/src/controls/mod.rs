//! Other designs, known to be broken: the checker must find what is known of them.

mod client_go;
mod config_map;

use std::time::Duration;

use leasehold_election::{Config, Limits, Reading};
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
    /// The algorithm of client-go's `leaderelection.go` with its default timings, a client timeout and `ReleaseOnCancel`.
    ClientGo,
    /// A lock in a ConfigMap that is written without a resourceVersion and judged by the wall clock.
    ConfigMapLock,
    /// Our elector with the wall clock in place of all clocks.
    WallClock,
}

impl ControlKind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::ClientGo, Self::ConfigMapLock, Self::WallClock];

    /// The name in reports and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClientGo => "ClientGo",
            Self::ConfigMapLock => "ConfigMapLock",
            Self::WallClock => "WallClock",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ClientGo => "client-go's algorithm at its defaults, with ReleaseOnCancel.",
            Self::ConfigMapLock => "A ConfigMap written without resourceVersion, judged by the wall clock.",
            Self::WallClock => "Our elector with the wall clock in place of all clocks.",
        }
    }

    /// Worlds in which its faults show often.
    pub fn settings(self) -> Settings {
        let mut settings = directed(match self {
            Self::ClientGo => vec![F::Partition, F::HeldAnswer, F::Slow, F::RequestsLost],
            Self::ConfigMapLock => vec![F::Slow, F::Partition, F::StepDown],
            Self::WallClock => vec![F::WallForward, F::WallBack],
        });
        if self == Self::ClientGo {
            settings.timings.truncate(0);
            settings.timings.push(leasehold_election::TimingSettings::default());
        }
        settings
    }

    pub(crate) fn make(self, config: Config, reading: Reading) -> Box<dyn Candidate> {
        match self {
            Self::ClientGo => Box::new(client_go::ClientGo::new(&config)),
            Self::ConfigMapLock => Box::new(config_map::ConfigMapLock::new(&config)),
            Self::WallClock => Box::new(Ours::of_wall_clock(config, reading)),
        }
    }

    pub(crate) fn sight(self) -> ClockSight {
        match self {
            Self::ClientGo | Self::ConfigMapLock => ClockSight::All,
            Self::WallClock => ClockSight::WallOnly,
        }
    }
}

/// What a peer that ignores time says of itself while it leads.
fn leads_for(lead_for: Option<Duration>) -> Limits {
    Limits { lead_for, valid_for: None, kill_in: None }
}
