//! Kubernetes Events about the Lease, in client-go's words: `<identity> became leader`, `<identity> stopped leading`.
//!
//! They are for people who run `kubectl describe lease`. A lost Event is logged and changes nothing else.

use http::{Method, Request, header};
use leasehold_election::Change;
use serde_json::json;

use crate::clock::Reading;

/// Who the Event is about and from.
pub(crate) struct Subject<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) lease: &'a str,
    pub(crate) lease_uid: Option<&'a str>,
    pub(crate) identity: &'a str,
}

/// The request that records `change`, if it is one to record.
pub(crate) fn record(change: &Change, subject: &Subject<'_>, now: Reading) -> Option<Request<Vec<u8>>> {
    let what = match change {
        Change::Started { .. } => "became leader",
        Change::Stopped { .. } => "stopped leading",
        _ => return None,
    };
    let Subject { namespace, lease, lease_uid, identity } = *subject;
    let time = format!("{:.0}", now.realtime);
    let event = json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": { "generateName": format!("{lease}-"), "namespace": namespace },
        "involvedObject": {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "namespace": namespace,
            "name": lease,
            "uid": lease_uid,
        },
        "type": "Normal",
        "reason": "LeaderElection",
        "message": format!("{identity} {what}"),
        "source": { "component": "leasehold" },
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    });
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("/api/v1/namespaces/{namespace}/events?fieldManager=leasehold"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(event.to_string().into_bytes());
    Some(request.expect("a LeaseName holds only characters that are valid in a URI"))
}

#[cfg(test)]
mod tests {
    use leasehold_election::FencingToken;

    use super::*;
    use crate::clock;

    #[test]
    fn events_are_worded_as_client_go_words_them() {
        let subject = Subject { namespace: "prod", lease: "db", lease_uid: Some("u"), identity: "db-0_1" };
        let started = Change::Started { token: FencingToken::new(7), transitions: 1 };
        let request = record(&started, &subject, clock::now()).unwrap();
        let body: serde_json::Value = serde_json::from_slice(request.body()).unwrap();
        assert_eq!(body["message"], "db-0_1 became leader");
        assert_eq!(body["involvedObject"]["uid"], "u");
        assert!(record(&Change::NewLeader { holder: String::new() }, &subject, clock::now()).is_none());
    }
}
