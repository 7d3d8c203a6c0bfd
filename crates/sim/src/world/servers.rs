//! Several API servers over one store.

use http::Request;
use jiff::Timestamp;
use leasehold_apiserver::store::{Outside, Store};
use leasehold_history::Nanos;
use serde_json::{Value, json};

use super::log::Lease;
use super::{LEASE, NAMESPACE, World};
use crate::chance::Chance;
use crate::clocks::EPOCH_NANOS;

pub(super) struct Servers {
    pub(super) store: Store,
    /// A kept state of the store and of the Lease, to be restored.
    pub(super) backup: Option<(Store, Option<Lease>)>,
    pub(super) lease: Option<Lease>,
    pub(super) list: Vec<Server>,
    /// While the store has no leader, nothing is answered.
    pub(super) stalled_until: Nanos,
    uids: Chance,
}

#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) down_until: Nanos,
}

impl Servers {
    pub(super) fn new(count: usize, chance: &mut Chance) -> Self {
        let mut uids = Chance::new(chance.number());
        let store = {
            let mut draw = || uids.number();
            Store::new(&mut Outside { now: wall(Nanos(0)), chance: &mut draw })
        };
        let mut servers = Self {
            store,
            backup: None,
            lease: None,
            list: (0..count).map(|_| Server::default()).collect(),
            stalled_until: Nanos(0),
            uids,
        };
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        let request = Request::post("/api/v1/namespaces").body(namespace.to_string().into_bytes());
        let made = servers.handle(Nanos(0), &request.expect("a valid path"));
        assert!(made.status().is_success(), "a namespace can be created");
        servers
    }

    pub(super) fn handle(&mut self, now: Nanos, request: &Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        let mut draw = || self.uids.number();
        self.store.handle(&mut Outside { now: wall(now), chance: &mut draw }, request)
    }

    pub(super) fn is_up(&self, server: usize, now: Nanos) -> bool {
        now >= self.list[server].down_until
    }
}

impl World {
    /// Carries a request out, and tells the watches of the change, if it is one.
    pub(super) fn apply(&mut self, request: &Request<Vec<u8>>) -> http::Response<Vec<u8>> {
        let revision = self.servers.store.revision();
        let response = self.servers.handle(self.now, request);
        if self.servers.store.revision() != revision {
            let gone = *request.method() == http::Method::DELETE;
            let lease = if gone { None } else { self.reader.body(response.body()) };
            self.servers.lease = lease.as_deref().cloned();
            self.plan_pumps();
        }
        response
    }

    pub(super) fn create_lease(&mut self) {
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": LEASE, "namespace": NAMESPACE}, "spec": {},
        });
        self.edit_as_admin("PUT", "application/json", &body);
    }

    pub(super) fn edit_as_admin(&mut self, method: &str, content_type: &str, body: &Value) {
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}?fieldManager=kubectl"
        );
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            Request::builder().method(method).uri(path).header("content-type", content_type).body(body);
        self.apply(&request.expect("a valid request"));
    }
}

/// The servers' clocks are right; nothing in the protocol depends on it.
pub(super) fn wall(now: Nanos) -> Timestamp {
    let nanos = i128::from(EPOCH_NANOS) + i128::from(now.0);
    Timestamp::from_nanosecond(nanos).unwrap_or(Timestamp::MAX)
}
