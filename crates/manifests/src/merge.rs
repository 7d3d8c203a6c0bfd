//! A strategic merge patch, for the fields of a Pod that are changed here: as `kubectl patch` and kustomize do it.

use crate::node::Node;

/// Changes `target` as `patch` says: maps field by field, null removes, lists whose items have a key item by item, any
/// other list as a whole. `$patch: replace` in a map replaces it.
pub(crate) fn merge(target: &mut Node, patch: &Node) {
    let Node::Map(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if patch.text_at(DIRECTIVE) == Some(REPLACE) {
        *target = patch.clone();
        target.remove(DIRECTIVE);
        return;
    }
    for (name, change) in fields {
        match (change, key_of(name)) {
            (Node::Null, _) => {
                target.remove(name);
            }
            (Node::List(changes), Some(key)) => merge_items(target.entry(name), changes, key),
            _ => merge(target.entry(name), change),
        }
    }
}

/// The map in `patch` replaces what is there, instead of being merged into it.
pub(crate) fn replacing(mut patch: Node) -> Node {
    if let Node::Map(fields) = &mut patch {
        fields.insert(0, (DIRECTIVE.to_owned(), REPLACE.into()));
    }
    patch
}

fn merge_items(target: &mut Node, changes: &[Node], key: &str) {
    if !matches!(target, Node::List(_)) {
        *target = Node::List(Vec::new());
    }
    let Node::List(items) = target else { unreachable!("made a list above") };
    for change in changes {
        match items.iter_mut().find(|item| item.get(key) == change.get(key)) {
            Some(item) => merge(item, change),
            None => items.push(change.clone()),
        }
    }
}

/// What tells the items of a list apart, as the API's types declare it.
fn key_of(list: &str) -> Option<&'static str> {
    match list {
        "containers" | "initContainers" | "volumes" | "env" => Some("name"),
        "volumeMounts" => Some("mountPath"),
        "ports" => Some("containerPort"),
        "topologySpreadConstraints" => Some("topologyKey"),
        _ => None,
    }
}

const DIRECTIVE: &str = "$patch";
const REPLACE: &str = "replace";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(target: serde_json::Value, patch: serde_json::Value) -> serde_json::Value {
        let mut node = Node::from(target);
        merge(&mut node, &Node::from(patch));
        serde_json::to_value(&node).unwrap()
    }

    #[test]
    fn items_with_a_key_are_merged_one_by_one_and_other_lists_as_a_whole() {
        let pod = json!({ "containers": [{ "name": "app", "command": ["a", "b"], "image": "app" }] });
        let patch = json!({ "containers": [{ "name": "app", "command": ["c"] }, { "name": "other" }] });
        let both = json!({ "containers": [
            { "name": "app", "command": ["c"], "image": "app" },
            { "name": "other" },
        ] });
        assert_eq!(merged(pod, patch.clone()), both);
        assert_eq!(merged(both.clone(), patch), both, "a second time, nothing changes");
    }

    #[test]
    fn null_removes_and_a_directive_replaces() {
        let probes = json!({ "livenessProbe": { "exec": {} }, "startupProbe": { "exec": {} }, "tty": true });
        let liveness = replacing(Node::from(json!({ "httpGet": { "port": 1 } })));
        let patch = json!({ "livenessProbe": liveness, "startupProbe": null });
        assert_eq!(
            merged(probes, patch),
            json!({ "livenessProbe": { "httpGet": { "port": 1 } }, "tty": true })
        );
    }
}
