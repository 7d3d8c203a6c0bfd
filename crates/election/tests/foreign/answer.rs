//! What holds of every answer to a read. An example is a line with the status code and, if any, the text of Retry-After;
//! then the body.

use http::Response;
use leasehold_election::{Reason, Record};
use serde_json::Value;

use crate::started::{Started, assert_sober, refusals};

/// Holds of all bytes.
pub(crate) fn property(bytes: &[u8]) {
    let Some((code, response)) = read(bytes) else { return };
    let (body, success) = (response.body().clone(), response.status().is_success());
    let asked = response.headers().get("retry-after").map(|value| value.as_bytes().to_vec());
    let mut started = Started::new();
    let effects = started.answer(response);
    assert_sober(&effects);
    assert_eq!(started.elector.is_ready(), !(500..600).contains(&code), "ready once the server has answered");
    let (elector, record) =
        (&started.elector, Record::parse(&body).ok().filter(|_| success && is_of_the_lease(&body)));
    let Some(refusal) = refusals(&effects).into_iter().next() else {
        let record = record.expect("what is no Lease is never taken for one");
        assert_eq!(elector.lease_uid(), Some(record.uid.as_str()));
        assert_eq!(elector.holder(), Some(record.holder().unwrap_or("")));
        return;
    };
    if refusal.reason == Reason::Coordinated {
        assert!(record.is_some_and(|record| record.strategy.is_some()));
        return;
    }
    assert!(record.is_none(), "a Lease is never refused: {refusal:?}");
    assert_eq!(refusal.code, code);
    assert_eq!(elector.lease_uid(), None, "nothing is taken in by halves");
    assert_eq!(
        elector.holder().is_some(),
        refusal.reason == Reason::Missing,
        "nobody is known to hold it: {refusal:?}"
    );
    assert!(refusal.reason != Reason::Missing || names_the_lease(&body), "{refusal:?}");
    assert!(!success || refusal.reason == Reason::Unexpected, "{refusal:?}");
    let digits = asked.is_some_and(|text| text.iter().any(u8::is_ascii_digit));
    assert!(refusal.retry_after.is_none() || digits, "{refusal:?}");
}

/// What is written down of a kept example.
pub(crate) fn outcome(bytes: &[u8]) -> String {
    let (_, response) = read(bytes).expect("a kept example has a status code");
    let mut started = Started::new();
    let effects = started.answer(response);
    let told = match refusals(&effects).into_iter().next() {
        Some(refusal) => {
            let asked = refusal.retry_after.map(|after| format!(", asks for {after:?}"));
            let message: String = refusal.message.chars().take(160).collect();
            format!("{}{}: {message}", refusal.reason, asked.unwrap_or_default())
        }
        None => format!("uid {:?}", started.elector.lease_uid()),
    };
    format!("{told}; holder {:?}", started.elector.holder())
}

fn read(bytes: &[u8]) -> Option<(u16, Response<Vec<u8>>)> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let (head, body) = (std::str::from_utf8(&bytes[..end]).ok()?, bytes[end + 1..].to_vec());
    let (code, asked) = head.split_once(' ').unwrap_or((head, ""));
    let code = code.parse().ok()?;
    let mut response = Response::builder().status(code);
    if !asked.is_empty() {
        response = response.header("retry-after", asked);
    }
    Some((code, response.body(body).ok()?))
}

/// As the metadata of an object say.
pub(crate) fn is_of_the_lease(object: &[u8]) -> bool {
    let object: Value = serde_json::from_slice(object).unwrap_or_default();
    object["metadata"]["name"] == "db" && object["metadata"]["namespace"] == "prod"
}

fn names_the_lease(body: &[u8]) -> bool {
    let status: Value = serde_json::from_slice(body).unwrap_or_default();
    status["details"]["kind"] == "leases" && status["details"]["name"] == "db"
}
