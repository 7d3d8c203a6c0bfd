//! A server of one Lease that answers as kube-apiserver does, as far as the machine asks.

use http::{Method, Request, Response};
use serde_json::{Value, json};

/// One Lease in a store.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    lease: Option<Value>,
    revision: u64,
    next_uid: u32,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self { lease: None, revision: 10, next_uid: 1 }
    }

    pub(crate) fn lease(&self) -> Option<&Value> {
        self.lease.as_ref()
    }

    /// Creates or changes the Lease as somebody else would. `null` removes a field.
    pub(crate) fn edit(&mut self, changes: &[(&str, Value)]) {
        if self.lease.is_none() {
            self.insert(json!({}), json!({}));
        }
        for (pointer, value) in changes {
            self.set(pointer, value.clone());
        }
        self.advance();
    }

    pub(crate) fn delete(&mut self) {
        self.lease = None;
        self.revision += 1;
    }

    /// etcd was restored from a backup.
    pub(crate) fn restore(&mut self, lease: Value, revision: u64) {
        self.lease = Some(lease);
        self.revision = revision;
        self.set("/metadata/resourceVersion", json!(revision.to_string()));
    }

    /// The line that a watch brings for the present state.
    pub(crate) fn event(&self) -> Vec<u8> {
        let event = match &self.lease {
            Some(lease) => json!({ "type": "MODIFIED", "object": lease }),
            None => {
                let version = self.revision.to_string();
                let metadata =
                    json!({ "name": "db", "namespace": "prod", "uid": "gone", "resourceVersion": version });
                json!({ "type": "DELETED", "object": { "kind": "Lease", "metadata": metadata } })
            }
        };
        event.to_string().into_bytes()
    }

    pub(crate) fn handle(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        match *request.method() {
            Method::GET => self.answer(),
            Method::PUT => self.put(request.body()),
            _ => self.patch(request.body()),
        }
    }

    fn answer(&self) -> Response<Vec<u8>> {
        match &self.lease {
            Some(lease) => respond(200, lease),
            None => status(404, "NotFound", "leases \"db\" not found", &details("leases", "db")),
        }
    }

    fn put(&mut self, body: &[u8]) -> Response<Vec<u8>> {
        if self.lease.is_some() {
            let causes = json!([{ "field": "metadata.resourceVersion", "message": "must be specified for an update" }]);
            let details = json!({ "name": "db", "kind": "leases", "causes": causes });
            return status(422, "Invalid", "metadata.resourceVersion: must be specified", &details);
        }
        let body: Value = serde_json::from_slice(body).expect("a request is JSON");
        self.insert(body["metadata"].clone(), body["spec"].clone());
        self.advance();
        respond(201, self.lease.as_ref().expect("inserted"))
    }

    fn patch(&mut self, body: &[u8]) -> Response<Vec<u8>> {
        let Some(lease) = &self.lease else { return self.answer() };
        let operations: Vec<Value> = serde_json::from_slice(body).expect("a request is JSON");
        let fails = |operation: &&Value| operation["op"] == "test" && !holds(lease, operation);
        if operations.iter().any(|operation| fails(&operation)) {
            let message = "the server rejected our request due to an error in our request";
            return status(422, "Invalid", message, &json!({}));
        }
        for operation in operations.iter().filter(|operation| operation["op"] == "add") {
            self.set(operation["path"].as_str().expect("a path"), operation["value"].clone());
        }
        self.advance();
        self.answer()
    }

    fn insert(&mut self, metadata: Value, spec: Value) {
        let mut lease = json!({ "kind": "Lease", "metadata": metadata, "spec": spec });
        lease["metadata"]["name"] = json!("db");
        lease["metadata"]["namespace"] = json!("prod");
        lease["metadata"]["uid"] = json!(format!("u{}", self.next_uid));
        self.next_uid += 1;
        self.lease = Some(lease);
    }

    fn set(&mut self, pointer: &str, value: Value) {
        let lease = self.lease.as_mut().expect("there is a Lease");
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        if lease.pointer(parent).is_none() {
            lease["metadata"]["annotations"] = json!({});
        }
        let parent = lease.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
        let name = name.replace("~1", "/");
        if value.is_null() {
            parent.remove(&name)
        } else {
            parent.insert(name, value)
        };
    }

    fn advance(&mut self) {
        self.revision += 1;
        let revision = self.revision.to_string();
        self.set("/metadata/resourceVersion", json!(revision));
    }
}

/// As the API server tests: what is absent equals null.
fn holds(lease: &Value, operation: &Value) -> bool {
    let path = operation["path"].as_str().expect("a path");
    *lease.pointer(path).unwrap_or(&Value::Null) == operation["value"]
}

pub(crate) fn details(kind: &str, name: &str) -> Value {
    json!({ "kind": kind, "name": name })
}

pub(crate) fn status(code: u16, reason: &str, message: &str, details: &Value) -> Response<Vec<u8>> {
    let body =
        json!({ "kind": "Status", "code": code, "reason": reason, "message": message, "details": details });
    respond(code, &body)
}

fn respond(code: u16, body: &Value) -> Response<Vec<u8>> {
    Response::builder().status(code).body(body.to_string().into_bytes()).expect("a valid answer")
}
