//! Requests that no client should send: bodies, formats, paths and methods.

use serde_json::json;

use super::super::script::{Case, Step, get, post};
use super::lease;

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![
        bodies(),
        formats(),
        accepted(),
        paths(),
        methods(),
        parameters(),
        discovery(),
        strictness(),
        future(),
        repeated(),
    ]
}

fn bodies() -> Case {
    let with = |text: &str| Step::new("POST", "leases").content_type("application/json").text(text);
    let put = |text: &str| Step::new("PUT", "leases/a").content_type("application/json").text(text);
    let steps = vec![
        with(""),
        with("{"),
        with("[]"),
        with("null"),
        with("7"),
        with("{}"),
        with(r#"{"metadata": {"name": "a"}, "spec": {"holderIdentity": "one"}} trailing"#),
        with(r#"{"metadata": "a"}"#),
        with(r#"{"metadata": {"name": 5}}"#),
        with(r#"{"apiVersion": 1, "kind": "Lease"}"#),
        put(""),
        put("{"),
        put("{}"),
        put("[]"),
        get("leases"),
        put("null"),
        with(r#"{"kind": []}"#),
        with(r#"{"metadata": {"name": "a"}} {}"#),
    ];
    Case::new("bodies that are no object", steps)
}

fn formats() -> Case {
    let typed = |content_type, text: &str| Step::new("POST", "leases").content_type(content_type).text(text);
    let text = r#"{"metadata": {"name": "NAME"}}"#;
    let steps = vec![
        typed("text/plain", text),
        typed("application/xml", text),
        Step::new("POST", "leases").text(&text.replace("NAME", "untyped")),
        typed("application/json; charset=utf-8", &text.replace("NAME", "charset")),
        typed("application/yaml", "metadata:\n  name: yaml\n"),
        typed("*/*", text),
    ];
    Case::new("formats of bodies", steps)
}

fn accepted() -> Case {
    let asked = |accept| get("leases/a").accept(accept);
    let steps = vec![
        post("leases", &lease("a", "one")),
        asked("*/*"),
        asked("application/*"),
        asked("text/html"),
        asked("text/html, application/json;q=0.5"),
        asked("application/json;stream=watch"),
        asked("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"),
        asked("application/json;as=Odd;g=meta.k8s.io;v=v1"),
        get("leases").accept("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
        get("leases/b").accept("text/html"),
        asked("application/json;as=Odd;g=meta.k8s.io;v=v1, application/*"),
    ];
    Case::new("formats of answers", steps)
}

fn paths() -> Case {
    let steps = vec![
        get("/nowhere"),
        get("/api/v2"),
        get("/apis/nowhere.example"),
        get("/apis/nowhere.example/v1/things"),
        get("/apis/coordination.k8s.io/v3/leases"),
        get("/apis/coordination.k8s.io/v1/nothing"),
        get("/apis/coordination.k8s.io/v1/namespaces/${ns}/nothing"),
        get("/apis/coordination.k8s.io/v1/namespaces/${ns}/leases/a/status"),
        get("/apis/coordination.k8s.io/v1/namespaces/${ns}/leases/a/b/c"),
        get("/apis/coordination.k8s.io/v1/namespaces/${ns}/configmaps/a"),
        get("/api/v1/namespaces/${ns}/leases/a"),
        get("/api/v1/namespaces/${ns}/configmaps/a/status"),
        Step::new("POST", "/apis/coordination.k8s.io/v1/namespaces/${ns}/nothing").text("{}"),
        Step::new("DELETE", "/apis/coordination.k8s.io/v1/namespaces/${ns}/nothing/a"),
        get("/apis/coordination.k8s.io/v1/namespaces/${ns}/leases/"),
        get("/healthz"),
        get("/livez"),
        get("/readyz"),
    ];
    Case::new("paths that are not there", steps)
}

fn methods() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        Step::new("OPTIONS", "leases/a"),
        Step::new("TRACE", "leases/a"),
        Step::new("ODD", "leases/a"),
        Step::new("POST", "leases/a").text("{}"),
        Step::new("PUT", "leases").text("{}"),
        Step::new("PATCH", "leases").text("{}"),
        Step::new("DELETE", "/apis/coordination.k8s.io/v1/leases"),
        Step::new("POST", "/apis/coordination.k8s.io/v1/leases").content_type("application/json").text("{}"),
        Step::new("DELETE", "/nowhere"),
        Step::new("POST", "/apis/coordination.k8s.io/v1"),
    ];
    Case::new("methods that are not allowed", steps)
}

fn parameters() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        get("leases?limit=x"),
        get("leases?limit=-1"),
        get("leases?continue=odd"),
        get("leases?labelSelector=%3D%3D"),
        get("leases?fieldSelector=metadata.name"),
        get("leases?fieldSelector=spec.holderIdentity%3Done"),
        get("leases?watch=odd&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone"),
        get("leases?timeoutSeconds=x"),
        get("leases/a?pretty=true"),
        get("leases/a?odd=true"),
        get("leases/a?watch=true"),
        get("leases?sendInitialEvents=true"),
        get("leases?watch=true&resourceVersion=abc"),
        get("leases?watch=true&resourceVersionMatch=Exact"),
        get("leases?watch=true&sendInitialEvents=true"),
        get("leases?watch=true&timeoutSeconds=1&fieldSelector=odd%3Da"),
        get("leases?limit=y&timeoutSeconds=x&labelSelector=%3D%3D"),
        get("leases?watch=true&timeoutSeconds=x"),
    ];
    Case::new("parameters that are not valid", steps)
}

/// Versions that no write has reached: a read waits for them, and not for long.
fn future() -> Case {
    let steps = vec![
        post("leases", &lease("a", "one")),
        get("leases?resourceVersion=999999999999"),
        get("leases/a?resourceVersion=999999999999"),
        get("leases?watch=true&resourceVersion=999999999999&timeoutSeconds=2"),
        get("leases?resourceVersion=999999999999&resourceVersionMatch=Exact&limit=5"),
    ];
    Case::new("versions of the future", steps)
}

/// Only what both serve: discovery of everything else is the real server's own.
fn discovery() -> Case {
    let steps = vec![get("/apis/coordination.k8s.io"), get("/apis/coordination.k8s.io/v1"), get("/api")];
    Case::new("discovery of leases", steps)
}

/// Where a text is not the object itself: patches are read strictly, too.
fn repeated() -> Case {
    let with = |content_type, validation: &str, text: &str| {
        Step::new("PATCH", &format!("leases/a?fieldValidation={validation}"))
            .content_type(content_type)
            .text(text)
    };
    let merge = "application/merge-patch+json";
    let json = "application/json-patch+json";
    let strategic = "application/strategic-merge-patch+json";
    let twice = r#"{"spec": {"holderIdentity": "two", "odd": 1, "holderIdentity": "three"}, "more": 1}"#;
    let operation =
        r#"[{"op": "replace", "path": "/spec/holderIdentity", "value": "x", "value": "y", "odd": 1}]"#;
    let unknown = r#"[{"op": "add", "path": "/spec/odd", "value": {"a": 1, "a": 2}}, {"op": "add", "path": "/a", "value": 1}]"#;
    let listed = r#"{"metadata": {"name": "b", "ownerReferences": [{"odd": 1, "name": "x", "name": "y", "apiVersion": "v1",
        "kind": "Pod", "uid": "u"}], "labels": {"a": "1", "a": "2"}}, "kind": "Lease", "odd": {"a": 1, "a": 2}, "kind": "Lease"}"#;
    let steps = vec![
        post("leases", &lease("a", "one")),
        with(merge, "Strict", twice),
        with(merge, "Warn", twice),
        with(merge, "Ignore", twice),
        with(json, "Strict", operation),
        with(json, "Warn", operation),
        with(json, "Warn", unknown),
        with(strategic, "Strict", twice),
        with(strategic, "Warn", twice),
        with(strategic, "Warn", "null"),
        Step::new("POST", "leases").content_type("application/json").text(listed),
        Step::new("PUT", "leases/b?fieldValidation=Strict").content_type("application/json").text(listed),
    ];
    Case::new("unknown and repeated fields of patches", steps)
}

fn strictness() -> Case {
    let odd =
        json!({"metadata": {"name": "a", "odd": 1}, "spec": {"holderIdentity": "one", "odd": 1}, "odd": {}});
    let twice = r#"{"metadata": {"name": "b"}, "spec": {"holderIdentity": "one", "holderIdentity": "two"}}"#;
    let raw = |path: &str| Step::new("POST", path).content_type("application/json").text(twice);
    let steps = vec![
        post("leases?fieldValidation=Strict", &odd),
        post("leases?fieldValidation=Warn", &odd),
        post("leases?fieldValidation=Ignore", &odd),
        post("leases?fieldValidation=Odd", &odd),
        raw("leases?fieldValidation=Strict"),
        raw("leases"),
        get("leases/a"),
    ];
    Case::new("unknown and repeated fields", steps)
}
