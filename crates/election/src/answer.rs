//! What the API server answered, told apart by its causes and not by the status code alone.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use http::{Response, header};
use serde::Deserialize;

use crate::config::LeaseName;
use crate::json::{Object, or_default};
use crate::record::Record;

/// An answer of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The Lease, as it is after the request.
    Lease(Record),
    /// The request was not carried out.
    Refused(Refusal),
    /// Nobody can tell whether the request was carried out.
    Unknown(Refusal),
}

impl Answer {
    pub(crate) fn parse(lease: &LeaseName, response: &Response<Vec<u8>>) -> Self {
        let code = response.status().as_u16();
        if response.status().is_success() {
            return match Record::of(lease, response.body()) {
                Ok(record) => Self::Lease(record),
                Err(error) => Self::Unknown(Refusal::new(Reason::Unexpected, code, describe(&error), None)),
            };
        }
        let refusal = Refusal::parse(lease, code, response);
        // A 5xx or a 408 may come from a timeout or a proxy after the write was applied; any other 4xx is a decision
        // against it.
        let decided = (400..500).contains(&code) && code != 408;
        if decided { Self::Refused(refusal) } else { Self::Unknown(refusal) }
    }
}

/// Why a request was refused or failed; the label `reason` of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// A `test` of the patch failed: the Lease is not what it was, or a create lost its race.
    Conflict,
    /// There is no such Lease.
    Missing,
    /// There is no such namespace.
    NamespaceMissing,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The credentials were not accepted.
    Unauthorized,
    /// RBAC does not allow the verb.
    Forbidden,
    /// An admission policy refused the write; it may allow it later.
    Policy,
    /// The API server's admission policies are not loaded yet.
    PolicyNotReady,
    /// A field is not valid.
    Invalid,
    /// Too many requests (priority and fairness).
    Throttled,
    /// The server failed.
    Server,
    /// No answer within the time allowed.
    Timeout,
    /// No connection, or it broke.
    Unreachable,
    /// The Lease belongs to coordinated leader election.
    Coordinated,
    /// Revisions went back: the store was restored from a backup.
    Restored,
    /// The Lease shows a write of this identity that this process did not make.
    Duplicate,
    /// An answer that the API server would not give.
    Unexpected,
}

impl Reason {
    /// All of them, so that each can be counted from zero.
    pub const ALL: [Self; 17] = [
        Self::Conflict,
        Self::Missing,
        Self::NamespaceMissing,
        Self::NamespaceTerminating,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Policy,
        Self::PolicyNotReady,
        Self::Invalid,
        Self::Throttled,
        Self::Server,
        Self::Timeout,
        Self::Unreachable,
        Self::Coordinated,
        Self::Restored,
        Self::Duplicate,
        Self::Unexpected,
    ];

    /// The word in metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Missing => "missing",
            Self::NamespaceMissing => "namespace_missing",
            Self::NamespaceTerminating => "namespace_terminating",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::Policy => "policy",
            Self::PolicyNotReady => "policy_not_ready",
            Self::Invalid => "invalid",
            Self::Throttled => "throttled",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Coordinated => "coordinated",
            Self::Restored => "restored",
            Self::Duplicate => "duplicate",
            Self::Unexpected => "unexpected",
        }
    }

    /// Whether an admission policy stands in the way, which may mean no more than "not yet".
    pub(crate) fn is_policy(self) -> bool {
        matches!(self, Self::Policy | Self::PolicyNotReady)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal or a failure, with what a person needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The class.
    pub reason: Reason,
    /// The HTTP status code; 0 where there was no answer.
    pub code: u16,
    /// What the server, or the transport, said.
    pub message: String,
    /// `Retry-After`, if the server asked for it.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// Whether a `test` of a patch failed: the Lease is not what it was. A 409 tells less: the API server gives a patch up
    /// after five conflicts with other writers (MaxRetryWhenPatchConflicts of its endpoints/handlers/patch.go), each of
    /// which its tests would have passed.
    pub(crate) fn is_failed_test(&self) -> bool {
        self.reason == Reason::Conflict && self.code != 409
    }

    pub(crate) fn new(reason: Reason, code: u16, message: String, retry_after: Option<Duration>) -> Self {
        Self { reason, code, message: shortened(message), retry_after }
    }

    fn parse(lease: &LeaseName, code: u16, response: &Response<Vec<u8>>) -> Self {
        let retry_after = response
            .headers()
            .get(header::RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok().map(Duration::from_secs));
        let Object(status): Object<Status> = serde_json::from_slice(response.body()).unwrap_or_default();
        let message = if status.message.is_empty() {
            let body = String::from_utf8_lossy(response.body());
            match body.chars().take(200).collect::<String>().trim() {
                "" => format!("HTTP {code} without a body"),
                body => format!("HTTP {code}: {body}"),
            }
        } else {
            status.message.clone()
        };
        Self::new(status.reason(lease, code), code, message, retry_after)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

/// An event of a watch of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WatchEvent {
    Lease(Record),
    Deleted {
        resource_version: u64,
    },
    /// Nothing happened up to this revision of the store.
    Bookmark {
        resource_version: u64,
    },
    /// The version to go on from is gone: read, and watch from there.
    Gone,
    Failed(Refusal),
}

impl WatchEvent {
    pub(crate) fn parse(lease: &LeaseName, line: &[u8]) -> Self {
        Self::parse_usual(lease, line).unwrap_or_else(|| Self::parse_any(lease, line))
    }

    /// A version of the Lease in just the form in which API servers write it, read in one pass; none if it is anything
    /// else. Nearly all events are such.
    fn parse_usual(lease: &LeaseName, line: &[u8]) -> Option<Self> {
        // What is skipped is not looked at, and might be no text at all.
        let line = str::from_utf8(line).ok()?;
        let line = line.strip_suffix('\n').unwrap_or(line);
        let added = || line.strip_prefix(r#"{"type":"ADDED","object":"#);
        let object = line.strip_prefix(r#"{"type":"MODIFIED","object":"#).or_else(added)?;
        Record::of(lease, object.strip_suffix('}')?.as_bytes()).ok().map(Self::Lease)
    }

    fn parse_any(lease: &LeaseName, line: &[u8]) -> Self {
        let unexpected = |message| Self::Failed(Refusal::new(Reason::Unexpected, 0, message, None));
        let frame: Frame<'_> = match serde_json::from_slice(line) {
            Ok(Object(frame)) => frame,
            Err(error) => return unexpected(format!("watch event that is not JSON: {error}")),
        };
        let object = frame.object.get();
        match frame.kind.as_ref() {
            "BOOKMARK" => match serde_json::from_str(object) {
                Ok(Object(Bookmark { metadata: Object(BookmarkMetadata { resource_version: text }) })) => {
                    match text.parse() {
                        Ok(resource_version) => Self::Bookmark { resource_version },
                        Err(_) => {
                            unexpected(format!("watch event: resourceVersion {text:?} is not a number"))
                        }
                    }
                }
                Err(error) => unexpected(format!("watch event: not a bookmark: {error}")),
            },
            "ERROR" => match serde_json::from_str(object) {
                Ok(Object(Status { code: 410, .. })) => Self::Gone,
                Ok(Object(status)) => {
                    let reason = status.reason(lease, status.code);
                    let message = match status.message.as_str() {
                        "" => format!("watch event: an error with code {} and no message", status.code),
                        message => message.to_owned(),
                    };
                    Self::Failed(Refusal::new(reason, status.code, message, None))
                }
                Err(error) => unexpected(format!("watch event: an error that is no Status: {error}")),
            },
            "ADDED" | "MODIFIED" | "DELETED" => {
                match (Record::of(lease, object.as_bytes()), frame.kind.as_ref()) {
                    (Ok(record), "DELETED") => Self::Deleted { resource_version: record.resource_version },
                    (Ok(record), _) => Self::Lease(record),
                    (Err(error), _) => unexpected(format!("watch event: {}", describe(&error))),
                }
            }
            kind => unexpected(format!("watch event of unknown type {kind:?}")),
        }
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

#[derive(Debug, Deserialize)]
struct Bookmark {
    metadata: Object<BookmarkMetadata>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookmarkMetadata {
    resource_version: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "or_default")]
    code: u16,
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "or_default")]
    details: Object<Details>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Details {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    causes: Vec<Object<Cause>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cause {
    #[serde(deserialize_with = "or_default")]
    reason: String,
    #[serde(deserialize_with = "or_default")]
    message: String,
    #[serde(deserialize_with = "or_default")]
    field: String,
}

impl Status {
    fn reason(&self, lease: &LeaseName, code: u16) -> Reason {
        if self.names_policy() {
            return if self.message.contains("not yet ready") {
                Reason::PolicyNotReady
            } else {
                Reason::Policy
            };
        }
        let details = &self.details.0;
        match code {
            401 => Reason::Unauthorized,
            403 if self.has_cause("NamespaceTerminating") => Reason::NamespaceTerminating,
            403 if self.message.contains("not yet ready to handle request") => Reason::PolicyNotReady,
            403 => Reason::Forbidden,
            404 if details.kind == "namespaces" => Reason::NamespaceMissing,
            404 if details.kind == "leases" && details.name == lease.name() => Reason::Missing,
            409 => Reason::Conflict,
            422 if self.is_failed_test() || self.is_lost_create() => Reason::Conflict,
            400 | 422 => Reason::Invalid,
            408 | 504 => Reason::Timeout,
            429 => Reason::Throttled,
            500.. => Reason::Server,
            _ => Reason::Unexpected,
        }
    }

    fn names_policy(&self) -> bool {
        let names = |text: &str| {
            text.contains("ValidatingAdmissionPolicy") || text.contains("MutatingAdmissionPolicy")
        };
        names(&self.message) || self.causes().any(|cause| names(&cause.message))
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes().any(|cause| cause.reason == reason)
    }

    fn causes(&self) -> impl Iterator<Item = &Cause> {
        self.details.0.causes.iter().map(|Object(cause)| cause)
    }

    /// A failed `test` of a JSON Patch: Invalid, with nothing in its details.
    fn is_failed_test(&self) -> bool {
        self.reason == "Invalid" && self.details.0.name.is_empty() && self.causes().next().is_none()
    }

    /// A PUT-create that found the Lease there: an update without resourceVersion, which Leases do not allow.
    fn is_lost_create(&self) -> bool {
        self.causes().any(|cause| cause.field == "metadata.resourceVersion")
    }
}

fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// A refused write may be quoted whole: megabytes in each log line, and in the status, for the sake of its beginning.
fn shortened(message: String) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    }
}

const MESSAGE_CHARS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(code: u16, body: &str) -> Reason {
        let lease = LeaseName::new("prod", "db").unwrap();
        let response = Response::builder().status(code).body(body.as_bytes().to_vec()).unwrap();
        match Answer::parse(&lease, &response) {
            Answer::Refused(refusal) | Answer::Unknown(refusal) => refusal.reason,
            Answer::Lease(record) => panic!("{record:?}"),
        }
    }

    #[test]
    fn refusals_of_one_code_are_told_apart_by_their_causes() {
        let failed_test = r#"{"kind":"Status","reason":"Invalid","message":"the server rejected our request due to an error in our request","details":{},"code":422}"#;
        let zero = r#"{"reason":"Invalid","message":"Lease is invalid","details":{"name":"db","causes":[{"field":"spec.leaseDurationSeconds","message":"must be greater than 0"}]},"code":422}"#;
        let lost_create = r#"{"reason":"Invalid","details":{"name":"db","causes":[{"field":"metadata.resourceVersion","message":"must be specified for an update"}]},"code":422}"#;
        let policy = r#"{"reason":"Invalid","message":"leases \"db\" is forbidden","details":{"name":"db","causes":[{"message":"ValidatingAdmissionPolicy 'term-guard' with binding 'b' denied request: not expired"}]},"code":422}"#;
        assert_eq!(reason(422, failed_test), Reason::Conflict);
        assert_eq!(reason(422, zero), Reason::Invalid);
        assert_eq!(reason(422, lost_create), Reason::Conflict);
        assert_eq!(reason(422, policy), Reason::Policy);
    }

    /// A Status whose details were null was none, so that its reason and message were lost.
    #[test]
    fn null_in_a_status_is_as_good_as_nothing() {
        let failed_test = r#"{"kind":"Status","reason":"Invalid","message":null,"details":null,"code":422}"#;
        let causes =
            r#"{"reason":"NotFound","details":{"name":"db","kind":"leases","causes":null},"code":404}"#;
        assert_eq!(reason(422, failed_test), Reason::Conflict);
        assert_eq!(reason(404, causes), Reason::Missing);
    }

    #[test]
    fn only_a_404_that_names_this_lease_says_that_it_is_missing() {
        let lease = r#"{"reason":"NotFound","details":{"name":"db","kind":"leases"},"code":404}"#;
        let other = r#"{"reason":"NotFound","details":{"name":"other","kind":"leases"},"code":404}"#;
        let namespace = r#"{"reason":"NotFound","details":{"name":"prod","kind":"namespaces"},"code":404}"#;
        assert_eq!(reason(404, lease), Reason::Missing);
        assert_eq!(reason(404, other), Reason::Unexpected);
        assert_eq!(reason(404, namespace), Reason::NamespaceMissing);
        assert_eq!(reason(404, "404 page not found"), Reason::Unexpected);
    }

    #[test]
    fn an_answer_of_5xx_or_without_a_lease_leaves_a_write_unknown() {
        let lease = LeaseName::new("prod", "db").unwrap();
        for (code, body) in [(408, ""), (503, "{}"), (504, ""), (200, "<html>"), (302, "")] {
            let response = Response::builder().status(code).body(body.as_bytes().to_vec()).unwrap();
            assert!(matches!(Answer::parse(&lease, &response), Answer::Unknown(_)), "{code} {body}");
        }
    }

    #[test]
    fn watch_events_are_read_line_by_line() {
        let lease = LeaseName::new("prod", "db").unwrap();
        let gone = br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}"#;
        assert_eq!(WatchEvent::parse(&lease, gone), WatchEvent::Gone);
        let deleted =
            br#"{"type":"DELETED","object":{"kind":"Lease","metadata":{"name":"db","namespace":"prod","uid":"u","resourceVersion":"9"}}}"#;
        assert_eq!(WatchEvent::parse(&lease, deleted), WatchEvent::Deleted { resource_version: 9 });
        assert!(matches!(WatchEvent::parse(&lease, b"{\"type\":"), WatchEvent::Failed(_)));
    }

    #[test]
    fn an_event_in_the_usual_form_is_read_as_any_other() {
        let lease = LeaseName::new("prod", "db").unwrap();
        let object = r#"{"kind":"Lease","metadata":{"name":"db","namespace":"prod","uid":"u","resourceVersion":"9","x":[{}]},"spec":{}}"#;
        for kind in ["ADDED", "MODIFIED"] {
            let line = format!(r#"{{"type":"{kind}","object":{object}}}"#);
            let usual = WatchEvent::parse_usual(&lease, line.as_bytes()).expect("the usual form");
            assert!(matches!(&usual, WatchEvent::Lease(record) if record.resource_version == 9));
            assert_eq!(usual, WatchEvent::parse_any(&lease, line.as_bytes()));
            assert_eq!(WatchEvent::parse_usual(&lease, format!("{line}\n").as_bytes()), Some(usual));
        }
        for odd in [
            format!(r#"{{"type":"DELETED","object":{object}}}"#),
            format!(r#"{{"type":"MODIFIED","object":{object},"object":{object}}}"#),
            format!(r#"{{"type":"MODIFIED","object":{object}"#),
            format!(r#"{{"type":"MODIFIED","object":{object}}}}}"#),
            format!(r#"{{"object":{object},"type":"MODIFIED"}}"#),
            r#"{"type":"MODIFIED","object":{}}"#.to_owned(),
        ] {
            assert_eq!(WatchEvent::parse_usual(&lease, odd.as_bytes()), None, "{odd}");
        }
    }
}
