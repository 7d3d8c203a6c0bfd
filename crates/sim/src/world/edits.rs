//! What others do to the Lease.

use std::time::Duration;

use leasehold_history::Nanos;
use serde_json::{Value, json};

use super::{Event, World};
use crate::clocks::after;
use crate::fault::FaultKind;

impl World {
    pub(super) fn strike_lease(&mut self, kind: FaultKind) {
        let Some(lease) = self.servers.lease.clone() else { return };
        if lease.holder.is_empty() && kind.needs_holder() {
            return;
        }
        self.count_of_all(kind);
        let seconds = lease.seconds.unwrap_or(15);
        match kind {
            FaultKind::LeaseDeleted => self.edit_as_admin("DELETE", "application/json", &Value::Null),
            FaultKind::LeaseReplaced => {
                self.edit_as_admin("DELETE", "application/json", &Value::Null);
                self.create_lease();
            }
            FaultKind::HolderCleared => self.merge(&json!({"holderIdentity": ""})),
            FaultKind::HolderEdited => self.merge(&json!({"holderIdentity": "somebody"})),
            FaultKind::DurationLengthened => {
                let longer = seconds.saturating_mul(2).min(60);
                self.merge(&json!({"leaseDurationSeconds": longer.max(seconds)}));
            }
            FaultKind::DurationShortened => {
                self.merge(&json!({"leaseDurationSeconds": (seconds / 3).max(1)}));
            }
            FaultKind::TransitionsLowered => self.merge(&json!({"leaseTransitions": 0})),
            FaultKind::LabelsTouched => {
                let until = after(self.now, self.chance.millis(5_000, 60_000));
                self.touch_labels(until);
            }
            FaultKind::RenewTimeGarbage => {
                self.merge(&json!({"renewTime": "2199-12-31T23:59:59.000000Z"}));
            }
            FaultKind::StrategySet => {
                self.merge(&json!({"strategy": "OldestEmulationVersion"}));
                let at = after(self.now, self.chance.millis(1_000, 60_000));
                self.queue.plan(at, Event::StrategyEnds);
            }
            _ => {}
        }
    }

    pub(super) fn touch_labels(&mut self, until: Nanos) {
        if self.healed || self.now > until {
            return;
        }
        let label = json!({"metadata": {"labels": {"touched": format!("t{}", self.now.0)}}});
        if self.servers.lease.is_some() {
            self.edit_as_admin("PATCH", MERGE, &label);
        }
        self.queue.plan(after(self.now, Duration::from_secs(1)), Event::Touch(until));
    }

    pub(super) fn end_strategy(&mut self) {
        if self.servers.lease.as_ref().is_some_and(|lease| lease.strategy) {
            self.merge(&json!({"strategy": null}));
        }
    }

    fn merge(&mut self, spec: &Value) {
        self.edit_as_admin("PATCH", MERGE, &json!({"spec": spec}));
    }
}

const MERGE: &str = "application/merge-patch+json";
