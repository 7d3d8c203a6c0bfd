//! The small server of the model answers as the store of `leasehold-apiserver` does, which answers as the real one.

use http::{Method, Request, Response};
use jiff::Timestamp;
use leasehold_apiserver::store::{Outside, Store};
use serde_json::{Value, json};
use stateright::Model as _;

use crate::model::{Action, Bound, Deviation, Rates, Start, Worlds};
use crate::network::{Kind, Letter};
use crate::server::Answer;

#[test]
fn the_server_of_the_model_answers_as_the_store_does() {
    let mut seen = Vec::new();
    for seed in 0..60 {
        walk(seed, &mut seen);
    }
    for wanted in ["read 200", "read 404", "acquisition 200", "acquisition 422", "acquisition 404"] {
        assert!(seen.iter().any(|it| it == wanted), "{wanted} was never compared");
    }
    for wanted in ["creation 201", "creation 422", "renewal 200", "renewal 422", "renewal 404", "release 200"]
    {
        assert!(seen.iter().any(|it| it == wanted), "{wanted} was never compared");
    }
}

/// One way through a world with many deviations; each request goes to both servers.
fn walk(seed: u64, seen: &mut Vec<String>) {
    use Deviation as D;
    let bound = Bound {
        candidates: 2,
        seconds: 60,
        deviations: 12,
        kinds: &[D::Hold, D::Copy, D::Cut, D::Freeze, D::Crash, D::StepDown, D::Delete],
        rates: Rates::All,
        start: if seed.is_multiple_of(2) { Start::Missing } else { Start::Free },
        watches: true,
        orphans: 4,
    };
    let worlds = Worlds { bound, mutant: None };
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut state = worlds.init_states().swap_remove(0);
    let mut real = Real::new();
    if state.server.lease.is_some() {
        real.send("PUT", b"{\"metadata\":{\"name\":\"db\"},\"spec\":{}}");
    }
    loop {
        let mut actions = Vec::new();
        worlds.actions(&state, &mut actions);
        // Deviations are many: each is as likely as all the rest.
        let ordinary = actions.iter().filter(|action| !matches!(action, Action::Deviate(..))).count();
        let deviate = actions.len() > ordinary && chance.u32(0..8) == 0;
        let among = if deviate || ordinary == 0 { actions.len() } else { ordinary };
        let Some(&action) = actions.get(chance.usize(0..among.max(1))) else { break };
        match action {
            Action::Arrive(index) if state.messages[index].answer.is_none() => {
                let letter = &state.messages[index].letter;
                let uid = state.server.lease.as_ref().map(|lease| lease.uid.clone());
                let answer = state.server.clone().handle(&letter.method, &letter.body);
                seen.push(compare(&mut real, letter, uid.as_deref(), &answer));
            }
            Action::Deviate(D::Delete, _) => {
                real.send("DELETE", b"");
            }
            _ => {}
        }
        let Some(next) = worlds.next_state(&state, action) else { break };
        state = next;
    }
}

fn compare(real: &mut Real, letter: &Letter, uid: Option<&str>, answer: &Answer) -> String {
    let mut body = String::from_utf8(letter.body.clone()).expect("electors write JSON");
    // What names a Lease that is gone names none on either server.
    if let (Some(ours), Some(theirs)) = (uid, &real.uid) {
        body = body.replace(&format!("\"{ours}\""), &format!("\"{theirs}\""));
    }
    let theirs = real.send(letter.method.as_str(), body.as_bytes());
    let ours = answer.response();
    let (our_body, their_body) = (value(&ours), value(&theirs));
    let what = format!("{} {}", letter.kind.word(), ours.status().as_u16());
    assert_eq!(ours.status(), theirs.status(), "{what}: {our_body} and {their_body}");
    let paths: &[&str] = if ours.status().is_success() {
        &["/spec", "/metadata/annotations", "/kind"]
    } else {
        &["/kind", "/reason", "/details/name", "/details/causes/0/field"]
    };
    for path in paths {
        assert_eq!(our_body.pointer(path), their_body.pointer(path), "{what}, {path}: {body}");
    }
    if letter.kind != Kind::Create && !ours.status().is_success() {
        assert_eq!(our_body["details"]["kind"], their_body["details"]["kind"], "{what}");
    }
    what
}

fn value(response: &Response<Vec<u8>>) -> Value {
    serde_json::from_slice(response.body()).expect("servers write JSON")
}

/// The store, with the namespace of the model.
struct Real {
    store: Store,
    number: u64,
    uid: Option<String>,
}

impl Real {
    fn new() -> Self {
        let mut number = 0;
        let store = Store::new(&mut Outside { now: NOW, chance: &mut || count(&mut number) });
        let mut real = Self { store, number, uid: None };
        let namespace = json!({"metadata": {"name": "prod"}}).to_string().into_bytes();
        let made = real.handle(&Request::post("/api/v1/namespaces").body(namespace).expect("a valid path"));
        assert!(made.status().is_success());
        real
    }

    /// Sends a request about the Lease, and remembers the uid that there is.
    fn send(&mut self, method: &str, body: &[u8]) -> Response<Vec<u8>> {
        let content_type = if method == "PATCH" { "application/json-patch+json" } else { "application/json" };
        let request = Request::builder().method(method).uri(LEASE).header("content-type", content_type);
        let response = self.handle(&request.body(body.to_vec()).expect("a valid path"));
        if response.status().is_success() && method != Method::DELETE.as_str() {
            self.uid = value(&response)["metadata"]["uid"].as_str().map(str::to_owned);
        }
        response
    }

    fn handle(&mut self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let Self { store, number, .. } = self;
        store.handle(&mut Outside { now: NOW, chance: &mut || count(number) }, request)
    }
}

fn count(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/prod/leases/db?fieldManager=leasehold";
const NOW: Timestamp = Timestamp::constant(1_700_000_000, 0);
