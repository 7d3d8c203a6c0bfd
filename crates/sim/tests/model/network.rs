//! What is on its way between candidates and the server.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::{Method, Request};
use leasehold_election::{RequestId, WatchId};
use serde_json::Value;

use crate::server::{Answer, Patch, Server, operations};

/// A request, or its answer, on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: usize,
    pub(crate) incarnation: u8,
    pub(crate) id: RequestId,
    pub(crate) letter: Arc<Letter>,
    /// None: the request has not reached the server.
    pub(crate) answer: Option<Answer>,
    /// May come at any later time, or never.
    pub(crate) held: bool,
    /// Nobody waits for the answer: given up, or a second delivery.
    pub(crate) orphan: bool,
    /// A second delivery.
    pub(crate) copy: bool,
}

/// What is written in a request.
#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) kind: Kind,
    pub(crate) method: Method,
    pub(crate) body: Vec<u8>,
    pub(crate) sender: Arc<str>,
    /// Transitions as the sender knew them.
    pub(crate) transitions: Option<i64>,
    digest: u64,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Read,
    Acquire,
    Create,
    Renew,
    Release,
}

/// The watch of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    pub(crate) id: WatchId,
    pub(crate) open: bool,
    /// The version from which it is to go on.
    pub(crate) since: Option<u64>,
    /// Lines that were not delivered yet.
    pub(crate) lines: Vec<Arc<str>>,
    /// Each line may come at any later time, or never.
    pub(crate) lags: bool,
}

impl Letter {
    pub(crate) fn new(request: Request<Vec<u8>>, sender: Arc<str>, transitions: Option<i64>) -> Self {
        let (head, body) = request.into_parts();
        let kind = Kind::of(&head.method, &body);
        let mut hasher = DefaultHasher::new();
        (kind, &body, &sender, transitions).hash(&mut hasher);
        Self { kind, method: head.method, body, sender, transitions, digest: hasher.finish() }
    }

    /// Whether it can never change anything again: what it tests is gone for good.
    ///
    /// A uid never comes back, transitions only grow, a value of them is one term's only, and a renew time comes back
    /// only if a letter on its way would write it: electors that live write new ones.
    pub(crate) fn is_dead(&self, server: &Server, others: &[&Self], may_vanish: bool) -> bool {
        if self.kind == Kind::Create {
            return server.lease.is_some() && !may_vanish;
        }
        let Some(lease) = &server.lease else { return true };
        let operations = operations(&self.body);
        let tested = |path: &str| operations.iter().find_map(|operation| operation.tests(path));
        let is_other = |path: &str, now: &Value| tested(path).is_some_and(|wanted| wanted != now);
        if is_other("/metadata/uid", &lease.uid.as_str().into()) {
            return true;
        }
        let transitions = lease.transitions.unwrap_or(0);
        let (term, holder) = (tested("/spec/leaseTransitions"), tested("/spec/holderIdentity"));
        if let Some(term) = term.map(|term| term.as_i64().unwrap_or(0)) {
            let other_holder = holder.is_some_and(|holder| holder.as_str().unwrap_or("") != lease.holder);
            // Once released, a term is not held again.
            let was_free = holder.is_some_and(|holder| holder.as_str().unwrap_or("").is_empty());
            if term < transitions || (term == transitions && other_holder && !was_free) {
                return true;
            }
        }
        let now = lease.renew_time.clone().map_or(Value::Null, Value::from);
        is_other("/spec/renewTime", &now)
            && !others.iter().any(|other| other.writes_renew_time(tested("/spec/renewTime")))
    }

    fn writes_renew_time(&self, renew_time: Option<&Value>) -> bool {
        self.method == Method::PATCH
            && operations(&self.body)
                .iter()
                .filter_map(|operation| operation.adds("/spec/renewTime"))
                .any(|added| Some(added) == renew_time)
    }
}

/// Without its number: of one candidate only the request under way is no orphan.
impl Hash for Message {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self { from, incarnation, id: _, letter, answer, held, orphan, copy } = self;
        (from, incarnation, letter, answer, held, orphan, copy).hash(state);
    }
}

impl PartialEq for Letter {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Letter {}

impl Hash for Letter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl Kind {
    /// A patch says what it is for by what it adds.
    pub(crate) fn of(method: &Method, body: &[u8]) -> Self {
        match method.as_str() {
            "PUT" => return Self::Create,
            "PATCH" => {}
            _ => return Self::Read,
        }
        let operations = operations(body);
        let adds = |path: &str| operations.iter().find_map(|operation: &Patch| operation.adds(path));
        match adds("/spec/holderIdentity").map(|holder| holder == "") {
            Some(true) => Self::Release,
            Some(false) => Self::Acquire,
            None => Self::Renew,
        }
    }

    pub(crate) fn writes(self) -> bool {
        self != Self::Read
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Acquire => "acquisition",
            Self::Create => "creation",
            Self::Renew => "renewal",
            Self::Release => "release",
        }
    }
}

impl Watch {
    pub(crate) fn new(id: WatchId, request: &Request<Vec<u8>>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        Self {
            id,
            open: false,
            since: since.and_then(|text| text.parse().ok()),
            lines: Vec::new(),
            lags: false,
        }
    }
}
