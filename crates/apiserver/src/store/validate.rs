//! What the real server refuses about an object that has the right types.

use serde_json::{Map, Value, json};

use super::go_json;
use super::kind::Kind;
use super::names;
use super::shapes::OWNER_REFERENCES;
use super::status::FieldError;
use super::validate_endpoints;

/// Everything that is wrong with an object that is to be created.
pub(crate) fn create(kind: Kind, object: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let mut errors = name_errors(kind, metadata);
    errors.extend(common(kind, metadata));
    errors.extend(finalizers(metadata));
    errors.extend(specific(kind, object));
    errors
}

/// Everything that is wrong with an object that is to replace another.
pub(crate) fn update(kind: Kind, object: &Value, old: &Value) -> Vec<FieldError> {
    let metadata = &object["metadata"];
    let mut errors = Vec::new();
    if !old["metadata"]["deletionTimestamp"].is_null() {
        errors.extend(new_finalizers(metadata, &old["metadata"]));
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        if metadata[field] != old["metadata"][field] {
            errors.push(immutable(&format!("metadata.{field}"), &metadata[field]));
        }
    }
    errors.extend(common(kind, metadata));
    errors.extend(finalizers(metadata));
    errors.extend(specific(kind, object));
    errors.extend(specific_update(kind, object, old));
    errors
}

fn name_errors(kind: Kind, metadata: &Value) -> Vec<FieldError> {
    let check = |name: &str| match kind {
        Kind::Namespace => names::label(name),
        Kind::ConfigMap | Kind::Endpoints | Kind::Event | Kind::Pod | Kind::Lease => names::subdomain(name),
    };
    let mut errors = Vec::new();
    if let Some(prefix) = metadata["generateName"].as_str() {
        // The prefix may end in a dash: it is judged as if something followed.
        let completed = prefix.strip_suffix('-').map(|stem| format!("{stem}a"));
        let wrong = check(completed.as_deref().unwrap_or(prefix));
        errors.extend(
            wrong.iter().map(|why| FieldError::invalid("metadata.generateName", &json!(prefix), why)),
        );
    }
    match metadata["name"].as_str() {
        None => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        Some(name) => {
            errors.extend(
                check(name).iter().map(|why| FieldError::invalid("metadata.name", &json!(name), why)),
            );
        }
    }
    errors
}

fn common(kind: Kind, metadata: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !kind.resource().namespaced && metadata.get("namespace").is_some() {
        errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type"));
    }
    for (key, value) in entries(&metadata["labels"]) {
        let labels = "metadata.labels";
        errors.extend(names::qualified(key).iter().map(|why| FieldError::invalid(labels, &json!(key), why)));
        let wrong = names::label_value(value.as_str().unwrap_or_default());
        errors.extend(wrong.iter().map(|why| FieldError::invalid(labels, value, why)));
    }
    let mut size = 0;
    for (key, value) in entries(&metadata["annotations"]) {
        let wrong = names::qualified(&key.to_lowercase());
        errors.extend(wrong.iter().map(|why| FieldError::invalid("metadata.annotations", &json!(key), why)));
        size += key.len() + value.as_str().unwrap_or_default().len();
    }
    if size > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_BYTES_MAX));
    }
    errors.extend(owners(&metadata["ownerReferences"]));
    errors.extend(controllers(&metadata["ownerReferences"]));
    errors
}

fn owners(references: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, reference) in references.as_array().into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if reference[field].as_str().is_none_or(str::is_empty) {
                let path = format!("metadata.ownerReferences[{index}].{field}");
                errors.push(FieldError::required(path, "must not be empty"));
            }
        }
    }
    errors
}

/// At most one owner is the controller.
fn controllers(references: &Value) -> Option<FieldError> {
    let all = references.as_array()?;
    let mut named = all.iter().filter(|reference| reference["controller"] == json!(true)).map(|reference| {
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        format!("{}/{}", text("kind"), text("name"))
    });
    let (first, second) = (named.next()?, named.next()?);
    let why = format!(
        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
    );
    let shown = go_json::write(&OWNER_REFERENCES, references, None);
    Some(FieldError::invalid_text("metadata.ownerReferences", &shown, &why))
}

fn finalizers(metadata: &Value) -> Vec<FieldError> {
    let names = metadata["finalizers"].as_array().into_iter().flatten();
    names
        .flat_map(|name| {
            let wrong = names::qualified(name.as_str().unwrap_or_default());
            wrong
                .into_iter()
                .map(|why| FieldError::invalid("metadata.finalizers", name, &why))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn new_finalizers(metadata: &Value, old: &Value) -> Option<FieldError> {
    let list = |metadata: &Value| metadata["finalizers"].as_array().cloned().unwrap_or_default();
    let old = list(old);
    let mut new: Vec<String> =
        list(metadata).iter().filter(|name| !old.contains(name)).map(Value::to_string).collect();
    new.sort();
    (!new.is_empty()).then(|| {
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            new.join(", ")
        );
        FieldError::forbidden("metadata.finalizers", &detail)
    })
}

fn specific(kind: Kind, object: &Value) -> Vec<FieldError> {
    match kind {
        Kind::Lease => lease(&object["spec"]),
        Kind::ConfigMap => config_map(object),
        Kind::Event => event(object),
        Kind::Pod => pod(&object["spec"]),
        Kind::Endpoints => validate_endpoints::subsets(&object["subsets"]),
        Kind::Namespace => Vec::new(),
    }
}

fn specific_update(kind: Kind, object: &Value, old: &Value) -> Vec<FieldError> {
    if kind != Kind::ConfigMap || old["immutable"] != json!(true) {
        return Vec::new();
    }
    let frozen = "field is immutable when `immutable` is set";
    let changed = |field: &str| object[field] != old[field];
    ["immutable", "data", "binaryData"]
        .into_iter()
        .filter(|field| changed(field))
        .map(|field| FieldError::forbidden(field, frozen))
        .collect()
}

fn lease(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let number = |field: &str| spec[field].as_i64();
    if let Some(seconds) = number("leaseDurationSeconds").filter(|seconds| *seconds <= 0) {
        errors.push(FieldError::invalid(
            "spec.leaseDurationSeconds",
            &json!(seconds),
            "must be greater than 0",
        ));
    }
    if let Some(transitions) = number("leaseTransitions").filter(|transitions| *transitions < 0) {
        let why = "must be greater than or equal to 0";
        errors.push(FieldError::invalid("spec.leaseTransitions", &json!(transitions), why));
    }
    // The real server drops both fields first: its feature gate CoordinatedLeaderElection is off by default, and
    // `store::write` drops them as well. What is left was stored before and is kept.
    errors
}

fn config_map(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut size = 0;
    for field in ["data", "binaryData"] {
        for (key, value) in entries(&object[field]) {
            let path = format!("{field}[{key}]");
            errors.extend(
                names::config_key(key).iter().map(|why| FieldError::invalid(path.clone(), &json!(key), why)),
            );
            if field == "data" && object["binaryData"].get(key).is_some() {
                errors.push(FieldError::invalid(path, &json!(key), "duplicate of key present in binaryData"));
            }
            size += value.as_str().map_or(0, str::len);
        }
    }
    if size > CONFIG_MAP_BYTES_MAX {
        // The real server names no field here, and writes so.
        errors.push(FieldError::too_long("[]", CONFIG_MAP_BYTES_MAX));
    }
    errors
}

/// An Event of the core group: its namespace must be that of the object it is about.
fn event(object: &Value) -> Vec<FieldError> {
    let involved = object["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let own = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let fits = if involved.is_empty() { own == "default" || own == "kube-system" } else { involved == own };
    if fits {
        return Vec::new();
    }
    let why = "does not match event.namespace";
    vec![FieldError::invalid("involvedObject.namespace", &json!(involved), why)]
}

fn pod(spec: &Value) -> Vec<FieldError> {
    let containers = spec["containers"].as_array();
    let mut errors = Vec::new();
    if containers.is_none_or(Vec::is_empty) {
        errors.push(FieldError::required("spec.containers", ""));
    }
    for (index, container) in containers.into_iter().flatten().enumerate() {
        for field in ["name", "image"] {
            if container[field].as_str().is_none_or(str::is_empty) {
                errors.push(FieldError::required(format!("spec.containers[{index}].{field}"), ""));
            }
        }
    }
    errors
}

fn immutable(field: &str, value: &Value) -> FieldError {
    let shown = if value.is_null() { json!("") } else { value.clone() };
    FieldError::invalid(field, &shown, "field is immutable")
}

fn entries(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

const ANNOTATIONS_BYTES_MAX: usize = 256 << 10;
const CONFIG_MAP_BYTES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::status::Failure;

    fn messages(errors: &[FieldError]) -> String {
        Failure::invalid("", "X", "x", errors).message
    }

    #[test]
    fn a_lease_needs_a_positive_duration_and_no_negative_transitions() {
        let spec = json!({"leaseDurationSeconds": 0, "leaseTransitions": -1});
        let errors = create(Kind::Lease, &json!({"metadata": {"name": "db"}, "spec": spec}));
        assert_eq!(
            messages(&errors),
            "X \"x\" is invalid: [spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0, \
             spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0]"
        );
        let free = json!({"metadata": {"name": "db"}, "spec": {"holderIdentity": ""}});
        assert_eq!(create(Kind::Lease, &free), []);
    }

    #[test]
    fn what_never_changes_may_not_be_changed() {
        let old = json!({"metadata": {"name": "db", "uid": "a"}, "spec": {}});
        let new = json!({"metadata": {"name": "db", "uid": "b"}, "spec": {}});
        assert!(
            messages(&update(Kind::Lease, &new, &old))
                .ends_with("metadata.uid: Invalid value: \"b\": field is immutable")
        );
        assert_eq!(update(Kind::Lease, &old, &old), []);
    }
}
