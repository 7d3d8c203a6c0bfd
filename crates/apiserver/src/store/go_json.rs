//! JSON in the order in which Go writes it: fields of structs as they are declared, keys of maps sorted. Refusals show
//! objects so. What a patch has opened is a map, and the rest is still text that a struct wrote.

use std::collections::BTreeMap;

use serde_json::Value;

use super::shape::Shape;

/// Which objects a patch opened on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened(BTreeMap<String, Self>);

impl Opened {
    /// The parents of the paths of a JSON Patch.
    pub(crate) fn by_json_patch(patch: &Value) -> Self {
        let mut opened = Self::default();
        for operation in patch.as_array().into_iter().flatten() {
            let mut at = &mut opened;
            let parts: Vec<&str> =
                operation["path"].as_str().unwrap_or_default().split('/').skip(1).collect();
            for part in parts.iter().take(parts.len().saturating_sub(1)) {
                at = at.0.entry(part.replace("~1", "/").replace("~0", "~")).or_default();
            }
        }
        opened
    }

    /// The objects that a merge patch has values for.
    pub(crate) fn by_merge_patch(patch: &Value) -> Self {
        let inner = patch.as_object().into_iter().flatten().filter(|(_, value)| value.is_object());
        Self(inner.map(|(key, value)| (key.clone(), Self::by_merge_patch(value))).collect())
    }
}

/// Writes a value; `opened` is none for what no patch has touched.
pub(crate) fn write(shape: &Shape, value: &Value, opened: Option<&Opened>) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| (opened.map_or_else(|| place(shape, key), |_| 0), *key));
            let entry = |key: &&String| {
                let inner = opened.and_then(|opened| opened.0.get(*key));
                format!("{}:{}", Value::from(key.as_str()), write(child(shape, key), &map[*key], inner))
            };
            let entries: Vec<String> = keys.iter().map(entry).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(items) => {
            let element = if let Shape::List(element, _) = shape { element } else { &Shape::Any };
            let items: Vec<String> = items.iter().map(|item| write(element, item, None)).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

/// Where a struct declares a field; kind and version come first.
fn place(shape: &Shape, key: &str) -> usize {
    let Shape::Struct(object) = shape else { return 0 };
    object.fields.iter().position(|field| field.name == key).map_or(0, |place| place + 1)
}

fn child<'a>(shape: &'a Shape, key: &str) -> &'a Shape {
    match shape {
        Shape::Struct(object) => {
            object.fields.iter().find(|field| field.name == key).map_or(&Shape::Any, |field| &field.shape)
        }
        Shape::Map(element) => element,
        _ => &Shape::Any,
    }
}

/// A text in quotes, as Go's `%q` writes it.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if is_printable(letter) => quoted.push(letter),
            '\u{7}'..='\r' => {
                let name = b"abtnvfr"[usize::from(letter as u8 - 7)];
                quoted.extend(['\\', char::from(name)]);
            }
            '\0'..='\u{7f}' => quoted.push_str(&format!("\\x{:02x}", u32::from(letter))),
            '\u{80}'..='\u{ffff}' => quoted.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => quoted.push_str(&format!("\\U{:08x}", u32::from(letter))),
        }
    }
    quoted + "\""
}

/// Whether a letter can be printed, as Go's `unicode.IsPrint` says: letters, marks, numbers, punctuation, symbols, and
/// of spaces only the ASCII one.
pub(crate) fn is_printable(letter: char) -> bool {
    if letter.is_ascii() {
        return letter == ' ' || letter.is_ascii_graphic();
    }
    // Rust escapes what cannot be printed; behind another letter it does not escape marks.
    let escaped = String::from_iter(['a', letter]).escape_debug().to_string();
    !letter.is_control() && !escaped.starts_with("a\\u{")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn texts_are_quoted_with_gos_escapes() {
        let text = "a\"\\é\u{7}\u{8}\t\n\u{b}\u{c}\r\u{1}\u{7f}\u{a0}\u{200b}\u{e0001}";
        assert_eq!(quote(text), r#""a\"\\é\a\b\t\n\v\f\r\x01\x7f\u00a0\u200b\U000e0001""#);
        assert!(is_printable(' ') && is_printable('\u{301}') && !is_printable('\u{2028}'));
    }

    #[test]
    fn what_a_patch_opened_is_sorted_and_the_rest_is_as_declared() {
        let lease = json!({
            "apiVersion": "v", "kind": "Lease",
            "metadata": {"name": "db", "annotations": {"b": "1", "a": "2"}, "uid": "u"},
            "spec": {"renewTime": "t", "holderIdentity": "h", "acquireTime": "t"},
        });
        let shape = Kind::Lease.resource().shape;
        let patch = json!([{"op": "add", "path": "/metadata/name", "value": "db"}]);
        assert_eq!(
            write(shape, &lease, Some(&Opened::by_json_patch(&patch))),
            r#"{"apiVersion":"v","kind":"Lease","metadata":{"annotations":{"a":"2","b":"1"},"name":"db","uid":"u"},"spec":{"holderIdentity":"h","acquireTime":"t","renewTime":"t"}}"#
        );
        let merge = Opened::by_merge_patch(&json!({"spec": {"holderIdentity": "h"}}));
        assert!(
            write(shape, &lease, Some(&merge)).contains(r#""metadata":{"name":"db","uid":"u","annotations""#)
        );
    }
}
