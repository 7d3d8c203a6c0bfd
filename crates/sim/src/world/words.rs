//! Requests and events in few words, for traces that people read.

use http::Request;
use serde_json::Value;

use super::log::Lease;

/// What a request expects and writes.
pub(super) fn of_request(request: &Request<Vec<u8>>) -> String {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let Some(operations) = body.as_array() else {
        let spec = body.get("spec").map(Value::to_string).unwrap_or_default();
        return format!("{} {spec}", request.method());
    };
    let part = |operation: &Value| {
        let path = operation["path"].as_str().and_then(|path| path.rsplit('/').next()).unwrap_or_default();
        format!("{path}={}", operation["value"])
    };
    let parts = |wanted: &str| {
        let found = operations.iter().filter(|operation| operation["op"] == wanted).map(part);
        found.collect::<Vec<_>>().join(" ")
    };
    format!("if {} then {}", parts("test"), parts("add"))
}

/// What a line of a watch shows.
pub(super) fn of_line(line: &[u8]) -> String {
    let event: Value = serde_json::from_slice(line).unwrap_or_default();
    let kind = event["type"].as_str().unwrap_or("no event");
    format!("{kind} {}", of_lease(event["object"].to_string().as_bytes()))
}

/// What a Lease shows.
pub(super) fn of_lease(body: &[u8]) -> String {
    match Lease::parse(body) {
        Some(Lease { version, holder, transitions, renew_time, seconds, .. }) => {
            let (transitions, seconds) = (transitions.unwrap_or(-1), seconds.unwrap_or(-1));
            let renew_time = renew_time.unwrap_or_default();
            format!(
                "version {version} holder {holder:?} transitions {transitions} seconds {seconds} renewed {renew_time}"
            )
        }
        None => String::from_utf8_lossy(body).chars().take(200).collect(),
    }
}
