//! What holds of every line of a watch: it is taken in, or it is no news, or it is refused and told; never by halves, and
//! never in silence.

use leasehold_election::{Effect, Effects, Elector, Input, Note, Record};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::answer::is_of_the_lease;
use crate::started::{Started, assert_sober, refusals};

/// Holds of all bytes.
pub(crate) fn property(line: &[u8]) {
    let (mut started, watch) = Started::watching(LEASE);
    let before = known(&started.elector);
    let effects = started.input(Input::WatchLine(watch, line.to_vec()));
    assert_sober(&effects);
    let after = known(&started.elector);
    let event = event(line);
    match &event {
        Some((kind, record)) if kind != "DELETED" && record.resource_version >= VERSION => {
            assert_eq!(after.0.as_deref(), Some(record.uid.as_str()), "a whole event is never lost");
            assert_eq!(after.1.as_deref(), Some(record.holder().unwrap_or("")));
        }
        Some((_, record)) if record.resource_version >= VERSION => assert_eq!(after.0, None, "it is gone"),
        Some(_) | None => assert_eq!(after, before, "what is old, or no event, changes nothing"),
    }
    assert!(
        event.is_some() || is_told(&effects) || is_bookmark(line),
        "what is no event is told: {effects:?}"
    );
    // Whatever it was, the machine goes on: it hears of the Lease by a read.
    started.input(Input::WatchEnded(watch, None));
    assert!(started.input(Input::Wake).wake_after.is_some());
}

/// What is written down of a kept example.
pub(crate) fn outcome(line: &[u8]) -> String {
    let (mut started, watch) = Started::watching(LEASE);
    let effects = started.input(Input::WatchLine(watch, line.to_vec()));
    let told: Vec<_> = refusals(&effects).iter().map(ToString::to_string).collect();
    let (uid, holder, transitions) = known(&started.elector);
    let closed = if is_told(&effects) { ", closes the watch" } else { "" };
    format!("{told:?}{closed}; uid {uid:?}, holder {holder:?}, transitions {transitions:?}")
}

fn known(elector: &Elector) -> (Option<String>, Option<String>, Option<i32>) {
    (elector.lease_uid().map(str::to_owned), elector.holder().map(str::to_owned), elector.transitions())
}

/// The event, if the line is one: its type, and the Lease that it shows.
fn event(line: &[u8]) -> Option<(String, Record)> {
    let Frame { kind, object } =
        serde_json::from_slice(line).ok().filter(|_| line.trim_ascii_start().starts_with(b"{"))?;
    let is_event = ["ADDED", "MODIFIED", "DELETED"].contains(&kind.as_str());
    let object = object.get().as_bytes();
    Some((kind, Record::parse(object).ok()?)).filter(|_| is_event && is_of_the_lease(object))
}

#[derive(serde::Deserialize)]
struct Frame {
    #[serde(rename = "type")]
    kind: String,
    object: Box<RawValue>,
}

fn is_told(effects: &Effects) -> bool {
    effects.list.iter().any(|effect| matches!(effect, Effect::Note(Note::Watch { up: false, .. })))
}

fn is_bookmark(line: &[u8]) -> bool {
    serde_json::from_slice::<Value>(line).is_ok_and(|value| {
        let version = value["object"]["metadata"]["resourceVersion"].as_str();
        value["type"] == "BOOKMARK" && version.is_some_and(|version| version.parse::<u64>().is_ok())
    })
}

const LEASE: &str = r#"{"kind":"Lease","metadata":{"name":"db","namespace":"prod","uid":"known","resourceVersion":"200"},
    "spec":{"holderIdentity":"other","leaseDurationSeconds":15,"leaseTransitions":0}}"#;
const VERSION: u64 = 200;
