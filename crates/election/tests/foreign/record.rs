//! What holds of every record that is read, and of every one that is refused.

use leasehold_election::{MARK, Record, RecordError};
use serde_json::{Value, json};

/// Holds of all bytes.
pub(crate) fn property(bytes: &[u8]) {
    match Record::parse(bytes) {
        Ok(record) => accepted(&record, bytes),
        Err(error) => assert!(names_the_place(&error), "{}", chain(&error)),
    }
}

/// What is written down of a kept example.
pub(crate) fn outcome(bytes: &[u8]) -> String {
    match Record::parse(bytes) {
        Ok(record) => format!("{record:?}, marked {}", record.is_marked()),
        Err(error) => format!("refused: {}", chain(&error)),
    }
}

fn accepted(record: &Record, bytes: &[u8]) {
    assert_eq!(
        Record::parse(print(record).to_string().as_bytes()).unwrap(),
        *record,
        "printed and read again"
    );
    assert_ne!(record.holder(), Some(""), "an empty holder is none");
    assert!(record.same_news(record));
    let mark = record.mark.as_ref().filter(|_| record.is_marked());
    assert!(
        mark.is_none_or(|mark| Some(mark.transitions) == record.transitions),
        "a mark that does not fit is ignored"
    );
    let trimmed = bytes.trim_ascii();
    assert!(Record::parse(&trimmed[..trimmed.len() - 1]).is_err(), "half a record is none");
    let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else { return };
    let text = value["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    if let Some(text) = text {
        assert_eq!(text.parse(), Ok(record.resource_version));
    }
    for pointer in ["", "/metadata", "/spec"] {
        if let Some(object) = value.pointer_mut(pointer).and_then(Value::as_object_mut) {
            object.insert("of-a-later-version".to_owned(), json!({ "holderIdentity": ["x"] }));
        }
    }
    assert_eq!(
        Record::parse(value.to_string().as_bytes()).unwrap(),
        *record,
        "unknown fields change nothing"
    );
}

/// The Lease that a record was read from, as far as a record remembers it.
fn print(record: &Record) -> Value {
    let mut annotations = json!({});
    if record.has_annotations {
        annotations["someone.else/note"] = json!("");
    }
    if let Some(mark) = &record.mark {
        let unknown = if mark.mode.is_none() { " later" } else { "" };
        annotations[MARK] = json!(format!("{mark}{unknown}"));
    }
    json!({
        "kind": "Lease",
        "metadata": {
            "uid": record.uid,
            "resourceVersion": record.resource_version.to_string(),
            "annotations": annotations,
        },
        "spec": {
            "holderIdentity": record.holder,
            "leaseDurationSeconds": record.lease_duration_seconds,
            "acquireTime": record.acquire_time,
            "renewTime": record.renew_time,
            "leaseTransitions": record.transitions,
            "strategy": record.strategy,
        },
    })
}

fn names_the_place(error: &RecordError) -> bool {
    let text = chain(error);
    let words = [" at line ", "an object of kind ", "resourceVersion "];
    words.iter().any(|word| text.contains(word))
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
