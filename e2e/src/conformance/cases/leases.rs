//! Leases: create, read, update, their versions and their validation.

use serde_json::{Value, json};

use super::super::script::{
    Case, delete, delete_with, get, json_patch, merge_patch, post, put, put_read, strategic_patch,
};
use super::{lease, lease_of, with_metadata};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases =
        vec![created(), updated(), versions(), created_by_put(), uids(), generated(), unchanged()];
    cases.extend([dry_runs(), identity_of_requests(), strategy(), times(), created_metadata()]);
    cases.extend(invalid());
    cases
}

fn created() -> Case {
    let steps = vec![
        get("leases/a"),
        get("leases"),
        post("leases", &lease("a", "one")),
        get("leases/a"),
        get("leases"),
        post("leases", &lease("a", "two")).by("writer-b"),
        get("/apis/coordination.k8s.io/v1/leases?fieldSelector=metadata.name=a,metadata.namespace=${ns}"),
        post("leases", &lease_of("empty", &json!({}))),
        post("leases", &json!({"metadata": {"name": "bare"}})),
        post(
            "leases",
            &json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "kinded"}}),
        ),
    ];
    Case::new("a lease is created once", steps)
}

fn updated() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        put_read("leases/a", json!({"spec": {"renewTime": "2026-01-02T03:04:10.000001Z"}})),
        put_read("leases/a", json!({"spec": {"holderIdentity": "two", "leaseTransitions": 1}}))
            .by("writer-b"),
        put_read("leases/a", json!({"spec": {"holderIdentity": ""}})).by("writer-b"),
        put_read("leases/a", json!({"spec": {"holderIdentity": null, "leaseTransitions": 100}})),
        put_read("leases/a", json!({"spec": {"leaseTransitions": 1}})),
        put_read("leases/a", json!({"metadata": {"labels": {"x": "y"}, "annotations": {"k": "v"}}})),
        put_read("leases/a", json!({"metadata": {"labels": null}, "spec": null})),
        get("leases/a"),
    ];
    Case::new("any change of holder, times and transitions is accepted", steps)
}

fn versions() -> Case {
    let versioned =
        |holder: &str, version: &str| with_metadata(lease("a", holder), &json!({"resourceVersion": version}));
    let steps = vec![
        post("leases", &lease("a", "one")),
        put("leases/a", &versioned("two", "${leases/a:version}")),
        put("leases/a", &versioned("three", "${leases/a:old-version}")).by("writer-b"),
        put("leases/a", &lease("a", "three")),
        put("leases/a", &versioned("three", "0")),
        put("leases/a", &versioned("three", "")),
        put("leases/a", &versioned("three", "abc")),
        put("leases/a", &versioned("three", "-1")),
        put("leases/a", &versioned("three", "999999999999")),
        get("leases/a"),
        post("leases", &with_metadata(lease("b", "one"), &json!({"resourceVersion": "5"}))),
        get("leases/a?resourceVersion=${leases/a:version}"),
        get("leases/a?resourceVersion=abc"),
        get("leases?resourceVersion=${leases/a:version}&resourceVersionMatch=NotOlderThan"),
        get("leases?resourceVersion=abc"),
        get("leases?resourceVersionMatch=Exact"),
        get("leases?resourceVersion=0&resourceVersionMatch=Exact"),
    ];
    Case::new("an update needs the version it is based on", steps)
}

fn created_by_put() -> Case {
    let steps = vec![
        put("leases/a", &lease("a", "one")),
        put("leases/a", &lease("a", "two")).by("writer-b"),
        put("leases/b", &lease("a", "one")),
        put("leases/b", &lease_of("b", &json!({"leaseDurationSeconds": 0}))),
        put("leases/b", &json!({"spec": {}})),
        delete("leases/a"),
        put(
            "leases/a",
            &with_metadata(lease("a", "late"), &json!({"resourceVersion": "${leases/a:version}"})),
        ),
        delete("leases/a"),
        put("leases/a", &with_metadata(lease("a", "late"), &json!({"uid": "${leases/a:uid}"}))),
        put(
            "leases/a",
            &with_metadata(
                lease("a", "late"),
                &json!({"uid": "${leases/a:uid}", "resourceVersion": "${leases/a:version}"}),
            ),
        ),
        get("leases/a"),
        put("configmaps/a", &super::config_map("a", "one")),
        put("endpoints/a", &json!({"metadata": {"name": "a"}, "subsets": []})),
    ];
    Case::new("a put of an absent lease creates it, unless it names a uid", steps)
}

fn uids() -> Case {
    let with_uid = |version: &str, uid: &str| {
        with_metadata(lease("a", "two"), &json!({"resourceVersion": version, "uid": uid}))
    };
    let steps = vec![
        post("leases", &lease("a", "one")),
        put("leases/a", &with_uid("${leases/a:version}", "${leases/a:uid}")),
        put("leases/a", &with_uid("${leases/a:version}", "11111111-2222-4333-8444-555555555555")),
        put("leases/a", &with_uid("${leases/a:old-version}", "11111111-2222-4333-8444-555555555555")),
        put("leases/a", &with_uid("${leases/a:version}", "")),
        delete("leases/a"),
        post("leases", &lease("a", "three")),
        put("leases/a", &with_uid("${leases/a:version}", "${leases/a:old-uid}")),
        put("leases/a", &with_uid("${leases/a:old-version}", "${leases/a:old-uid}")),
        post(
            "leases",
            &with_metadata(lease("b", "x"), &json!({"uid": "11111111-2222-4333-8444-555555555555"})),
        ),
    ];
    Case::new("a uid is a condition of an update", steps)
}

fn generated() -> Case {
    let unnamed = json!({"metadata": {"generateName": "made-"}, "spec": {"holderIdentity": "one"}});
    let steps = vec![
        post("leases", &unnamed),
        get("leases/${generated}"),
        post("leases", &json!({"metadata": {"generateName": "made-", "name": "given"}})),
        post("leases", &json!({"metadata": {}})),
        delete("leases/${generated}"),
    ];
    Case::new("a name is completed by the server", steps)
}

fn unchanged() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        put_read("leases/a", json!({})),
        put_read("leases/a", json!({"metadata": {"managedFields": null}})),
        put_read("leases/a", json!({"metadata": {"creationTimestamp": null}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "one"}})),
        json_patch("leases/a", &json!([{"op": "replace", "path": "/spec/holderIdentity", "value": "one"}])),
        json_patch("leases/a", &json!([])),
        merge_patch("leases/a", &json!({})),
        strategic_patch("leases/a", &json!({})),
        put_read("leases/a", json!({"spec": {"holderIdentity": "one"}})).by("writer-b"),
        get("leases/a"),
    ];
    Case::new("a write that changes nothing keeps the version", steps)
}

fn dry_runs() -> Case {
    let steps = vec![
        post("leases?dryRun=All", &lease("a", "one")),
        get("leases/a"),
        put("leases/a?dryRun=All", &lease("a", "one")),
        get("leases/a"),
        post("leases", &lease("a", "one")),
        put_read("leases/a?dryRun=All", json!({"spec": {"holderIdentity": "two"}})),
        merge_patch("leases/a?dryRun=All", &json!({"spec": {"holderIdentity": "two"}})),
        delete("leases/a?dryRun=All"),
        delete_with("leases/a", &json!({"dryRun": ["All"]})),
        post("leases?dryRun=All", &lease("a", "one")),
        post("leases?dryRun=Some", &lease("b", "one")),
        delete("leases?dryRun=All"),
        get("leases/a"),
    ];
    Case::new("a dry run answers and leaves everything as it is", steps)
}

fn identity_of_requests() -> Case {
    let steps = vec![
        post("leases", &with_metadata(lease("a", "one"), &json!({"namespace": "other"}))),
        post("leases", &with_metadata(lease("a", "one"), &json!({"namespace": "${ns}"}))),
        put("leases/a", &with_metadata(lease("a", "one"), &json!({"namespace": "other"}))),
        put("leases/a", &lease("b", "one")),
        put("leases/a", &json!({"metadata": {}})),
        post("leases", &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}})),
        post(
            "leases",
            &json!({"apiVersion": "coordination.k8s.io/v2", "kind": "Lease", "metadata": {"name": "b"}}),
        ),
        post(
            "leases",
            &json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lock", "metadata": {"name": "b"}}),
        ),
        put("leases", &lease("a", "one")),
        post("leases/a", &lease("a", "one")),
        merge_patch("leases/a", &json!({"metadata": {"name": "b"}})),
        merge_patch("leases/a", &json!({"metadata": {"namespace": "other"}})),
        merge_patch("leases/a", &json!({"metadata": {"uid": "11111111-2222-4333-8444-555555555555"}})),
        merge_patch("leases/a", &json!({"kind": "ConfigMap"})),
    ];
    Case::new("the object must be the one that the path names", steps)
}

fn strategy() -> Case {
    let steps = vec![
        post("leases", &lease_of("a", &json!({"strategy": "OldestEmulationVersion"}))),
        post("leases", &lease_of("b", &json!({"preferredHolder": "x"}))),
        post(
            "leases",
            &lease_of("c", &json!({"preferredHolder": "x", "strategy": "OldestEmulationVersion"})),
        ),
        post("leases", &lease_of("d", &json!({"strategy": "odd"}))),
        post("leases", &lease_of("e", &json!({"strategy": "example.com/odd", "unknown": 1}))),
    ];
    Case::new("strategy and preferred holder are kept", steps)
}

fn times() -> Case {
    let at = |name: &str, time: &str| post("leases", &lease_of(name, &json!({"renewTime": time})));
    let steps = vec![
        at("a", "2026-01-02T03:04:05Z"),
        at("b", "2026-01-02T03:04:05.123Z"),
        at("c", "2026-01-02T03:04:05.123456789Z"),
        at("d", "2026-01-02T03:04:05.123456+02:00"),
        at("e", "yesterday"),
        at("f", ""),
        post("leases", &lease_of("g", &json!({"renewTime": 5}))),
        at("h", "2026-01-02 03:04:05.000000Z"),
        post("leases", &lease_of("i", &json!({"renewTime": null}))),
        at("j", "2026-02-30T03:04:05.000000Z"),
        at("k", "1026-02-03T03:04:05.100000Z"),
    ];
    Case::new("times are read and written with six digits", steps)
}

fn created_metadata() -> Case {
    let with = |metadata: Value| post("leases", &with_metadata(lease("a", "one"), &metadata));
    let steps = vec![
        with(json!({"labels": {"a b": "c"}})),
        with(json!({"labels": {"a": "not a label!"}})),
        with(json!({"annotations": {"A b": "c"}})),
        with(json!({"name": "Not_Valid"})),
        with(json!({"name": "a/b"})),
        with(json!({"name": ".."})),
        with(json!({"finalizers": ["bad"]})),
        with(json!({"finalizers": ["example.com/keep"]})),
        with(json!({"labels": {"a": 5}})),
        with(json!({"generation": 7, "creationTimestamp": "2001-01-01T00:00:00Z", "selfLink": "x"})),
    ];
    Case::new("metadata is validated", steps)
}

fn invalid() -> Vec<Case> {
    let specs = [
        ("zero duration", json!({"leaseDurationSeconds": 0})),
        ("negative duration", json!({"leaseDurationSeconds": -5})),
        ("negative transitions", json!({"leaseTransitions": -1})),
        ("both", json!({"leaseDurationSeconds": 0, "leaseTransitions": -1, "holderIdentity": ""})),
        ("empty holder", json!({"holderIdentity": ""})),
        ("text as duration", json!({"leaseDurationSeconds": "15"})),
        ("fraction as duration", json!({"leaseDurationSeconds": 1.5})),
        ("whole fraction as duration", json!({"leaseDurationSeconds": 15.0})),
        ("huge duration", json!({"leaseDurationSeconds": 99_999_999_999_i64})),
        ("number as holder", json!({"holderIdentity": 7})),
        ("list as spec", json!([])),
        ("text as spec", json!("spec")),
    ];
    let case = |(name, spec): (&str, Value)| {
        let steps = vec![
            post("leases", &lease_of("new", &spec)),
            post("leases", &lease("a", "one")),
            put_read("leases/a", json!({"spec": spec})),
            merge_patch("leases/a", &json!({"spec": spec})),
            json_patch("leases/a", &json!([{"op": "add", "path": "/spec", "value": spec}])),
            strategic_patch("leases/a", &json!({"spec": spec})),
            get("leases/a"),
        ];
        Case::new(&format!("a spec with {name}"), steps)
    };
    specs.into_iter().map(case).collect()
}
