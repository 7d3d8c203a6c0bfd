//! Strict decoding: unknown and repeated fields of a JSON text, in the order of the text. A parsed value no longer tells
//! either: of a repeated key it keeps the last value, and it sorts its keys.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::shape::{Field, Merge, Shape, Struct};

/// The sentences in which the real server names each unknown and each repeated field, once. The text is JSON: where it
/// is not, its parser has said so.
pub(crate) fn findings(shape: &Shape, json: &[u8]) -> Vec<String> {
    let mut scan = Scan::default();
    let mut text = serde_json::Deserializer::from_slice(json);
    // What an error cuts off is refused by the parser that makes the value.
    At { shape, scan: &mut scan }.deserialize(&mut text).ok();
    scan.sentences
}

/// Any JSON, of which only repeated keys are told: a patch, before it is applied.
pub(crate) const ANYTHING: Shape = Shape::Open(&[]);

/// The operations of a JSON Patch, as the real server reads them.
pub(crate) const JSON_PATCH: Shape = Shape::List(
    &Shape::Struct(&Struct {
        name: "jsonPatchOp",
        atomic: false,
        fields: &[
            Field::of("op", Shape::Text),
            Field::of("path", Shape::Text),
            Field::of("from", Shape::Text),
            Field::of("value", ANYTHING),
        ],
    }),
    Merge::Atomic,
);

#[derive(Debug, Default)]
struct Scan {
    path: String,
    sentences: Vec<String>,
}

impl Scan {
    fn note(&mut self, what: &str, key: &str) {
        let dot = if self.path.is_empty() { "" } else { "." };
        let sentence = format!("{what} field \"{}{dot}{key}\"", self.path);
        if self.sentences.len() < SENTENCES_MAX && !self.sentences.contains(&sentence) {
            self.sentences.push(sentence);
        }
    }
}

/// A key, as it stands in the text where nothing in it is escaped.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

/// A value of the text, and the type that it is to have.
struct At<'a> {
    shape: &'a Shape,
    scan: &'a mut Scan,
}

/// The type of a field; none if it is unknown.
fn field<'a>(shape: &'a Shape, key: &str, is_object: bool) -> Option<&'a Shape> {
    match shape {
        Shape::Struct(object) => {
            let field = object.fields.iter().find(|field| field.name == key).map(|field| &field.shape);
            // Each object has these, and no type lists them.
            field.or_else(|| (is_object && matches!(key, "kind" | "apiVersion")).then_some(&Shape::Text))
        }
        Shape::Map(element) => Some(element),
        _ => Some(&ANYTHING),
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        match self.shape {
            // Types that decode themselves: nobody looks into them.
            Shape::Any | Shape::Time | Shape::MicroTime => text.deserialize_ignored_any(IgnoredAny).map(drop),
            _ => text.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        let length = self.scan.path.len();
        let mut seen = BTreeSet::new();
        while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
            let Some(shape) = field(self.shape, &key, length == 0) else {
                self.scan.note("unknown", &key);
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if seen.contains(&key) {
                self.scan.note("duplicate", &key);
            }
            if length > 0 {
                self.scan.path.push('.');
            }
            self.scan.path.push_str(&key);
            map.next_value_seed(At { shape, scan: self.scan })?;
            self.scan.path.truncate(length);
            seen.insert(key);
        }
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut items: S) -> Result<(), S::Error> {
        let shape = if let Shape::List(element, _) = self.shape { element } else { &ANYTHING };
        let length = self.scan.path.len();
        for index in 0_usize.. {
            let _ = write!(self.scan.path, "[{index}]");
            let item = items.next_element_seed(At { shape, scan: self.scan })?;
            self.scan.path.truncate(length);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// As many as the real server tells of.
const SENTENCES_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    fn lease(json: &str) -> Vec<String> {
        findings(Kind::Lease.resource().shape, json.as_bytes())
    }

    #[test]
    fn unknown_and_repeated_fields_are_told_once_and_in_the_order_of_the_text() {
        let text = r#"{"kind": "Lease", "z": {"kind": 1}, "spec": {"odd": 1, "holderIdentity": "a", "holderIdentity": "b"},
            "metadata": {"labels": {"a": "1", "a": "2", "a": "3"}, "a": 0}, "kind": "Lease"}"#;
        assert_eq!(
            lease(text),
            [
                r#"unknown field "z""#,
                r#"unknown field "spec.odd""#,
                r#"duplicate field "spec.holderIdentity""#,
                r#"duplicate field "metadata.labels.a""#,
                r#"unknown field "metadata.a""#,
                r#"duplicate field "kind""#,
            ]
        );
    }

    #[test]
    fn what_decodes_itself_is_not_looked_into_and_elements_have_their_index() {
        assert_eq!(lease(r#"{"metadata": {"managedFields": [{"fieldsV1": {"a": {}, "a": {}}}]}}"#), [""; 0]);
        assert_eq!(
            lease(r#"{"metadata": {"managedFields": [{}, {"odd": 1}]}}"#),
            [r#"unknown field "metadata.managedFields[1].odd""#]
        );
        let patch = br#"[{"op": "test", "path": "/a", "value": {"x": 1, "x": 2}, "odd": 1}]"#;
        assert_eq!(
            findings(&JSON_PATCH, patch),
            [r#"duplicate field "[0].value.x""#, r#"unknown field "[0].odd""#]
        );
    }

    #[test]
    fn texts_that_are_no_json_are_left_to_the_parser() {
        assert_eq!(lease(""), [""; 0]);
        assert_eq!(lease("{\"spec\": [}"), [""; 0]);
        assert_eq!(lease("5"), [""; 0]);
    }
}
