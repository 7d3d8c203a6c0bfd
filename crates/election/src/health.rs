//! Whether a candidate is fit to lead, as somebody else has found out.

use std::fmt;

/// The health of a candidate. Who was never told of any is healthy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// It may lead.
    #[default]
    Healthy,
    /// It leads no more and does not campaign, unless
    /// [`Config::lead_unhealthy_after`](crate::Config::lead_unhealthy_after) says otherwise.
    Unhealthy {
        /// What is wrong, or that nobody knows yet, for people.
        reason: String,
    },
}

impl Health {
    /// Not fit to lead, and why.
    pub fn unhealthy(reason: impl Into<String>) -> Self {
        Self::Unhealthy { reason: reason.into() }
    }

    /// Whether it may lead.
    pub fn is_healthy(&self) -> bool {
        *self == Self::Healthy
    }

    /// What is wrong, if anything is.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Healthy => None,
            Self::Unhealthy { reason } => Some(reason),
        }
    }

    /// The word in logs and JSON.
    pub fn as_str(&self) -> &'static str {
        if self.is_healthy() { "healthy" } else { "unhealthy" }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy => f.write_str("healthy"),
            Self::Unhealthy { reason } => write!(f, "unhealthy: {reason}"),
        }
    }
}
