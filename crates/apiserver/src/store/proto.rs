//! Bodies in protobuf, as client-go's typed clients send them: the envelope of apimachinery (`runtime.Unknown`), and the
//! messages of the served kinds, read into the JSON that they stand for.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::shape::{Shape, Struct};
use super::time::{self, Precision};

/// What an envelope holds.
#[derive(Debug, PartialEq)]
pub(crate) struct Envelope<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) message: &'a [u8],
}

/// Opens an envelope; none if it is not one.
pub(crate) fn open(body: &[u8]) -> Option<Envelope<'_>> {
    let mut envelope = Envelope { api_version: "", kind: "", message: &[] };
    for field in Fields(body.strip_prefix(MAGIC)?) {
        match field? {
            (1, Wire::Bytes(types)) => {
                for field in Fields(types) {
                    match field? {
                        (1, Wire::Bytes(text)) => envelope.api_version = std::str::from_utf8(text).ok()?,
                        (2, Wire::Bytes(text)) => envelope.kind = std::str::from_utf8(text).ok()?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(message)) => envelope.message = message,
            _ => {}
        }
    }
    Some(envelope)
}

/// Whether every part of a shape that a client may set can be read from protobuf.
pub(crate) fn is_readable(shape: &Shape) -> bool {
    match shape {
        Shape::Struct(object) => object
            .fields
            .iter()
            .all(|field| field.name == "status" || field.name == "metadata" || is_readable(&field.shape)),
        Shape::Map(element) | Shape::List(element, _) => is_readable(element),
        Shape::Open(_) | Shape::Any => false,
        Shape::Text
        | Shape::Int32
        | Shape::Int64
        | Shape::Bool
        | Shape::Time
        | Shape::MicroTime
        | Shape::Bytes => true,
    }
}

/// Reads a message; none if it is broken.
pub(crate) fn read(shape: &Shape, message: &[u8]) -> Option<Value> {
    match shape {
        Shape::Struct(object) => read_struct(object, message),
        Shape::Time => read_time(message, Precision::Second),
        Shape::MicroTime => read_time(message, Precision::Micro),
        Shape::Text => Some(std::str::from_utf8(message).ok()?.into()),
        Shape::Bytes => Some(base64(message).into()),
        // The only message of this shape is FieldsV1: JSON in its first field.
        Shape::Any => match Fields(message).next()?? {
            (1, Wire::Bytes(json)) => serde_json::from_slice(json).ok(),
            _ => None,
        },
        Shape::Open(_) => Some(json!({})),
        Shape::Int32 | Shape::Int64 | Shape::Bool | Shape::Map(_) | Shape::List(..) => None,
    }
}

fn read_struct(object: &Struct, message: &[u8]) -> Option<Value> {
    let mut map = Map::new();
    for field in Fields(message) {
        let (number, wire) = field?;
        let known =
            object.fields.iter().zip(1..).find(|(field, place)| field.tag.unwrap_or(*place) == number);
        let Some((field, _)) = known else { continue };
        match (&field.shape, wire) {
            (Shape::List(element, _), Wire::Bytes(bytes)) => {
                let list = map.entry(field.name).or_insert_with(|| json!([]));
                list.as_array_mut()?.push(read(element, bytes)?);
            }
            (Shape::Map(element), Wire::Bytes(bytes)) => {
                let (key, value) = read_entry(element, bytes)?;
                map.entry(field.name).or_insert_with(|| json!({})).as_object_mut()?.insert(key, value);
            }
            (shape, Wire::Bytes(bytes)) => {
                map.insert(field.name.into(), read(shape, bytes)?);
            }
            (Shape::Bool, Wire::Number(number)) => {
                map.insert(field.name.into(), (number != 0).into());
            }
            (_, Wire::Number(number)) => {
                map.insert(field.name.into(), number.cast_signed().into());
            }
        }
    }
    Some(Value::Object(map))
}

fn read_entry(element: &Shape, message: &[u8]) -> Option<(String, Value)> {
    let (mut key, mut value) = (String::new(), read(element, &[])?);
    for field in Fields(message) {
        match field? {
            (1, Wire::Bytes(text)) => key = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Wire::Bytes(bytes)) => value = read(element, bytes)?,
            _ => {}
        }
    }
    Some((key, value))
}

/// An empty message is the time that was never set.
fn read_time(message: &[u8], precision: Precision) -> Option<Value> {
    if message.is_empty() {
        return Some(Value::Null);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    for field in Fields(message) {
        match field? {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanoseconds = i32::try_from(number.cast_signed()).ok()?,
            _ => {}
        }
    }
    Some(time::format(Timestamp::new(seconds, nanoseconds).ok()?, precision).into())
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message; an inner none is where it is broken.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u32, Wire<'a>)> {
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok()?;
        let wire = match key & 7 {
            0 => Wire::Number(self.varint()?),
            1 => Wire::Bytes(self.take(8)?),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Bytes(self.take(4)?),
            _ => return None,
        };
        Some((number, wire))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u32, Wire<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte))
            << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let padding = digit > chunk.len();
            text.push(if padding { '=' } else { char::from(DIGITS[number >> (18 - 6 * digit) & 63]) });
        }
    }
    text
}

const MAGIC: &[u8] = b"k8s\0";

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    /// A Lease as client-go 0.37 encodes it: name `db`, holder `a`, 15 s, transitions 0.
    #[test]
    fn an_envelope_with_a_lease_is_read() {
        let metadata = b"\x0a\x02db";
        let spec = b"\x0a\x01a\x10\x0f\x22\x05\x08\x01\x10\xe8\x07\x28\x00";
        let lease = [b"\x0a\x04", metadata.as_slice(), b"\x12\x0e", spec].concat();
        let types = b"\x0a\x16coordination.k8s.io/v1\x12\x05Lease";
        let body = [b"k8s\0\x0a\x1f", types.as_slice(), b"\x12\x16", &lease, b"\x1a\x00\x22\x00"].concat();
        let envelope = open(&body).unwrap();
        assert_eq!((envelope.api_version, envelope.kind), ("coordination.k8s.io/v1", "Lease"));
        assert_eq!(
            read(Kind::Lease.resource().shape, envelope.message).unwrap(),
            json!({"metadata": {"name": "db"}, "spec": {
                "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 0,
                "renewTime": "1970-01-01T00:00:01.000001Z",
            }})
        );
    }

    #[test]
    fn what_is_broken_is_refused_without_a_panic() {
        assert_eq!(open(b"{}"), None);
        assert_eq!(open(b"k8s\0\x0a\xff"), None);
        assert_eq!(read(Kind::Lease.resource().shape, b"\x0a\x05db"), None);
        assert!(!is_readable(Kind::Pod.resource().shape));
        assert!(is_readable(Kind::Lease.resource().shape));
        assert_eq!(base64(b"\x00\x01\x02\x03"), "AAECAw==");
    }
}
