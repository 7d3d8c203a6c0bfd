//! The requests of the protocol, as bytes.
//!
//! Every change of an existing Lease is a JSON Patch (RFC 6902) whose `test` operations carry the expectation
//! to the server, which re-applies it on each conflict: so contention costs no 409, and a write can never touch
//! a term it was not made for. `add` replaces a member that exists.

use http::{HeaderValue, Method, Request, Uri, header};
use serde::Serialize;
use serde_json::{Value, json};

use crate::config::LeaseName;
use crate::record::{MARK, Mark, Record};

/// Makes the requests for one Lease.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    lease: LeaseName,
    /// The Lease.
    object: Uri,
    /// The same, with the name under which fields are written.
    write: Uri,
}

/// What an acquisition or a renewal writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acquisition {
    pub(crate) holder: String,
    pub(crate) transitions: i32,
    pub(crate) acquire_time: String,
    pub(crate) lease_duration_seconds: i32,
    pub(crate) mark: Mark,
}

impl Acquisition {
    /// Whether this record shows what was to be written: the term is that of whoever wrote exactly this.
    pub(crate) fn is_shown_by(&self, record: &Record) -> bool {
        Some(self.holder.as_str()) == record.holder()
            && Some(self.transitions) == record.transitions
            && Some(&self.acquire_time) == record.acquire_time.as_ref()
    }
}

/// The term that a renewal or a release is meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TermKey {
    pub(crate) uid: String,
    pub(crate) holder: String,
    pub(crate) transitions: i32,
    pub(crate) acquire_time: String,
}

impl TermKey {
    /// Whether this record shows the term, held.
    pub(crate) fn is_shown_by(&self, record: &Record) -> bool {
        self.uid == record.uid
            && Some(self.holder.as_str()) == record.holder()
            && Some(self.transitions) == record.transitions
            && Some(&self.acquire_time) == record.acquire_time.as_ref()
    }

    fn tests(&self) -> Vec<Step> {
        vec![
            test("/metadata/uid", json!(self.uid)),
            test("/spec/holderIdentity", json!(self.holder)),
            test("/spec/leaseTransitions", json!(self.transitions)),
        ]
    }
}

impl Requests {
    pub(crate) fn new(lease: LeaseName) -> Self {
        let path = format!("{}/{}", collection(&lease), lease.name());
        let (object, write) = (uri(path.clone()), uri(format!("{path}?{FIELD_MANAGER}")));
        Self { lease, object, write }
    }

    /// A quorum read: no resourceVersion, so never from a lagging cache.
    pub(crate) fn read(&self) -> Request<Vec<u8>> {
        request(Method::GET, self.object.clone(), None, Vec::new())
    }

    /// A watch of this one Lease, which RBAC can allow by name. Without `since` it begins with what is there.
    pub(crate) fn watch(&self, since: Option<u64>) -> Request<Vec<u8>> {
        let since = since.map_or_else(String::new, |version| format!("&resourceVersion={version}"));
        let path = format!(
            "{}?watch=true&allowWatchBookmarks=true&fieldSelector=metadata.name%3D{}{since}",
            collection(&self.lease),
            self.lease.name()
        );
        request(Method::GET, uri(path), None, Vec::new())
    }

    /// A watch of one Pod in the namespace of the Lease, which begins with what is there.
    pub(crate) fn watch_pod(&self, pod: &str) -> Request<Vec<u8>> {
        let namespace = self.lease.namespace();
        let path =
            format!("/api/v1/namespaces/{namespace}/pods?watch=true&fieldSelector=metadata.name%3D{pod}");
        request(Method::GET, uri(path), None, Vec::new())
    }

    /// Acquires the lease as last seen.
    pub(crate) fn acquire(&self, seen: &Record, new: &Acquisition) -> Request<Vec<u8>> {
        let mut steps = vec![
            test("/metadata/uid", json!(seen.uid)),
            test("/spec/holderIdentity", json!(seen.holder)),
            test("/spec/leaseTransitions", json!(seen.transitions)),
            test("/spec/renewTime", json!(seen.renew_time)),
            add("/spec/holderIdentity", json!(new.holder)),
            add("/spec/leaseTransitions", json!(new.transitions)),
            add("/spec/acquireTime", json!(new.acquire_time)),
            add("/spec/renewTime", json!(new.acquire_time)),
            add("/spec/leaseDurationSeconds", json!(new.lease_duration_seconds)),
        ];
        let mark = new.mark.to_string();
        if seen.has_annotations {
            steps.push(add("/metadata/annotations/leasehold.dev~1mark", json!(mark)));
        } else {
            steps.push(test("/metadata/annotations", Value::Null));
            steps.push(add("/metadata/annotations", json!({ MARK: mark })));
        }
        self.patch(&steps)
    }

    /// Creates the Lease as held. A PUT, since RBAC can limit create-on-update by name, and a POST cannot.
    pub(crate) fn create(&self, new: &Acquisition) -> Request<Vec<u8>> {
        let body = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self.lease.name(),
                "namespace": self.lease.namespace(),
                "annotations": { MARK: new.mark.to_string() },
            },
            "spec": {
                "holderIdentity": new.holder,
                "leaseTransitions": new.transitions,
                "acquireTime": new.acquire_time,
                "renewTime": new.acquire_time,
                "leaseDurationSeconds": new.lease_duration_seconds,
            },
        });
        request(Method::PUT, self.write.clone(), Some("application/json"), body.to_string().into_bytes())
    }

    /// Renews this term. Nothing but the times is written, so labels and other writers never disturb it.
    ///
    /// The renew time that it replaces is tested: a renewal that is applied late, or twice, must never bring back a
    /// renew time that a standby has counted from, since an acquisition tests just that.
    pub(crate) fn renew(
        &self,
        term: &TermKey,
        replaced: Option<&str>,
        renew_time: &str,
        seconds: i32,
    ) -> Request<Vec<u8>> {
        let mut steps = term.tests();
        steps.push(test("/spec/renewTime", json!(replaced)));
        steps.push(add("/spec/renewTime", json!(renew_time)));
        steps.push(add("/spec/leaseDurationSeconds", json!(seconds)));
        self.patch(&steps)
    }

    /// Releases this term and no other.
    pub(crate) fn release(&self, term: &TermKey, renew_time: &str) -> Request<Vec<u8>> {
        let mut steps = term.tests();
        steps.push(add("/spec/holderIdentity", json!("")));
        steps.push(add("/spec/renewTime", json!(renew_time)));
        self.patch(&steps)
    }

    fn patch(&self, steps: &[Step]) -> Request<Vec<u8>> {
        let body = serde_json::to_vec(steps).expect("texts and numbers can be written as JSON");
        request(Method::PATCH, self.write.clone(), Some("application/json-patch+json"), body)
    }
}

fn collection(lease: &LeaseName) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", lease.namespace())
}

fn uri(path: String) -> Uri {
    Uri::try_from(path).expect("a LeaseName holds only characters that are valid in a URI")
}

/// One operation of a JSON Patch.
#[derive(Debug, Serialize)]
struct Step {
    op: &'static str,
    path: &'static str,
    value: Value,
}

fn test(path: &'static str, value: Value) -> Step {
    Step { op: "test", path, value }
}

fn add(path: &'static str, value: Value) -> Step {
    Step { op: "add", path, value }
}

fn request(method: Method, uri: Uri, content_type: Option<&'static str>, body: Vec<u8>) -> Request<Vec<u8>> {
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    request.headers_mut().insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    if let Some(content_type) = content_type {
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    request
}

const FIELD_MANAGER: &str = "fieldManager=leasehold";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_tests_its_term_and_writes_the_times_only() {
        let requests = Requests::new(LeaseName::new("prod", "db").unwrap());
        let term =
            TermKey { uid: "u".into(), holder: "me".into(), transitions: 3, acquire_time: "t0".into() };
        let request = requests.renew(&term, Some("t0"), "t1", 15);
        let body = String::from_utf8(request.into_body()).unwrap();
        let expected = concat!(
            r#"[{"op":"test","path":"/metadata/uid","value":"u"},"#,
            r#"{"op":"test","path":"/spec/holderIdentity","value":"me"},"#,
            r#"{"op":"test","path":"/spec/leaseTransitions","value":3},"#,
            r#"{"op":"test","path":"/spec/renewTime","value":"t0"},"#,
            r#"{"op":"add","path":"/spec/renewTime","value":"t1"},"#,
            r#"{"op":"add","path":"/spec/leaseDurationSeconds","value":15}]"#,
        );
        assert_eq!(body, expected);
    }

    #[test]
    fn a_read_never_asks_a_cache() {
        let requests = Requests::new(LeaseName::new("prod", "db").unwrap());
        assert_eq!(requests.read().uri(), "/apis/coordination.k8s.io/v1/namespaces/prod/leases/db");
        let watch = requests.watch(Some(7)).uri().to_string();
        assert!(watch.ends_with("fieldSelector=metadata.name%3Ddb&resourceVersion=7"), "{watch}");
    }
}
