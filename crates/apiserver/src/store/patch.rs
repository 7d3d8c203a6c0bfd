//! Patches: JSON Patch (RFC 6902) as the real server applies it, which is not always as the RFC says (evanphx/json-patch
//! v4), merge patch (RFC 7386), and strategic merge patch for objects whose changed parts are maps.

use std::borrow::Cow;

use serde_json::{Map, Value};

/// Why a JSON Patch was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PatchError {
    /// It is no JSON Patch.
    Malformed(String),
    /// It has more operations than the real server takes.
    TooLong(usize),
    /// It does not fit the document, or a `test` failed: the real server does not say which.
    DoesNotApply,
}

/// Applies a JSON Patch; the document is undefined after an error.
pub(crate) fn json_patch(document: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let Value::Array(operations) = patch else {
        let given = type_name(patch);
        let message = format!(
            "error decoding patch: json: cannot unmarshal {given} into Go value of type []handlers.jsonPatchOp"
        );
        return Err(PatchError::Malformed(message));
    };
    if let Some(bad) = operations.iter().find(|operation| !operation.is_object()) {
        let given = type_name(bad);
        let message = format!(
            "error decoding patch: json: cannot unmarshal {given} into Go value of type handlers.jsonPatchOp"
        );
        return Err(PatchError::Malformed(message));
    }
    if operations.len() > OPERATIONS_MAX {
        return Err(PatchError::TooLong(operations.len()));
    }
    let mut copy_bytes_left = COPY_BYTES_MAX;
    for operation in operations {
        apply(document, operation, &mut copy_bytes_left).ok_or(PatchError::DoesNotApply)?;
    }
    Ok(())
}

/// One operation; none if it does not apply.
fn apply(document: &mut Value, operation: &Value, copy_bytes_left: &mut usize) -> Option<()> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let path = text("path")?;
    let value = || operation.get("value").cloned();
    match text("op")? {
        "add" => add(document, path, value().unwrap_or(Value::Null)),
        "remove" => remove(document, path).map(drop),
        "replace" => replace(document, path, value().unwrap_or(Value::Null)),
        "move" => {
            let moved = remove(document, text("from")?)?;
            add(document, path, moved)
        }
        "copy" => {
            // An absent source is copied as null, as in the library of the real server.
            let copied = read(document, text("from")?)?.unwrap_or(&Value::Null);
            *copy_bytes_left = copy_bytes_left.checked_sub(copied.to_string().len())?;
            let copied = copied.clone();
            add(document, path, copied)
        }
        "test" => test(document, path, operation.get("value").unwrap_or(&Value::Null)),
        _ => None,
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Option<()> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key.into_owned(), value);
        }
        Value::Array(items) if key == "-" => items.push(value),
        Value::Array(items) => {
            let index = index(&key, items.len() + 1, true)?;
            items.insert(index, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(document: &mut Value, path: &str) -> Option<Value> {
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => map.remove(key.as_ref()),
        Value::Array(items) => {
            let index = index(&key, items.len(), false)?;
            Some(items.remove(index))
        }
        _ => None,
    }
}

/// As in the library of the real server, `replace` of an absent key of an object adds it.
fn replace(document: &mut Value, path: &str, value: Value) -> Option<()> {
    if path.is_empty() {
        *document = Some(value).filter(|value| value.is_object() || value.is_array())?;
        return Some(());
    }
    let (parent, key) = parent(document, path)?;
    match parent {
        Value::Object(map) => {
            map.insert(key.into_owned(), value);
        }
        Value::Array(items) => {
            let index = index(&key, items.len(), false)?;
            items[index] = value;
        }
        _ => return None,
    }
    Some(())
}

/// An absent field equals null; an absent parent fails.
fn test(document: &Value, path: &str, expected: &Value) -> Option<()> {
    let found = if path.is_empty() { document } else { read(document, path)?.unwrap_or(&Value::Null) };
    equal(found, expected).then_some(())
}

/// What is at a path: the outer option is whether its parent is there.
fn read<'a>(document: &'a Value, path: &str) -> Option<Option<&'a Value>> {
    let (parents, key) = split(path)?;
    let mut at = document;
    for part in parents {
        at = step(at, &part)?;
    }
    match at {
        Value::Object(map) => Some(map.get(key.as_ref())),
        Value::Array(items) => Some(Some(&items[index(&key, items.len(), false)?])),
        _ => None,
    }
}

fn parent<'a, 'p>(document: &'a mut Value, path: &'p str) -> Option<(&'a mut Value, Cow<'p, str>)> {
    let (parents, key) = split(path)?;
    let mut at = document;
    for part in parents {
        at = match at {
            Value::Object(map) => map.get_mut(part.as_ref()).filter(|next| !next.is_null())?,
            Value::Array(items) => {
                let index = index(&part, items.len(), false)?;
                &mut items[index]
            }
            _ => return None,
        };
    }
    Some((at, key))
}

fn step<'a>(at: &'a Value, part: &str) -> Option<&'a Value> {
    match at {
        Value::Object(map) => map.get(part).filter(|next| !next.is_null()),
        Value::Array(items) => Some(&items[index(part, items.len(), false)?]),
        _ => None,
    }
}

/// The parts of a path but the last, and the last.
fn split(path: &str) -> Option<(impl Iterator<Item = Cow<'_, str>>, Cow<'_, str>)> {
    let (parents, key) = path.rsplit_once('/')?;
    Some((parents.split('/').skip(1).map(unescape), unescape(key)))
}

fn unescape(part: &str) -> Cow<'_, str> {
    if part.contains('~') { part.replace("~1", "/").replace("~0", "~").into() } else { part.into() }
}

/// Negative indices count from the end, as in the library of the real server.
fn index(key: &str, length: usize, insert: bool) -> Option<usize> {
    let index: i64 = key.parse().ok()?;
    let length = i64::try_from(length).ok()?;
    let index = if index < 0 { index + length } else { index };
    let limit = if insert { length - 1 } else { length };
    let inside = index >= 0 && (index < limit || insert && index == limit);
    inside.then(|| usize::try_from(index).ok())?
}

/// Numbers are compared as they are written there, so 1 and 1.0 differ.
fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, value)| right.get(key).is_some_and(|other| equal(value, other)))
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        _ => left == right,
    }
}

/// Applies a merge patch: null removes, objects merge, everything else replaces.
pub(crate) fn merge_patch(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let map = document.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_patch(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Applies a strategic merge patch: like a merge patch, but lists that are merged by key or as sets keep the elements
/// that the patch does not name, and directives are honoured for maps (`$patch`) and lists (`$deleteFromPrimitiveList`).
pub(crate) fn strategic_patch(document: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *document = patch.clone();
        return;
    };
    let replaces = patch.get("$patch").and_then(Value::as_str);
    if replaces.is_some() || !document.is_object() {
        *document = Value::Object(Map::new());
    }
    if replaces == Some("delete") {
        return;
    }
    let map = document.as_object_mut().expect("made an object above");
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            delete_from(map, list, value);
        } else if key.starts_with('$') {
            continue;
        } else if value.is_null() {
            map.remove(key);
        } else if let (Some(merge_key), Value::Array(items)) = (merge_key(key), value) {
            merge_list(map.entry(key.clone()).or_insert_with(|| Value::Array(Vec::new())), items, merge_key);
        } else {
            strategic_patch(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The lists of the served kinds that strategic merge patches merge, and by which field; "" by value.
fn merge_key(list: &str) -> Option<&'static str> {
    match list {
        "finalizers" => Some(""),
        "ownerReferences" => Some("uid"),
        "containers" | "initContainers" | "ephemeralContainers" | "env" | "volumes" | "imagePullSecrets" => {
            Some("name")
        }
        "conditions" => Some("type"),
        "volumeMounts" => Some("mountPath"),
        _ => None,
    }
}

/// What the patch names comes first, then what only the server has.
fn merge_list(current: &mut Value, items: &[Value], merge_key: &str) {
    let Value::Array(current) = current else { return };
    let mut merged = Vec::new();
    for item in items {
        let same = |other: &Value| {
            if merge_key.is_empty() { other == item } else { other.get(merge_key) == item.get(merge_key) }
        };
        let known = current.iter().position(same).map(|index| current.remove(index));
        if item.get("$patch").and_then(Value::as_str) == Some("delete") {
            continue;
        }
        let mut element = known.unwrap_or_else(|| item.clone());
        strategic_patch(&mut element, item);
        merged.push(element);
    }
    merged.append(current);
    *current = merged;
}

fn delete_from(map: &mut Map<String, Value>, list: &str, values: &Value) {
    let (Some(Value::Array(current)), Value::Array(values)) = (map.get_mut(list), values) else { return };
    current.retain(|item| !values.contains(item));
}

/// What Go calls a JSON value of this type.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// `maxJSONPatchOperations` of the real server.
pub(crate) const OPERATIONS_MAX: usize = 10_000;
/// `JSONPatchMaxCopyBytes` of the real server: copies of copies would double what they copy, forty times over.
const COPY_BYTES_MAX: usize = 3 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patched(document: Value, patch: Value) -> Option<Value> {
        let mut document = document;
        json_patch(&mut document, &patch).ok().map(|()| document)
    }

    #[test]
    fn a_test_of_an_absent_field_matches_null_and_an_absent_parent_fails() {
        let lease = json!({"metadata": {"uid": "u"}, "spec": {"holderIdentity": "a"}});
        let test = |path: &str, value: Value| {
            patched(lease.clone(), json!([{"op": "test", "path": path, "value": value}])).is_some()
        };
        assert!(test("/spec/holderIdentity", json!("a")));
        assert!(!test("/spec/holderIdentity", json!("b")));
        assert!(test("/spec/renewTime", Value::Null));
        assert!(!test("/spec/renewTime", json!("x")));
        assert!(!test("/metadata/annotations/a", Value::Null));
        assert!(test("/metadata/annotations", Value::Null));
    }

    #[test]
    fn a_replace_of_an_absent_field_adds_it_and_a_remove_of_one_fails() {
        let replace = json!([{"op": "replace", "path": "/spec/a", "value": 1}]);
        assert_eq!(patched(json!({"spec": {}}), replace.clone()), Some(json!({"spec": {"a": 1}})));
        assert_eq!(patched(json!({}), replace), None);
        assert_eq!(patched(json!({"spec": {}}), json!([{"op": "remove", "path": "/spec/a"}])), None);
    }

    #[test]
    fn keys_are_unescaped_and_lists_take_indices_and_a_dash() {
        let document = json!({"a/b": {"c~d": [1, 2]}});
        let append = json!([{"op": "add", "path": "/a~1b/c~0d/-", "value": 3}, {"op": "remove", "path": "/a~1b/c~0d/0"}]);
        assert_eq!(patched(document.clone(), append), Some(json!({"a/b": {"c~d": [2, 3]}})));
        let outside = json!([{"op": "add", "path": "/a~1b/c~0d/3", "value": 3}]);
        assert_eq!(patched(document, outside), None);
    }

    #[test]
    fn a_move_fails_without_a_source_and_a_copy_makes_null() {
        let copy = json!([{"op": "copy", "from": "/a", "path": "/b"}]);
        assert_eq!(patched(json!({"a": 1}), copy.clone()), Some(json!({"a": 1, "b": 1})));
        assert_eq!(patched(json!({}), copy), Some(json!({"b": null})));
        let shift = json!([{"op": "move", "from": "/a", "path": "/b"}]);
        assert_eq!(patched(json!({"a": 1}), shift.clone()), Some(json!({"b": 1})));
        assert_eq!(patched(json!({}), shift), None);
    }

    #[test]
    fn merge_patches_remove_by_null_and_strategic_ones_keep_list_elements() {
        let mut document = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
        merge_patch(&mut document, &json!({"metadata": {"labels": {"a": null, "c": "3"}}}));
        assert_eq!(document, json!({"metadata": {"labels": {"b": "2", "c": "3"}}}));
        let mut document = json!({"metadata": {"finalizers": ["a/a"], "labels": {"a": "1"}}});
        strategic_patch(
            &mut document,
            &json!({"metadata": {"finalizers": ["b/b"], "labels": {"$patch": "replace", "z": "1"}}}),
        );
        assert_eq!(document, json!({"metadata": {"finalizers": ["b/b", "a/a"], "labels": {"z": "1"}}}));
    }
}
