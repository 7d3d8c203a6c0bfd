//! `managedFields`: the server's stamp on each writer's fields, on which the guards rest.

use serde_json::{Value, json};

use super::super::script::{Case, apply, get, json_patch, merge_patch, post, put, put_read};
use super::{config_map, lease, lease_of, with_metadata};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![writers(), wiped(), untracked(), forged(), names(), other_kinds(), retimed()]
}

fn writers() -> Case {
    let renewed =
        |second: u32| json!({"spec": {"renewTime": format!("2026-01-02T03:05:{second:02}.000000Z")}});
    let steps = vec![
        post("leases", &lease("a", "one")),
        merge_patch("leases/a", &renewed(1)),
        merge_patch("leases/a", &renewed(2)).by("writer-b"),
        merge_patch("leases/a", &renewed(3)).by("writer-b"),
        put_read("leases/a", renewed(4)).by("writer-c"),
        put_read("leases/a", json!({"metadata": {"labels": {"x": "y", "z": "w"}}})).by("writer-b"),
        merge_patch("leases/a", &json!({"metadata": {"labels": {"x": null}}})).by("writer-c"),
        json_patch("leases/a", &json!([{"op": "remove", "path": "/spec/renewTime"}])),
        merge_patch(
            "leases/a",
            &json!({"metadata": {"annotations": {"a": "1"}, "finalizers": ["example.com/f"]}}),
        ),
        get("leases/a"),
    ];
    Case::new("each field is stamped with its last writer", steps)
}

fn wiped() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        merge_patch("leases/a", &json!({"metadata": {"managedFields": [{}]}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "two"}})),
        put_read("leases/a", json!({"spec": {"holderIdentity": "three"}})),
        apply(
            "leases/a?fieldManager=x",
            &with_metadata(lease_of("a", &json!({})), &json!({"labels": {"x": "y"}})),
        ),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "four"}})),
        put_read("leases/a", json!({"metadata": {"managedFields": []}})),
        get("leases/a"),
    ];
    Case::new("stamps that were wiped", steps)
}

fn untracked() -> Case {
    let steps = vec![
        post("leases", &json!({"metadata": {"name": "a"}})),
        merge_patch("leases/a", &json!({"spec": {"holderIdentity": "one"}})),
        put_read("leases/a", json!({"spec": {"holderIdentity": "two"}})),
        post("leases", &lease_of("b", &json!({}))),
        put_read("leases/b", json!({"spec": {"holderIdentity": "two"}})),
        post("leases", &json!({"metadata": {"name": "c", "labels": {"x": "y"}}})),
        merge_patch("leases/c", &json!({"spec": {"holderIdentity": "one"}})),
    ];
    Case::new("a lease that was created without any field", steps)
}

fn forged() -> Case {
    let entry = json!({"manager": "forger", "operation": "Update", "apiVersion": "coordination.k8s.io/v1",
        "time": "2001-01-01T00:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:renewTime": {}}}});
    let steps = vec![
        post("leases", &with_metadata(lease("a", "one"), &json!({"managedFields": [entry]}))),
        post("leases", &lease("b", "one")),
        put(
            "leases/b",
            &with_metadata(
                lease("b", "two"),
                &json!({"resourceVersion": "${leases/b:version}", "managedFields": [entry]}),
            ),
        ),
        merge_patch("leases/b", &json!({"metadata": {"managedFields": [entry]}})).by("writer-b"),
        merge_patch(
            "leases/b",
            &json!({"metadata": {"managedFields": [{"manager": "x", "operation": "Odd"}]}}),
        ),
        get("leases/b"),
    ];
    Case::new("stamps that are forged", steps)
}

/// Times of stamps alone are no change, unless they put the stamps in another order.
fn retimed() -> Case {
    let stamp = |manager: &str, year: u16, fields: Value| {
        json!({"manager": manager, "operation": "Update", "apiVersion": "coordination.k8s.io/v1",
            "time": format!("{year}-01-01T00:00:00Z"), "fieldsType": "FieldsV1", "fieldsV1": fields})
    };
    let spec = json!({"f:spec": {"f:acquireTime": {}, "f:holderIdentity": {}, "f:leaseDurationSeconds": {},
        "f:leaseTransitions": {}, "f:renewTime": {}}});
    let label = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}});
    let stamped = |stamps: Value| json!({"metadata": {"managedFields": stamps}});
    let first = |year| stamp("writer-a", year, spec.clone());
    let second = |year| stamp("writer-b", year, label.clone());
    let steps = vec![
        post("leases", &lease("a", "one")),
        put_read("leases/a", stamped(json!([first(2001)]))),
        merge_patch("leases/a", &stamped(json!([first(2001)]))).by("writer-c"),
        put_read("leases/a?dryRun=All", stamped(json!([first(2001)]))),
        merge_patch("leases/a", &json!({"metadata": {"labels": {"a": "b"}}})).by("writer-b"),
        put_read("leases/a", stamped(json!([first(2001), second(2002)]))),
        put_read("leases/a", stamped(json!([first(2002), second(2001)]))),
        put_read("leases/a", stamped(json!([second(2001)]))),
        get("leases/a"),
    ];
    Case::new("stamps that differ in their times", steps)
}

fn names() -> Case {
    let long = "x".repeat(129);
    let steps = vec![
        post("leases?fieldManager=named", &lease("a", "one")),
        post("leases?fieldManager=", &lease("b", "one")),
        post(&format!("leases?fieldManager={long}"), &lease("c", "one")),
        put_read("leases/a?fieldManager=other", json!({"spec": {"holderIdentity": "two"}})),
        post("leases?fieldManager=bad%0Aname", &lease("d", "one")),
        post("leases?fieldManager=%C2%A0%E2%80%8Be%CC%81%5C%09", &lease("d", "one")),
        post("leases?fieldManager=e%CC%81%20%5C", &lease("d", "one")),
    ];
    Case::new("names of field managers", steps)
}

fn other_kinds() -> Case {
    let steps = vec![
        post("configmaps", &config_map("a", "one")),
        merge_patch("configmaps/a", &json!({"data": {"holder": "two", "more": "x"}})).by("writer-b"),
        put("configmaps/a", &config_map("a", "three")).by("writer-c"),
        put_read("configmaps/a", json!({"metadata": {"annotations": {"a/b": "c"}}})),
        merge_patch("configmaps/a", &json!({"data": null})),
        get("configmaps/a"),
    ];
    Case::new("stamps of config maps", steps)
}
