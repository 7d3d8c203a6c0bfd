//! DELETE of one object and of a collection: preconditions, finalizers, grace of Pods, the end of a namespace.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::body::{PROTOBUF, json_error};
use super::kind::Kind;
use super::object::{Key, Object};
use super::request::Call;
use super::shapes::DELETE_OPTIONS;
use super::status::{Failure, FieldError};
use super::time::{self, Precision};
use super::{Outcome, Outside, Reply, Store, proto};

/// `DeleteOptions`, from the body or the query.
#[derive(Debug, Default)]
struct Options {
    uid: Option<String>,
    resource_version: Option<String>,
    grace_period_seconds: Option<i64>,
    propagation: Option<String>,
    dry_run: bool,
}

impl Store {
    pub(crate) fn delete(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        let options = Options::read(call)?;
        let object = Arc::clone(self.find(call)?);
        options.check(&object)?;
        let last = self.end(outside, &object, &options);
        if call.kind.resource().returns_deleted
            || self.objects.contains_key(&key(&object)) && !options.dry_run
        {
            return Ok(Reply::object(200, &last, outside, call.accept));
        }
        Ok(Reply { code: 200, body: success(&object).to_string().into_bytes(), warnings: Vec::new() })
    }

    pub(crate) fn delete_collection(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        let options = Options::read(call)?;
        let (mut objects, revision) = self.select(call)?;
        let next = super::read::cut(call, &mut objects, revision)?;
        for object in &objects {
            options.check(object)?;
            self.end(outside, object, &options);
        }
        let items: Vec<&Arc<Object>> = objects.iter().collect();
        Ok(Reply {
            code: 200,
            body: super::read::list_json(call, &items, revision, next),
            warnings: Vec::new(),
        })
    }

    /// Ends an object: at once, or as its finalizers, its grace period or its content allow.
    fn end(&mut self, outside: &Outside<'_>, object: &Arc<Object>, options: &Options) -> Arc<Object> {
        if options.dry_run {
            return Arc::clone(object);
        }
        if object.kind == Kind::Namespace {
            return self.end_namespace(outside, object);
        }
        let grace = grace(object, options);
        let orphan = options.propagation.as_deref().and_then(|propagation| match propagation {
            "Foreground" => Some("foregroundDeletion"),
            "Orphan" => Some("orphan"),
            _ => None,
        });
        let held = object.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if grace == 0 && !held && orphan.is_none() {
            if object.kind == Kind::Pod && !object.is_terminating() {
                return self.remove_as(object, deleted_pod(outside, object));
            }
            return self.remove(object);
        }
        let mut value = object.value.clone();
        let metadata = &mut value["metadata"];
        if let Some(finalizer) = orphan
            && !metadata["finalizers"].as_array().is_some_and(|list| list.contains(&json!(finalizer)))
        {
            let mut list = metadata["finalizers"].as_array().cloned().unwrap_or_default();
            list.push(json!(finalizer));
            metadata["finalizers"] = Value::Array(list);
        }
        if !object.is_terminating() {
            let end = outside.now.saturating_add(SignedDuration::from_secs(grace)).unwrap_or(outside.now);
            metadata["deletionTimestamp"] = json!(time::format(end, Precision::Second));
            metadata["deletionGracePeriodSeconds"] = json!(grace);
        }
        if value == object.value {
            return Arc::clone(object);
        }
        self.commit(object.kind, value, Some(Arc::clone(object)))
    }

    /// There is no namespace controller here: the content goes at once, then the namespace itself.
    fn end_namespace(&mut self, outside: &Outside<'_>, object: &Arc<Object>) -> Arc<Object> {
        let mut value = object.value.clone();
        value["metadata"]["deletionTimestamp"] = json!(time::format(outside.now, Precision::Second));
        value["status"]["phase"] = json!("Terminating");
        let terminating = self.commit(Kind::Namespace, value, Some(Arc::clone(object)));
        let content: Vec<Arc<Object>> =
            self.objects.values().filter(|other| other.namespace() == object.name()).cloned().collect();
        for other in content {
            self.remove(&other);
        }
        self.remove(&terminating);
        terminating
    }
}

impl Options {
    fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let mut options = Self {
            grace_period_seconds: call.query.number("gracePeriodSeconds")?,
            propagation: call.query.first("propagationPolicy").map(str::to_owned),
            dry_run: call.is_dry_run(),
            ..Self::default()
        };
        if !call.body.is_empty() {
            let body = read_options(call)?;
            if !body["orphanDependents"].is_null() && !body["propagationPolicy"].is_null() {
                let why = "orphanDependents and deletionPropagation cannot be both set";
                let error = FieldError::invalid("propagationPolicy", &body["propagationPolicy"], why);
                return Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
            }
            let orphan = (body["orphanDependents"] == json!(true)).then(|| "Orphan".to_owned());
            let text = |value: &Value| value.as_str().map(str::to_owned);
            options = Self {
                uid: text(&body["preconditions"]["uid"]),
                resource_version: text(&body["preconditions"]["resourceVersion"]),
                grace_period_seconds: body["gracePeriodSeconds"].as_i64(),
                propagation: text(&body["propagationPolicy"]).or(orphan),
                dry_run: body["dryRun"].as_array().is_some_and(|list| list.contains(&json!("All"))),
            };
        }
        if let Some(propagation) = &options.propagation
            && !PROPAGATIONS.contains(&propagation.as_str())
        {
            let supported = ["Foreground", "Background", "Orphan", "nil"];
            let error = FieldError::unsupported("propagationPolicy", &json!(propagation), &supported);
            return Err(Failure::invalid("meta.k8s.io", "DeleteOptions", "", &[error]));
        }
        Ok(options)
    }

    fn check(&self, object: &Object) -> Result<(), Failure> {
        let resource = object.kind.resource();
        let revision = object.revision.to_string();
        let refuse = |why: String| {
            let mut failure = Failure::conflict(resource, object.name(), &why);
            failure.message = format!(
                "Operation cannot be fulfilled on {} \"{}\": {why}",
                kind_and_group(object.kind),
                object.name()
            );
            failure.detail("kind", json!(resource.kind));
            failure
        };
        if let Some(uid) = self.uid.as_deref().filter(|uid| *uid != object.uid()) {
            return Err(refuse(format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                object.uid()
            )));
        }
        if let Some(version) = self.resource_version.as_deref().filter(|version| *version != revision) {
            return Err(refuse(format!(
                "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({revision}). The object might have been modified"
            )));
        }
        Ok(())
    }
}

/// The body of a DELETE.
fn read_options(call: &Call<'_>) -> Result<Value, Failure> {
    if call.content_type == PROTOBUF {
        let message =
            proto::open(call.body).and_then(|envelope| proto::read(&DELETE_OPTIONS, envelope.message));
        return message
            .ok_or_else(|| Failure::bad_request("the body is no protobuf message of type DeleteOptions"));
    }
    serde_json::from_slice(call.body).map_err(|error| {
        let why = json_error(call.body, &error);
        Failure::bad_request(format!("couldn't get version/kind; json parse error: {why}"))
    })
}

/// A Pod that goes at once shows that it was to go.
fn deleted_pod(outside: &Outside<'_>, object: &Object) -> Value {
    let mut value = object.value.clone();
    let metadata = &mut value["metadata"];
    metadata["deletionTimestamp"] = json!(time::format(outside.now, Precision::Second));
    metadata["deletionGracePeriodSeconds"] = json!(0);
    metadata["generation"] = json!(metadata["generation"].as_i64().unwrap_or_default() + 1);
    value
}

/// Only a Pod on a node that still runs gets time to stop.
fn grace(object: &Object, options: &Options) -> i64 {
    let spec = &object.value["spec"];
    let phase = object.value["status"]["phase"].as_str().unwrap_or_default();
    let scheduled = spec["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    if object.kind != Kind::Pod || !scheduled || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = spec["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
    let asked = options.grace_period_seconds.unwrap_or(own);
    if asked < 0 { 1 } else { asked }
}

fn success(object: &Object) -> Value {
    let resource = object.kind.resource();
    let mut details = json!({"name": object.name(), "kind": resource.plural, "uid": object.uid()});
    if !resource.group.is_empty() {
        details["group"] = json!(resource.group);
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details})
}

fn kind_and_group(kind: Kind) -> String {
    let resource = kind.resource();
    if resource.group.is_empty() {
        resource.kind.into()
    } else {
        format!("{}.{}", resource.kind, resource.group)
    }
}

fn key(object: &Object) -> Key {
    Key::new(object.kind, object.namespace(), object.name())
}

const PROPAGATIONS: [&str; 3] = ["Foreground", "Background", "Orphan"];
