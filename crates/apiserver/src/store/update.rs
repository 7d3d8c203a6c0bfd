//! PUT and PATCH: a newer version of an object, or the first one where the kind allows that.

use std::sync::Arc;

use serde_json::{Value, json};

use super::body::{self, Incoming};
use super::create;
use super::go_json::{self, Opened};
use super::kind::Kind;
use super::managed::{self, Writer};
use super::object::Object;
use super::patch::{OPERATIONS_MAX, PatchError, json_patch, merge_patch, strategic_patch, type_name};
use super::request::{Call, Subresource};
use super::shape::normalise;
use super::status::{Failure, FieldError};
use super::{Outcome, Outside, Reply, Store, apply, defaults, strict, validate};

/// What a request makes of the current version: the newer one with its owners, and warnings.
pub(crate) struct Proposal {
    pub(crate) value: Value,
    pub(crate) warnings: Vec<String>,
}

impl Store {
    pub(crate) fn put(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        create::options(call, "UpdateOptions")?;
        let Incoming { mut value, reset, warnings } = body::decode(call)?;
        create::fit_namespace(call, &mut value["metadata"])?;
        check_name(call, &value)?;
        let writer = create::writer(outside, call);
        let current = self.find(call).ok().cloned();
        let uid = create::object_text(&value, "uid");
        if current.is_some() || call.kind.resource().create_on_update {
            check_uid(call, uid, current.as_deref())?;
        }
        let Some(current) = current else {
            if !call.kind.resource().create_on_update || call.subresource != Subresource::None {
                return Err(Failure::not_found(call.kind.resource(), &call.name));
            }
            create::wipe_system_fields(&mut value["metadata"]);
            let given = value["metadata"].get("resourceVersion").cloned();
            let mut object = self.admit_new(outside, call.kind, value, reset, &writer)?;
            if let Some(given) = given.filter(|_| call.is_dry_run()) {
                // Nothing is written, so that nothing replaces the version that was given.
                object["metadata"]["resourceVersion"] = given;
            }
            return Ok(self.keep_new(outside, call, object).warn(warnings));
        };
        defaults::keep_other_part(call.kind, &mut value, &current.value, call.subresource);
        managed::record_update(call.kind.resource().shape, Some(&current.value), &mut value, reset, &writer);
        self.replace(outside, call, &current, Proposal { value, warnings })
    }

    pub(crate) fn patch(&mut self, outside: &mut Outside<'_>, call: &Call<'_>) -> Outcome {
        if !PATCH_TYPES.contains(&call.content_type.as_str()) {
            return Err(Failure::unsupported_patch());
        }
        patch_options(call)?;
        let Ok(patch) = serde_json::from_slice::<Value>(call.body) else {
            return Err(Failure::bad_request("invalid JSON patch"));
        };
        let writer = create::writer(outside, call);
        let current = self.find(call).cloned();
        if call.content_type == APPLY_PATCH {
            return self.apply(outside, call, current.ok(), patch, &writer);
        }
        let current = current?;
        let proposal = patched(call, &current, &patch, &writer)?;
        self.replace(outside, call, &current, proposal)
    }

    fn apply(
        &mut self,
        outside: &mut Outside<'_>,
        call: &Call<'_>,
        current: Option<Arc<Object>>,
        patch: Value,
        writer: &Writer,
    ) -> Outcome {
        let force = call.query.is_true("force");
        let proposal = apply::apply(call, current.as_deref(), patch, force, writer)?;
        if let Some(current) = current {
            return self.replace(outside, call, &current, proposal);
        }
        let object = self.finish_new(outside, call.kind, proposal.value)?;
        Ok(self.keep_new(outside, call, object).warn(proposal.warnings))
    }

    /// Stores an object made by a PUT or an apply.
    fn keep_new(&mut self, outside: &Outside<'_>, call: &Call<'_>, object: Value) -> Reply {
        let stored = if call.is_dry_run() {
            create::unstored(call.kind, object)
        } else {
            self.commit(call.kind, object, None)
        };
        Reply::object(201, &stored, outside, call.accept)
    }

    /// Stores a newer version if it is based on the newest, valid, and different.
    fn replace(
        &mut self,
        outside: &mut Outside<'_>,
        call: &Call<'_>,
        current: &Arc<Object>,
        proposal: Proposal,
    ) -> Outcome {
        let Proposal { mut value, warnings } = proposal;
        check_version(call, &mut value, current)?;
        defaults::prepare_update(call.kind, &mut value, &current.value);
        let errors = validate::update(call.kind, &value, &current.value);
        if !errors.is_empty() {
            let resource = call.kind.resource();
            return Err(Failure::invalid(resource.group, resource.kind, &call.name, &errors));
        }
        let stored = if value == current.value || managed::changes_times_only(&current.value, &value) {
            Arc::clone(current)
        } else if call.is_dry_run() {
            create::unstored(call.kind, value)
        } else {
            self.keep_newer(call, value, current)
        };
        Ok(Reply::object(200, &stored, outside, call.accept).warn(warnings))
    }

    /// Stores a newer version; the one that loses its last finalizer while it is being deleted goes.
    fn keep_newer(&mut self, call: &Call<'_>, value: Value, current: &Arc<Object>) -> Arc<Object> {
        let finalizers = value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        let grace = value["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
        if current.is_terminating() && !finalizers && grace == 0 && call.kind.resource().namespaced {
            // Its end is a change of its own, but the answer shows what the request was based on.
            let shown = create::unstored(call.kind, value.clone());
            self.remove_as(current, value);
            return shown;
        }
        self.commit(call.kind, value, Some(Arc::clone(current)))
    }
}

/// What a patch of any kind but apply makes of the current version.
fn patched(call: &Call<'_>, current: &Object, patch: &Value, writer: &Writer) -> Result<Proposal, Failure> {
    let resource = call.kind.resource();
    let mut value = patch_applied(call, current, patch)?;
    let reset = managed::is_reset(&value);
    let refuse = |why: &str| refuse_patched(call, current, patch, why);
    let (kind, version) = body::take_type(&mut value);
    let (kind, version) = (kind.unwrap_or_default(), version.unwrap_or_default());
    if kind != resource.kind || version != resource.api_version() {
        return Err(refuse(&body::unregistered(&kind, &version)));
    }
    let unknown = normalise(resource.shape, &mut value).map_err(|why| refuse(&why))?;
    let found = || {
        let unknown = unknown.iter().map(|field| format!("unknown field \"{field}\""));
        repeated(call).into_iter().chain(unknown).collect()
    };
    let warnings =
        body::judge_findings(call, found).map_err(|why| refuse(&format!("strict decoding error: {why}")))?;
    defaults::fill(call.kind, &mut value);
    create::fit_namespace(call, &mut value["metadata"])?;
    check_name(call, &value)?;
    defaults::keep_other_part(call.kind, &mut value, &current.value, call.subresource);
    managed::record_update(resource.shape, Some(&current.value), &mut value, reset, writer);
    Ok(Proposal { value, warnings })
}

/// The current version with a patch applied, as it is before its type is looked at.
fn patch_applied(call: &Call<'_>, current: &Object, patch: &Value) -> Result<Value, Failure> {
    let mut value = current.full_value();
    match call.content_type.as_str() {
        JSON_PATCH => json_patch(&mut value, patch).map_err(|error| match error {
            PatchError::Malformed(why) => Failure::bad_request(why),
            PatchError::TooLong(operations) => Failure::too_large(format!(
                "The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {operations}"
            )),
            PatchError::DoesNotApply => Failure::patch_failed(),
        })?,
        MERGE_PATCH if patch.is_object() => merge_patch(&mut value, patch),
        STRATEGIC_PATCH if patch.is_object() => strategic_patch(&mut value, patch),
        // As if it were empty.
        STRATEGIC_PATCH if patch.is_null() => {}
        MERGE_PATCH if patch.is_null() => return Err(Failure::bad_request("Invalid JSON Patch")),
        _ => {
            let prefix = if call.content_type == MERGE_PATCH { "error decoding patch: " } else { "" };
            let given = type_name(patch);
            return Err(Failure::bad_request(format!(
                "{prefix}json: cannot unmarshal {given} into Go value of type map[string]interface {{}}"
            )));
        }
    }
    Ok(value)
}

/// The refusal of what a patch made. It quotes a strategic patch, which is converted by itself, and of any other patch
/// what came of it: that is made again here, since it is seldom asked for.
fn refuse_patched(call: &Call<'_>, current: &Object, patch: &Value, why: &str) -> Failure {
    let shape = call.kind.resource().shape;
    let opened = match call.content_type.as_str() {
        STRATEGIC_PATCH => None,
        JSON_PATCH => Some(Opened::by_json_patch(patch)),
        _ => Some(Opened::by_merge_patch(patch)),
    };
    let quoted = match opened {
        None => go_text(patch),
        Some(opened) => match patch_applied(call, current, patch) {
            Ok(made) => go_json::write(shape, &made, Some(&opened)),
            Err(failure) => return failure,
        },
    };
    Failure::invalid("", "", "", &[FieldError::invalid("patch", &quoted.into(), why)])
}

/// What strict decoding finds in a patch by itself.
fn repeated(call: &Call<'_>) -> Vec<String> {
    if call.content_type != JSON_PATCH {
        return strict::findings(&strict::ANYTHING, call.body);
    }
    let found = strict::findings(&strict::JSON_PATCH, call.body);
    found.iter().map(|sentence| format!("json patch {sentence}")).collect()
}

/// A value as Go's `%v` prints it.
fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{key}:{}", go_text(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

fn patch_options(call: &Call<'_>) -> Result<(), Failure> {
    let mut errors = Vec::new();
    if call.content_type == APPLY_PATCH {
        if call.query.text("fieldManager").is_empty() {
            errors.push(FieldError::required("fieldManager", "is required for apply patch"));
        }
    } else if call.query.first("force").is_some() {
        errors.push(FieldError::forbidden("force", "may not be specified for non-apply patch"));
    }
    if !errors.is_empty() {
        return Err(Failure::invalid("meta.k8s.io", "PatchOptions", "", &errors));
    }
    create::options(call, "PatchOptions")
}

pub(crate) fn check_name(call: &Call<'_>, object: &Value) -> Result<(), Failure> {
    let name = create::object_text(object, "name");
    if name.is_empty() {
        let why = format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            call.name
        );
        return Err(Failure::bad_request(why));
    }
    if name != call.name {
        let why =
            format!("the name of the object ({name}) does not match the name on the URL ({})", call.name);
        return Err(Failure::bad_request(why));
    }
    Ok(())
}

/// A uid in a PUT is a precondition.
fn check_uid(call: &Call<'_>, uid: &str, current: Option<&Object>) -> Result<(), Failure> {
    let found = current.map(Object::uid).unwrap_or_default();
    if uid.is_empty() || uid == found {
        return Ok(());
    }
    let resource = call.kind.resource();
    let folder = if call.kind == Kind::Endpoints { "services/endpoints" } else { resource.plural };
    let place = [folder, "/", &call.namespace].concat();
    // Where the real server only pretends to write, its key has no prefix.
    let prefix = if call.is_dry_run() { "" } else { "/registry" };
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {prefix}/{}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {found}",
        place.trim_end_matches('/'),
        call.name,
    );
    Err(Failure::conflict(resource, &call.name, &why))
}

/// A resourceVersion is a precondition; whether it may be left out depends on the kind.
fn check_version(call: &Call<'_>, value: &mut Value, current: &Object) -> Result<(), Failure> {
    let resource = call.kind.resource();
    let given = create::object_text(value, "resourceVersion").to_owned();
    if given.is_empty() || given == "0" {
        if !resource.unconditional_update {
            let why = "must be specified for an update";
            let error = FieldError::invalid("metadata.resourceVersion", &json!(0), why);
            return Err(Failure::invalid(resource.group, resource.plural, &call.name, &[error]));
        }
        value["metadata"]["resourceVersion"] = json!(current.revision.to_string());
        return Ok(());
    }
    match given.parse::<u64>() {
        Ok(version) if version == current.revision => Ok(()),
        Ok(_) => Err(Failure::modified(resource, &call.name)),
        Err(_) => Err(Failure::internal(format!("strconv.ParseUint: parsing {given:?}: invalid syntax"))),
    }
}

const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
pub(crate) const APPLY_PATCH: &str = "application/apply-patch+yaml";
const PATCH_TYPES: [&str; 4] = [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH];
