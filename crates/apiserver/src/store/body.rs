//! Bodies of writes: JSON or protobuf in, the object that it holds out, or the sentence of the real server.

use serde_json::Value;

use super::kind::{Kind, Resource};
use super::request::Call;
use super::shape::normalise;
use super::status::Failure;
use super::{defaults, managed, proto};

/// An object as it came in a body.
pub(crate) struct Incoming {
    pub(crate) value: Value,
    /// It asks to forget all managers of fields.
    pub(crate) reset: bool,
    pub(crate) warnings: Vec<String>,
}

/// The object in the body of a request, with the fields that its type knows.
pub(crate) fn decode(call: &Call<'_>) -> Result<Incoming, Failure> {
    let resource = call.kind.resource();
    let mut value = match call.content_type.as_str() {
        "" | "application/json" | "*/*" => from_json(call)?,
        PROTOBUF if proto::is_readable(resource.shape) => from_protobuf(call)?,
        PROTOBUF | "application/yaml" => return Err(Failure::unsupported_media_type("application/json")),
        _ => return Err(Failure::unsupported_media_type(MEDIA_TYPES)),
    };
    let (kind, version) = take_type(&mut value);
    let kind = kind.unwrap_or_else(|| resource.kind.into());
    let version = version.unwrap_or_else(|| resource.api_version());
    let refuse = |why: &str| {
        let short = version.rsplit('/').next().unwrap_or_default();
        Failure::bad_request(format!(
            "{kind} in version \"{short}\" cannot be handled as a {}: {why}",
            resource.kind
        ))
    };
    if version != resource.api_version() || kind != resource.kind {
        return Err(mismatch(resource, &kind, &version).map_or_else(|failure| failure, |why| refuse(&why)));
    }
    let reset = managed::is_reset(&value);
    let unknown = normalise(resource.shape, &mut value).map_err(|why| refuse(&why))?;
    let warnings =
        unknown_fields(call, &unknown).map_err(|why| refuse(&format!("strict decoding error: {why}")))?;
    defaults::fill(call.kind, &mut value);
    Ok(Incoming { value, reset, warnings })
}

/// Unknown fields are warned of, refused or ignored, as the request asks for.
pub(crate) fn unknown_fields(call: &Call<'_>, unknown: &[String]) -> Result<Vec<String>, String> {
    let sentences: Vec<String> = unknown.iter().map(|field| format!("unknown field \"{field}\"")).collect();
    match call.query.text("fieldValidation") {
        "Ignore" => Ok(Vec::new()),
        "Strict" if !sentences.is_empty() => Err(sentences.join(", ")),
        _ => Ok(sentences),
    }
}

/// Takes `kind` and `apiVersion` out of an object.
pub(crate) fn take_type(value: &mut Value) -> (Option<String>, Option<String>) {
    let mut take = |field: &str| match value.as_object_mut().and_then(|map| map.remove(field)) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    (take("kind"), take("apiVersion"))
}

/// What Go's decoder says of JSON that it cannot read.
pub(crate) fn json_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() || body.is_empty() {
        return "unexpected end of JSON input".into();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let letter = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    format!("invalid character '{}' looking for beginning of value", char::from(letter))
}

/// That no type of this name is known, in the words of the real server.
pub(crate) fn unregistered(kind: &str, version: &str) -> String {
    format!(
        "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
    )
}

fn from_json(call: &Call<'_>) -> Result<Value, Failure> {
    let why = match serde_json::from_slice::<Value>(call.body) {
        Ok(value @ Value::Object(_)) => return Ok(value),
        Ok(other) => {
            let given = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Number(_) => "number",
                _ => "bool",
            };
            format!("json: cannot unmarshal {given} into Go value of type {TYPE_META}")
        }
        Err(error) => json_error(call.body, &error),
    };
    Err(Failure::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({})",
        call.kind.resource().kind,
        summary(call.body),
    )))
}

fn from_protobuf(call: &Call<'_>) -> Result<Value, Failure> {
    let resource = call.kind.resource();
    let broken =
        || Failure::bad_request(format!("the body is no protobuf message of type {}", resource.kind));
    let envelope = proto::open(call.body).ok_or_else(broken)?;
    if !envelope.kind.is_empty() && envelope.kind != resource.kind {
        return match mismatch(resource, envelope.kind, envelope.api_version) {
            Ok(why) | Err(Failure { message: why, .. }) => Err(Failure::bad_request(why)),
        };
    }
    proto::read(resource.shape, envelope.message).ok_or_else(broken)
}

/// Another type than that of the path: known, known in another version, or unknown.
fn mismatch(resource: &Resource, kind: &str, version: &str) -> Result<String, Failure> {
    let known = Kind::ALL
        .into_iter()
        .map(Kind::resource)
        .find(|other| other.kind == kind && other.api_version() == version);
    if let Some(other) = known {
        return Ok(format!(
            "converting (v1.{}) to ({}.{}): unknown conversion",
            other.kind,
            package(resource),
            resource.kind
        ));
    }
    if kind == "Lease" && version == "coordination.k8s.io/v1beta1" {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    }
    Ok(unregistered(kind, version))
}

/// The package of a kind's internal type in Go.
fn package(resource: &Resource) -> &str {
    resource.group.split('.').next().filter(|group| !group.is_empty()).unwrap_or("core")
}

/// The begin of a body: text if it may be JSON, else its bytes.
fn summary(body: &[u8]) -> String {
    const BYTES_MAX: usize = 30;
    let begin = &body[..body.len().min(BYTES_MAX)];
    let more = if body.len() > BYTES_MAX { " ..." } else { "" };
    match body.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(begin)),
        Some(_) => {
            let digits: String = begin.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{digits}{more}")
        }
    }
}

pub(crate) const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
/// What the real server lists. YAML is not read here: who sends it is told so by a shorter list.
const MEDIA_TYPES: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const TYPE_META: &str = "struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }";
