//! Tables, as kubectl asks for them, and PartialObjectMetadata.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::kind::Kind;
use super::object::Object;
use super::read::{Next, list_metadata};
use super::request::{Accept, Call, Include};
use super::status::Failure;
use super::time::{self, Precision};

/// A column: its name, whether it is the name of the object, whether only `-o wide` shows it.
struct Column(&'static str, bool, bool);

/// One object in another form than its own.
pub(crate) fn transform(object: &Object, accept: Accept, now: Timestamp) -> Vec<u8> {
    let value = match accept {
        Accept::Object => object.full_value(),
        Accept::Table(include) => of_one(object, include, now),
        Accept::Metadata => metadata_only(object),
    };
    value.to_string().into_bytes()
}

/// A table with one row.
pub(crate) fn of_one(object: &Object, include: Include, now: Timestamp) -> Value {
    let metadata = json!({"resourceVersion": object.revision.to_string()});
    table(object.kind, metadata, vec![row(object, include, now)])
}

/// A list in another form than its own.
pub(crate) fn list(
    call: &Call<'_>,
    items: &[&Arc<Object>],
    revision: u64,
    next: Option<Next>,
    now: Timestamp,
) -> Value {
    let metadata = list_metadata(revision, next);
    if let Accept::Table(include) = call.accept {
        return table(call.kind, metadata, items.iter().map(|item| row(item, include, now)).collect());
    }
    let items: Vec<Value> = items.iter().map(|item| metadata_only(item)).collect();
    json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata, "items": items})
}

fn table(kind: Kind, metadata: Value, rows: Vec<Value>) -> Value {
    let columns: Vec<Value> = columns(kind)
        .iter()
        .map(|Column(name, is_name, wide)| {
            json!({
                "name": name, "type": "string", "format": if *is_name { "name" } else { "" },
                "description": "", "priority": i32::from(*wide),
            })
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": columns, "rows": rows,
    })
}

/// Whether `includeObject` is one of what it may be, if it is about a table.
pub(crate) fn check_include(call: &Call<'_>) -> Result<(), Failure> {
    let given = call.query.text("includeObject");
    if !matches!(call.accept, Accept::Table(_)) || matches!(given, "" | "Metadata" | "Object" | "None") {
        return Ok(());
    }
    Err(Failure::bad_request(format!(
        "Unable to convert to Table as requested: includeObject: Invalid value: {given:?}: must be 'Metadata', 'Object', 'None', or empty"
    )))
}

fn row(object: &Object, include: Include, now: Timestamp) -> Value {
    let included = match include {
        Include::Metadata => metadata_only(object),
        Include::Object => object.full_value(),
        Include::Nothing => Value::Null,
    };
    json!({"cells": cells(object, now), "object": included})
}

fn metadata_only(object: &Object) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object.value["metadata"]})
}

fn columns(kind: Kind) -> &'static [Column] {
    const NAME: Column = Column("Name", true, false);
    const AGE: Column = Column("Age", false, false);
    const fn shown(name: &'static str) -> Column {
        Column(name, false, false)
    }
    const fn wide(name: &'static str) -> Column {
        Column(name, false, true)
    }
    match kind {
        Kind::Lease => const { &[NAME, shown("Holder"), AGE] },
        Kind::ConfigMap => const { &[NAME, shown("Data"), AGE] },
        Kind::Endpoints => const { &[NAME, shown("Endpoints"), AGE] },
        Kind::Namespace => const { &[NAME, shown("Status"), AGE] },
        Kind::Event => {
            const {
                &[
                    shown("Last Seen"),
                    shown("Type"),
                    shown("Reason"),
                    shown("Object"),
                    wide("Subobject"),
                    wide("Source"),
                    shown("Message"),
                    wide("First Seen"),
                    wide("Count"),
                    Column("Name", true, true),
                ]
            }
        }
        Kind::Pod => {
            const {
                &[
                    NAME,
                    shown("Ready"),
                    shown("Status"),
                    shown("Restarts"),
                    AGE,
                    wide("IP"),
                    wide("Node"),
                    wide("Nominated Node"),
                    wide("Readiness Gates"),
                ]
            }
        }
    }
}

fn cells(object: &Object, now: Timestamp) -> Value {
    let value = &object.value;
    let age = age(&value["metadata"]["creationTimestamp"], now);
    match object.kind {
        Kind::Lease => json!([object.name(), text(&value["spec"]["holderIdentity"]), age]),
        Kind::ConfigMap => {
            let count = |field: &str| value[field].as_object().map_or(0, serde_json::Map::len);
            json!([object.name(), count("data") + count("binaryData"), age])
        }
        Kind::Endpoints => json!([object.name(), endpoints(&value["subsets"]), age]),
        Kind::Namespace => json!([object.name(), text(&value["status"]["phase"]), age]),
        Kind::Event => event(object, now),
        Kind::Pod => pod(object, &age),
    }
}

fn event(object: &Object, now: Timestamp) -> Value {
    let value = &object.value;
    let first = [&value["firstTimestamp"], &value["eventTime"]].into_iter().find(|time| !time.is_null());
    let first = age(first.unwrap_or(&Value::Null), now);
    let last = [&value["series"]["lastObservedTime"], &value["lastTimestamp"]]
        .into_iter()
        .find(|time| !time.is_null());
    let last = last.map_or_else(|| first.clone(), |time| age(time, now));
    let involved = &value["involvedObject"];
    let about = match text(&involved["name"]) {
        "" => text(&involved["kind"]).to_lowercase(),
        name => format!("{}/{name}", text(&involved["kind"]).to_lowercase()),
    };
    let source = match (text(&value["source"]["component"]), text(&value["source"]["host"])) {
        ("", _) => text(&value["reportingComponent"]).to_owned(),
        (component, "") => component.to_owned(),
        (component, host) => format!("{component}, {host}"),
    };
    let count = value["series"]["count"].as_i64().or(value["count"].as_i64()).unwrap_or(1);
    json!([
        last,
        text(&value["type"]),
        text(&value["reason"]),
        about,
        text(&involved["fieldPath"]),
        source,
        text(&value["message"]).trim(),
        first,
        count,
        object.name(),
    ])
}

fn pod(object: &Object, age: &str) -> Value {
    let (spec, status) = (&object.value["spec"], &object.value["status"]);
    let containers = spec["containers"].as_array().map_or(0, Vec::len);
    let statuses = status["containerStatuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    let ready = statuses.iter().filter(|status| status["ready"] == json!(true)).count();
    let restarts: i64 = statuses.iter().filter_map(|status| status["restartCount"].as_i64()).sum();
    let waiting = statuses.iter().find_map(|status| {
        let state = &status["state"];
        state["waiting"]["reason"].as_str().or(state["terminated"]["reason"].as_str())
    });
    let phase = waiting.or(status["reason"].as_str()).unwrap_or(text(&status["phase"]));
    let phase = if object.is_terminating() { "Terminating" } else { phase };
    let or_none = |value: &Value| value.as_str().unwrap_or("<none>").to_owned();
    json!([
        object.name(),
        format!("{ready}/{containers}"),
        phase,
        restarts.to_string(),
        age,
        or_none(&status["podIP"]),
        or_none(&spec["nodeName"]),
        or_none(&status["nominatedNodeName"]),
        "<none>",
    ])
}

/// At most three addresses are shown.
fn endpoints(subsets: &Value) -> String {
    let mut all = Vec::new();
    for subset in subsets.as_array().into_iter().flatten() {
        let addresses = subset["addresses"].as_array().into_iter().flatten();
        let ports: Vec<Option<i64>> = match subset["ports"].as_array().map(Vec::as_slice) {
            None | Some([]) => vec![None],
            Some(ports) => ports.iter().map(|port| port["port"].as_i64()).collect(),
        };
        for address in addresses {
            let ip = text(&address["ip"]);
            all.extend(
                ports.iter().map(|port| port.map_or_else(|| ip.to_owned(), |port| format!("{ip}:{port}"))),
            );
        }
    }
    match all.len() {
        0 => "<none>".into(),
        1..=3 => all.join(","),
        more => format!("{} + {} more...", all[..3].join(","), more - 3),
    }
}

/// As `duration.HumanDuration` of apimachinery shortens it.
fn age(time: &Value, now: Timestamp) -> String {
    let parsed = time.as_str().and_then(|text| {
        let precision = if text.contains('.') { Precision::Micro } else { Precision::Second };
        time::parse(text, precision).ok()
    });
    let Some(parsed) = parsed else { return "<unknown>".into() };
    let seconds = now.to_zoned(TimeZone::UTC).datetime().duration_since(parsed).as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |whole: i64, unit: &str, rest: i64, small: &str| {
        if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{small}") }
    };
    match seconds {
        ..=-2 => "<invalid>".into(),
        -1..=0 => "0s".into(),
        1..120 => format!("{seconds}s"),
        120..600 => pair(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => pair(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => pair(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => pair(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_shortened_as_kubectl_users_know_them() {
        let then = json!("1970-01-01T00:00:00Z");
        let after = |seconds: i64| age(&then, Timestamp::from_second(seconds).unwrap());
        assert_eq!(after(0), "0s");
        assert_eq!(after(119), "119s");
        assert_eq!(after(125), "2m5s");
        assert_eq!(after(3_600), "60m");
        assert_eq!(after(3 * 86_400), "3d");
        assert_eq!(age(&Value::Null, Timestamp::UNIX_EPOCH), "<unknown>");
    }
}
