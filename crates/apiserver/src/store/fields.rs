//! Sets of fields, as `managedFields[].fieldsV1` writes them, and how two versions of an object differ in fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::shape::{Field, Merge, Shape, Struct};

/// A set of fields of an object; keys are path elements as they are written: `f:name`, `k:{..}`, `v:..`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FieldSet {
    /// Whether the value here is in the set itself, not only some of what it holds.
    pub(crate) member: bool,
    pub(crate) children: BTreeMap<String, Self>,
}

impl FieldSet {
    /// Reads `fieldsV1`.
    pub(crate) fn parse(fields: &Value) -> Self {
        let mut set = Self::default();
        for (key, inner) in fields.as_object().into_iter().flatten() {
            if key == "." {
                set.member = true;
                continue;
            }
            let mut child = Self::parse(inner);
            child.member |= child.children.is_empty();
            set.children.insert(key.clone(), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub(crate) fn to_value(&self) -> Value {
        let mut map = Map::new();
        if self.member && !self.children.is_empty() {
            map.insert(".".into(), Value::Object(Map::new()));
        }
        map.extend(self.children.iter().map(|(key, child)| (key.clone(), child.to_value())));
        Value::Object(map)
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.children.is_empty()
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.member |= other.member;
        for (key, theirs) in &other.children {
            self.children.entry(key.clone()).or_default().add(theirs);
        }
    }

    pub(crate) fn subtract(&mut self, other: &Self) {
        self.member &= !other.member;
        for (key, theirs) in &other.children {
            let Some(ours) = self.children.get_mut(key) else { continue };
            ours.subtract(theirs);
            if ours.is_empty() {
                self.children.remove(key);
            }
        }
    }

    /// Takes out whatever the other set holds itself or holds parts of.
    pub(crate) fn subtract_held(&mut self, other: &Self) {
        self.member = false;
        for (key, theirs) in &other.children {
            let Some(ours) = self.children.get_mut(key) else { continue };
            ours.subtract_held(theirs);
            if ours.is_empty() {
                self.children.remove(key);
            }
        }
    }

    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let mut common = Self { member: self.member && other.member, children: BTreeMap::new() };
        for (key, ours) in &self.children {
            if let Some(theirs) = other.children.get(key) {
                common.insert(key.clone(), ours.intersection(theirs));
            }
        }
        common
    }

    pub(crate) fn insert(&mut self, key: String, child: Self) {
        if !child.is_empty() {
            self.children.insert(key, child);
        }
    }

    /// Takes out what has no owner: the fields that the server itself writes.
    pub(crate) fn strip_system_fields(&mut self) {
        self.member = false;
        self.children.remove("f:apiVersion");
        self.children.remove("f:kind");
        if let Some(metadata) = self.children.get_mut("f:metadata") {
            metadata.member = false;
            metadata.children.retain(|key, _| !SYSTEM_FIELDS.contains(&key.as_str()));
            if metadata.is_empty() {
                self.children.remove("f:metadata");
            }
        }
    }

    /// Each path of the set, as `.spec.holderIdentity`.
    pub(crate) fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.collect("", &mut paths);
        paths
    }

    fn collect(&self, prefix: &str, paths: &mut Vec<String>) {
        if self.member {
            paths.push(prefix.to_owned());
        }
        for (key, child) in &self.children {
            let (kind, name) = key.split_once(':').unwrap_or(("f", key));
            let path = match kind {
                "f" => format!("{prefix}.{name}"),
                "v" => format!("{prefix}[={name}]"),
                _ => {
                    let keys: Map<String, Value> = serde_json::from_str(name).unwrap_or_default();
                    let keys: Vec<String> =
                        keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
                    format!("{prefix}[{}]", keys.join(","))
                }
            };
            child.collect(&path, paths);
        }
    }
}

/// How a newer version differs from an older one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// What is new or has another value.
    pub(crate) taken: FieldSet,
    /// What is gone.
    pub(crate) removed: FieldSet,
}

/// Compares two versions; an absent one has no fields at all.
pub(crate) fn compare(shape: &Shape, old: Option<&Value>, new: Option<&Value>) -> Difference {
    let mut difference = Difference::default();
    walk(shape, present(old), present(new), &mut difference);
    difference
}

fn walk(shape: &Shape, old: Option<&Value>, new: Option<&Value>, difference: &mut Difference) {
    if old == new {
        return;
    }
    match (old, new) {
        (None, Some(_)) => difference.taken.member = true,
        (Some(_), None) => difference.removed.member = true,
        _ => {}
    }
    if let (
        Shape::Struct(Struct { atomic: false, fields, .. }),
        Some(Value::Object(old)),
        Some(Value::Object(new)),
    ) = (shape, old, new)
    {
        return walk_struct(fields, old, new, difference);
    }
    let (olds, news) = (parts(shape, old), parts(shape, new));
    let (Some(olds), Some(news)) = (olds, news) else {
        // No parts with owners of their own.
        difference.taken.member |= new.is_some();
        return;
    };
    if olds.is_empty() && news.is_empty() {
        difference.taken.member |= new.is_some();
    }
    for (key, (part, new)) in &news {
        descend(key, part, olds.get(key).map(|(_, old)| *old), Some(new), difference);
    }
    for (key, (part, old)) in &olds {
        if !news.contains_key(key) {
            descend(key, part, Some(old), None, difference);
        }
    }
}

/// As for all that has parts, without naming those that are the same: of a struct these are nearly all.
fn walk_struct(
    fields: &[Field],
    old: &Map<String, Value>,
    new: &Map<String, Value>,
    difference: &mut Difference,
) {
    let mut empty = true;
    for field in fields {
        let (old, new) = (present(old.get(field.name)), present(new.get(field.name)));
        empty &= old.is_none() && new.is_none();
        if old != new {
            descend(&format!("f:{}", field.name), &field.shape, old, new, difference);
        }
    }
    difference.taken.member |= empty;
}

fn descend(key: &str, shape: &Shape, old: Option<&Value>, new: Option<&Value>, difference: &mut Difference) {
    let mut inner = Difference::default();
    walk(shape, present(old), present(new), &mut inner);
    difference.taken.insert(key.to_owned(), inner.taken);
    difference.removed.insert(key.to_owned(), inner.removed);
}

/// The set of all fields of a value.
pub(crate) fn all(shape: &Shape, value: &Value) -> FieldSet {
    let mut set = FieldSet::default();
    collect(shape, value, &mut set);
    set
}

fn collect(shape: &Shape, value: &Value, set: &mut FieldSet) {
    let Some(parts) = parts(shape, Some(value)) else {
        set.member = true;
        return;
    };
    // The fields of structs are known, the entries of maps and lists are not: only these are members themselves.
    let entries = matches!(shape, Shape::Map(_) | Shape::List(..));
    for (key, (part, value)) in parts {
        let mut child = FieldSet::default();
        collect(part, value, &mut child);
        child.member |= entries || child.children.is_empty();
        set.insert(key, child);
    }
}

type Parts<'s, 'v> = BTreeMap<String, (&'s Shape, &'v Value)>;

/// What has an owner of its own in a value, by path element; none if the value has one owner.
pub(crate) fn parts<'s, 'v>(shape: &'s Shape, value: Option<&'v Value>) -> Option<Parts<'s, 'v>> {
    let Some(value) = value else {
        let divided = !matches!(shape, Shape::Any | Shape::Text | Shape::Int32 | Shape::Int64 | Shape::Bool)
            && !matches!(
                shape,
                Shape::Time | Shape::MicroTime | Shape::Bytes | Shape::List(_, Merge::Atomic)
            )
            && !matches!(shape, Shape::Struct(Struct { atomic: true, .. }));
        return divided.then(BTreeMap::new);
    };
    match (shape, value) {
        (Shape::Struct(Struct { atomic: false, fields, .. }), Value::Object(map)) => {
            let known = fields.iter().filter_map(|field| Some((field, map.get(field.name)?)));
            let owned = known.filter(|(_, value)| !value.is_null());
            Some(owned.map(|(field, value)| (format!("f:{}", field.name), (&field.shape, value))).collect())
        }
        (Shape::Map(element), Value::Object(map)) => {
            Some(map.iter().map(|(key, value)| (format!("f:{key}"), (*element, value))).collect())
        }
        (Shape::List(element, merge), Value::Array(items)) => list_parts(element, *merge, items),
        (Shape::Open(lists), Value::Object(map)) => Some(
            map.iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (format!("f:{key}"), (open_part(shape, lists, key, value), value)))
                .collect(),
        ),
        _ => None,
    }
}

/// In an open value, objects are open, and lists as they are named.
fn open_part<'a>(open: &'a Shape, lists: &[(&str, Merge)], key: &str, value: &Value) -> &'a Shape {
    match value {
        Value::Object(_) => open,
        Value::Array(_) => lists
            .iter()
            .find(|(name, _)| *name == key)
            .and_then(|(_, merge)| open_list(*merge))
            .unwrap_or(&Shape::Any),
        _ => &Shape::Any,
    }
}

fn open_list(merge: Merge) -> Option<&'static Shape> {
    static POD_LISTS: [(&[&str], Shape); 8] = [
        (&["type"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["type"]))),
        (&["name"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["name"]))),
        (&["ip"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["ip"]))),
        (&["mountPath"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["mountPath"]))),
        (&["devicePath"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["devicePath"]))),
        (
            &["containerPort", "protocol"],
            Shape::List(&super::shapes::POD_PART, Merge::Keys(&["containerPort", "protocol"])),
        ),
        (
            &["topologyKey", "whenUnsatisfiable"],
            Shape::List(&super::shapes::POD_PART, Merge::Keys(&["topologyKey", "whenUnsatisfiable"])),
        ),
        (&["uid"], Shape::List(&super::shapes::POD_PART, Merge::Keys(&["uid"]))),
    ];
    let Merge::Keys(wanted) = merge else { return None };
    POD_LISTS.iter().find(|(keys, _)| *keys == wanted).map(|(_, shape)| shape)
}

fn list_parts<'s, 'v>(element: &'s Shape, merge: Merge, items: &'v [Value]) -> Option<Parts<'s, 'v>> {
    let key = |item: &Value| match merge {
        Merge::Atomic => None,
        Merge::Set => Some(format!("v:{item}")),
        Merge::Keys(names) => {
            let keys: Vec<String> = names
                .iter()
                .filter_map(|name| item.get(name).map(|value| format!("{}:{value}", Value::from(*name))))
                .collect();
            Some(format!("k:{{{}}}", keys.join(",")))
        }
    };
    items.iter().map(|item| Some((key(item)?, (element, item)))).collect()
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

const SYSTEM_FIELDS: [&str; 9] = [
    "f:name",
    "f:namespace",
    "f:creationTimestamp",
    "f:selfLink",
    "f:uid",
    "f:clusterName",
    "f:generation",
    "f:managedFields",
    "f:resourceVersion",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn sets_are_read_and_written_as_fields_v1() {
        let fields = json!({"f:data": {".": {}, "f:a": {}}, "f:metadata": {"f:finalizers": {"v:\"x\"": {}}}});
        let set = FieldSet::parse(&fields);
        assert_eq!(set.to_value(), fields);
        assert_eq!(set.paths(), [".data", ".data.a", ".metadata.finalizers[=\"x\"]"]);
    }

    #[test]
    fn what_was_absent_is_taken_itself_and_what_changed_only_in_part_is_not() {
        let shape = Kind::ConfigMap.resource().shape;
        let old = json!({"metadata": {"labels": {"a": "1"}}});
        let new = json!({"metadata": {"labels": {"a": "2"}}, "data": {"x": "y"}});
        let difference = compare(shape, Some(&old), Some(&new));
        assert_eq!(
            difference.taken.to_value(),
            json!({"f:data": {".": {}, "f:x": {}}, "f:metadata": {"f:labels": {"f:a": {}}}})
        );
        let back = compare(shape, Some(&new), Some(&old));
        assert_eq!(back.removed.to_value(), json!({"f:data": {".": {}, "f:x": {}}}));
    }

    #[test]
    fn owner_references_are_told_apart_by_uid_and_have_one_owner_each() {
        let shape = Kind::Lease.resource().shape;
        let new = json!({"metadata": {"ownerReferences": [{"uid": "u", "name": "n"}]}, "spec": {}});
        let difference = compare(shape, Some(&json!({"metadata": {}, "spec": {}})), Some(&new));
        assert_eq!(
            difference.taken.to_value(),
            json!({"f:metadata": {"f:ownerReferences": {".": {}, "k:{\"uid\":\"u\"}": {}}}})
        );
    }
}
