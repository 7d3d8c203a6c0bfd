//! A stored object: its value, and its JSON, written once and shared by all who read it.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde_json::Value;

use super::kind::{Kind, Resource};

/// One version of an object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) kind: Kind,
    /// Without `kind` and `apiVersion`.
    pub(crate) value: Value,
    pub(crate) revision: u64,
    json: OnceLock<Bytes>,
}

/// Where an object is kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) kind: Kind,
    /// Empty for kinds without one.
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Object {
    /// A version written at a revision, which its metadata then carries.
    pub(crate) fn new(kind: Kind, mut value: Value, revision: u64) -> Arc<Self> {
        value["metadata"]["resourceVersion"] = revision.to_string().into();
        Arc::new(Self { kind, value, revision, json: OnceLock::new() })
    }

    /// A version that is answered and not kept; it carries the revision it would have replaced, if any.
    pub(crate) fn unstored(kind: Kind, value: Value, revision: Option<u64>) -> Arc<Self> {
        Arc::new(Self { kind, value, revision: revision.unwrap_or_default(), json: OnceLock::new() })
    }

    pub(crate) fn uid(&self) -> &str {
        self.text("uid")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("name")
    }

    pub(crate) fn namespace(&self) -> &str {
        self.text("namespace")
    }

    pub(crate) fn is_terminating(&self) -> bool {
        !self.value["metadata"]["deletionTimestamp"].is_null()
    }

    /// With `kind` and `apiVersion`.
    pub(crate) fn json(&self) -> &Bytes {
        self.json.get_or_init(|| {
            let mut json = prefix(self.kind.resource()).into_bytes();
            let body = serde_json::to_vec(&self.value).expect("every value can be written");
            json.extend_from_slice(&body[1..]);
            json.into()
        })
    }

    /// As an item of a list: without `kind` and `apiVersion`, but for the brace that opens it.
    pub(crate) fn item_json(&self) -> Bytes {
        self.json().slice(prefix(self.kind.resource()).len()..)
    }

    /// With `kind` and `apiVersion`, as a value.
    pub(crate) fn full_value(&self) -> Value {
        typed(self.kind.resource(), self.value.clone())
    }

    fn text(&self, field: &str) -> &str {
        self.value["metadata"][field].as_str().unwrap_or_default()
    }
}

impl Key {
    pub(crate) fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

/// Adds `kind` and `apiVersion`.
pub(crate) fn typed(resource: &Resource, mut value: Value) -> Value {
    value["kind"] = resource.kind.into();
    value["apiVersion"] = resource.api_version().into();
    value
}

fn prefix(resource: &Resource) -> String {
    format!("{{\"kind\":\"{}\",\"apiVersion\":\"{}\",", resource.kind, resource.api_version())
}
