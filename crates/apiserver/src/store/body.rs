//! Bodies of writes: JSON or protobuf in, the object that it holds out, or the sentence of the real server.

use serde_json::{Map, Value};

use super::kind::{Kind, Resource};
use super::patch::type_name;
use super::request::Call;
use super::shape::normalise;
use super::status::Failure;
use super::{defaults, managed, proto, strict};

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
        _ if is_json(call) => from_json(call)?,
        PROTOBUF if proto::is_readable(resource.shape) => from_protobuf(call)?,
        _ => return Err(unsupported(call)),
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
    normalise(resource.shape, &mut value).map_err(|why| refuse(&why))?;
    let found = || if is_json(call) { strict::findings(resource.shape, call.body) } else { Vec::new() };
    let warnings =
        judge_findings(call, found).map_err(|why| refuse(&format!("strict decoding error: {why}")))?;
    defaults::fill(call.kind, &mut value);
    Ok(Incoming { value, reset, warnings })
}

/// Unknown and repeated fields are warned of, refused or ignored, as the request asks for.
pub(crate) fn judge_findings(
    call: &Call<'_>,
    found: impl FnOnce() -> Vec<String>,
) -> Result<Vec<String>, String> {
    let validation = call.query.text("fieldValidation");
    if validation == "Ignore" {
        return Ok(Vec::new());
    }
    let found = found();
    if validation == "Strict" && !found.is_empty() { Err(found.join(", ")) } else { Ok(found) }
}

/// Whether a body is JSON, by its name.
pub(crate) fn is_json(call: &Call<'_>) -> bool {
    matches!(call.content_type.as_str(), "" | "application/json")
}

/// That a body is of no format that is read. The list is what the real server reads, unless the body is of that: then it
/// is what is read here.
pub(crate) fn unsupported(call: &Call<'_>) -> Failure {
    Failure::unsupported_media_type(match call.content_type.as_str() {
        PROTOBUF | "application/yaml" => "application/json",
        _ => MEDIA_TYPES,
    })
}

/// JSON that may be an object of some type; null is an empty one.
pub(crate) fn parse(body: &[u8]) -> Result<Value, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| json_error(body, &error))?;
    match &value {
        Value::Object(map) => {
            for field in ["apiVersion", "kind"] {
                let given = map.get(field).filter(|given| !given.is_string() && !given.is_null());
                if let Some(given) = given.map(type_name) {
                    return Err(format!(
                        "json: cannot unmarshal {given} into Go struct field .{field} of type string"
                    ));
                }
            }
            Ok(value)
        }
        Value::Null => Ok(Value::Object(Map::new())),
        other => {
            Err(format!("json: cannot unmarshal {} into Go value of type {TYPE_META}", type_name(other)))
        }
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
fn json_error(body: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() || body.is_empty() {
        return "unexpected end of JSON input".into();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let letter = line.get(error.column().saturating_sub(1)).copied().unwrap_or(b' ');
    // The parser has no other way to say so.
    let trailing = error.to_string().starts_with("trailing characters");
    let place = if trailing { "after top-level value" } else { "looking for beginning of value" };
    format!("invalid character '{}' {place}", char::from(letter))
}

/// That no type of this name is known, in the words of the real server.
pub(crate) fn unregistered(kind: &str, version: &str) -> String {
    format!(
        "no kind \"{kind}\" is registered for version \"{version}\" in scheme \"pkg/runtime/scheme.go:111\""
    )
}

fn from_json(call: &Call<'_>) -> Result<Value, Failure> {
    parse(call.body).map_err(|why| {
        Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {why} ({})",
            call.kind.resource().kind,
            summary(call.body),
        ))
    })
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
