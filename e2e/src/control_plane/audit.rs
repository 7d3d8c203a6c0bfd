//! What the API server itself says about each request: its audit log.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// One line of the log. A request has one with stage `ResponseComplete`; a watch has
/// one with `ResponseStarted` before.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEvent {
    /// The same in each event of one request.
    #[serde(rename = "auditID")]
    pub audit_id: String,
    /// `ResponseStarted`, `ResponseComplete` or `Panic`.
    pub stage: String,
    /// The verb of the authorizer: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, ...
    pub verb: String,
    /// Path and query as sent.
    #[serde(rename = "requestURI")]
    pub request_uri: String,
    /// Who sent it.
    pub user: AuditUser,
    /// The client's own name for itself.
    pub user_agent: Option<String>,
    /// What it is about; absent for paths such as `/readyz`.
    pub object_ref: Option<AuditObject>,
    /// What was answered; absent while there is no answer.
    pub response_status: Option<AuditResponse>,
    /// The body, for leases and configmaps only.
    pub request_object: Option<Value>,
    /// When the server had read the request's head.
    pub request_received_timestamp: Timestamp,
    /// When this stage was reached.
    pub stage_timestamp: Timestamp,
}

/// The sender of a request.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditUser {
    /// For a service account `system:serviceaccount:<namespace>:<name>`; empty when the sender was not recognised.
    #[serde(default)]
    pub username: String,
    /// The groups that it was authenticated into.
    #[serde(default)]
    pub groups: Vec<String>,
    /// For a bound token the name and uid of the Pod.
    #[serde(default)]
    pub extra: BTreeMap<String, Vec<String>>,
}

/// The object of a request.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditObject {
    /// The plural, such as `leases`.
    pub resource: String,
    /// Absent for objects of the whole cluster.
    pub namespace: Option<String>,
    /// Absent for lists and most creations.
    pub name: Option<String>,
    /// The version that a write is based on.
    pub resource_version: Option<String>,
    /// Such as `token` or `status`.
    pub subresource: Option<String>,
}

/// The answer to a request.
#[derive(Debug, Clone, Deserialize)]
pub struct AuditResponse {
    /// The HTTP status.
    pub code: u16,
    /// The reason of a Status, such as `Conflict`.
    pub reason: Option<String>,
    /// The message of a Status.
    pub message: Option<String>,
}

impl AuditEvent {
    /// Whether it tells of a finished request about this Lease; a `create` without a name is about any.
    pub fn is_about_lease(&self, namespace: &str, name: &str) -> bool {
        self.stage == "ResponseComplete"
            && self.object_ref.as_ref().is_some_and(|object| {
                object.resource == "leases"
                    && object.namespace.as_deref() == Some(namespace)
                    && object.name.as_deref().is_none_or(|own| own == name)
            })
    }

    /// The HTTP status of the answer, if there was one.
    pub fn code(&self) -> Option<u16> {
        self.response_status.as_ref().map(|status| status.code)
    }
}

/// Reads a log that may be written at this moment: an unfinished last line is left out.
pub(super) fn read(path: &Path) -> Result<Vec<AuditEvent>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let finished = text.rfind('\n').map_or("", |end| &text[..end]);
    finished
        .lines()
        .enumerate()
        .map(|(index, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}:{} is no audit event: {line}", path.display(), index + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a1","stage":"ResponseStarted","requestURI":"/apis/coordination.k8s.io/v1/namespaces/n/leases?watch=true","verb":"watch","user":{"username":"u"},"objectRef":{"resource":"leases","namespace":"n","apiGroup":"coordination.k8s.io","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-24T14:08:43.211957Z","stageTimestamp":"2026-11-24T14:08:43.213321Z"}"#;

    #[test]
    fn a_line_that_is_still_being_written_is_left_out() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{WATCH}\n{}", &WATCH[..40])).unwrap();
        let events = read(file.path()).unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].verb.as_str(), events[0].code()), ("watch", Some(200)));
        assert!(!events[0].is_about_lease("n", "l"), "a started watch is not a finished request");
    }

    #[test]
    fn a_request_of_nobody_is_an_event_too() {
        // A request that a cut off client-go sent late was answered 401, and the whole log was refused for it.
        let unauthorized = WATCH.replace(r#"{"username":"u"}"#, "{}").replace("200", "401");
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{unauthorized}\n")).unwrap();
        let events = read(file.path()).unwrap();
        assert_eq!((events[0].user.username.as_str(), events[0].code()), ("", Some(401)));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), format!("{WATCH}\n{{}}\n")).unwrap();
        let error = read(file.path()).unwrap_err().to_string();
        assert!(error.contains(":2 is no audit event"), "{error}");
    }
}
