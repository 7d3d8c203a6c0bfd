//! Effects as lines that people read.

use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use leasehold_election::{Effect, Effects, Elector, Limits, Note, Refusal, WatchId};
use serde_json::Value;

use crate::clocks::epoch;
use crate::pods;

/// One line for each effect, then one for the state that holds after them.
pub(crate) fn effects(
    effects: &Effects,
    elector: &Elector,
    first_request: usize,
    pod_watch: Option<WatchId>,
) -> Vec<String> {
    let mut number = first_request;
    let mut lines = Vec::new();
    for effect in &effects.list {
        lines.push(match effect {
            Effect::Send { request, fresh, .. } => {
                let connection = if *fresh { " on a new connection" } else { "" };
                let line = format!("send #{number}{connection} {}", describe(request));
                number += 1;
                line
            }
            Effect::Abandon(_) => "give the request up".to_owned(),
            Effect::OpenWatch(_, request) => watch(request),
            Effect::CloseWatch(id) if Some(*id) == pod_watch => "close the watch of the Pod".to_owned(),
            Effect::CloseWatch(_) => "close the watch".to_owned(),
            Effect::StartWork { token, transitions } => {
                format!("start work: token {token}, transitions {transitions}")
            }
            Effect::StopWork(reason) => format!("stop work: {reason}"),
            Effect::KillWork(reason) => format!("kill work: {reason}"),
            Effect::Tell(change) => format!("tell: {change}"),
            Effect::Note(note) => self::note(note),
            Effect::Finish(Ok(())) => "finish".to_owned(),
            Effect::Finish(Err(failure)) => format!("finish: {failure}"),
        });
    }
    lines.push(state(elector, &effects.limits, effects.wake_after));
    let nonce = elector.config().identity.nonce().to_string();
    let theirs = pods::secret().nonce().to_string();
    lines.iter().map(|line| line.replace(&nonce, "nonce").replace(&theirs, "theirs")).collect()
}

fn state(elector: &Elector, limits: &Limits, wake_after: Option<Duration>) -> String {
    let holder = match elector.holder() {
        None => "?",
        Some("") => "nobody",
        Some(holder) => holder,
    };
    let limit = |word: &str, limit: Option<Duration>| limit.map(|limit| format!("{word} {limit:?}"));
    let limits =
        [limit("lead", limits.lead_for), limit("valid", limits.valid_for), limit("kill", limits.kill_in)];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let limits = if limits.is_empty() { String::new() } else { format!(", {}", limits.join(", ")) };
    let wake = wake_after.map_or_else(|| "never".to_owned(), |after| format!("{after:?}"));
    format!("= {}, holder {holder}{limits}, wake {wake}", elector.state())
}

fn note(note: &Note) -> String {
    match note {
        Note::Answered { operation, result: Ok(()), .. } => format!("note: {operation} ok"),
        Note::Answered { operation, result: Err(refusal), counts, .. } => {
            let counts = if *counts { ", counts as a failure" } else { "" };
            format!("note: {operation} refused, {}{counts}", reason(refusal))
        }
        Note::Watch { up: true, .. } => "note: watch up".to_owned(),
        Note::Watch { refusal: Some(refusal), .. } => format!("note: watch down, {}", reason(refusal)),
        Note::Watch { .. } => "note: watch down".to_owned(),
        Note::PodWatch { up: true, .. } => "note: watch of the Pod up".to_owned(),
        Note::PodWatch { refusal: Some(refusal), .. } => {
            format!("note: watch of the Pod down, {}", reason(refusal))
        }
        Note::PodWatch { .. } => "note: watch of the Pod down".to_owned(),
        Note::EvidenceOff { operation, refusal } => {
            format!("note: no evidence for now, {operation} refused, {}", reason(refusal))
        }
        Note::TakenOverByEvidence { holder } => format!("note: taken over from {holder} by evidence"),
        Note::Trouble(refusal) => format!("trouble: {refusal}"),
        Note::Health(health) => format!("note: {health}"),
        Note::Degraded { leads: true, reason } => format!("trouble: leads although unhealthy: {reason}"),
        Note::Degraded { reason, .. } => format!("trouble: campaigns although unhealthy: {reason}"),
        other => format!("note: {other:?}"),
    }
}

fn reason(refusal: &Refusal) -> String {
    match refusal.code {
        0 => refusal.reason.to_string(),
        code => format!("{} ({code})", refusal.reason),
    }
}

fn watch(request: &Request<Vec<u8>>) -> String {
    let query = request.uri().query().unwrap_or_default();
    if request.uri().path().ends_with("/pods") {
        let (_, pod) = query.split_once("metadata.name%3D").expect("only one Pod is watched");
        return format!("open a watch of the Pod {pod}");
    }
    match query.split_once("resourceVersion=") {
        Some((_, version)) => format!("open a watch from version {version}"),
        None => "open a watch from what is there".to_owned(),
    }
}

fn describe(request: &Request<Vec<u8>>) -> String {
    let Ok(body) = serde_json::from_slice::<Value>(request.body()) else { return "read".to_owned() };
    let Some(operations) = body.as_array() else {
        let spec = body["spec"].as_object().expect("a Lease has a spec");
        let fields: Vec<_> =
            spec.iter().map(|(name, value)| field(&format!("/spec/{name}"), value)).collect();
        return format!("create: {}", fields.join(", "));
    };
    let of = |wanted: &str| -> Vec<String> {
        let operations = operations.iter().filter(|operation| operation["op"] == wanted);
        operations
            .map(|operation| field(operation["path"].as_str().expect("a path"), &operation["value"]))
            .collect()
    };
    format!("patch if {}: {}", of("test").join(", "), of("add").join(", "))
}

fn field(path: &str, value: &Value) -> String {
    let name = match path {
        "/metadata/uid" => "uid",
        "/metadata/annotations" => "annotations",
        "/metadata/annotations/leasehold.dev~1mark" => "mark",
        "/spec/holderIdentity" => "holder",
        "/spec/leaseTransitions" => "transitions",
        "/spec/acquireTime" => "acquired",
        "/spec/renewTime" => "renewed",
        "/spec/leaseDurationSeconds" => "seconds",
        other => other,
    };
    match value {
        Value::Null => format!("{name} absent"),
        Value::String(text) if text.is_empty() => format!("{name} \"\""),
        Value::String(text) => format!("{name} {}", time(text)),
        other => format!("{name} {other}"),
    }
}

/// A time as `T+5s`, since the start of the story; any other text as it is.
fn time(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Ok(at) => match Duration::try_from(at.duration_since(epoch())) {
            Ok(after) => format!("T+{after:?}"),
            Err(_) => format!("T-{:?}", epoch().duration_since(at).unsigned_abs()),
        },
        Err(_) => text.to_owned(),
    }
}
