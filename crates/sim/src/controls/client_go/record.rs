//! The record in the Lease as client-go has it in memory, and as it compares it.

use serde_json::{Value, json};

/// `LeaderElectionRecord`.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) holder: String,
    pub(super) seconds: u64,
    pub(super) acquired: String,
    pub(super) renewed: String,
    pub(super) transitions: i64,
}

/// A record as it is compared: its JSON, in which times have whole seconds (U10).
pub(super) type Raw = (String, u64, String, String, i64);

impl Record {
    pub(super) fn of(lease: &Value) -> Self {
        let spec = &lease["spec"];
        let text = |field: &str| spec[field].as_str().unwrap_or("").to_owned();
        Self {
            holder: text("holderIdentity"),
            seconds: spec["leaseDurationSeconds"].as_u64().unwrap_or(0),
            acquired: text("acquireTime"),
            renewed: text("renewTime"),
            transitions: spec["leaseTransitions"].as_i64().unwrap_or(0),
        }
    }

    pub(super) fn raw(&self) -> Raw {
        let second = |time: &str| time.split('.').next().unwrap_or("").to_owned();
        (self.holder.clone(), self.seconds, second(&self.acquired), second(&self.renewed), self.transitions)
    }

    /// `LeaderElectionRecordToLeaseSpec`, which keeps nothing else.
    pub(super) fn spec(&self) -> Value {
        json!({"holderIdentity": self.holder, "leaseDurationSeconds": self.seconds,
            "acquireTime": self.acquired, "renewTime": self.renewed, "leaseTransitions": self.transitions})
    }
}
