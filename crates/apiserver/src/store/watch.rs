//! Watches: what happened to the objects of a collection since a revision, in order, each change once.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::kind::Kind;
use super::object::{Object, typed};
use super::request::{Accept, Call, Verb};
use super::selector::Selector;
use super::shape::normalise;
use super::status::{Failure, FieldError};
use super::{Change, Store, read, table};

/// An open watch: pull its events with [`Store::poll_watch`].
#[derive(Debug)]
pub struct Watch {
    kind: Kind,
    namespace: String,
    selector: Selector,
    accept: Accept,
    bookmarks: bool,
    /// Everything up to here was told.
    revision: u64,
    ready: VecDeque<Bytes>,
    ended: bool,
    /// The columns of a table are only told once.
    columns_told: bool,
    timeout_seconds: Option<u64>,
}

impl Watch {
    /// Whether nothing will come any more: it fell too far behind, and was told so.
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// How long the client wants it to last, if it said so.
    pub fn timeout_seconds(&self) -> Option<u64> {
        self.timeout_seconds
    }
}

impl Store {
    /// Opens the watch that a request asks for.
    ///
    /// # Errors
    ///
    /// The response, if the request is refused.
    pub fn open_watch(
        &self,
        now: Timestamp,
        request: &Request<Vec<u8>>,
    ) -> Result<Watch, Box<Response<Vec<u8>>>> {
        let opened = Call::read(request).and_then(|call| match call {
            Some(call) if call.verb == Verb::Watch => self.open(now, &call),
            _ => Err(Failure::bad_request("not a watch")),
        });
        opened.map_err(|failure| Box::new(failure.response()))
    }

    /// What there is to tell since the last call: whole lines of JSON.
    pub fn poll_watch(&self, now: Timestamp, watch: &mut Watch) -> Vec<Bytes> {
        let mut lines: Vec<Bytes> = watch.ready.drain(..).collect();
        if watch.ended || watch.revision >= self.revision {
            return lines;
        }
        if watch.revision < self.compacted {
            watch.ended = true;
            lines
                .push(line("ERROR", expired(watch.revision, self.compacted).status().to_string().as_bytes()));
            return lines;
        }
        let first = self.changes.partition_point(|change| change.revision <= watch.revision);
        for change in self.changes.range(first..) {
            if let Some(event) = watch.event(change, now) {
                lines.push(event);
            }
        }
        watch.revision = self.revision;
        lines
    }

    /// A line that only says how far the watch has come, if its client wants such.
    pub fn bookmark(&self, watch: &Watch) -> Option<Bytes> {
        (watch.bookmarks && !watch.ended).then(|| watch.bookmark(false))
    }

    fn open(&self, now: Timestamp, call: &Call<'_>) -> Result<Watch, Failure> {
        let initial_events = watch_options(call)?;
        let version = read::version(call)?;
        let mut watch = Watch {
            kind: call.kind,
            namespace: call.namespace.clone(),
            selector: read::selector(call)?,
            accept: call.accept,
            bookmarks: call.query.is_true("allowWatchBookmarks"),
            revision: version.filter(|version| *version > 0).unwrap_or(self.revision),
            ready: VecDeque::new(),
            ended: false,
            columns_told: false,
            timeout_seconds: call
                .query
                .number("timeoutSeconds")?
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
        };
        // A revision that does not exist yet is waited for in silence, as by the real server.
        let from_now = version.is_none_or(|version| version == 0);
        if initial_events.unwrap_or(from_now) {
            watch.revision = self.revision;
            for object in self.current(call.kind, &call.namespace) {
                if watch.selector.matches(call.kind, &object.value) {
                    let line = watch.line("ADDED", object, now);
                    watch.ready.push_back(line);
                }
            }
            if initial_events == Some(true) && watch.bookmarks {
                watch.ready.push_back(watch.bookmark(true));
            }
        } else if watch.revision < self.compacted {
            // The real server answers 200 and tells it as an event.
            watch.ended = true;
            let error = expired(watch.revision, self.compacted).status().to_string();
            watch.ready.push_back(line("ERROR", error.as_bytes()));
        }
        Ok(watch)
    }
}

impl Watch {
    /// What a change is for this watch: an object that stops matching is deleted, one that starts is added.
    fn event(&mut self, change: &Change, now: Timestamp) -> Option<Bytes> {
        let inside = self.namespace.is_empty() || change.after.namespace() == self.namespace;
        if change.after.kind != self.kind || !inside {
            return None;
        }
        let matches = |object: &Arc<Object>| self.selector.matches(self.kind, &object.value);
        let before = change.before.as_ref().is_some_and(matches);
        let after = !change.deleted && matches(&change.after);
        match (before, after) {
            (false, false) => None,
            (false, true) => Some(self.line("ADDED", &change.after, now)),
            (true, true) => Some(self.line("MODIFIED", &change.after, now)),
            (true, false) if change.deleted => Some(self.line("DELETED", &change.after, now)),
            (true, false) => {
                // As it last matched, with the version of the change that ended that.
                let last = change.before.as_ref().map_or(&change.after, |before| before);
                let stamped = Object::new(self.kind, last.value.clone(), change.revision);
                Some(self.line("DELETED", &stamped, now))
            }
        }
    }

    fn line(&mut self, event: &str, object: &Object, now: Timestamp) -> Bytes {
        match self.accept {
            Accept::Object => line(event, object.json()),
            Accept::Metadata => line(event, &table::transform(object, self.accept, now)),
            Accept::Table(include) => {
                let mut rows = table::of_one(object, include, now);
                if self.columns_told {
                    rows["columnDefinitions"] = Value::Null;
                }
                self.columns_told = true;
                line(event, rows.to_string().as_bytes())
            }
        }
    }

    fn bookmark(&self, initial_events_end: bool) -> Bytes {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if initial_events_end {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.accept {
            Accept::Object => {
                let mut empty = json!({"metadata": metadata});
                normalise(self.kind.resource().shape, &mut empty).expect("an empty object has no wrong type");
                typed(self.kind.resource(), empty)
            }
            Accept::Metadata => {
                json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
            }
            Accept::Table(_) => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
                "columnDefinitions": null, "rows": [],
            }),
        };
        line("BOOKMARK", object.to_string().as_bytes())
    }
}

/// Whether `sendInitialEvents` was asked for, and how.
fn watch_options(call: &Call<'_>) -> Result<Option<bool>, Failure> {
    let matching = call.query.text("resourceVersionMatch");
    let initial = call.query.first("sendInitialEvents").map(|_| call.query.is_true("sendInitialEvents"));
    let field = "resourceVersionMatch";
    let mut errors = Vec::new();
    if initial.is_some() && matching != "NotOlderThan" {
        let why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        errors.push(FieldError::forbidden(field, why));
    }
    if !matching.is_empty() {
        if initial.is_none() {
            let why = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            errors.push(FieldError::forbidden(field, why));
        }
        if matching != "NotOlderThan" {
            errors.push(FieldError::unsupported(field, &json!(matching), &["NotOlderThan"]));
        }
    }
    if errors.is_empty() {
        Ok(initial)
    } else {
        Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors))
    }
}

fn expired(asked: u64, oldest: u64) -> Failure {
    Failure::expired(format!("too old resource version: {asked} ({oldest})"))
}

fn line(event: &str, object: &[u8]) -> Bytes {
    let mut line = Vec::with_capacity(object.len() + 40);
    line.extend_from_slice(b"{\"type\":\"");
    line.extend_from_slice(event.as_bytes());
    line.extend_from_slice(b"\",\"object\":");
    line.extend_from_slice(object);
    line.extend_from_slice(b"}\n");
    line.into()
}
