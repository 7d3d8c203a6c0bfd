//! What the server answers when it refuses: Status objects, worded as kube-apiserver words them.

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::go_json;
use super::kind::Resource;

/// A refusal: everything a Status object of the real server says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) code: u16,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// Absent, or an object that may be empty: clients tell refusals apart by that.
    pub(crate) details: Option<Map<String, Value>>,
}

/// One field that is wrong: a cause of an Invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldError {
    kind: &'static str,
    field: String,
    body: String,
}

impl Failure {
    fn plain(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None }
    }

    fn named(resource: &Resource, name: &str, code: u16, reason: &'static str, message: String) -> Self {
        let details = named_details(name, resource.group, resource.plural);
        Self { code, reason, message, details: Some(details) }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "BadRequest", message)
    }

    /// An error that the real server did not expect, either: a Status without a reason.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::plain(500, "", message)
    }

    pub(crate) fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::named(resource, name, 404, "NotFound", message)
    }

    pub(crate) fn already_exists(resource: &Resource, name: &str, generated: bool) -> Self {
        let tail =
            if generated { ", the server was not able to generate a unique name for the object" } else { "" };
        let message = format!("{} \"{name}\" already exists{tail}", resource.qualified());
        let mut failure = Self::named(resource, name, 409, "AlreadyExists", message);
        if generated {
            failure.detail("retryAfterSeconds", json!(1));
        }
        failure
    }

    pub(crate) fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::named(resource, name, 409, "Conflict", message)
    }

    /// A version that is not the newest.
    pub(crate) fn modified(resource: &Resource, name: &str) -> Self {
        let why =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, why)
    }

    pub(crate) fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::named(resource, name, 403, "Forbidden", message)
    }

    /// Fields of an object of this kind that are wrong.
    pub(crate) fn invalid(group: &str, kind: &str, name: &str, errors: &[FieldError]) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let message = match joined(errors) {
            Some(errors) => format!("{qualified} \"{name}\" is invalid: {errors}"),
            None => format!("{qualified} \"{name}\" is invalid"),
        };
        let mut details = named_details(name, group, kind);
        if !errors.is_empty() {
            details.insert("causes".into(), errors.iter().map(FieldError::cause).collect());
        }
        Self { code: 422, reason: "Invalid", message, details: Some(details) }
    }

    /// A JSON Patch that does not apply, failed `test`s included: the details are empty.
    pub(crate) fn patch_failed() -> Self {
        let message = "the server rejected our request due to an error in our request";
        Self { details: Some(Map::new()), ..Self::plain(422, "Invalid", message) }
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self { details: Some(Map::new()), ..Self::plain(405, "MethodNotAllowed", message) }
    }

    pub(crate) fn unsupported_media_type(accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {accepted}"
        );
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// A PATCH of no known type.
    pub(crate) fn unsupported_patch() -> Self {
        let message = "415: Unsupported Media Type";
        Self { details: Some(Map::new()), ..Self::plain(415, "UnsupportedMediaType", message) }
    }

    /// No media type of the `Accept` header is known.
    pub(crate) fn not_routable() -> Self {
        let message = "406: Not Acceptable\n\nAvailable representations: application/json";
        Self { details: Some(Map::new()), ..Self::plain(406, "NotAcceptable", message) }
    }

    /// No form of answer that is wanted can be had.
    pub(crate) fn not_acceptable() -> Self {
        let message = "only the following media types are accepted: application/json";
        Self::plain(406, "NotAcceptable", message)
    }

    /// More than is taken at once.
    pub(crate) fn too_large(why: String) -> Self {
        Self::plain(413, "RequestEntityTooLarge", format!("Request entity too large: {why}"))
    }

    /// What was asked for is older than what is kept.
    pub(crate) fn expired(message: impl Into<String>) -> Self {
        Self::plain(410, "Expired", message)
    }

    /// A resourceVersion that does not exist yet.
    pub(crate) fn too_large_version(asked: u64, current: u64) -> Self {
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        let mut failure = Self::plain(504, "Timeout", message);
        failure.detail(
            "causes",
            json!([{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]),
        );
        failure.detail("retryAfterSeconds", json!(1));
        failure
    }

    /// Fields that another manager applied.
    pub(crate) fn apply_conflict(message: String, causes: Vec<Value>) -> Self {
        let mut failure = Self::plain(409, "Conflict", message);
        failure.detail("causes", Value::Array(causes));
        failure
    }

    /// A path that names nothing: answered as JSON only below a served group.
    pub(crate) fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: Some(Map::new()), ..Self::plain(404, "NotFound", message) }
    }

    pub(crate) fn detail(&mut self, key: &str, value: Value) {
        self.details.get_or_insert_default().insert(key.into(), value);
    }

    /// The Status object.
    pub(crate) fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = json!(self.reason);
        }
        if let Some(details) = &self.details {
            status["details"] = Value::Object(details.clone());
        }
        status
    }

    pub(crate) fn response(&self) -> Response<Vec<u8>> {
        let mut response = json_response(self.code, self.status().to_string().into_bytes());
        if let Some(seconds) = self.details.as_ref().and_then(|details| details.get("retryAfterSeconds"))
            && let Ok(seconds) = seconds.to_string().parse()
        {
            response.headers_mut().insert(http::header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl FieldError {
    fn new(kind: &'static str, field: impl Into<String>, title: &str, detail: &str) -> Self {
        let body = if detail.is_empty() { title.to_owned() } else { format!("{title}: {detail}") };
        Self { kind, field: field.into(), body }
    }

    pub(crate) fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, &format!("Invalid value: {}", shown(value)), detail)
    }

    /// As [`FieldError::invalid`], with the value as it is to be shown.
    pub(crate) fn invalid_text(field: impl Into<String>, value: &str, detail: &str) -> Self {
        Self::new("FieldValueInvalid", field, &format!("Invalid value: {value}"), detail)
    }

    pub(crate) fn required(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueRequired", field, "Required value", detail)
    }

    pub(crate) fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self::new("FieldValueForbidden", field, "Forbidden", detail)
    }

    pub(crate) fn too_long(field: impl Into<String>, bytes_max: usize) -> Self {
        Self::new("FieldValueTooLong", field, "Too long", &format!("may not be more than {bytes_max} bytes"))
    }

    pub(crate) fn unsupported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        Self::new("FieldValueNotSupported", field, &format!("Unsupported value: {}", shown(value)), &detail)
    }

    fn cause(&self) -> Value {
        json!({"reason": self.kind, "message": self.body, "field": self.field})
    }

    fn sentence(&self) -> String {
        format!("{}: {}", self.field, self.body)
    }
}

/// A response with a JSON body.
pub(crate) fn json_response(code: u16, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).expect("a code between 100 and 999");
    let json = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, json);
    response
}

fn named_details(name: &str, group: &str, kind: &str) -> Map<String, Value> {
    let fields = [("name", name), ("group", group), ("kind", kind)];
    fields
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.into(), value.into()))
        .collect()
}

/// A value as field errors show it: texts with the escapes of Go.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), go_json::quote)
}

/// One error as it is, several in brackets, the same one once.
fn joined(errors: &[FieldError]) -> Option<String> {
    let mut sentences: Vec<String> = Vec::new();
    for error in errors {
        let sentence = error.sentence();
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    match sentences.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        many => Some(format!("[{}]", many.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn an_invalid_object_names_each_field_once_and_in_brackets_when_several_are_wrong() {
        let zero = FieldError::invalid("spec.leaseDurationSeconds", &json!(0), "must be greater than 0");
        let one = Failure::invalid("coordination.k8s.io", "Lease", "db", &[zero.clone(), zero.clone()]);
        assert_eq!(
            one.message,
            "Lease.coordination.k8s.io \"db\" is invalid: spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"
        );
        let two = Failure::invalid("", "Pod", "db", &[zero, FieldError::required("metadata.name", "")]);
        assert!(
            two.message.ends_with("must be greater than 0, metadata.name: Required value]"),
            "{}",
            two.message
        );
    }

    #[test]
    fn a_failed_patch_has_empty_details_and_a_bad_request_none() {
        assert_eq!(Failure::patch_failed().status()["details"], json!({}));
        assert_eq!(Failure::bad_request("x").status().get("details"), None);
        let missing = Failure::not_found(Kind::Lease.resource(), "db").status();
        assert_eq!(missing["message"], "leases.coordination.k8s.io \"db\" not found");
        assert_eq!(
            missing["details"],
            json!({"name": "db", "group": "coordination.k8s.io", "kind": "leases"})
        );
    }
}
