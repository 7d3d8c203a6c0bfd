//! Server-side apply (structured-merge-diff, `merge.Updater.Apply`): merge, own, refuse what others own.

use serde_json::{Map, Value, json};

use super::body::judge_findings;
use super::create::fit_namespace;
use super::defaults;
use super::fields::{FieldSet, all, compare, parts};
use super::managed::{self, Entry, Operation, Writer};
use super::object::Object;
use super::request::Call;
use super::shape::{Merge, Shape, normalise};
use super::status::Failure;
use super::update::{Proposal, check_name};

/// What an applied configuration makes of the current version, if any.
pub(crate) fn apply(
    call: &Call<'_>,
    current: Option<&Object>,
    mut patch: Value,
    force: bool,
    writer: &Writer,
) -> Result<Proposal, Failure> {
    let resource = call.kind.resource();
    check_type(call, &mut patch)?;
    if patch["metadata"].get("managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let given: Vec<String> = patch.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    // The real server's schema knows a time as any text: a wrong one is only seen when all else is settled.
    let (unknown, wrong_time) = match normalise(resource.shape, &mut patch) {
        Ok(unknown) => (unknown, None),
        Err(why) if why.starts_with("parsing time") => (Vec::new(), Some(why)),
        Err(why) => return Err(refuse(call, &why)),
    };
    if let Some(field) = unknown.first() {
        return Err(refuse(call, &format!(".{field}: field not declared in schema")));
    }
    if let Some(map) = patch.as_object_mut() {
        // What a Go struct would write, and a configuration does not say, is not applied.
        map.retain(|key, _| given.contains(key) || key == "metadata");
    }
    let warnings = judge_findings(call, Vec::new).map_err(Failure::bad_request)?;
    if patch["metadata"].get("name").is_none() {
        patch["metadata"]["name"] = json!(call.name);
    }
    check_name(call, &patch)?;
    fit_namespace(call, &mut patch["metadata"])?;
    let mut wanted = all(resource.shape, &patch);
    wanted.strip_system_fields();
    let base = current.map_or_else(|| json!({}), |current| current.value.clone());
    let mut entries = managed::read(&base);
    if entries.is_empty() && current.is_some() {
        let before = Writer { manager: "before-first-apply".into(), ..writer.clone() };
        managed::take(resource.shape, None, &base, &mut entries, &before);
    }
    let mine = entries.iter().position(|entry| entry.is_of(writer, Operation::Apply));
    let previous = mine.map(|index| entries.remove(index));
    let mut value = base.clone();
    merge(resource.shape, &mut value, &patch);
    prune(resource.shape, &mut value, previous.as_ref(), &wanted, &entries);
    if wrong_time.is_none() {
        normalise(resource.shape, &mut value).map_err(|why| refuse(call, &why))?;
    }
    defaults::fill(call.kind, &mut value);
    settle(call, &base, &value, &wanted, &mut entries, force)?;
    if let Some(why) = wrong_time {
        return Err(inconvertible(call, &why));
    }
    let mut entry = writer.entry(Operation::Apply, wanted);
    if current.is_some() && without_managers(&value) == without_managers(&base) {
        // A stamp tells of changes: who applies what is there already gets none.
        entry.time = previous.and_then(|entry| entry.time);
    }
    entries.push(entry);
    managed::write(&mut value, entries);
    Ok(Proposal { value, warnings })
}

/// Refuses what others own, or takes it by force.
fn settle(
    call: &Call<'_>,
    base: &Value,
    value: &Value,
    wanted: &FieldSet,
    entries: &mut Vec<Entry>,
    force: bool,
) -> Result<(), Failure> {
    let difference = compare(call.kind.resource().shape, Some(base), Some(value));
    let mut taken = difference.taken;
    taken.strip_system_fields();
    let contested: Vec<(String, Vec<String>)> = entries
        .iter()
        .map(|entry| (describe(entry), entry.fields.intersection(&taken.intersection(wanted)).paths()))
        .filter(|(_, paths)| !paths.is_empty())
        .collect();
    if !contested.is_empty() && !force {
        return Err(conflict(&contested));
    }
    for entry in entries.iter_mut() {
        entry.fields.subtract(&taken);
        entry.fields.subtract(&difference.removed);
    }
    entries.retain(|entry| !entry.fields.is_empty());
    Ok(())
}

fn conflict(contested: &[(String, Vec<String>)]) -> Failure {
    let causes: Vec<Value> = contested
        .iter()
        .flat_map(|(manager, paths)| {
            paths.iter().map(move |path| {
                json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": path})
            })
        })
        .collect();
    let message = match contested {
        [(manager, paths)] if paths.len() == 1 => {
            format!("Apply failed with 1 conflict: conflict with {manager}: {}", paths[0])
        }
        _ => {
            let lists: Vec<String> = contested
                .iter()
                .map(|(manager, paths)| format!("conflicts with {manager}:\n- {}", paths.join("\n- ")))
                .collect();
            format!("Apply failed with {} conflicts: {}", causes.len(), lists.join("\n"))
        }
    };
    Failure::apply_conflict(message, causes)
}

fn describe(entry: &Entry) -> String {
    let subresource = match entry.subresource.as_str() {
        "" => String::new(),
        name => format!(" with subresource \"{name}\""),
    };
    match entry.operation {
        Operation::Apply => format!("\"{}\"{subresource}", entry.manager),
        Operation::Update => format!("\"{}\"{subresource} using {}", entry.manager, entry.api_version),
    }
}

fn merge(shape: &Shape, current: &mut Value, applied: &Value) {
    match (shape, &mut *current, applied) {
        (Shape::Struct(object), Value::Object(map), Value::Object(patch)) if !object.atomic => {
            for field in object.fields {
                if let Some(value) = patch.get(field.name).filter(|value| !value.is_null()) {
                    merge(&field.shape, map.entry(field.name).or_insert(Value::Null), value);
                }
            }
        }
        (Shape::Map(element), Value::Object(map), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(element, map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (Shape::Open(_), Value::Object(map), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(shape, map.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (
            Shape::List(element, merge @ (Merge::Set | Merge::Keys(_))),
            Value::Array(items),
            Value::Array(patch),
        ) => {
            merge_items(element, *merge, items, patch);
        }
        _ => *current = applied.clone(),
    }
}

fn merge_items(element: &Shape, how: Merge, items: &mut Vec<Value>, patch: &[Value]) {
    for wanted in patch {
        let same = |item: &Value| match how {
            Merge::Keys(keys) => keys.iter().all(|key| item.get(key) == wanted.get(key)),
            Merge::Set | Merge::Atomic => item == wanted,
        };
        match items.iter_mut().find(|item| same(item)) {
            Some(item) => merge(element, item, wanted),
            None => items.push(wanted.clone()),
        }
    }
}

/// Takes out what this manager applied before, applies no more, and nobody else owns.
fn prune(shape: &Shape, value: &mut Value, previous: Option<&Entry>, wanted: &FieldSet, others: &[Entry]) {
    let Some(previous) = previous else { return };
    let mut gone = previous.fields.clone();
    gone.subtract_held(wanted);
    for other in others {
        gone.subtract_held(&other.fields);
    }
    take_out(shape, value, &gone);
}

fn take_out(shape: &Shape, value: &mut Value, gone: &FieldSet) {
    let Some(parts) = parts(shape, Some(value)) else { return };
    let inner: Vec<(String, &Shape)> = parts.into_iter().map(|(key, (shape, _))| (key, shape)).collect();
    for (key, shape) in inner {
        let Some(child) = gone.children.get(&key) else { continue };
        match (&mut *value, key.split_once(':')) {
            (Value::Object(map), Some((_, name))) => take_out_field(shape, map, name, child),
            (Value::Array(items), Some(("v", text))) => {
                let gone: Value = serde_json::from_str(text).unwrap_or_default();
                items.retain(|item| *item != gone);
            }
            (Value::Array(items), Some((_, text))) if child.member => {
                let keys: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
                items.retain(|item| !keys.iter().all(|(key, value)| item.get(key) == Some(value)));
            }
            _ => {}
        }
    }
}

fn take_out_field(shape: &Shape, map: &mut Map<String, Value>, name: &str, gone: &FieldSet) {
    if gone.children.is_empty() && gone.member {
        map.remove(name);
        return;
    }
    let Some(inner) = map.get_mut(name) else { return };
    take_out(shape, inner, gone);
    let empty = inner.as_object().is_some_and(Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty);
    if empty && !matches!(shape, Shape::Struct(_)) {
        map.remove(name);
    }
}

fn check_type(call: &Call<'_>, patch: &mut Value) -> Result<(), Failure> {
    let resource = call.kind.resource();
    let Some(map) = patch.as_object_mut() else {
        return Err(Failure::bad_request("error decoding patch: the configuration is no object"));
    };
    let mut take = |field: &str| {
        map.remove(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let (kind, version) = (take("kind"), take("apiVersion"));
    if kind.is_empty() || version.is_empty() {
        return Err(Failure::bad_request("invalid object type: /, Kind="));
    }
    if version != resource.api_version() || kind != resource.kind {
        let slash = if version.contains('/') { "" } else { "/" };
        return Err(Failure::bad_request(format!("invalid object type: {slash}{version}, Kind={kind}")));
    }
    Ok(())
}

/// The real server does not foresee a configuration that does not fit the kind: 500, and the place without namespace.
fn refuse(call: &Call<'_>, why: &str) -> Failure {
    let (place, _) = described(call);
    Failure::internal(format!("failed to create typed patch object {place}: {why}"))
}

fn inconvertible(call: &Call<'_>, why: &str) -> Failure {
    let (place, kind) = described(call);
    Failure::internal(format!(
        "failed to convert new object {place} to proper version: unable to convert unstructured object to {kind}: {why}"
    ))
}

fn described(call: &Call<'_>) -> (String, String) {
    let resource = call.kind.resource();
    let kind = format!("{}, Kind={}", resource.api_version(), resource.kind);
    (format!("(/{}; {kind})", call.name), kind)
}

fn without_managers(value: &Value) -> Value {
    let mut value = value.clone();
    defaults::remove(&mut value["metadata"], "managedFields");
    value
}
