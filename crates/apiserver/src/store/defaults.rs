//! What the real server fills in: defaults of the kinds (at decoding, so that the writer owns them) and what its
//! registries set when an object is made or changed (which nobody owns).

use serde_json::{Map, Value, json};

use super::kind::Kind;
use super::request::Subresource;

/// Defaults of a kind.
pub(crate) fn fill(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Namespace => {
            if let Some(name) = object["metadata"]["name"].as_str().filter(|name| !name.is_empty()) {
                object["metadata"]["labels"]["kubernetes.io/metadata.name"] = json!(name);
            }
        }
        Kind::Pod => {
            fill_pod(&mut object["spec"]);
            let status = &mut object["status"];
            if let Some(ip) = status.get("podIP").cloned() {
                set(status, "podIPs", json!([{"ip": ip}]));
            }
        }
        Kind::Endpoints => {
            for subset in object["subsets"].as_array_mut().into_iter().flatten() {
                for port in subset["ports"].as_array_mut().into_iter().flatten() {
                    set(port, "protocol", json!("TCP"));
                }
                // Indexing makes nulls of what is absent.
                if let Some(map) = subset.as_object_mut() {
                    map.retain(|_, value| !value.is_null());
                }
            }
            drop_nulls(object);
        }
        Kind::ConfigMap | Kind::Event | Kind::Lease => {}
    }
}

/// What is set in an object that is made, after its fields got their owners.
pub(crate) fn prepare_create(kind: Kind, object: &mut Value) {
    match kind {
        Kind::Namespace => {
            object["spec"] = json!({"finalizers": ["kubernetes"]});
            object["status"] = json!({"phase": "Active"});
        }
        Kind::Pod => {
            object["metadata"]["generation"] = json!(1);
            admit_pod(&mut object["spec"]);
            object["status"] = json!({"phase": "Pending", "qosClass": qos_class(&object["spec"])});
        }
        Kind::Lease => drop_coordinated(object, &Value::Null),
        Kind::ConfigMap | Kind::Endpoints | Kind::Event => {}
    }
}

/// A status is only changed through its subresource, and it alone: what a request says of the other part is dropped,
/// before fields get their owners.
pub(crate) fn keep_other_part(kind: Kind, object: &mut Value, old: &Value, subresource: Subresource) {
    if !kind.resource().has_status {
        return;
    }
    if subresource == Subresource::Status {
        object["spec"] = old["spec"].clone();
    } else {
        object["status"] = old["status"].clone();
    }
}

/// What is kept or set in an object that is changed.
pub(crate) fn prepare_update(kind: Kind, object: &mut Value, old: &Value) {
    if kind == Kind::Namespace {
        // Finalizers of a namespace are only changed through its subresource, which is not served.
        object["spec"] = old["spec"].clone();
    }
    if kind == Kind::Lease {
        drop_coordinated(object, old);
    }
    let metadata = &old["metadata"];
    match metadata.get("generation").and_then(Value::as_i64) {
        Some(generation) => {
            let changed = kind == Kind::Pod && object["spec"] != old["spec"];
            object["metadata"]["generation"] = json!(generation + i64::from(changed));
        }
        None => remove(&mut object["metadata"], "generation"),
    }
    for field in ["creationTimestamp", "deletionTimestamp"] {
        keep(&mut object["metadata"], metadata, field);
    }
    for field in ["uid", "deletionGracePeriodSeconds"] {
        if object["metadata"].get(field).is_none() {
            keep(&mut object["metadata"], metadata, field);
        }
    }
}

/// The real server drops the fields of coordinated election unless they were there before: its feature gate
/// CoordinatedLeaderElection is off by default.
fn drop_coordinated(object: &mut Value, old: &Value) {
    for field in ["strategy", "preferredHolder"] {
        if old["spec"][field].is_null() {
            remove(&mut object["spec"], field);
        }
    }
}

fn fill_pod(spec: &mut Value) {
    if !spec.is_object() {
        *spec = json!({});
    }
    for (field, value) in [
        ("restartPolicy", json!("Always")),
        ("dnsPolicy", json!("ClusterFirst")),
        ("terminationGracePeriodSeconds", json!(30)),
        ("schedulerName", json!("default-scheduler")),
        ("securityContext", json!({})),
        ("enableServiceLinks", json!(true)),
    ] {
        set(spec, field, value);
    }
    for list in ["initContainers", "containers"] {
        if let Some(containers) = spec.get_mut(list).and_then(Value::as_array_mut) {
            containers.iter_mut().for_each(fill_container);
        }
    }
}

/// What the admission plugins of the real server add: ServiceAccount (but no token volume: there are no accounts here),
/// Priority and DefaultTolerationSeconds.
fn admit_pod(spec: &mut Value) {
    set(spec, "serviceAccountName", json!("default"));
    let account = spec["serviceAccountName"].clone();
    set(spec, "serviceAccount", account);
    set(spec, "priority", json!(0));
    set(spec, "preemptionPolicy", json!("PreemptLowerPriority"));
    let mut tolerations = spec["tolerations"].as_array().cloned().unwrap_or_default();
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        if !tolerations.iter().any(|toleration| toleration["key"] == json!(key)) {
            let toleration =
                json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300});
            tolerations.push(toleration);
        }
    }
    spec["tolerations"] = Value::Array(tolerations);
}

fn fill_container(container: &mut Value) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    let floating = !name.contains('@') && (!name.contains(':') || name.ends_with(":latest"));
    set(container, "imagePullPolicy", json!(if floating { "Always" } else { "IfNotPresent" }));
    set(container, "terminationMessagePath", json!("/dev/termination-log"));
    set(container, "terminationMessagePolicy", json!("File"));
    set(container, "resources", json!({}));
    for port in container.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        set(port, "protocol", json!("TCP"));
    }
}

/// Guaranteed and Burstable need requests or limits; what is compared here is only whether there are any.
fn qos_class(spec: &Value) -> &'static str {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |container: &Value, part: &str| {
        container["resources"][part].as_object().is_some_and(|map| !map.is_empty())
    };
    let limited = |container: &Value| {
        let limits = &container["resources"]["limits"];
        let requests = &container["resources"]["requests"];
        limits.get("cpu").is_some()
            && limits.get("memory").is_some()
            && (requests.is_null() || requests == limits)
    };
    if containers.iter().all(|container| !has(container, "limits") && !has(container, "requests")) {
        "BestEffort"
    } else if containers.iter().all(limited) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(map) = object.as_object_mut()
        && map.get(field).is_none_or(Value::is_null)
    {
        map.insert(field.into(), value);
    }
}

fn keep(metadata: &mut Value, old: &Value, field: &str) {
    match old.get(field) {
        Some(value) => metadata[field] = value.clone(),
        None => remove(metadata, field),
    }
}

pub(crate) fn remove(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}

fn drop_nulls(object: &mut Value) {
    if let Some(map) = object.as_object_mut() {
        map.retain(|_, value: &mut Value| !value.is_null());
    }
}

/// Of a Map, for readers: a field as text, or nothing.
pub(crate) fn text<'a>(map: &'a Map<String, Value>, field: &str) -> &'a str {
    map.get(field).and_then(Value::as_str).unwrap_or_default()
}
