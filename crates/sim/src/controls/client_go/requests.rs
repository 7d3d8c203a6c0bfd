//! The requests of a `LeaseLock`.

use std::time::Duration;

use http::Request;
use leasehold_election::Operation;
use serde_json::json;

use super::record::Record;
use super::{ClientGo, Flight, Step};
use crate::candidate::Act;

impl ClientGo {
    pub(super) fn get(&mut self, step: Step) {
        let request = Request::get(self.path()).body(Vec::new());
        self.send(step, Operation::Read, request);
    }

    /// `Create`, a POST.
    pub(super) fn create(&mut self) {
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.lease.name(), "namespace": self.lease.namespace()},
            "spec": self.record().spec()});
        let request = Request::post(self.collection()).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes());
        self.send(Step::Create, Operation::Acquire, request);
    }

    /// `Update`, a PUT of the object as last got, with a new spec.
    pub(super) fn update(&mut self, step: Step, operation: Operation, record: Record) {
        let Some(object) = &mut self.object else { return self.fail(step) };
        object["spec"] = record.spec();
        let body = object.to_string().into_bytes();
        let request = Request::put(self.path()).header("content-type", "application/json");
        self.send(step, operation, request.body(body));
    }

    fn send(&mut self, step: Step, operation: Operation, request: http::Result<Request<Vec<u8>>>) {
        let id = self.next_id;
        self.next_id += 1;
        let timeout = self.options.client_timeout.unwrap_or(HEALTH_CHECK);
        self.flight = Some(Flight { id, step, until: self.now + timeout });
        let request = request.expect("a valid request");
        self.acts.push(Act::Send { id, request, fresh: false, operation });
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.lease.namespace())
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.lease.name())
    }
}

/// `ReadIdleTimeout` and `PingTimeout` of apimachinery's HTTP/2 transport: a dead connection is noticed after this.
const HEALTH_CHECK: Duration = Duration::from_secs(45);
