//! GET of one object and of a list, as of now or as of a revision that is still kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kind::Kind;
use super::object::{Key, Object};
use super::request::{Accept, Call, Verb};
use super::selector::Selector;
use super::status::{Failure, FieldError};
use super::{Outcome, Outside, Reply, Store, table};

/// Where a list goes on: after this object, as of this revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Continue {
    pub(crate) revision: u64,
    pub(crate) start: String,
}

/// The rest of a list.
#[derive(Debug)]
pub(crate) struct Next {
    token: String,
    /// How many there are; unknown of a selection.
    remaining: Option<usize>,
}

impl Store {
    pub(crate) fn get(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        let version = version(call)?;
        let object = Arc::clone(self.find(call)?);
        self.check_future(version)?;
        Ok(Reply::object(200, &object, outside, call.accept))
    }

    pub(crate) fn list(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        let (mut objects, revision) = self.select(call)?;
        let next = cut(call, &mut objects, revision)?;
        let items: Vec<&Arc<Object>> = objects.iter().collect();
        let body = match call.accept {
            Accept::Object => list_json(call, &items, revision, next),
            Accept::Table(_) | Accept::Metadata => {
                table::list(call, &items, revision, next, outside.now).to_string().into_bytes()
            }
        };
        Ok(Reply { code: 200, body, warnings: Vec::new() })
    }

    /// The objects of a collection that a request is about, and the revision as of which they are.
    pub(crate) fn select(&self, call: &Call<'_>) -> Result<(Vec<Arc<Object>>, u64), Failure> {
        list_options(call)?;
        let asked = version(call)?;
        let selector = selector(call)?;
        self.check_future(asked)?;
        let token = call.query.text("continue");
        let exact = call.query.text("resourceVersionMatch") == "Exact";
        let paged = call.query.number("limit")?.is_some_and(|limit| limit > 0);
        let (revision, start) = if !token.is_empty() {
            let Continue { revision, start } = Continue::read(token).ok_or_else(|| {
                Failure::bad_request(
                    "invalid continue token: continue key is not valid: it was not made by this server",
                )
            })?;
            (revision, start)
        } else if (exact || paged && call.query.text("resourceVersionMatch").is_empty())
            && asked.is_some_and(|version| version > 0)
        {
            (asked.unwrap_or_default(), String::new())
        } else {
            (self.revision, String::new())
        };
        let objects = self.as_of(call.kind, &call.namespace, revision, !token.is_empty())?;
        let wanted = objects
            .into_iter()
            .filter(|object| start.is_empty() || place(object) > start)
            .filter(|object| selector.matches(call.kind, &object.value))
            .collect();
        Ok((wanted, revision))
    }

    /// The objects of a kind as they were at a revision: now, with the changes since then undone.
    fn as_of(
        &self,
        kind: Kind,
        namespace: &str,
        revision: u64,
        continued: bool,
    ) -> Result<Vec<Arc<Object>>, Failure> {
        if revision == self.revision {
            return Ok(self.current(kind, namespace).cloned().collect());
        }
        if revision < self.compacted {
            return Err(Failure::expired(if continued { CONTINUE_EXPIRED } else { LIST_EXPIRED }));
        }
        let mut objects: BTreeMap<String, Arc<Object>> =
            self.current(kind, namespace).map(|object| (place(object), Arc::clone(object))).collect();
        for change in self.changes.iter().rev().take_while(|change| change.revision > revision) {
            let inside = namespace.is_empty() || change.after.namespace() == namespace;
            if change.after.kind != kind || !inside {
                continue;
            }
            match &change.before {
                Some(before) => objects.insert(place(before), Arc::clone(before)),
                None => objects.remove(&place(&change.after)),
            };
        }
        Ok(objects.into_values().collect())
    }

    /// The objects of a kind as they are, in order of namespace and name.
    pub(crate) fn current(&self, kind: Kind, namespace: &str) -> impl Iterator<Item = &Arc<Object>> {
        let namespace = namespace.to_owned();
        self.objects
            .range(Key::new(kind, &namespace, "")..)
            .take_while(move |(key, _)| {
                key.kind == kind && (namespace.is_empty() || key.namespace == namespace)
            })
            .map(|(_, object)| object)
    }

    pub(crate) fn check_future(&self, version: Option<u64>) -> Result<(), Failure> {
        match version {
            Some(version) if version > self.revision => {
                Err(Failure::too_large_version(version, self.revision))
            }
            _ => Ok(()),
        }
    }
}

impl Continue {
    /// Hexadecimal, so that it needs no escaping: nobody is to read it.
    fn write(&self) -> String {
        let text = json!([self.revision, self.start]).to_string();
        text.bytes().map(|byte| format!("{byte:02x}")).collect()
    }

    fn read(token: &str) -> Option<Self> {
        let digits = token
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let (revision, start) = serde_json::from_slice(&digits.collect::<Option<Vec<u8>>>()?).ok()?;
        Some(Self { revision, start })
    }
}

/// Cuts a list at the limit that was asked for, and says where it goes on. From version 0 there is no limit: the real
/// server then answers from its cache.
pub(crate) fn cut(
    call: &Call<'_>,
    objects: &mut Vec<Arc<Object>>,
    revision: u64,
) -> Result<Option<Next>, Failure> {
    let limit = call.query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).unwrap_or_default();
    if limit == 0 || objects.len() <= limit || call.query.text("resourceVersion") == "0" {
        return Ok(None);
    }
    let selects = ["labelSelector", "fieldSelector"].iter().any(|key| !call.query.text(key).is_empty());
    let remaining = (!selects).then(|| objects.len() - limit);
    objects.truncate(limit);
    let start = objects.last().map(place).unwrap_or_default();
    Ok(Some(Next { token: Continue { revision, start }.write(), remaining }))
}

/// The selector of a request; a name in the path counts as one on the name.
pub(crate) fn selector(call: &Call<'_>) -> Result<Selector, Failure> {
    let (labels, fields) = (call.query.text("labelSelector"), call.query.text("fieldSelector"));
    let mut selector = Selector::parse(call.kind, labels, fields).map_err(Failure::bad_request)?;
    if !call.name.is_empty() {
        match selector.name() {
            Some(name) if name != call.name => {
                return Err(Failure::bad_request("fieldSelector metadata.name doesn't match requested name"));
            }
            Some(_) => {}
            None => selector.add_name(&call.name),
        }
    }
    Ok(selector)
}

/// The resourceVersion of a read.
pub(crate) fn version(call: &Call<'_>) -> Result<Option<u64>, Failure> {
    let text = call.query.text("resourceVersion");
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let why = format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        );
        match call.verb {
            Verb::List | Verb::DeleteCollection => {
                Failure::bad_request(format!("invalid resource version: {why}"))
            }
            _ => Failure::internal(why),
        }
    })
}

fn list_options(call: &Call<'_>) -> Result<(), Failure> {
    for number in ["timeoutSeconds", "limit"] {
        call.query.number(number)?;
    }
    let mut errors = Vec::new();
    let matching = call.query.text("resourceVersionMatch");
    let field = "resourceVersionMatch";
    if !matching.is_empty() {
        if call.query.text("resourceVersion").is_empty() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            ));
        }
        if !call.query.text("continue").is_empty() {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch is forbidden when continue is provided",
            ));
        }
        if !matches!(matching, "Exact" | "NotOlderThan") {
            errors.push(FieldError::unsupported(field, &json!(matching), &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && call.query.text("resourceVersion") == "0" {
            errors.push(FieldError::forbidden(
                field,
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ));
        }
    }
    if call.query.first("sendInitialEvents").is_some() {
        errors.push(FieldError::forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &errors)) }
}

/// A list of whole objects; items carry no `kind` and `apiVersion`, as those of the real server.
pub(crate) fn list_json(
    call: &Call<'_>,
    items: &[&Arc<Object>],
    revision: u64,
    next: Option<Next>,
) -> Vec<u8> {
    let resource = call.kind.resource();
    let metadata = list_metadata(revision, next);
    let head = format!(
        "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{metadata},\"items\":[",
        resource.kind,
        resource.api_version()
    );
    let mut json = head.into_bytes();
    for (index, item) in items.iter().enumerate() {
        json.extend_from_slice(if index == 0 { b"{" } else { b",{" });
        json.extend_from_slice(&item.item_json());
    }
    json.extend_from_slice(b"]}");
    json
}

pub(crate) fn list_metadata(revision: u64, next: Option<Next>) -> Value {
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    if let Some(Next { token, remaining }) = next {
        metadata["continue"] = json!(token);
        if let Some(remaining) = remaining {
            metadata["remainingItemCount"] = json!(remaining);
        }
    }
    metadata
}

fn place(object: &Arc<Object>) -> String {
    format!("{}/{}", object.namespace(), object.name())
}

const LIST_EXPIRED: &str = "The resourceVersion for the provided list is too old.";
const CONTINUE_EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can \
    start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder \
    of the results. Continuing with the provided token results in an inconsistent list - objects that were created, \
    modified, or deleted between the time the first chunk was returned and now may show up in the list.";
