//! The store without sockets. Each answer here was first seen on kube-apiserver 1.37.2.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use http::Request;
use jiff::{SignedDuration, Timestamp};
use leasehold_apiserver::store::{Outside, Store, Watch};
use serde_json::{Value, json};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const DB: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/db";

struct World {
    store: Store,
    now: Timestamp,
    number: u64,
}

impl World {
    fn new() -> Self {
        let now = Timestamp::from_second(1_767_323_045).unwrap();
        let mut number = 0;
        let store = Store::new(&mut Outside { now, chance: &mut || next(&mut number) });
        Self { store, now, number }
    }

    fn send(&mut self, method: &str, path: &str, content_type: &str, body: &Value) -> (u16, Value) {
        self.now += SignedDuration::from_secs(1);
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header("user-agent", "story/1");
        let request = request.header("content-type", content_type).body(body).unwrap();
        let Self { store, now, number } = self;
        let response = store.handle(&mut Outside { now: *now, chance: &mut || next(number) }, &request);
        (response.status().as_u16(), serde_json::from_slice(response.body()).unwrap())
    }

    fn get(&mut self, path: &str) -> (u16, Value) {
        self.send("GET", path, "", &Value::Null)
    }

    fn post(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.send("POST", path, "application/json", body)
    }

    fn put(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.send("PUT", path, "application/json", body)
    }

    fn merge(&mut self, path: &str, body: &Value) -> (u16, Value) {
        self.send("PATCH", path, "application/merge-patch+json", body)
    }

    fn apply(&mut self, query: &str, spec: &Value) -> (u16, Value) {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "db"}, "spec": spec,
        });
        self.send("PATCH", &format!("{DB}?{query}"), "application/apply-patch+yaml", &lease)
    }

    fn delete(&mut self, path: &str, options: &Value) -> (u16, Value) {
        self.send("DELETE", path, "application/json", options)
    }

    fn watch(&self, query: &str) -> Watch {
        let request = Request::get(format!("{LEASES}?watch=true&{query}")).body(Vec::new()).unwrap();
        self.store.open_watch(self.now, &request).unwrap()
    }

    fn events(&self, watch: &mut Watch) -> Vec<Value> {
        let lines = self.store.poll_watch(self.now, watch);
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

fn lease(holder: &str) -> Value {
    json!({"metadata": {"name": "db"}, "spec": {"holderIdentity": holder}})
}

#[test]
fn the_same_requests_give_the_same_answers() {
    let run = || {
        let mut world = World::new();
        [
            world.post(LEASES, &lease("a")),
            world.post(LEASES, &json!({"metadata": {"generateName": "x-"}})),
            world.merge(DB, &json!({"spec": {"leaseTransitions": 1}})),
            world.get(LEASES),
        ]
    };
    assert_eq!(run(), run());
}

#[test]
fn a_put_creates_an_absent_lease_and_needs_a_version_to_replace_one_while_a_config_map_is_the_other_way_round()
 {
    let mut world = World::new();
    assert_eq!(world.put(DB, &lease("a")).0, 201);
    let (code, refusal) = world.put(DB, &lease("b"));
    assert_eq!(code, 422);
    assert_eq!(refusal["details"]["causes"][0]["field"], "metadata.resourceVersion");
    assert_eq!(
        refusal["message"],
        "leases.coordination.k8s.io \"db\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    );
    let (map, at) = ("/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/configmaps/lock");
    let lock = |holder: &str| json!({"metadata": {"name": "lock"}, "data": {"leader": holder}});
    assert_eq!(world.put(at, &lock("a")).0, 404);
    assert_eq!(world.post(map, &lock("a")).0, 201);
    let (code, overwritten) = world.put(at, &lock("b"));
    assert_eq!((code, &overwritten["data"]["leader"]), (200, &json!("b")));
}

#[test]
fn a_lease_in_a_namespace_that_is_not_there_is_refused_and_a_namespace_takes_its_content_with_it() {
    let mut world = World::new();
    let leases = LEASES.replace("default", "prod");
    let (code, refusal) = world.post(&leases, &lease("a"));
    assert_eq!((code, &refusal["message"]), (404, &json!("namespaces \"prod\" not found")));
    assert_eq!(world.post("/api/v1/namespaces", &json!({"metadata": {"name": "prod"}})).0, 201);
    assert_eq!(world.post(&leases, &lease("a")).0, 201);
    let (code, namespace) = world.delete("/api/v1/namespaces/prod", &Value::Null);
    assert_eq!((code, &namespace["status"]["phase"]), (200, &json!("Terminating")));
    assert_eq!(world.get(&leases).1["items"], json!([]));
    assert_eq!(world.get("/api/v1/namespaces/prod").0, 404);
}

#[test]
fn an_applied_field_of_another_manager_is_a_conflict_unless_forced() {
    let mut world = World::new();
    assert_eq!(
        world.apply("fieldManager=one", &json!({"holderIdentity": "a", "leaseTransitions": 1})).0,
        201
    );
    let (code, refusal) = world.apply("fieldManager=two", &json!({"holderIdentity": "b"}));
    assert_eq!(code, 409);
    assert_eq!(
        refusal["message"],
        "Apply failed with 1 conflict: conflict with \"one\": .spec.holderIdentity"
    );
    assert_eq!(refusal["details"]["causes"][0]["reason"], "FieldManagerConflict");
    let (code, taken) = world.apply("fieldManager=two&force=true", &json!({"holderIdentity": "b"}));
    assert_eq!((code, &taken["spec"]), (200, &json!({"holderIdentity": "b", "leaseTransitions": 1})));
    // What one manager applies no more, and no other owns, goes.
    let (_, pruned) = world.apply("fieldManager=one", &json!({}));
    assert_eq!(pruned["spec"], json!({"holderIdentity": "b"}));
}

#[test]
fn an_object_with_a_finalizer_stays_until_the_finalizer_is_taken_off() {
    let mut world = World::new();
    world.post(LEASES, &json!({"metadata": {"name": "db", "finalizers": ["leasehold.dev/test"]}}));
    let mut watch = world.watch("");
    world.events(&mut watch);
    let (code, dying) = world.delete(DB, &Value::Null);
    assert_eq!((code, dying["kind"].as_str()), (200, Some("Lease")));
    assert!(dying["metadata"]["deletionTimestamp"].is_string());
    let (code, refusal) =
        world.merge(DB, &json!({"metadata": {"finalizers": ["leasehold.dev/test", "a/b"]}}));
    assert_eq!(code, 422, "{refusal}");
    let (code, refusal) = world.post(LEASES, &lease("a"));
    let message = "object is being deleted: leases.coordination.k8s.io \"db\" already exists";
    assert_eq!((code, refusal["message"].as_str()), (409, Some(message)));
    let (code, last) = world.merge(DB, &json!({"metadata": {"finalizers": null}}));
    assert_eq!((code, &last["metadata"]["resourceVersion"]), (200, &dying["metadata"]["resourceVersion"]));
    assert_eq!(world.get(DB).0, 404);
    let kinds: Vec<Value> = world.events(&mut watch).iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds, ["MODIFIED", "DELETED"]);
}

#[test]
fn a_deletion_checks_its_preconditions() {
    let mut world = World::new();
    world.post(LEASES, &lease("a"));
    let (code, refusal) = world.delete(DB, &json!({"preconditions": {"uid": "other"}}));
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    let (code, refusal) = world.delete(DB, &json!({"preconditions": {"resourceVersion": "1"}}));
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    let uid = world.get(DB).1["metadata"]["uid"].clone();
    let (code, status) = world.delete(DB, &json!({"preconditions": {"uid": uid}}));
    assert_eq!((code, &status["details"]["kind"]), (200, &json!("leases")));
}

/// An array as options deleted the Lease.
#[test]
fn a_deletion_with_a_body_that_is_no_options_deletes_nothing() {
    let mut world = World::new();
    world.post(LEASES, &lease("a"));
    assert_eq!(world.delete(DB, &json!([])).0, 400);
    assert_eq!(world.delete(DB, &json!({"dryRun": ["Some"]})).0, 422);
    assert_eq!(world.send("DELETE", DB, "text/plain", &json!({})).0, 415);
    assert_eq!(world.get(DB).0, 200);
}

#[test]
fn pages_of_a_list_are_of_one_version_whatever_happens_in_between() {
    let mut world = World::new();
    for name in ["a", "b", "c"] {
        world.post(LEASES, &json!({"metadata": {"name": name}}));
    }
    let (_, first) = world.get(&format!("{LEASES}?limit=2"));
    assert_eq!(first["metadata"]["remainingItemCount"], 1);
    let (_, selected) = world.get(&format!("{LEASES}?limit=2&fieldSelector=metadata.name%21%3Dd"));
    assert!(selected["metadata"]["continue"].is_string());
    assert_eq!(selected["metadata"].get("remainingItemCount"), None);
    world.delete(&format!("{LEASES}/c"), &Value::Null);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, second) = world.get(&format!("{LEASES}?limit=2&continue={token}"));
    assert_eq!(second["items"][0]["metadata"]["name"], "c");
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    world.store.compact(world.store.revision());
    let (code, refusal) = world.get(&format!("{LEASES}?limit=2&continue={token}"));
    assert_eq!((code, refusal["reason"].as_str()), (410, Some("Expired")));
}

#[test]
fn a_watch_that_falls_behind_what_is_kept_gets_410_and_ends() {
    let mut world = World::new();
    world.post(LEASES, &lease("a"));
    world.store.keep_changes(3);
    let mut slow = world.watch("resourceVersion=0");
    let mut quick = world.watch("resourceVersion=0");
    for transitions in 0..5 {
        world.merge(DB, &json!({"spec": {"leaseTransitions": transitions}}));
        world.events(&mut quick);
    }
    let last = world.events(&mut slow).pop().unwrap();
    assert_eq!((&last["type"], &last["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert!(slow.is_ended() && !quick.is_ended());
}

#[test]
fn a_watch_with_initial_events_says_where_they_end() {
    let mut world = World::new();
    world.post(LEASES, &lease("a"));
    let query = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = world.watch(query);
    let events = world.events(&mut watch);
    assert_eq!((&events[0]["type"], &events[1]["type"]), (&json!("ADDED"), &json!("BOOKMARK")));
    assert_eq!(events[1]["object"]["metadata"]["annotations"], json!({"k8s.io/initial-events-end": "true"}));
}

/// A dry run answered with a new stamp; written back with the old values it was a new version, but only if a second
/// had passed.
#[test]
fn a_write_that_only_changes_times_of_stamps_changes_nothing() {
    let mut world = World::new();
    let (_, created) = world.post(LEASES, &lease("a"));
    let mut changed = created.clone();
    changed["spec"]["holderIdentity"] = json!("b");
    let (_, mut dry) = world.put(&format!("{DB}?dryRun=All"), &changed);
    assert_ne!(dry["metadata"]["managedFields"], created["metadata"]["managedFields"]);
    dry["spec"] = created["spec"].clone();
    let (code, kept) = world.put(DB, &dry);
    assert_eq!((code, kept), (200, created));
}

#[test]
fn a_dry_run_is_answered_and_not_kept() {
    let mut world = World::new();
    let before = world.store.revision();
    assert_eq!(world.post(&format!("{LEASES}?dryRun=All"), &lease("a")).0, 201);
    assert_eq!(world.get(DB).0, 404);
    assert_eq!(world.store.revision(), before);
}
