//! The pure half of the server: objects, their history, and what each request does to them. It reads no clock and draws
//! no number: both come in as arguments, so that the same requests always give the same answers.

mod apply;
mod body;
mod create;
mod defaults;
mod delete;
mod delete_options;
mod discovery;
mod fields;
mod go_json;
mod kind;
mod labels;
mod managed;
mod names;
mod object;
mod openapi;
mod patch;
mod proto;
mod read;
mod request;
mod selector;
mod shape;
mod shapes;
mod status;
mod strict;
mod table;
mod time;
mod update;
mod validate;
mod validate_endpoints;
mod watch;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use http::{HeaderValue, Request, Response};
use jiff::Timestamp;
use serde_json::json;

use kind::Kind;
use object::{Key, Object};
use request::{Accept, Call, Verb};
use status::{Failure, json_response};

pub use watch::Watch;

/// Everything that is stored, and the changes of late.
#[derive(Clone, Debug)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Object>>,
    /// Of the newest change of any kind, as in etcd.
    revision: u64,
    changes: VecDeque<Change>,
    /// Changes up to this revision are forgotten.
    compacted: u64,
    changes_max: usize,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) revision: u64,
    pub(crate) before: Option<Arc<Object>>,
    /// The newer version; of a deletion the last one, stamped with the revision of the deletion.
    pub(crate) after: Arc<Object>,
    pub(crate) deleted: bool,
}

/// What comes in from outside with each request.
pub struct Outside<'a> {
    /// The server's clock.
    pub now: Timestamp,
    /// A source of numbers for uids and generated names.
    pub chance: &'a mut dyn FnMut() -> u64,
}

/// A result of a verb: a code and an object, or a refusal.
pub(crate) type Outcome = Result<Reply, Failure>;

/// A body and its code, with warnings for the user.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) warnings: Vec<String>,
}

impl Store {
    /// A store with the namespaces that every cluster has.
    pub fn new(outside: &mut Outside<'_>) -> Self {
        let mut store = Self {
            objects: BTreeMap::new(),
            revision: 1,
            changes: VecDeque::new(),
            compacted: 1,
            changes_max: CHANGES_MAX,
        };
        for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
            store.create_namespace(name, outside);
        }
        store
    }

    /// The revision of the newest change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Forgets the changes up to a revision, as etcd's compaction does: older watches and lists get 410.
    pub fn compact(&mut self, revision: u64) {
        self.compacted = self.compacted.max(revision.min(self.revision));
        while self.changes.front().is_some_and(|change| change.revision <= self.compacted) {
            self.changes.pop_front();
        }
    }

    /// How many changes are kept for watches (default 10,000). A watch that falls further behind gets 410.
    pub fn keep_changes(&mut self, changes_max: usize) {
        self.changes_max = changes_max.max(1);
        self.trim();
    }

    /// Answers a request; a watch is refused here, see [`Store::open_watch`].
    pub fn handle(&mut self, outside: &mut Outside<'_>, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let call = match Call::read(request) {
            Ok(Some(call)) => call,
            Ok(None) => return discovery::answer(request),
            Err(failure) => return failure.response(),
        };
        let mut response = match self.dispatch(outside, &call) {
            Ok(reply) => reply.response(),
            Err(failure) => failure.response(),
        };
        if call.kind == Kind::Endpoints {
            warn(
                &mut response,
                "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
            );
        }
        response
    }

    /// Whether a request opens a watch.
    pub fn is_watch(request: &Request<Vec<u8>>) -> bool {
        matches!(Call::read(request), Ok(Some(Call { verb: Verb::Watch, .. })))
    }

    fn dispatch(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        let reply = match call.verb {
            Verb::Create => self.create(outside, call),
            Verb::Get => self.get(outside, call),
            Verb::List => self.list(outside, call),
            Verb::Watch => Err(Failure::bad_request("a watch is opened by Store::open_watch")),
            Verb::Update => self.put(outside, call),
            Verb::Patch => self.patch(outside, call),
            Verb::Delete => self.delete(outside, call),
            Verb::DeleteCollection => self.delete_collection(outside, call),
        }?;
        // As on the real server, whose answers are put into form last: a write is done by then.
        table::check_include(call)?;
        Ok(reply)
    }

    fn find(&self, call: &Call<'_>) -> Result<&Arc<Object>, Failure> {
        let key = Key::new(call.kind, &call.namespace, &call.name);
        self.objects.get(&key).ok_or_else(|| Failure::not_found(call.kind.resource(), &call.name))
    }

    /// Stores a new version, and says so to watches.
    fn commit(&mut self, kind: Kind, value: serde_json::Value, before: Option<Arc<Object>>) -> Arc<Object> {
        self.revision += 1;
        let after = Object::new(kind, value, self.revision);
        let key = Key::new(kind, after.namespace(), after.name());
        self.objects.insert(key, Arc::clone(&after));
        self.note(Change { revision: self.revision, before, after: Arc::clone(&after), deleted: false });
        after
    }

    /// Takes an object out; the answer is its last version, stamped with the revision of its end.
    fn remove(&mut self, object: &Arc<Object>) -> Arc<Object> {
        self.remove_as(object, object.value.clone())
    }

    /// As [`Store::remove`], with what the request that ends it made of it last.
    fn remove_as(&mut self, object: &Arc<Object>, last: serde_json::Value) -> Arc<Object> {
        self.objects.remove(&Key::new(object.kind, object.namespace(), object.name()));
        self.revision += 1;
        let after = Object::new(object.kind, last, self.revision);
        self.note(Change {
            revision: self.revision,
            before: Some(Arc::clone(object)),
            after: Arc::clone(&after),
            deleted: true,
        });
        after
    }

    fn note(&mut self, change: Change) {
        self.changes.push_back(change);
        self.trim();
    }

    fn trim(&mut self) {
        while self.changes.len() > self.changes_max {
            if let Some(oldest) = self.changes.pop_front() {
                self.compacted = oldest.revision;
            }
        }
    }

    fn create_namespace(&mut self, name: &str, outside: &mut Outside<'_>) {
        let body = json!({"metadata": {"name": name}}).to_string().into_bytes();
        let request = Request::post("/api/v1/namespaces?fieldManager=kube-apiserver").body(body);
        let request = request.expect("a path without odd letters");
        let response = self.handle(outside, &request);
        assert!(response.status().is_success(), "a namespace named as every cluster has it is valid");
    }
}

impl Reply {
    /// An object in the form that is wanted.
    pub(crate) fn object(code: u16, object: &Object, outside: &Outside<'_>, accept: Accept) -> Self {
        let body = match accept {
            Accept::Object => object.json().to_vec(),
            Accept::Table(_) | Accept::Metadata => table::transform(object, accept, outside.now),
        };
        Self { code, body, warnings: Vec::new() }
    }

    pub(crate) fn warn(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    fn response(self) -> Response<Vec<u8>> {
        let mut response = json_response(self.code, self.body);
        for warning in self.warnings {
            warn(&mut response, &warning);
        }
        response
    }
}

/// A sentence for the user, which kubectl prints.
fn warn(response: &mut Response<Vec<u8>>, sentence: &str) {
    let quoted = sentence.replace('\\', "\\\\").replace('"', "\\\"");
    if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{quoted}\"")) {
        response.headers_mut().append(http::header::WARNING, value);
    }
}

impl std::fmt::Debug for Outside<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Outside").field("now", &self.now).finish_non_exhaustive()
    }
}

const CHANGES_MAX: usize = 10_000;
