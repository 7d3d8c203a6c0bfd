//! A store with one Lease, asked by foreign bytes.

use http::{Request, Response};
use jiff::Timestamp;
use leasehold_apiserver::store::{Outside, Store};
use serde_json::{Value, json};

#[derive(Clone)]
pub(crate) struct World {
    pub(crate) store: Store,
    number: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut number = 0;
        let store = Store::new(&mut Outside { now: now(), chance: &mut || next(&mut number) });
        let mut world = Self { store, number };
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": "db", "labels": { "app": "db" }, "annotations": { "someone.else/note": "x" } },
            "spec": {
                "holderIdentity": "other",
                "leaseTransitions": 3,
                "acquireTime": "2026-01-01T00:00:00.000000Z",
                "renewTime": "2026-01-01T00:00:05.000000Z",
                "leaseDurationSeconds": 15,
            },
        });
        let request = request("PUT", DB, "application/json", lease.to_string().into_bytes()).unwrap();
        assert_eq!(world.send(&request).status(), 201);
        world
    }

    pub(crate) fn send(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Self { store, number } = self;
        store.handle(&mut Outside { now: now(), chance: &mut || next(number) }, request)
    }

    /// The Lease as it is; null if it is gone.
    pub(crate) fn lease(&mut self) -> Value {
        let response = self.send(&request("GET", DB, "", Vec::new()).unwrap());
        if response.status().is_success() { body(&response).unwrap() } else { Value::Null }
    }

    /// To write what is there already is no change.
    pub(crate) fn assert_settled(&mut self) {
        let (lease, revision) = (self.lease(), self.store.revision());
        if lease.is_null() {
            return;
        }
        let put = request("PUT", DB, "application/json", lease.to_string().into_bytes()).unwrap();
        let response = self.send(&put);
        assert_eq!(body(&response).unwrap(), lease);
        assert_eq!(self.store.revision(), revision, "written as it was, it changed: {lease}");
    }
}

pub(crate) fn request(
    method: &str,
    target: &str,
    content_type: &str,
    body: Vec<u8>,
) -> Option<Request<Vec<u8>>> {
    let request = Request::builder().method(method).uri(target).header("user-agent", "story/1");
    request.header("content-type", content_type).body(body).ok()
}

/// The JSON of an answer; none where it is plain text.
pub(crate) fn body(response: &Response<Vec<u8>>) -> Option<Value> {
    let is_json = response.headers().get("content-type").is_some_and(|kind| kind == "application/json");
    is_json.then(|| serde_json::from_slice(response.body()).expect("what is said to be JSON is"))
}

/// A refusal says why, and its code.
pub(crate) fn assert_refused(response: &Response<Vec<u8>>) {
    match body(response) {
        Some(status) => {
            assert_eq!(status["kind"], "Status");
            assert_eq!(status["code"], response.status().as_u16());
            assert!(status["message"].as_str().is_some_and(|message| !message.is_empty()), "{status}");
        }
        None => assert!(!response.body().is_empty(), "a refusal without a word"),
    }
}

/// What is written down of an answer.
pub(crate) fn summary(response: &Response<Vec<u8>>) -> String {
    let text = match body(response) {
        Some(value) if value["kind"] == "Status" => value["message"].as_str().unwrap_or_default().to_owned(),
        Some(value) => format!("{} {}", value["kind"].as_str().unwrap_or("?"), value["spec"]),
        None => String::from_utf8_lossy(response.body()).into_owned(),
    };
    format!("{} {}", response.status().as_u16(), text.chars().take(200).collect::<String>())
}

fn now() -> Timestamp {
    Timestamp::from_second(1_767_323_045).unwrap()
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

pub(crate) const DB: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/db";
