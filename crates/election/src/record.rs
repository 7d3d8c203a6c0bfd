//! The Lease as read: its spec, what identifies this version of it, and our mark.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use crate::config::{LeaseName, Mode};
use crate::identity::Nonce;
use crate::json::Object;

/// Annotation that marks a term as one of ours: `<transitions> <nonce> <mode>`.
pub const MARK: &str = "leasehold.dev/mark";

/// One version of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `metadata.uid`: another uid is another Lease.
    pub uid: String,
    /// `metadata.resourceVersion`, a revision of the store (KEP-5504: may be compared).
    pub resource_version: u64,
    /// `spec.holderIdentity`; absent and empty both mean free.
    pub holder: Option<String>,
    /// `spec.leaseDurationSeconds`.
    pub lease_duration_seconds: Option<i32>,
    /// `spec.acquireTime` as stored, to be tested as text.
    pub acquire_time: Option<String>,
    /// `spec.renewTime` as stored, to be tested as text.
    pub renew_time: Option<String>,
    /// `spec.leaseTransitions`.
    pub transitions: Option<i32>,
    /// `spec.strategy`, set where the Lease belongs to coordinated election (KEP-4355).
    pub strategy: Option<String>,
    /// The mark, if there is one that can be read.
    pub mark: Option<Mark>,
    /// Whether `metadata.annotations` exists: a patch has to add the map where it does not.
    pub has_annotations: bool,
}

impl Record {
    /// Reads a Lease object.
    ///
    /// # Errors
    ///
    /// [`RecordError`] if it is not a Lease, or lacks what the API server always sets.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let Object(lease) = serde_json::from_slice(bytes)?;
        Self::from_lease(lease)
    }

    /// Reads this Lease, and takes no other for it: whoever is on the way may have mixed answers up.
    pub(crate) fn of(wanted: &LeaseName, bytes: &[u8]) -> Result<Self, RecordError> {
        let Object(lease): Object<Lease> = serde_json::from_slice(bytes)?;
        let Object(Metadata { name, namespace, .. }) = &lease.metadata;
        let is_wanted =
            name.as_deref() == Some(wanted.name()) && namespace.as_deref() == Some(wanted.namespace());
        let named = || [namespace, name].map(|part| part.as_deref().unwrap_or_default()).join("/");
        let other = (!is_wanted).then(|| RecordError::Name { found: named(), wanted: wanted.to_string() });
        // What is no Lease at all is told first.
        let record = Self::from_lease(lease)?;
        other.map_or(Ok(record), Err)
    }

    fn from_lease(object: Lease) -> Result<Self, RecordError> {
        let (Object(metadata), Object(spec)) = (object.metadata, object.spec);
        if object.kind.as_deref().is_some_and(|kind| kind != "Lease") {
            return Err(RecordError::Kind { kind: object.kind.unwrap_or_default() });
        }
        let text = metadata.resource_version;
        let resource_version = text.parse().map_err(|_| RecordError::ResourceVersion { text })?;
        let annotations = metadata.annotations.unwrap_or_default();
        Ok(Self {
            uid: metadata.uid,
            resource_version,
            holder: spec.holder_identity,
            lease_duration_seconds: spec.lease_duration_seconds,
            acquire_time: spec.acquire_time,
            renew_time: spec.renew_time,
            transitions: spec.lease_transitions,
            strategy: spec.strategy.filter(|strategy| !strategy.is_empty()),
            mark: annotations.get(MARK).and_then(|text| Mark::parse(text)),
            has_annotations: !annotations.is_empty(),
        })
    }

    /// Who holds the lease, if anybody.
    pub fn holder(&self) -> Option<&str> {
        self.holder.as_deref().filter(|holder| !holder.is_empty())
    }

    /// The stored duration, if it is one.
    pub fn duration(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.lease_duration_seconds?).ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// Whether both say the same about leadership. Labels, foreign annotations and the resourceVersion are no
    /// news: an object that is touched every second must not keep a dead holder alive.
    pub fn same_news(&self, other: &Self) -> bool {
        self.uid == other.uid
            && self.holder() == other.holder()
            && self.renew_time == other.renew_time
            && self.acquire_time == other.acquire_time
            && self.transitions == other.transitions
            && self.lease_duration_seconds == other.lease_duration_seconds
    }

    /// Whether this term is one of ours: the mark fits the transitions and, where the holder shows a nonce, that.
    pub fn is_marked(&self) -> bool {
        let Some(mark) = &self.mark else { return false };
        let nonce_fits = match self.holder().and_then(Nonce::split) {
            Some((_, nonce)) => nonce == mark.nonce,
            None => true,
        };
        Some(mark.transitions) == self.transitions && nonce_fits
    }

    /// Whether a free lease has the form of our release: the holder emptied, not removed, the rest of the term
    /// still there. client-go's release writes a duration of one second and equal times instead.
    pub fn is_our_release(&self) -> bool {
        self.is_marked()
            && self.holder.as_deref() == Some("")
            && self.acquire_time.is_some()
            && self.acquire_time != self.renew_time
            && self.duration().is_some()
    }
}

/// The mark of a term.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Transitions of the marked term.
    pub transitions: i32,
    /// Nonce of the process that acquired.
    pub nonce: Nonce,
    /// How its work is run; `None` for a word of a later version.
    pub mode: Option<Mode>,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let transitions = words.next()?.parse().ok()?;
        let nonce = Nonce::parse(words.next()?)?;
        let mode = words.next()?.parse().ok();
        words.next().is_none().then_some(Self { transitions, nonce, mode })
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transitions, self.nonce)?;
        self.mode.map_or(Ok(()), |mode| write!(f, " {mode}"))
    }
}

/// An object that is no Lease of the API server's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Not JSON, or a field of the wrong type.
    #[error("not a Lease")]
    Json(#[from] serde_json::Error),
    /// Another kind of object.
    #[error("an object of kind {kind:?} where a Lease was expected")]
    Kind {
        /// Its kind.
        kind: String,
    },
    /// Another Lease than the one that was asked for.
    #[error("Lease {found:?} where {wanted} was expected")]
    Name {
        /// Its namespace and name.
        found: String,
        /// Those that it should have.
        wanted: String,
    },
    /// The API server's resourceVersions are decimal numbers.
    #[error("resourceVersion {text:?} is not a number")]
    ResourceVersion {
        /// What was there.
        text: String,
    },
}

/// A time as `metav1.MicroTime` is stored: six digits, UTC.
pub(crate) fn micro_time(timestamp: Timestamp) -> String {
    format!("{timestamp:.6}")
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lease {
    kind: Option<String>,
    metadata: Object<Metadata>,
    #[serde(default)]
    spec: Object<Spec>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    holder_identity: Option<String>,
    lease_duration_seconds: Option<i32>,
    acquire_time: Option<String>,
    renew_time: Option<String>,
    lease_transitions: Option<i32>,
    strategy: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(annotations: &str, spec: &str) -> Record {
        let json = format!(
            r#"{{"kind":"Lease","metadata":{{"uid":"u","resourceVersion":"7","annotations":{annotations}}},"spec":{spec}}}"#
        );
        Record::parse(json.as_bytes()).unwrap()
    }

    /// A proxy that mixed answers up made another Lease's holder look like ours.
    #[test]
    fn another_lease_is_not_taken_for_the_one_that_was_asked_for() {
        let wanted = LeaseName::new("prod", "db").unwrap();
        let of = |named: &str| {
            let json = format!(r#"{{"kind":"Lease","metadata":{{{named}"uid":"u","resourceVersion":"7"}}}}"#);
            Record::of(&wanted, json.as_bytes())
        };
        assert_eq!(of(r#""name":"db","namespace":"prod","#).unwrap().uid, "u");
        for (named, shown) in [
            (r#""name":"cache","namespace":"prod","#, "\"prod/cache\""),
            (r#""name":"db","namespace":"test","#, "\"test/db\""),
            ("", "\"/\""),
        ] {
            let error = of(named).unwrap_err().to_string();
            assert_eq!(error, format!("Lease {shown} where prod/db was expected"));
        }
    }

    /// serde's derived code takes an array of values for the fields of a struct, in their order.
    #[test]
    fn an_array_is_no_lease_and_no_part_of_one() {
        for text in [
            r#"["Lease",{"uid":"u","resourceVersion":"7"},{}]"#,
            r#"{"metadata":["db","prod","u","7",null],"spec":{}}"#,
            r#"{"metadata":{"uid":"u","resourceVersion":"7"},"spec":["a",15,null,null,3,null]}"#,
        ] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            let RecordError::Json(error) = error else { panic!("{error}") };
            assert!(error.to_string().starts_with("invalid type: sequence, expected an object"), "{error}");
        }
    }

    #[test]
    fn an_empty_spec_is_a_free_lease() {
        let record = record("null", "{}");
        assert_eq!(record.holder(), None);
        assert!(!record.has_annotations);
    }

    #[test]
    fn a_mark_of_an_earlier_term_is_ignored() {
        let annotations = r#"{"leasehold.dev/mark":"4 0123456789abcdef library"}"#;
        assert!(
            record(annotations, r#"{"holderIdentity":"a_0123456789abcdef","leaseTransitions":4}"#)
                .is_marked()
        );
        assert!(
            !record(annotations, r#"{"holderIdentity":"a_0123456789abcdef","leaseTransitions":5}"#)
                .is_marked()
        );
        assert!(
            !record(annotations, r#"{"holderIdentity":"a_fedcba9876543210","leaseTransitions":4}"#)
                .is_marked()
        );
    }

    #[test]
    fn a_mark_of_a_later_version_still_marks() {
        let mark = Mark::parse("4 0123456789abcdef cluster").unwrap();
        assert_eq!(mark.mode, None);
        for text in [
            "",
            "4",
            "4 0123456789abcdef",
            "x 0123456789abcdef file",
            "4 0123 file",
            "4 0123456789abcdef file x",
        ] {
            assert_eq!(Mark::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_release_of_client_go_is_not_of_our_form() {
        let annotations = r#"{"leasehold.dev/mark":"4 0123456789abcdef library"}"#;
        let ours = r#"{"holderIdentity":"","leaseDurationSeconds":15,"acquireTime":"a","renewTime":"r","leaseTransitions":4}"#;
        let client_go = r#"{"holderIdentity":"","leaseDurationSeconds":1,"acquireTime":"a","renewTime":"a","leaseTransitions":4}"#;
        assert!(record(annotations, ours).is_our_release());
        assert!(!record(annotations, client_go).is_our_release());
    }

    #[test]
    fn times_have_six_digits() {
        let timestamp = Timestamp::from_second(1_700_000_000).unwrap();
        assert_eq!(micro_time(timestamp), "2023-11-14T22:13:20.000000Z");
    }

    #[test]
    fn a_status_is_no_lease() {
        let error =
            Record::parse(br#"{"kind":"Status","metadata":{"uid":"","resourceVersion":"1"}}"#).unwrap_err();
        assert!(matches!(error, RecordError::Kind { .. }));
        assert!(Record::parse(br#"{"kind":"Status","metadata":{}}"#).is_err());
    }
}
