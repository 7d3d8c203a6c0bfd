//! Requests and events in few words, for traces that people read.

use http::{Request, Response};
use serde_json::Value;

use super::log::Lease;

/// What a request expects and writes.
pub(super) fn of_request(request: &Request<Vec<u8>>) -> String {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let Some(operations) = body.as_array() else {
        let fields = body["spec"].as_object().into_iter().flatten();
        let words = fields.map(|(name, value)| of_field(name, value)).collect::<Vec<_>>().join(", ");
        return format!("{} {words}", request.method()).trim_end().to_owned();
    };
    let part = |operation: &Value| {
        let path = operation["path"].as_str().unwrap_or_default();
        of_field(path.rsplit('/').next().unwrap_or_default(), &operation["value"])
    };
    let parts = |wanted: &str| {
        let found = operations.iter().filter(|operation| operation["op"] == wanted);
        let told = found.filter(|operation| operation["path"] != "/metadata/uid").map(part);
        told.collect::<Vec<_>>().join(", ")
    };
    format!("if {} then {}", parts("test"), parts("add"))
}

/// What a line of a watch shows.
pub(super) fn of_line(line: &[u8]) -> String {
    let event: Value = serde_json::from_slice(line).unwrap_or_default();
    let kind = event["type"].as_str().unwrap_or("no event");
    format!("{kind} {}", of_lease(event["object"].to_string().as_bytes()))
}

/// What an answer says: the Lease, or the code and the message of a refusal.
pub(super) fn of_answer(response: &Response<Vec<u8>>) -> String {
    let words = of_lease(response.body());
    if response.status().is_success() { words } else { format!("{} {words}", response.status().as_u16()) }
}

/// What a Lease shows, or a Status.
fn of_lease(body: &[u8]) -> String {
    match Lease::parse(body) {
        Some(Lease { version, holder, transitions, renew_time, seconds, .. }) => {
            let (transitions, seconds) = (transitions.unwrap_or(-1), seconds.unwrap_or(-1));
            let renewed = renew_time.as_deref().map_or("never", time_of_day);
            let holder = if holder.is_empty() { "free".to_owned() } else { format!("held by {holder:?}") };
            format!("version {version}, {holder}, term {transitions}, {seconds} s, renewed {renewed}")
        }
        None => {
            let status: Value = serde_json::from_slice(body).unwrap_or_default();
            let whole = || String::from_utf8_lossy(body).into_owned();
            status["message"].as_str().map_or_else(whole, str::to_owned).chars().take(LETTERS_MAX).collect()
        }
    }
}

fn of_field(name: &str, value: &Value) -> String {
    match (name, value.as_str()) {
        ("holderIdentity", _) => format!("held by {value}"),
        ("leaseTransitions", _) => format!("term {value}"),
        ("leaseDurationSeconds", _) => format!("{value} s"),
        ("renewTime", Some(time)) => format!("renewed {}", time_of_day(time)),
        ("acquireTime", Some(time)) => format!("acquired {}", time_of_day(time)),
        ("renewTime", None) => "never renewed".to_owned(),
        _ => format!("{name} {value}"),
    }
}

/// A time without its day and with milliseconds.
fn time_of_day(time: &str) -> &str {
    time.split_once('T').map_or(time, |(_, time)| time.get(..12).unwrap_or(time))
}

const LETTERS_MAX: usize = 120;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_says_what_it_expects_and_what_it_writes() {
        let body = br#"[{"op":"test","path":"/metadata/uid","value":"u"},
            {"op":"test","path":"/spec/holderIdentity","value":"db-0_ab"},
            {"op":"add","path":"/spec/renewTime","value":"2026-01-01T00:55:57.696747Z"}]"#;
        let request = Request::patch("/").body(body.to_vec()).unwrap();
        assert_eq!(of_request(&request), "if held by \"db-0_ab\" then renewed 00:55:57.696");
    }

    #[test]
    fn an_answer_that_is_no_lease_is_told_by_its_message() {
        assert_eq!(
            of_lease(br#"{"kind":"Status","message":"leases \"db\" not found"}"#),
            "leases \"db\" not found"
        );
        assert_eq!(of_lease(b"half of an ans"), "half of an ans");
    }
}
