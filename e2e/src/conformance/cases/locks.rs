//! ConfigMaps, Endpoints and Events: what old locks are made of, and what an election reports.

use serde_json::{Value, json};

use super::super::script::{Case, delete, get, json_patch, merge_patch, post, put, put_read};
use super::{config_map, with_metadata};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![overwritten(), contents(), immutable(), endpoints(), invalid_endpoints(), events(), invalid_events()]
}

/// The naive lock: a PUT without a version overwrites silently.
fn overwritten() -> Case {
    let versioned = |holder: &str, version: &str| {
        with_metadata(config_map("a", holder), &json!({"resourceVersion": version}))
    };
    let steps = vec![
        get("configmaps/a"),
        post("configmaps", &config_map("a", "one")),
        put("configmaps/a", &config_map("a", "two")).by("writer-b"),
        put("configmaps/a", &versioned("three", "${configmaps/a:old-version}")),
        put("configmaps/a", &versioned("three", "${configmaps/a:version}")),
        put("configmaps/a", &versioned("four", "0")),
        put("configmaps/a", &config_map("a", "four")),
        put("configmaps/a", &with_metadata(config_map("a", "x"), &json!({"uid": "${configmaps/a:uid}"}))),
        put(
            "configmaps/a",
            &with_metadata(config_map("a", "x"), &json!({"uid": "11111111-2222-4333-8444-555555555555"})),
        ),
        post("configmaps", &config_map("a", "two")),
        put("configmaps/b", &config_map("b", "two")),
        put("configmaps/c", &with_metadata(config_map("c", "x"), &json!({"resourceVersion": "5"}))),
        put(
            "configmaps/d",
            &with_metadata(config_map("d", "x"), &json!({"uid": "11111111-2222-4333-8444-555555555555"})),
        ),
        get("configmaps"),
    ];
    Case::new("a config map is overwritten without a version", steps)
}

fn contents() -> Case {
    let with = |data: Value| post("configmaps", &json!({"metadata": {"name": "a"}, "data": data}));
    let steps = vec![
        with(json!({"a b": "c"})),
        with(json!({"a": 5})),
        with(json!({"..": "x"})),
        with(json!({"": "x"})),
        with(json!([])),
        post("configmaps", &json!({"metadata": {"name": "b"}, "binaryData": {"x": "aGFsbG8="}})),
        post("configmaps", &json!({"metadata": {"name": "c"}, "binaryData": {"x": "###"}})),
        post(
            "configmaps",
            &json!({"metadata": {"name": "d"}, "data": {"x": "1"}, "binaryData": {"x": "aGFsbG8="}}),
        ),
        post("configmaps", &json!({"metadata": {"name": "e"}, "unknown": 1, "data": {}})),
        post("configmaps", &json!({"metadata": {"name": "f"}, "data": null})),
        json_patch("configmaps/f", &json!([{"op": "add", "path": "/data", "value": {"holder": "x"}}])),
        merge_patch("configmaps/f", &json!({"data": {"holder": null, "other": "y"}})),
        get("configmaps/f"),
    ];
    Case::new("contents of config maps", steps)
}

fn immutable() -> Case {
    let steps = vec![
        post("configmaps", &json!({"metadata": {"name": "a"}, "data": {"x": "1"}, "immutable": true})),
        merge_patch("configmaps/a", &json!({"data": {"x": "2"}})),
        merge_patch("configmaps/a", &json!({"immutable": false})),
        merge_patch("configmaps/a", &json!({"metadata": {"labels": {"x": "y"}}})),
        delete("configmaps/a"),
    ];
    Case::new("an immutable config map", steps)
}

fn endpoints() -> Case {
    let lock = json!({"control-plane.alpha.kubernetes.io/leader": "{\"holderIdentity\":\"one\"}"});
    let steps = vec![
        get("endpoints/a"),
        post("endpoints", &json!({"metadata": {"name": "a", "annotations": lock}})),
        put_read("endpoints/a", json!({"metadata": {"annotations": {"x": "y"}}})),
        put("endpoints/a", &json!({"metadata": {"name": "a"}})).by("writer-b"),
        put(
            "endpoints/a",
            &json!({"metadata": {"name": "a", "resourceVersion": "${endpoints/a:old-version}", "labels": {"a": "b"}}}),
        ),
        merge_patch(
            "endpoints/a",
            &json!({"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]}),
        ),
        get("endpoints"),
        delete("endpoints/a"),
    ];
    Case::new("endpoints as a lock", steps)
}

fn invalid_endpoints() -> Case {
    let with = |subsets: Value| post("endpoints", &json!({"metadata": {"name": "e"}, "subsets": subsets}));
    let steps = vec![
        with(json!([{}])),
        with(json!([{"addresses": [{"ip": "no address"}]}])),
        with(json!([{"addresses": [{"ip": "127.0.0.1"}]}])),
        with(json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 0}]}])),
        with(json!(5)),
        with(
            json!([{"addresses": [{"ip": "0.0.0.0"}, {"ip": "169.254.1.1"}, {"ip": "224.0.0.5"}, {"ip": "ff02::1"}]}]),
        ),
        with(json!([{"addresses": [{"ip": "10.0.0.1", "hostname": "A", "nodeName": "B"}]}])),
        with(json!([{"addresses": [{"ip": "10.0.0.1"}], "ports": [
            {"port": 80}, {"port": 70_000, "name": "B"}, {"port": -1, "name": "c", "protocol": "X", "appProtocol": "a/b/c"},
        ]}])),
    ];
    Case::new("endpoints that are not valid", steps)
}

/// What client-go and leasehold report about an election.
fn event(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "${ns}"},
        "involvedObject": {"kind": "Lease", "namespace": "${ns}", "name": "a", "apiVersion": "coordination.k8s.io/v1"},
        "reason": "LeaderElection",
        "message": "one became leader",
        "source": {"component": "one"},
        "firstTimestamp": "2026-01-02T03:04:05Z",
        "lastTimestamp": "2026-01-02T03:04:05Z",
        "count": 1,
        "type": "Normal",
    })
}

fn events() -> Case {
    // `kubectl events` then shows no time: it looks at the first one.
    let mut seen_once = event("b.1");
    for absent in ["firstTimestamp", "count"] {
        seen_once.as_object_mut().expect("an event is an object").remove(absent);
    }
    let steps = vec![
        post("events", &event("a.1")),
        get("events/a.1"),
        merge_patch("events/a.1", &json!({"count": 2, "lastTimestamp": "2026-01-02T03:05:05Z"})),
        post("events", &event("a.1")),
        get("events?fieldSelector=involvedObject.name%3Da,involvedObject.kind%3DLease"),
        get("events?fieldSelector=involvedObject.name%3Db"),
        get("events?fieldSelector=reason%3DLeaderElection,type%21%3DWarning"),
        get("events?fieldSelector=odd%3Da"),
        delete("events/a.1"),
        get("events"),
        post("events", &seen_once),
        get("events"),
        get("events").accept("application/json;as=Table;v=v1;g=meta.k8s.io"),
    ];
    Case::new("events of an election", steps)
}

fn invalid_events() -> Case {
    let with = |change: Value| {
        let mut event = event("e.1");
        for (key, value) in change.as_object().into_iter().flatten() {
            event[key] = value.clone();
        }
        post("events", &event)
    };
    let steps = vec![
        with(json!({"involvedObject": {"kind": "Lease", "namespace": "other", "name": "a"}})),
        with(json!({"involvedObject": {}})),
        with(json!({"firstTimestamp": "2026-01-02T03:04:05.123456Z"})),
        with(json!({"firstTimestamp": "yesterday", "metadata": {"name": "e.2", "namespace": "${ns}"}})),
        with(json!({"count": "x"})),
    ];
    Case::new("events that are not valid", steps)
}
