//! `metadata.managedFields`: who wrote which field last, and when, as the real server's field manager keeps it
//! (apimachinery `util/managedfields`).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::defaults::remove;
use super::fields::{FieldSet, compare};
use super::shape::{Shape, normalise};
use super::shapes::POD;
use super::time::{self, Precision};

/// Who writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    pub(crate) manager: String,
    pub(crate) api_version: String,
    /// As `status`; empty for the object itself.
    pub(crate) subresource: String,
    pub(crate) now: Timestamp,
}

/// What a manager owns by one kind of operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) manager: String,
    pub(crate) operation: Operation,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) time: Option<String>,
    pub(crate) fields: FieldSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Apply,
    Update,
}

impl Writer {
    pub(crate) fn entry(&self, operation: Operation, fields: FieldSet) -> Entry {
        Entry {
            manager: self.manager.clone(),
            operation,
            api_version: self.api_version.clone(),
            subresource: self.subresource.clone(),
            time: Some(time::format(self.now, Precision::Second)),
            fields,
        }
    }
}

impl Entry {
    pub(crate) fn is_of(&self, writer: &Writer, operation: Operation) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn parse(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let operation = match value["operation"].as_str()? {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: text("manager"),
            operation,
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: value["time"].as_str().map(str::to_owned),
            fields: FieldSet::parse(&value["fieldsV1"]),
        })
    }

    fn to_value(&self) -> Value {
        let operation = match self.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = Map::new();
        let texts = [
            ("manager", self.manager.as_str()),
            ("operation", operation),
            ("apiVersion", &self.api_version),
            ("subresource", &self.subresource),
            ("time", self.time.as_deref().unwrap_or_default()),
            ("fieldsType", "FieldsV1"),
        ];
        entry.extend(
            texts
                .into_iter()
                .filter(|(_, text)| !text.is_empty())
                .map(|(key, text)| (key.into(), text.into())),
        );
        entry.insert("fieldsV1".into(), self.fields.to_value());
        Value::Object(entry)
    }
}

/// The entries of an object.
pub(crate) fn read(object: &Value) -> Vec<Entry> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten().map(Entry::parse).collect::<Option<_>>().unwrap_or_default()
}

/// Writes entries: applied ones first, then by time and name.
pub(crate) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    cap(&mut entries);
    entries.sort_by(|left, right| {
        (left.operation, &left.time, &left.manager, &left.api_version, &left.subresource).cmp(&(
            right.operation,
            &right.time,
            &right.manager,
            &right.api_version,
            &right.subresource,
        ))
    });
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    if entries.is_empty() {
        metadata.remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), entries.iter().map(Entry::to_value).collect());
    }
}

/// Whether a request asks to forget all managers: an empty list, or one empty entry.
pub(crate) fn is_reset(object: &Value) -> bool {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.is_some_and(|entries| match entries.as_slice() {
        [] => true,
        [one] => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    })
}

/// Whether all that a newer version changes are times of entries. The real server then keeps the older version, so that
/// times alone are no change (`IgnoreManagedFieldsTimestampsTransformer` of apiserver).
pub(crate) fn changes_times_only(old: &Value, new: &Value) -> bool {
    let untimed = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            remove(entry, "time");
        }
        object
    };
    // Objects that do not say the same elsewhere, as nearly all, are told apart without a copy.
    let same = |part: &str| old.get(part) == new.get(part);
    let parts = new.as_object().into_iter().chain(old.as_object()).flat_map(Map::keys);
    parts.into_iter().all(|part| part == "metadata" || same(part)) && untimed(old) == untimed(new)
}

/// Notes a create, update or patch in the newer object. `reset` as [`is_reset`] said of the request.
pub(crate) fn record_update(
    shape: &Shape,
    live: Option<&Value>,
    new: &mut Value,
    reset: bool,
    writer: &Writer,
) {
    let mut entries = if reset { Vec::new() } else { read(new) };
    if entries.is_empty() && !reset {
        entries = live.map(read).unwrap_or_default();
    }
    if entries.is_empty() && live.is_some() {
        // What is not tracked stays untracked until somebody applies.
        return write(new, entries);
    }
    take(shape, live, new, &mut entries, writer);
    write(new, entries);
}

/// Moves what changed from `live` to `new` to the writer.
pub(crate) fn take(
    shape: &Shape,
    live: Option<&Value>,
    new: &Value,
    entries: &mut Vec<Entry>,
    writer: &Writer,
) {
    let nothing = live.is_none().then(|| empty_object(shape));
    let mut difference = compare(shape, live.or(nothing.as_ref()), Some(new));
    for entry in entries.iter_mut() {
        entry.fields.subtract(&difference.taken);
        entry.fields.subtract(&difference.removed);
    }
    difference.taken.strip_system_fields();
    if difference.taken.is_empty() {
        return;
    }
    match entries.iter_mut().find(|entry| entry.is_of(writer, Operation::Update)) {
        Some(entry) => {
            entry.fields.add(&difference.taken);
            entry.time = Some(time::format(writer.now, Precision::Second));
        }
        None => entries.push(writer.entry(Operation::Update, difference.taken)),
    }
}

/// Merges the oldest updaters into one when there are too many.
fn cap(entries: &mut Vec<Entry>) {
    let updates = entries.iter().filter(|entry| entry.operation == Operation::Update).count();
    if updates <= UPDATE_MANAGERS_MAX {
        return;
    }
    entries.sort_by(|left, right| {
        (left.operation, &left.time, &left.manager).cmp(&(right.operation, &right.time, &right.manager))
    });
    let first = entries.iter().position(|entry| entry.operation == Operation::Update).unwrap_or_default();
    let merged: Vec<Entry> = entries.drain(first..=first + updates - UPDATE_MANAGERS_MAX).collect();
    let mut ancient: Vec<Entry> = Vec::new();
    for entry in merged {
        match ancient.iter_mut().find(|known| known.api_version == entry.api_version) {
            Some(known) => {
                known.fields.add(&entry.fields);
                known.time = known.time.take().max(entry.time);
            }
            None => {
                ancient.push(Entry { manager: "ancient-changes".into(), subresource: String::new(), ..entry })
            }
        }
    }
    entries.extend(ancient);
}

/// What a new object of a Go type looks like before anything is set.
fn empty_object(shape: &Shape) -> Value {
    let mut empty = json!({});
    normalise(shape, &mut empty).expect("an empty object has no wrong type");
    if std::ptr::eq(shape, &raw const POD) {
        // A list that Go writes without `omitempty`: it is there, and holds nothing.
        empty["spec"]["containers"] = json!([]);
    }
    empty
}

const UPDATE_MANAGERS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    fn writer(manager: &str, second: i64) -> Writer {
        let now = Timestamp::from_second(second).unwrap();
        Writer {
            manager: manager.into(),
            api_version: "coordination.k8s.io/v1".into(),
            subresource: String::new(),
            now,
        }
    }

    fn shape() -> &'static Shape {
        Kind::Lease.resource().shape
    }

    fn lease(spec: Value) -> Value {
        json!({"metadata": {"name": "db", "uid": "u"}, "spec": spec})
    }

    #[test]
    fn a_field_moves_to_its_last_writer_and_only_then_the_stamp_moves() {
        let mut first = lease(json!({"holderIdentity": "a", "leaseTransitions": 1}));
        record_update(shape(), None, &mut first, false, &writer("one", 1));
        let entry = &first["metadata"]["managedFields"][0];
        assert_eq!(entry["fieldsV1"], json!({"f:spec": {"f:holderIdentity": {}, "f:leaseTransitions": {}}}));
        assert_eq!(entry["time"], "1970-01-01T00:00:01Z");

        let mut second = first.clone();
        second["spec"]["holderIdentity"] = json!("b");
        record_update(shape(), Some(&first), &mut second, false, &writer("two", 2));
        let managed = &second["metadata"]["managedFields"];
        assert_eq!(managed[0]["fieldsV1"], json!({"f:spec": {"f:leaseTransitions": {}}}));
        assert_eq!(managed[1]["manager"], "two");
        assert_eq!(managed[1]["fieldsV1"], json!({"f:spec": {"f:holderIdentity": {}}}));

        let mut same = second.clone();
        record_update(shape(), Some(&second), &mut same, false, &writer("one", 3));
        assert_eq!(same, second);
    }

    #[test]
    fn an_object_without_managers_is_not_tracked_by_later_updates() {
        let bare = lease(json!({}));
        let mut renewed = lease(json!({"holderIdentity": "a"}));
        record_update(shape(), Some(&bare), &mut renewed, false, &writer("one", 1));
        assert_eq!(renewed["metadata"].get("managedFields"), None);
    }

    #[test]
    fn an_empty_list_of_managers_forgets_them_all() {
        let mut first = lease(json!({"holderIdentity": "a"}));
        record_update(shape(), None, &mut first, false, &writer("one", 1));
        let mut reset = first.clone();
        reset["metadata"]["managedFields"] = json!([]);
        assert!(is_reset(&reset));
        record_update(shape(), Some(&first), &mut reset, true, &writer("one", 2));
        assert_eq!(reset["metadata"].get("managedFields"), None);
    }
}
