//! The API server as far as one Lease needs it: a read, a JSON Patch of `test`s and `add`s, a PUT that creates, a
//! deletion, and a watch. A test holds it against the store of `leasehold-apiserver`, which is too slow to be copied a
//! million times.
//!
//! A watch resumes only from the version that is there; from an older one it is told that it is gone, as a server says
//! that has forgotten its history.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

/// The Lease, and the revision of the newest change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Server {
    pub(crate) lease: Option<Arc<Version>>,
    pub(crate) revision: u64,
    uids: u64,
}

/// One version of the Lease. Equal text is the same version.
#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) json: String,
    pub(crate) uid: String,
    /// Empty: nobody.
    pub(crate) holder: String,
    pub(crate) transitions: Option<i64>,
    pub(crate) renew_time: Option<String>,
}

/// What a request is answered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Lease(Arc<Version>),
    Created(Arc<Version>),
    /// A `test` failed.
    Refused,
    /// A PUT that was to create found the Lease there.
    Exists,
    Missing,
}

impl Server {
    /// A server with a free Lease, or without one.
    pub(crate) fn new(with_lease: bool) -> Self {
        let mut server = Self { lease: None, revision: 1, uids: 0 };
        if with_lease {
            server.create(json!({"metadata": {}, "spec": {}}));
        }
        server
    }

    pub(crate) fn handle(&mut self, method: &Method, body: &[u8]) -> Answer {
        match method.as_str() {
            "PUT" if self.lease.is_some() => Answer::Exists,
            "PUT" => {
                let object: Value = serde_json::from_slice(body).expect("electors write JSON");
                Answer::Created(self.create(object))
            }
            "PATCH" => self.patch(body),
            _ => self.lease.clone().map_or(Answer::Missing, Answer::Lease),
        }
    }

    /// Takes the Lease away; the line that watches are told.
    pub(crate) fn delete(&mut self) -> Option<Arc<str>> {
        let lease = self.lease.take()?;
        self.revision += 1;
        let last = self.stamp(lease.value());
        Some(line("DELETED", &last))
    }

    fn create(&mut self, mut object: Value) -> Arc<Version> {
        self.revision += 1;
        self.uids += 1;
        object["kind"] = "Lease".into();
        object["metadata"]["name"] = "db".into();
        object["metadata"]["namespace"] = "prod".into();
        object["metadata"]["uid"] = format!("lease-{}", self.uids).into();
        let version = Arc::new(self.stamp(object));
        self.lease = Some(Arc::clone(&version));
        version
    }

    fn patch(&mut self, body: &[u8]) -> Answer {
        let Some(lease) = &self.lease else { return Answer::Missing };
        let before = lease.value();
        let Some(after) = patched(before.clone(), &operations(body)) else { return Answer::Refused };
        if after != before {
            self.revision += 1;
            self.lease = Some(Arc::new(self.stamp(after)));
        }
        self.lease.clone().map_or(Answer::Missing, Answer::Lease)
    }

    fn stamp(&self, mut object: Value) -> Version {
        object["metadata"]["resourceVersion"] = self.revision.to_string().into();
        Version::new(&object)
    }
}

impl Version {
    fn new(object: &Value) -> Self {
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).map(str::to_owned);
        Self {
            json: object.to_string(),
            uid: text("/metadata/uid").unwrap_or_default(),
            holder: text("/spec/holderIdentity").unwrap_or_default(),
            transitions: object.pointer("/spec/leaseTransitions").and_then(Value::as_i64),
            renew_time: text("/spec/renewTime"),
        }
    }

    pub(crate) fn value(&self) -> Value {
        serde_json::from_str(&self.json).expect("written by this server")
    }

    /// As a watch tells it.
    pub(crate) fn line(&self) -> Arc<str> {
        line("MODIFIED", self)
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.json == other.json
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.json.hash(state);
    }
}

impl Answer {
    pub(crate) fn response(&self) -> Response<Vec<u8>> {
        let (code, body) = match self {
            Self::Lease(version) => (200, version.json.clone()),
            Self::Created(version) => (201, version.json.clone()),
            Self::Refused => (422, TEST_FAILED.to_owned()),
            Self::Exists => (422, EXISTS.to_owned()),
            Self::Missing => (404, MISSING.to_owned()),
        };
        Response::builder().status(code).body(body.into_bytes()).expect("a code and a body make an answer")
    }
}

/// What a watch from a version that is no longer there is answered.
pub(crate) fn gone() -> Response<Vec<u8>> {
    let body = br#"{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}"#;
    Response::builder().status(410).body(body.to_vec()).expect("a code and a body make an answer")
}

/// One operation of a JSON Patch.
#[derive(Debug, Deserialize)]
pub(crate) struct Patch {
    op: String,
    path: String,
    value: Value,
}

impl Patch {
    /// Whether it adds this member, and what.
    pub(crate) fn adds(&self, path: &str) -> Option<&Value> {
        (self.op == "add" && self.path == path).then_some(&self.value)
    }

    /// Whether it tests this member, and for what.
    pub(crate) fn tests(&self, path: &str) -> Option<&Value> {
        (self.op == "test" && self.path == path).then_some(&self.value)
    }
}

pub(crate) fn operations(body: &[u8]) -> Vec<Patch> {
    serde_json::from_slice(body).expect("a JSON Patch is a list of operations")
}

/// None if a `test` fails: then nothing is done.
fn patched(mut object: Value, operations: &[Patch]) -> Option<Value> {
    for Patch { op, path, value } in operations {
        if op == "test" {
            let found = object.pointer(path).unwrap_or(&Value::Null);
            if found != value {
                return None;
            }
            continue;
        }
        let (parent, member) = path.rsplit_once('/')?;
        let member = member.replace("~1", "/");
        object.pointer_mut(parent)?.as_object_mut()?.insert(member, value.clone());
    }
    Some(object)
}

fn line(kind: &str, version: &Version) -> Arc<str> {
    format!(r#"{{"type":"{kind}","object":{}}}"#, version.json).into()
}

const TEST_FAILED: &str = r#"{"kind":"Status","reason":"Invalid","message":"the server rejected our request","details":{},"code":422}"#;
const EXISTS: &str = r#"{"kind":"Status","reason":"Invalid","message":"Lease is invalid","details":{"name":"db","kind":"Lease","causes":[{"field":"metadata.resourceVersion","message":"must be specified for an update"}]},"code":422}"#;
const MISSING: &str = r#"{"kind":"Status","reason":"NotFound","message":"leases not found","details":{"name":"db","kind":"leases"},"code":404}"#;
