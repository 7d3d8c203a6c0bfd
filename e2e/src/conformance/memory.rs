//! What the answers of one server have shown so far: fills in the references of a script.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use http::header;
use serde_json::Value;

use super::script::{Content, Step};
use super::server::Answer;

/// What a script may refer to, on one server.
#[derive(Debug)]
pub struct Memory {
    namespace: String,
    objects: BTreeMap<String, Known>,
    continuation: Option<String>,
    generated: Option<String>,
}

#[derive(Debug, Default)]
struct Known {
    uids: Vec<String>,
    versions: Vec<String>,
    last: Value,
}

impl Memory {
    /// Nothing was answered yet.
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            objects: BTreeMap::new(),
            continuation: None,
            generated: None,
        }
    }

    /// The path on the server that `path` stands for now.
    ///
    /// # Errors
    /// When it refers to something that does not exist.
    pub fn path(&self, path: &str) -> Result<String> {
        self.fill(&absolute(path))
    }

    /// The request that `step` stands for now.
    ///
    /// # Errors
    /// When the step does not make an HTTP request, or refers to something that does not exist.
    pub fn request(&self, step: &Step) -> Result<http::Request<Vec<u8>>> {
        let path = self.path(&step.path)?;
        let mut request = http::Request::builder()
            .method(step.method.as_str())
            .uri(&path)
            .header(header::USER_AGENT, format!("{}/1.0", step.writer))
            .header(header::ACCEPT, step.accept.unwrap_or("application/json"));
        if let Some(content_type) = step.content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let body = match &step.content {
            Content::Empty => Vec::new(),
            Content::Text(text) => self.fill(text)?.into_bytes(),
            Content::LastRead { object, change } => {
                let mut read =
                    self.objects.get(&self.fill(object)?).map_or(Value::Null, |known| known.last.clone());
                merge(&mut read, change);
                read.to_string().into_bytes()
            }
        };
        request.body(body).with_context(|| format!("{step} makes no request"))
    }

    /// Remembers what a later step may refer to.
    pub fn learn(&mut self, answer: &Answer) {
        if let Some(body) = answer.json().filter(|_| answer.status < 300) {
            self.learn_object(&body);
        }
    }

    fn learn_object(&mut self, object: &Value) {
        if let Some(token) = object["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
            self.continuation = Some(token.to_owned());
        }
        for item in object["items"].as_array().into_iter().flatten() {
            // An item of a list has no kind of its own, so the list's kind names it.
            let kind = object["kind"].as_str().and_then(|kind| kind.strip_suffix("List"));
            self.learn_named(kind, item, false);
        }
        self.learn_named(object["kind"].as_str(), object, true);
    }

    fn learn_named(&mut self, kind: Option<&str>, object: &Value, whole: bool) {
        let metadata = &object["metadata"];
        let (Some(kind), Some(name)) = (kind, metadata["name"].as_str()) else { return };
        let (Some(uid), Some(version)) = (metadata["uid"].as_str(), metadata["resourceVersion"].as_str())
        else {
            return;
        };
        if metadata["generateName"].is_string() {
            self.generated = Some(name.to_owned());
        }
        let known = self.objects.entry(format!("{}/{name}", plural(kind))).or_default();
        push_new(&mut known.uids, uid);
        push_new(&mut known.versions, version);
        if whole {
            known.last = object.clone();
        }
    }

    fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("${") {
            let (name, behind) = after.split_once('}').with_context(|| format!("unclosed in {template}"))?;
            filled.push_str(before);
            filled.push_str(&self.value(name)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn value(&self, name: &str) -> Result<String> {
        match name {
            "ns" => return Ok(self.namespace.clone()),
            "continue" => return Ok(self.continuation.clone().unwrap_or_default()),
            "generated" => return Ok(self.generated.clone().unwrap_or_else(|| "never-generated".to_owned())),
            _ => {}
        }
        let (object, field) = name.split_once(':').with_context(|| format!("unknown reference {name:?}"))?;
        let known = self.objects.get(object);
        let nth = |list: fn(&Known) -> &Vec<String>, back: usize, absent: &str| {
            let value = known.and_then(|known| list(known).iter().rev().nth(back));
            value.map_or_else(|| absent.to_owned(), Clone::clone)
        };
        match field {
            "uid" => Ok(nth(|known| &known.uids, 0, NO_UID)),
            "old-uid" => Ok(nth(|known| &known.uids, 1, NO_UID)),
            "version" => Ok(nth(|known| &known.versions, 0, NO_VERSION)),
            "old-version" => Ok(nth(|known| &known.versions, 1, NO_VERSION)),
            _ => anyhow::bail!("unknown reference {name:?}"),
        }
    }
}

fn push_new(list: &mut Vec<String>, value: &str) {
    if list.last().is_none_or(|last| last != value) {
        list.push(value.to_owned());
    }
}

/// RFC 7386.
fn merge(target: &mut Value, change: &Value) {
    let Value::Object(changes) = change else {
        *target = change.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(fields) = target.as_object_mut() else { return };
    for (key, value) in changes {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The path on the server of a path in a script.
fn absolute(path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let prefix = if path.starts_with("leases") { "/apis/coordination.k8s.io/v1" } else { "/api/v1" };
    format!("{prefix}/namespaces/${{ns}}/{path}")
}

fn plural(kind: &str) -> String {
    match kind {
        "Endpoints" => "endpoints".to_owned(),
        other => format!("{}s", other.to_lowercase()),
    }
}

/// The uid of no object.
const NO_UID: &str = "00000000-0000-4000-8000-000000000000";
/// A version that is older than any object.
const NO_VERSION: &str = "1";
