//! A Pod with an elector and an app, as the kubelet and others write its status.
//!
//! | field | meaning |
//! |---|---|
//! | `name=db-1`, `uid=u-1`, `namespace=prod` | whose Pod it is; the defaults are those of `THEIRS` |
//! | `elector=running` | `running`; `ended`: terminated; `restarted`: runs again, and its last state says how it ended; `waiting`: the same before it runs again; `unknown`: what a kubelet infers that knows no container |
//! | `at=app` | where the elector runs: beside the `app`, or as a `sidecar` among the init containers |
//! | `app=running` | the same of the app, or `none` |
//! | `proxy=running`, `debugger=running` | another sidecar, an ephemeral container; none unless named |
//! | `says=secret` | the termination message: the `secret` of `THEIRS`, its `nonce`, that of `another` process, or `nothing` |
//! | `mode=library` | the mode that the message tells |
//! | `phase=Running`, `condition=TYPE` | written by whomever |
//! | `type=MODIFIED` | of the event |

use std::collections::BTreeMap;

use leasehold_election::{Mode, Secret};
use serde_json::{Value, json};

/// The secret of the elector in this Pod.
pub(crate) fn secret() -> Secret {
    Secret::from_random([2; 16])
}

/// A line of a scenario with what `THEIRS` and `NONCE` stand for.
pub(crate) fn named(line: &str) -> String {
    let nonce = secret().nonce().to_string();
    line.replace("THEIRS", &format!("db-1_u-1_{nonce}")).replace("NONCE", &nonce)
}

/// The line that a watch brings.
pub(crate) fn event(fields: &BTreeMap<String, String>) -> Result<Vec<u8>, String> {
    let kind = fields.get("type").map_or("MODIFIED", String::as_str);
    Ok(json!({ "type": kind, "object": pod(fields)? }).to_string().into_bytes())
}

fn pod(fields: &BTreeMap<String, String>) -> Result<Value, String> {
    let field = |name: &str, default: &'static str| fields.get(name).map_or(default, String::as_str);
    let mode: Mode = field("mode", "library").parse().map_err(|error| format!("{error}"))?;
    let message = match field("says", "secret") {
        "secret" => secret().termination_message(mode),
        "nonce" => format!("leasehold/1 {} {mode}\n", secret().nonce()),
        "another" => Secret::from_random([3; 16]).termination_message(mode),
        "nothing" => String::new(),
        other => return Err(format!("nothing says {other:?}")),
    };
    let elector = status("elector", field("elector", "running"), &message)?;
    let app = match field("app", "running") {
        "none" => None,
        state => Some(status("app", state, "bye")?),
    };
    let sidecar = field("at", "app") == "sidecar";
    let names = |listed: &[&str]| -> Value { listed.iter().map(|name| json!({ "name": name })).collect() };
    let (app_names, apps) = match &app {
        Some(app) => (vec!["app"], vec![app.clone()]),
        None => (Vec::new(), Vec::new()),
    };
    let (init, containers, init_statuses, statuses) = if sidecar {
        let init = json!([{ "name": "set-up" }, { "name": "elector", "restartPolicy": "Always" }]);
        (init, names(&app_names), json!([elector]), json!(apps))
    } else {
        let all: Vec<_> = app_names.into_iter().chain(["elector"]).collect();
        (json!([]), names(&all), json!([]), apps.into_iter().chain([elector]).collect())
    };
    let (proxy, debugger) = (more(fields, "proxy")?, more(fields, "debugger")?);
    let ephemeral: Vec<&str> = debugger.as_ref().map(|_| "debugger").into_iter().collect();
    let with = |list: Value, more: Option<Value>| -> Value {
        list.as_array().into_iter().flatten().cloned().chain(more).collect()
    };
    let proxy_named = proxy.as_ref().map(|_| json!({ "name": "proxy", "restartPolicy": "Always" }));
    let (init, init_statuses) = (with(init, proxy_named), with(init_statuses, proxy));
    Ok(json!({
        "kind": "Pod",
        "metadata": {
            "name": field("name", "db-1"),
            "namespace": field("namespace", "prod"),
            "uid": field("uid", "u-1"),
            "resourceVersion": "77",
        },
        "spec": { "initContainers": init, "containers": containers, "ephemeralContainers": names(&ephemeral) },
        "status": {
            "phase": field("phase", "Running"),
            "conditions": [{ "type": field("condition", "Ready"), "status": "True" }],
            "initContainerStatuses": init_statuses,
            "containerStatuses": statuses,
            "ephemeralContainerStatuses": with(json!([]), debugger),
        },
    }))
}

fn more(fields: &BTreeMap<String, String>, name: &str) -> Result<Option<Value>, String> {
    fields.get(name).map(|state| status(name, state, "bye")).transpose()
}

fn status(name: &str, state: &str, message: &str) -> Result<Value, String> {
    let finished = "2026-01-01T00:00:00Z";
    let terminated = json!({
        "terminated": { "exitCode": 137, "containerID": format!("containerd://{name}"), "finishedAt": finished, "message": message }
    });
    let unknown = json!({
        "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown", "startedAt": null, "finishedAt": null, "message": message }
    });
    let running = json!({ "running": { "startedAt": finished } });
    let waiting = json!({ "waiting": { "reason": "CrashLoopBackOff" } });
    let (now, last) = match state {
        "running" => (running, json!({})),
        "ended" => (terminated, json!({})),
        "restarted" => (running, terminated),
        "waiting" => (waiting, terminated),
        "unknown" => (unknown, json!({})),
        other => return Err(format!("no container is {other:?}")),
    };
    Ok(json!({ "name": name, "state": now, "lastState": last }))
}
