//! Patches: JSON Patch as leasehold writes, merge, strategic merge, and server-side apply of Leases.

use serde_json::{Value, json};

use super::super::script::{
    Case, Step, apply, delete, get, json_patch, merge_patch, post, put_read, strategic_patch,
};
use super::{config_map, lease, lease_of};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    let mut cases = vec![protocol(), tests_of_values(), operations(), malformed(), merges(), strategic()];
    cases.extend([versions(), absent(), applied(), apply_conflicts(), apply_refused(), formats()]);
    cases
}

fn test(path: &str, value: &Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

fn set(path: &str, value: &Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

/// The writes of leasehold: acquire, renew, release, and each of them too late.
fn protocol() -> Case {
    let uid = test("/metadata/uid", &json!("${leases/a:uid}"));
    let held_by = |holder: &str, transitions: u32| {
        [
            uid.clone(),
            test("/spec/holderIdentity", &json!(holder)),
            test("/spec/leaseTransitions", &json!(transitions)),
        ]
    };
    let patch = |tests: &[Value], sets: &[Value]| json_patch("leases/a", &json!([tests, sets].concat()));
    let renewal = set("/spec/renewTime", &json!("2026-01-02T03:04:10.000000Z"));
    let acquire = [
        set("/spec/holderIdentity", &json!("two")),
        set("/spec/acquireTime", &json!("2026-01-02T03:05:00.000000Z")),
        set("/spec/renewTime", &json!("2026-01-02T03:05:00.000000Z")),
        set("/spec/leaseTransitions", &json!(1)),
        test("/metadata/annotations", &Value::Null),
        set("/metadata/annotations", &json!({"leasehold.dev/mark": "1 abc library"})),
    ];
    let steps = vec![
        post("leases", &lease("a", "one")),
        patch(&held_by("one", 0), std::slice::from_ref(&renewal)),
        patch(&held_by("two", 0), std::slice::from_ref(&renewal)),
        patch(&held_by("one", 0), &acquire).by("writer-b"),
        patch(&held_by("one", 0), &acquire).by("writer-c"),
        patch(&held_by("one", 0), std::slice::from_ref(&renewal)),
        patch(&held_by("two", 1), &[set("/spec/holderIdentity", &json!("")), renewal.clone()]).by("writer-b"),
        delete("leases/a"),
        post("leases", &lease("a", "one")),
        patch(&[test("/metadata/uid", &json!("${leases/a:old-uid}"))], &[renewal]),
        get("leases/a"),
    ];
    Case::new("the writes of an election", steps)
}

fn tests_of_values() -> Case {
    let check = |path: &str, value: Value| json_patch("leases/a", &json!([test(path, &value)]));
    let steps = vec![
        post("leases", &lease("a", "one")),
        check("/metadata/resourceVersion", json!("${leases/a:version}")),
        check("/metadata/resourceVersion", Value::Null),
        check("/metadata/annotations", Value::Null),
        check("/metadata/annotations/x", Value::Null),
        check("/spec/preferredHolder", Value::Null),
        check("/spec/leaseDurationSeconds", json!(15)),
        check("/spec/leaseDurationSeconds", json!(15.0)),
        check("/spec/leaseDurationSeconds", json!("15")),
        check("/spec/renewTime", json!("2026-01-02T03:04:05.000006Z")),
        check("/spec/renewTime", json!("2026-01-02T03:04:05.00000600Z")),
        check("/metadata/name", json!("a")),
        check("/metadata/namespace", json!("${ns}")),
        check("/metadata/uid", json!("${leases/a:uid}")),
        check("/kind", json!("Lease")),
        check("/apiVersion", json!("coordination.k8s.io/v1")),
        check("/metadata/generation", Value::Null),
        check("/metadata/creationTimestamp", Value::Null),
        check("", json!({})),
        check("/nowhere/at/all", Value::Null),
        json_patch("leases/a", &json!([{"op": "test", "path": "/spec/holderIdentity"}])),
    ];
    Case::new("tests of a json patch", steps)
}

fn operations() -> Case {
    let one = |operation: Value| json_patch("leases/a", &json!([operation]));
    let steps = vec![
        post("leases", &lease("a", "one")),
        one(set("/metadata/labels", &json!({"a": "b"}))),
        one(set("/metadata/labels/c", &json!("d"))),
        one(set("/metadata/labels/example.com~1e", &json!("f"))),
        one(json!({"op": "remove", "path": "/metadata/labels/c"})),
        one(json!({"op": "remove", "path": "/metadata/labels/c"})),
        one(json!({"op": "replace", "path": "/metadata/labels/none", "value": "x"})),
        one(json!({"op": "replace", "path": "/spec/holderIdentity", "value": "two"})),
        one(json!({"op": "copy", "from": "/spec/holderIdentity", "path": "/metadata/labels/holder"})),
        one(json!({"op": "move", "from": "/metadata/labels/holder", "path": "/metadata/labels/moved"})),
        one(set("/metadata/annotations/x", &json!("y"))),
        one(json!({"op": "remove", "path": "/spec"})),
        one(set("/spec/holderIdentity", &json!("x"))),
        one(set("/spec/unknown", &json!("x"))),
        one(set("/metadata/labels/bad value", &json!("x"))),
        get("leases/a"),
    ];
    Case::new("operations of a json patch", steps)
}

fn malformed() -> Case {
    let patch =
        |text: &str| Step::new("PATCH", "leases/a").content_type("application/json-patch+json").text(text);
    let merge =
        |text: &str| Step::new("PATCH", "leases/a").content_type("application/merge-patch+json").text(text);
    let steps = vec![
        post("leases", &lease("a", "one")),
        patch(""),
        patch("{"),
        patch("{}"),
        patch("[1]"),
        patch("[{}]"),
        patch(r#"[{"op": "odd", "path": "/spec"}]"#),
        patch(r#"[{"op": "add"}]"#),
        patch(r#"[{"op": "add", "path": "spec", "value": 1}]"#),
        patch(r#"[{"op": "add", "path": "/spec/leaseDurationSeconds", "value": "x"}]"#),
        patch(r#"[{"op": "add", "path": "/spec/holderIdentity"}]"#),
        merge(""),
        merge("{"),
        merge("[]"),
        merge("7"),
        merge("null"),
        get("leases/a"),
    ];
    Case::new("patches that are none", steps)
}

fn merges() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": null}})).by("writer-b"),
        merge_patch("leases/a", &json!({"metadata": {"annotations": {"x": "y"}}})),
        merge_patch("leases/a", &json!({"metadata": {"annotations": {"x": null}}})),
        merge_patch("leases/a", &json!({"metadata": {"labels": {"x": null}}})),
        merge_patch("leases/a", &json!({"spec": {"unknown": 5}})),
        merge_patch("leases/a?fieldValidation=Strict", &json!({"spec": {"unknown": 5}})),
        merge_patch("leases/a?fieldValidation=Ignore", &json!({"spec": {"unknown": 5}})),
        merge_patch("leases/a?fieldValidation=Odd", &json!({"spec": {"holderIdentity": "z"}})),
        merge_patch("leases/a", &json!({"spec": null})),
        get("leases/a"),
    ];
    Case::new("merge patches", steps)
}

fn strategic() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        strategic_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        strategic_patch("leases/a", &json!({"metadata": {"finalizers": ["example.com/a"]}})),
        strategic_patch("leases/a", &json!({"metadata": {"finalizers": ["example.com/b"]}})),
        strategic_patch(
            "leases/a",
            &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/a"]}}),
        ),
        strategic_patch("leases/a", &json!({"metadata": {"annotations": {"x": "y"}}})),
        strategic_patch("leases/a", &json!({"metadata": {"annotations": {"$patch": "replace", "z": "y"}}})),
        strategic_patch("leases/a", &json!({"metadata": {"finalizers": null}})),
        strategic_patch("leases/a", &json!({"spec": {"leaseDurationSeconds": "x"}})),
        post("configmaps", &config_map("c", "one")),
        strategic_patch("configmaps/c", &json!({"data": {"more": "x"}})),
        strategic_patch("configmaps/c", &json!({"data": {"holder": null}})),
        get("leases/a"),
    ];
    Case::new("strategic merge patches", steps)
}

fn versions() -> Case {
    let versioned =
        |version: &str| json!({"metadata": {"resourceVersion": version}, "spec": {"holderIdentity": "two"}});
    let based_on = |version: &str| {
        json!([
            set("/metadata/resourceVersion", &json!(version)),
            set("/spec/holderIdentity", &json!("three"))
        ])
    };
    let steps = vec![
        post("leases", &lease("a", "one")),
        put_read("leases/a", json!({"spec": {"holderIdentity": "b"}})),
        merge_patch("leases/a", &versioned("${leases/a:version}")),
        merge_patch("leases/a", &versioned("${leases/a:old-version}")),
        json_patch("leases/a", &based_on("${leases/a:old-version}")),
        json_patch("leases/a", &based_on("${leases/a:version}")),
        merge_patch("leases/a", &versioned("0")),
        merge_patch("leases/a", &versioned("abc")),
        merge_patch(
            "leases/a",
            &json!({"metadata": {"uid": "${leases/a:uid}"}, "spec": {"holderIdentity": "u"}}),
        ),
        strategic_patch("leases/a", &versioned("${leases/a:old-version}")),
        post("configmaps", &config_map("c", "one")),
        merge_patch("configmaps/c", &json!({"metadata": {"resourceVersion": "1"}, "data": {"holder": "x"}})),
        get("leases/a"),
    ];
    Case::new("a patch that names a version is based on it", steps)
}

fn absent() -> Case {
    let steps = vec![
        json_patch("leases/a", &json!([])),
        merge_patch("leases/a", &json!({})),
        strategic_patch("leases/a", &json!({})),
        merge_patch("configmaps/a", &json!({"data": {}})),
        json_patch("leases", &json!([])),
        get("leases"),
    ];
    Case::new("a patch of an absent object", steps)
}

fn applied() -> Case {
    let spec = |fields: Value| lease_of("a", &fields);
    let steps = vec![
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "one", "leaseDurationSeconds": 15}))),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "one", "leaseDurationSeconds": 15}))),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "two"}))),
        apply("leases/a?fieldManager=y", &spec(json!({"leaseDurationSeconds": 20}))),
        apply("leases/a?fieldManager=x&force=true", &spec(json!({"leaseDurationSeconds": 30}))),
        get("leases/a"),
    ];
    Case::new("server-side apply creates and owns", steps)
}

fn apply_conflicts() -> Case {
    let spec = |fields: Value| lease_of("a", &fields);
    let steps = vec![
        post("leases", &lease("a", "one")),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "two"}))),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "two", "leaseDurationSeconds": 3}))),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "one"}))),
        apply("leases/a?fieldManager=x&force=true", &spec(json!({"holderIdentity": "two"}))),
        put_read("leases/a", json!({"spec": {"holderIdentity": "three"}})),
        apply("leases/a?fieldManager=x", &spec(json!({"holderIdentity": "two"}))),
        get("leases/a"),
    ];
    Case::new("server-side apply conflicts with other managers", steps)
}

fn apply_refused() -> Case {
    let steps = vec![
        apply("leases/a", &lease_of("a", &json!({"holderIdentity": "one"}))),
        apply("leases/a?fieldManager=x", &json!({"spec": {"holderIdentity": "one"}})),
        apply("leases/a?fieldManager=x", &lease_of("b", &json!({}))),
        apply("leases/a?fieldManager=x", &lease_of("a", &json!({"unknown": 1}))),
        apply("leases/a?fieldManager=x", &lease_of("a", &json!({"leaseDurationSeconds": 0}))),
        apply("leases?fieldManager=x", &lease_of("a", &json!({}))),
        Step::new("PATCH", "leases/a?fieldManager=x")
            .content_type("application/apply-patch+yaml")
            .text("a: [b"),
        get("leases/a"),
    ];
    Case::new("server-side apply that is refused", steps)
}

fn formats() -> Case {
    let typed = |content_type| Step::new("PATCH", "leases/a").content_type(content_type).text("{}");
    let steps = vec![
        post("leases", &lease("a", "one")),
        typed("application/json"),
        typed("text/plain"),
        typed("application/merge-patch+json; charset=utf-8"),
        Step::new("PATCH", "leases/a").text("{}"),
        merge_patch("leases/a?force=true", &json!({})),
        merge_patch("leases/a?fieldManager=by-name", &json!({"spec": {"holderIdentity": "two"}})),
        get("leases/a"),
    ];
    Case::new("formats of patches", steps)
}
