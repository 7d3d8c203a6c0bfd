//! POST: a new object. And what all writes share: giving a new object what the server gives it.

use serde_json::{Map, Value, json};

use super::go_json::is_printable;
use super::kind::Kind;
use super::managed::{self, Writer};
use super::object::{Key, Object};
use super::request::{Call, Subresource};
use super::status::{Failure, FieldError};
use super::time::{self, Precision};
use super::{Outcome, Outside, Reply, Store, body, defaults, validate};

impl Store {
    pub(crate) fn create(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        options(call, "CreateOptions")?;
        let mut incoming = body::decode(call)?;
        let metadata = &mut incoming.value["metadata"];
        if metadata.get("resourceVersion").is_some() {
            return Err(Failure::internal("resourceVersion should not be set on objects to be created"));
        }
        wipe_system_fields(metadata);
        fit_namespace(call, metadata)?;
        let generated = generate_name(outside, metadata);
        let writer = writer(outside, call);
        let object = self.admit_new(outside, call.kind, incoming.value, incoming.reset, &writer)?;
        let key = Key::new(call.kind, object_text(&object, "namespace"), object_text(&object, "name"));
        if let Some(existing) = self.objects.get(&key) {
            let mut failure = Failure::already_exists(call.kind.resource(), &key.name, generated);
            if existing.is_terminating() {
                failure.message.insert_str(0, "object is being deleted: ");
            }
            return Err(failure);
        }
        let stored = if call.is_dry_run() {
            unstored(call.kind, object)
        } else {
            self.commit(call.kind, object, None)
        };
        Ok(Reply::object(201, &stored, outside, call.accept).warn(incoming.warnings))
    }

    /// Gives a new object its owners and system fields, and refuses what is wrong with it.
    pub(crate) fn admit_new(
        &self,
        outside: &mut Outside<'_>,
        kind: Kind,
        mut object: Value,
        reset: bool,
        writer: &Writer,
    ) -> Result<Value, Failure> {
        managed::record_update(kind.resource().shape, None, &mut object, reset, writer);
        self.finish_new(outside, kind, object)
    }

    /// As [`Store::admit_new`], for an object that has its owners.
    pub(crate) fn finish_new(
        &self,
        outside: &mut Outside<'_>,
        kind: Kind,
        mut object: Value,
    ) -> Result<Value, Failure> {
        self.check_namespace(kind, &object)?;
        object["metadata"]["uid"] = json!(uid(outside));
        object["metadata"]["creationTimestamp"] = json!(time::format(outside.now, Precision::Second));
        defaults::prepare_create(kind, &mut object);
        let errors = validate::create(kind, &object);
        if !errors.is_empty() {
            let resource = kind.resource();
            return Err(Failure::invalid(
                resource.group,
                resource.kind,
                object_text(&object, "name"),
                &errors,
            ));
        }
        defaults::remove(&mut object["metadata"], "resourceVersion");
        Ok(object)
    }

    /// The namespace of a new object must be there, and stay.
    fn check_namespace(&self, kind: Kind, object: &Value) -> Result<(), Failure> {
        if !kind.resource().namespaced {
            return Ok(());
        }
        let namespace = object_text(object, "namespace");
        let Some(found) = self.objects.get(&Key::new(Kind::Namespace, "", namespace)) else {
            return Err(Failure::not_found(Kind::Namespace.resource(), namespace));
        };
        if !found.is_terminating() {
            return Ok(());
        }
        let why =
            format!("unable to create new content in namespace {namespace} because it is being terminated");
        let mut failure = Failure::forbidden(kind.resource(), object_text(object, "name"), &why);
        let cause = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
        failure.detail("causes", cause);
        Err(failure)
    }
}

/// Options of a write that are wrong in themselves.
pub(crate) fn options(call: &Call<'_>, kind: &str) -> Result<(), Failure> {
    let mut errors = Vec::new();
    let manager = call.query.text("fieldManager");
    if manager.len() > 128 {
        errors.push(FieldError::too_long("fieldManager", 128));
    }
    for (at, letter) in manager.char_indices().filter(|(_, letter)| !is_printable(*letter)) {
        let why = format!("invalid character U+{:04X} (at position {at})", u32::from(letter));
        errors.push(FieldError::invalid("fieldManager", &json!(manager), &why));
    }
    if call.query.all("dryRun").any(|value| value != "All") {
        let given: Value = call.query.all("dryRun").collect();
        errors.push(FieldError::unsupported("dryRun", &given, &["All"]));
    }
    let validation = call.query.text("fieldValidation");
    if !matches!(validation, "" | "Ignore" | "Warn" | "Strict") {
        let known = ["", "Ignore", "Strict", "Warn"];
        errors.push(FieldError::unsupported("fieldValidation", &json!(validation), &known));
    }
    if errors.is_empty() { Ok(()) } else { Err(Failure::invalid("meta.k8s.io", kind, "", &errors)) }
}

/// The namespace in an object must be that of the path, or be left out.
pub(crate) fn fit_namespace(call: &Call<'_>, metadata: &mut Value) -> Result<(), Failure> {
    let given = metadata["namespace"].as_str().unwrap_or_default();
    if !call.kind.resource().namespaced {
        defaults::remove(metadata, "namespace");
        return Ok(());
    }
    if !given.is_empty() && given != call.namespace {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(why));
    }
    metadata["namespace"] = json!(call.namespace);
    Ok(())
}

/// What only the server says of a new object.
pub(crate) fn wipe_system_fields(metadata: &mut Value) {
    for field in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        defaults::remove(metadata, field);
    }
}

pub(crate) fn writer(outside: &Outside<'_>, call: &Call<'_>) -> Writer {
    Writer {
        manager: call.manager(),
        api_version: call.kind.resource().api_version(),
        subresource: match call.subresource {
            Subresource::None => String::new(),
            Subresource::Status => "status".into(),
            Subresource::Finalize => "finalize".into(),
        },
        now: outside.now,
    }
}

/// An object that is answered and not kept.
pub(crate) fn unstored(kind: Kind, object: Value) -> std::sync::Arc<Object> {
    let revision = object_text(&object, "resourceVersion").parse().ok();
    Object::unstored(kind, object, revision)
}

pub(crate) fn object_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"].as_object().map_or("", |metadata: &Map<String, Value>| defaults::text(metadata, field))
}

/// Five letters without vowels and lookalikes, as apimachinery's generator appends.
fn generate_name(outside: &mut Outside<'_>, metadata: &mut Value) -> bool {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let Some(prefix) = metadata["generateName"].as_str().map(str::to_owned) else { return false };
    if metadata["name"].as_str().is_some_and(|name| !name.is_empty()) || prefix.is_empty() {
        return false;
    }
    let mut number = (outside.chance)();
    let mut suffix = String::new();
    for _ in 0..5 {
        let index = usize::try_from(number % 27).expect("below 27");
        suffix.push(char::from(LETTERS[index]));
        number /= 27;
    }
    let stem: String = prefix.chars().take(58).collect();
    metadata["name"] = json!(format!("{stem}{suffix}"));
    true
}

/// A random UUID (RFC 9562, version 4).
fn uid(outside: &mut Outside<'_>) -> String {
    let (high, low) = ((outside.chance)(), (outside.chance)());
    let high = high & 0xffff_ffff_ffff_0fff | 0x4000;
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}
