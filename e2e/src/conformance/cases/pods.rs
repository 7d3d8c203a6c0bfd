//! Pods, as far as elections need them: labels, status, deletion, selectors.

use serde_json::{Value, json};

use super::super::script::{Case, delete, delete_with, get, json_patch, merge_patch, post, put_read};

/// All cases of this file.
pub fn cases() -> Vec<Case> {
    vec![lifecycle(), statuses(), selected(), refused()]
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "db"}},
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 0,
            "containers": [{"name": "candidate", "image": "never.invalid/pulled"}],
        },
    })
}

fn lifecycle() -> Case {
    let steps = vec![
        get("pods/a"),
        post("pods", &pod("a")),
        get("pods/a"),
        merge_patch("pods/a", &json!({"metadata": {"labels": {"role": "leader"}}})),
        json_patch("pods/a", &json!([{"op": "remove", "path": "/metadata/labels/role"}])),
        put_read("pods/a", json!({"metadata": {"annotations": {"x": "y"}}})),
        post("pods", &pod("a")),
        delete("pods/a"),
        get("pods/a"),
    ];
    Case::new("a pod from its creation to its deletion", steps)
}

/// What a kubelet writes, and what evidence of a process's end is read from.
fn statuses() -> Case {
    let terminated = json!({"exitCode": 137, "reason": "Error", "message": "leasehold/1 secret library\n",
        "startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:05Z", "containerID": "containerd://x"});
    let status = json!({"status": {"phase": "Running", "containerStatuses": [{"name": "candidate", "image": "x",
        "imageID": "y", "ready": false, "restartCount": 1, "state": {"terminated": terminated}, "lastState": {}}]}});
    let steps = vec![
        post("pods", &pod("a")),
        merge_patch("pods/a/status", &status),
        get("pods/a/status"),
        merge_patch("pods/a", &json!({"status": {"phase": "Failed"}})),
        merge_patch("pods/a/status", &json!({"metadata": {"labels": {"x": "y"}}, "spec": {"nodeName": "z"}})),
        get("pods/a"),
    ];
    Case::new("the status of a pod", steps)
}

fn selected() -> Case {
    let steps = vec![
        post("pods", &pod("a")),
        post("pods", &pod("b")),
        get("pods?labelSelector=app%3Ddb&limit=1"),
        get("pods?fieldSelector=status.phase%3DPending,metadata.name%3Db"),
        get("pods?fieldSelector=spec.nodeName%3Dnone"),
        get("pods?fieldSelector=spec.odd%3Dnone"),
        delete_with("pods/a", &json!({"gracePeriodSeconds": 0, "preconditions": {"uid": "${pods/b:uid}"}})),
        delete_with("pods/a", &json!({"gracePeriodSeconds": 0})),
        delete("pods"),
    ];
    Case::new("pods by selector", steps)
}

fn refused() -> Case {
    let steps = vec![
        post(
            "pods",
            &json!({"metadata": {"name": "a"}, "spec": {"automountServiceAccountToken": false, "containers": []}}),
        ),
        post("pods", &json!({"metadata": {"name": "a"}})),
        post("pods", &pod("Not_Valid")),
    ];
    Case::new("pods that are not valid", steps)
}
