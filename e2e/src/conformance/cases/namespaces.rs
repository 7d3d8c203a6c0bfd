//! Namespaces: what lives in one that is absent or going away.

use serde_json::json;

use super::super::script::{Case, Step, delete, get, merge_patch, post, put, put_read};
use super::{config_map, lease};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![lifecycle(), absent(), invalid(), lists()]
}

const OTHER: &str = "/api/v1/namespaces/${ns}-other";

fn lifecycle() -> Case {
    let leases = "/apis/coordination.k8s.io/v1/namespaces/${ns}-other/leases";
    let steps = vec![
        get(OTHER),
        post("/api/v1/namespaces", &json!({"metadata": {"name": "${ns}-other"}})),
        post("/api/v1/namespaces", &json!({"metadata": {"name": "${ns}-other"}})),
        get(OTHER),
        merge_patch(OTHER, &json!({"metadata": {"labels": {"x": "y"}}})),
        put_read(OTHER, json!({"metadata": {"labels": null}})),
        post(leases, &lease("a", "one")),
        get("/api/v1/namespaces/${ns}-other/status"),
        delete(OTHER),
        get(OTHER),
        get(&format!("{leases}/a")),
        post(leases, &lease("b", "one")),
    ];
    Case::new("a namespace from its creation to its deletion", steps)
}

fn absent() -> Case {
    let leases = "/apis/coordination.k8s.io/v1/namespaces/${ns}-none/leases";
    let steps = vec![
        get(leases),
        get(&format!("{leases}/a")),
        post(leases, &lease("a", "one")),
        put(&format!("{leases}/a"), &lease("a", "one")),
        merge_patch(&format!("{leases}/a"), &json!({})),
        delete(&format!("{leases}/a")),
        delete(leases),
        post("/api/v1/namespaces/${ns}-none/configmaps", &config_map("a", "one")),
        get("/api/v1/namespaces/${ns}-none"),
        delete("/api/v1/namespaces/${ns}-none"),
    ];
    Case::new("a namespace that is not there", steps)
}

fn invalid() -> Case {
    let steps = vec![
        post("/api/v1/namespaces", &json!({"metadata": {"name": "Not_Valid"}})),
        post("/api/v1/namespaces", &json!({"metadata": {"name": "a.b"}})),
        post("/api/v1/namespaces", &json!({"metadata": {}})),
        post("/api/v1/namespaces", &json!({"metadata": {"name": "${ns}-x", "namespace": "y"}})),
        put("/api/v1/namespaces/${ns}-y", &json!({"metadata": {"name": "${ns}-y"}})),
        delete("/api/v1/namespaces"),
        Step::new("PUT", "/api/v1/namespaces"),
    ];
    Case::new("namespaces that are not valid", steps)
}

fn lists() -> Case {
    let steps = vec![
        get("/api/v1/namespaces?fieldSelector=metadata.name%3D${ns}"),
        get("/api/v1/namespaces?fieldSelector=status.phase%3DActive,metadata.name%3D${ns}"),
        get("/api/v1/namespaces?labelSelector=kubernetes.io/metadata.name%3D${ns}"),
        get("/api/v1/namespaces/${ns}"),
    ];
    Case::new("namespaces in lists", steps)
}
