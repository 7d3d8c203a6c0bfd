//! DELETE of one object and of a collection: preconditions, finalizers, grace of Pods, the end of a namespace.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::delete_options::Options;
use super::kind::Kind;
use super::object::{Key, Object};
use super::request::Call;
use super::time::{self, Precision};
use super::{Outcome, Outside, Reply, Store};

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

fn key(object: &Object) -> Key {
    Key::new(object.kind, object.namespace(), object.name())
}
