//! The cases that are written down, by what they are about.

use serde_json::{Value, json};

use super::script::Case;

pub mod deletes;
pub mod leases;
pub mod locks;
pub mod namespaces;
pub mod patches;
pub mod pods;
pub mod refusals;
pub mod selectors;
pub mod stamps;
pub mod tables;

/// Every case.
pub fn all() -> Vec<Case> {
    let groups = [deletes::cases(), leases::cases(), locks::cases(), namespaces::cases(), patches::cases()];
    let more = [pods::cases(), refusals::cases(), selectors::cases(), stamps::cases(), tables::cases()];
    groups.into_iter().chain(more).flatten().collect()
}

/// A held Lease.
fn lease(name: &str, holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": 15,
            "acquireTime": "2026-01-02T03:04:05.000006Z",
            "renewTime": "2026-01-02T03:04:05.000006Z",
            "leaseTransitions": 0,
        },
    })
}

/// A Lease with this spec.
fn lease_of(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec})
}

/// A ConfigMap as home-made locks use it.
fn config_map(name: &str, holder: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"holder": holder}})
}

/// `object` with `metadata` merged into its metadata.
fn with_metadata(mut object: Value, metadata: &Value) -> Value {
    for (key, value) in metadata.as_object().into_iter().flatten() {
        object["metadata"][key] = value.clone();
    }
    object
}
