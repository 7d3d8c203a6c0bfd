//! Deletion: with and without conditions, of one object and of a collection.

use serde_json::{Value, json};

use super::super::script::{Case, Step, delete, delete_with, get, merge_patch, post, put_read};
use super::{config_map, lease, with_metadata};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![plain(), conditions(), options(), finalizers(), collections(), malformed()]
}

fn plain() -> Case {
    let steps = vec![
        delete("leases/a"),
        post("leases", &lease("a", "one")),
        delete("leases/a"),
        delete("leases/a"),
        get("leases/a"),
        post("configmaps", &config_map("c", "one")),
        delete("configmaps/c"),
        post("endpoints", &json!({"metadata": {"name": "e"}})),
        delete("endpoints/e"),
    ];
    Case::new("a deleted object is gone", steps)
}

fn conditions() -> Case {
    let on = |conditions: Value| delete_with("leases/a", &json!({"preconditions": conditions}));
    let steps = vec![
        post("leases", &lease("a", "one")),
        put_read("leases/a", json!({"spec": {"holderIdentity": "two"}})),
        on(json!({"uid": "11111111-2222-4333-8444-555555555555"})),
        on(json!({"resourceVersion": "${leases/a:old-version}"})),
        on(json!({"uid": "${leases/a:uid}", "resourceVersion": "${leases/a:old-version}"})),
        on(
            json!({"uid": "11111111-2222-4333-8444-555555555555", "resourceVersion": "${leases/a:old-version}"}),
        ),
        get("leases/a"),
        on(json!({"uid": "${leases/a:uid}", "resourceVersion": "${leases/a:version}"})),
        post("leases", &lease("a", "three")),
        on(json!({"uid": "${leases/a:old-uid}"})),
        on(json!({"uid": "${leases/a:uid}"})),
        on(json!({"uid": "${leases/a:uid}"})),
        post("configmaps", &config_map("a", "one")),
        delete_with("configmaps/a", &json!({"preconditions": {"resourceVersion": "1"}})),
        delete_with(
            "configmaps/a",
            &json!({"preconditions": {"resourceVersion": "${configmaps/a:version}"}}),
        ),
    ];
    Case::new("a deletion may have conditions", steps)
}

fn options() -> Case {
    let again = || post("leases", &lease("a", "one"));
    let steps = vec![
        again(),
        delete_with(
            "leases/a",
            &json!({"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0}),
        ),
        again(),
        delete_with("leases/a", &json!({"gracePeriodSeconds": 30})),
        again(),
        delete_with("leases/a", &json!({"propagationPolicy": "Background"})),
        again(),
        delete_with("leases/a", &json!({"propagationPolicy": "Odd"})),
        delete("leases/a?propagationPolicy=Background"),
        again(),
        delete("leases/a?gracePeriodSeconds=0"),
        again(),
        delete("leases/a?gracePeriodSeconds=x"),
        delete_with("leases/a", &json!({"kind": "DeleteOptions", "apiVersion": "coordination.k8s.io/v1"})),
    ];
    Case::new("options of a deletion", steps)
}

fn finalizers() -> Case {
    let kept = with_metadata(lease("a", "one"), &json!({"finalizers": ["example.com/keep"]}));
    let steps = vec![
        post("leases", &kept),
        delete("leases/a"),
        get("leases/a"),
        delete("leases/a"),
        put_read("leases/a", json!({"spec": {"holderIdentity": "two"}})),
        merge_patch(
            "leases/a",
            &json!({"metadata": {"finalizers": ["example.com/keep", "example.com/more"]}}),
        ),
        post("leases", &lease("a", "two")),
        merge_patch("leases/a", &json!({"metadata": {"finalizers": null}})),
        get("leases/a"),
        post("leases", &kept),
        delete("leases/a"),
        put_read("leases/a", json!({"metadata": {"finalizers": []}})),
        get("leases/a"),
    ];
    Case::new("a finalizer keeps an object until it is removed", steps)
}

fn collections() -> Case {
    let labelled = |name: &str, app: &str| with_metadata(lease(name, "x"), &json!({"labels": {"app": app}}));
    let steps = vec![
        delete("leases"),
        post("leases", &labelled("a", "one")),
        post("leases", &labelled("b", "two")),
        post("leases", &labelled("c", "two")),
        delete("leases?labelSelector=app%3Done"),
        get("leases"),
        delete("leases?fieldSelector=metadata.name%3Db"),
        get("leases"),
        delete_with("leases", &json!({"preconditions": {"uid": "11111111-2222-4333-8444-555555555555"}})),
        delete("leases"),
        get("leases"),
        post("configmaps", &config_map("a", "x")),
        delete("configmaps?labelSelector=none"),
        delete("configmaps?fieldSelector=metadata.name%3Da"),
    ];
    Case::new("collections are deleted by selector", steps)
}

fn malformed() -> Case {
    let with = |text: &str| Step::new("DELETE", "leases/a").content_type("application/json").text(text);
    let steps = vec![
        post("leases", &lease("a", "one")),
        with("{"),
        with("[]"),
        with(r#"{"preconditions": 5}"#),
        with(r#"{"kind": "Lease", "apiVersion": "coordination.k8s.io/v1"}"#),
        with(r#"{"kind": "Odd", "apiVersion": "v1"}"#),
        with(r#"{"dryRun": ["Some"]}"#),
        Step::new("DELETE", "leases/a").content_type("text/plain").text("{}"),
        get("leases/a"),
        with(r#"{"unknown": true}"#),
        post("leases", &lease("a", "one")),
        with(r#"{"kind": 1}"#),
        with(r#"{"kind": "Lease"}"#),
        with(r#"{"apiVersion": "apps/v1"}"#),
        post("leases", &lease("a", "one")),
        with(r#"{"propagationPolicy": "Odd", "orphanDependents": true, "dryRun": ["All", "Some"]}"#),
        with(r#"{"gracePeriodSeconds": "1"}"#),
        delete("leases/a?dryRun=Some"),
        with("null"),
    ];
    Case::new("options of a deletion that are none", steps)
}
