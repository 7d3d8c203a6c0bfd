//! What Go's types do to a JSON object when it is decoded and encoded again: unknown fields go, empty ones go, times
//! are normalised, a wrong type is refused. And how fields are owned: which parts of an object have owners of their own.

use jiff::civil::DateTime;
use serde_json::{Map, Value};

use super::time::{self, Precision};

/// The type of a value.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Kept as it is, one owner for all of it.
    Any,
    Text,
    Int32,
    Int64,
    Bool,
    Time,
    MicroTime,
    /// Base64 in JSON.
    Bytes,
    /// A map with string keys, each owned alone.
    Map(&'static Self),
    List(&'static Self, Merge),
    Struct(&'static Struct),
    /// Kept as it is, each field owned alone; the lists named here merge as said, others have one owner.
    Open(&'static [(&'static str, Merge)]),
}

/// How the elements of a list are told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merge {
    /// They are not: the list has one owner.
    Atomic,
    /// By their values.
    Set,
    /// By these fields.
    Keys(&'static [&'static str]),
}

/// A Go struct.
#[derive(Debug)]
pub(crate) struct Struct {
    /// Its name in Go, for refusals.
    pub(crate) name: &'static str,
    /// One owner for all of it (`+structType=atomic`).
    pub(crate) atomic: bool,
    pub(crate) fields: &'static [Field],
}

/// A field of a Go struct.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) zero: Zero,
    /// Its number in protobuf, if that is not its place in the struct.
    pub(crate) tag: Option<u32>,
}

/// What is written for a field that holds the zero value of its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zero {
    /// Nothing (`omitempty`).
    Omitted,
    /// The zero as given: a pointer, absent only if null.
    Kept,
    /// The zero, also if it was not given: no `omitempty`, or a struct.
    Written,
}

impl Field {
    /// A field whose zero is not written.
    pub(crate) const fn of(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, zero: Zero::Omitted, tag: None }
    }

    /// A pointer.
    pub(crate) const fn pointer(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, zero: Zero::Kept, tag: None }
    }

    /// A field that is always written.
    pub(crate) const fn written(name: &'static str, shape: Shape) -> Self {
        Self { name, shape, zero: Zero::Written, tag: None }
    }

    /// With a number in protobuf that is not its place.
    pub(crate) const fn tagged(self, tag: u32) -> Self {
        Self { name: self.name, shape: self.shape, zero: self.zero, tag: Some(tag) }
    }
}

/// Decodes and encodes again, in place. Returns the unknown fields, which are gone.
///
/// # Errors
///
/// The sentence in which the real server refuses a wrong type.
pub(crate) fn normalise(shape: &Shape, value: &mut Value) -> Result<Vec<String>, String> {
    let mut unknown = Vec::new();
    let place = Place { owner: "", name: "", parent: None };
    visit(shape, value, &place, &mut unknown)?;
    Ok(unknown)
}

/// Where a value is: the struct that holds it, and its name below its parent; the root has none. The path is only put
/// together for those who ask, which is rare.
struct Place<'a> {
    owner: &'a str,
    name: &'a str,
    parent: Option<&'a Self>,
}

impl Place<'_> {
    fn child<'a>(&'a self, owner: &'a str, name: &'a str) -> Place<'a> {
        Place { owner, name, parent: Some(self) }
    }

    fn path(&self) -> String {
        let mut path = self.parent.map(Place::path).unwrap_or_default();
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(self.name);
        path
    }

    fn refuse<T>(&self, value: &Value, shape: &Shape) -> Result<T, String> {
        let given = match value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(number) if matches!(shape, Shape::Int32 | Shape::Int64) => {
                format!("number {number}")
            }
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let wanted = go_type(shape);
        let path = self.path();
        if path.is_empty() {
            return Err(format!("json: cannot unmarshal {given} into Go value of type {wanted}"));
        }
        Err(format!(
            "json: cannot unmarshal {given} into Go struct field {}.{path} of type {wanted}",
            self.owner
        ))
    }
}

fn visit(
    shape: &Shape,
    value: &mut Value,
    place: &Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    match (shape, &mut *value) {
        (Shape::Any | Shape::Open(_), _)
        | (Shape::Text, Value::String(_))
        | (Shape::Bool, Value::Bool(_)) => Ok(()),
        (Shape::Int32, Value::Number(number))
            if number.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) =>
        {
            Ok(())
        }
        (Shape::Int64, Value::Number(number)) if number.is_i64() => Ok(()),
        (Shape::Time, Value::String(_)) => retime(value, Precision::Second),
        (Shape::MicroTime, Value::String(_)) => retime(value, Precision::Micro),
        (Shape::Bytes, Value::String(text)) => check_base64(text),
        (Shape::Map(element), Value::Object(map)) => {
            for item in map.values_mut() {
                visit_element(element, item, place, unknown)?;
            }
            Ok(())
        }
        (Shape::List(element, _), Value::Array(items)) => {
            for (index, item) in items.iter_mut().enumerate() {
                let before = unknown.len();
                visit_element(element, item, place, unknown)?;
                name_element(&mut unknown[before..], place, index);
            }
            Ok(())
        }
        (Shape::Struct(object), Value::Object(map)) => visit_struct(object, map, place, unknown),
        _ => place.refuse(value, shape),
    }
}

/// Unknown fields of an element of a list are told with its index.
fn name_element(unknown: &mut [String], place: &Place<'_>, index: usize) {
    for field in unknown {
        let path = place.path();
        if let Some(rest) = field.strip_prefix(&path).and_then(|rest| rest.strip_prefix('.')) {
            *field = format!("{path}[{index}].{rest}");
        }
    }
}

/// An element of a map or list: null is the zero of its type.
fn visit_element(
    shape: &Shape,
    value: &mut Value,
    place: &Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    if value.is_null() {
        *value = zero(shape);
    }
    visit(shape, value, place, unknown)
}

fn visit_struct(
    object: &Struct,
    map: &mut Map<String, Value>,
    place: &Place<'_>,
    unknown: &mut Vec<String>,
) -> Result<(), String> {
    let field_of = |key: &str| object.fields.iter().find(|field| field.name == key);
    map.retain(|key, value| {
        !value.is_null() || field_of(key).is_none_or(|field| field.zero == Zero::Written)
    });
    for field in object.fields.iter().filter(|field| field.zero == Zero::Written) {
        if map.get(field.name).is_none_or(Value::is_null) {
            map.insert(field.name.into(), zero(&field.shape));
        }
    }
    for (key, value) in map.iter_mut() {
        match field_of(key) {
            Some(field) if !value.is_null() => {
                visit(&field.shape, value, &place.child(object.name, key), unknown)?;
            }
            Some(_) => {}
            None => unknown.push(place.child("", key).path()),
        }
    }
    map.retain(|key, value| {
        field_of(key).is_some_and(|field| field.zero != Zero::Omitted || !is_zero(value))
    });
    Ok(())
}

fn retime(value: &mut Value, precision: Precision) -> Result<(), String> {
    let Value::String(text) = &*value else { return Ok(()) };
    let time = time::parse(text, precision)?;
    if time != GO_ZERO && time::is_as_stored(text, precision) {
        return Ok(());
    }
    // The zero of Go's time is written as null.
    *value = if time == GO_ZERO { Value::Null } else { time::format_utc(time, precision).into() };
    Ok(())
}

/// Go's decoder names the first byte that does not fit.
fn check_base64(text: &str) -> Result<(), String> {
    let digits = text.trim_end_matches('=');
    let odd = digits.bytes().position(|byte| !byte.is_ascii_alphanumeric() && !b"+/".contains(&byte));
    let padding = text.len() - digits.len();
    let complete = text.len().is_multiple_of(4) && padding <= 2;
    match odd {
        Some(at) => Err(format!("illegal base64 data at input byte {at}")),
        None if complete => Ok(()),
        None => Err(format!("illegal base64 data at input byte {}", text.len() / 4 * 4)),
    }
}

const GO_ZERO: DateTime = DateTime::constant(1, 1, 1, 0, 0, 0, 0);

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// What Go writes for a value that was never set.
fn zero(shape: &Shape) -> Value {
    match shape {
        Shape::Text | Shape::Bytes => Value::String(String::new()),
        Shape::Int32 | Shape::Int64 => 0.into(),
        Shape::Bool => false.into(),
        Shape::Struct(_) | Shape::Open(_) => Value::Object(Map::new()),
        Shape::Any | Shape::Time | Shape::MicroTime | Shape::Map(_) | Shape::List(..) => Value::Null,
    }
}

fn go_type(shape: &Shape) -> String {
    match shape {
        Shape::Any | Shape::Open(_) => "interface {}".into(),
        Shape::Text | Shape::Time | Shape::MicroTime | Shape::Bytes => "string".into(),
        Shape::Int32 => "int32".into(),
        Shape::Int64 => "int64".into(),
        Shape::Bool => "bool".into(),
        Shape::Map(element) => format!("map[string]{}", go_type(element)),
        Shape::List(element, _) => format!("[]{}", go_type(element)),
        Shape::Struct(object) => format!("v1.{}", object.name),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::Kind;
    use super::*;

    fn lease(mut value: Value) -> (Value, Result<Vec<String>, String>) {
        let outcome = normalise(Kind::Lease.resource().shape, &mut value);
        (value, outcome)
    }

    #[test]
    fn unknown_and_empty_fields_go_and_pointers_keep_their_zero() {
        let (value, unknown) = lease(json!({
            "metadata": {"name": "db", "labels": {}, "colour": 1},
            "spec": {"holderIdentity": "", "leaseTransitions": 0, "acquireTime": null, "x": 1},
        }));
        assert_eq!(
            value,
            json!({"metadata": {"name": "db"}, "spec": {"holderIdentity": "", "leaseTransitions": 0}})
        );
        assert_eq!(unknown.unwrap(), ["metadata.colour", "spec.x"]);
        let (value, _) = lease(json!({}));
        assert_eq!(value, json!({"metadata": {}, "spec": {}}));
    }

    #[test]
    fn a_wrong_type_is_refused_in_gos_words() {
        let refusal = |value| lease(value).1.unwrap_err();
        assert_eq!(
            refusal(json!({"spec": {"leaseDurationSeconds": "15"}})),
            "json: cannot unmarshal string into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32"
        );
        assert_eq!(
            refusal(json!({"spec": {"leaseDurationSeconds": 1.5}})),
            "json: cannot unmarshal number 1.5 into Go struct field LeaseSpec.spec.leaseDurationSeconds of type int32"
        );
        assert_eq!(
            refusal(json!({"metadata": {"labels": {"a": 1}}})),
            "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"
        );
    }
}
