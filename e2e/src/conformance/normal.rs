//! Answers of two servers in one form: what differs from run to run becomes a symbol.
//!
//! A uid or version is named after the step that showed it first, so that "the same as before", "new" and "older
//! than what was seen" stay visible. Times keep their form, and nothing else of them. A list's own version is only
//! held against the newest version seen, because other writers move it. Entries of `managedFields` are sorted by
//! their writers: the real server sorts them by second of writing, so that their order depends on the clock. For the
//! same reason an object that is quoted inside a message is not compared. Ports, ages and the server-made end of a
//! generated name are hidden.

use serde_json::{Value, json};

use super::server::Answer;

/// The names of what one server made up, in one run of a script.
#[derive(Debug, Default)]
pub struct Symbols {
    step: usize,
    uids: Vec<(String, String)>,
    versions: Vec<(u64, String)>,
    names: Vec<(String, String)>,
}

impl Symbols {
    /// The comparable form of the answer to step number `step`, counted from one.
    pub fn normal(&mut self, step: usize, answer: &Answer) -> Value {
        self.step = step;
        let body = match answer.json() {
            Some(mut body) => {
                self.learn_names(&body);
                self.walk(&mut body, &Place::default());
                body
            }
            None => Value::String(String::from_utf8_lossy(&answer.body).into_owned()),
        };
        json!({
            "status": answer.status,
            "contentType": answer.content_type,
            "warnings": answer.warnings,
            "dated": answer.dated,
            "body": body,
        })
    }

    /// The comparable form of an object that came in a watch.
    pub(super) fn normal_object(&mut self, step: usize, object: &Value) -> Value {
        self.step = step;
        let mut object = object.clone();
        self.learn_names(&object);
        self.walk(&mut object, &Place::default());
        object
    }

    fn walk(&mut self, value: &mut Value, place: &Place<'_>) {
        match value {
            Value::Object(fields) => {
                let collection = fields.contains_key("items") || fields.contains_key("rows");
                for (key, field) in fields.iter_mut() {
                    let in_metadata = place.key == "metadata";
                    let place =
                        Place { key, in_metadata, collection: collection || place.collection_metadata() };
                    self.field(field, &place);
                }
            }
            Value::Array(items) => {
                for item in items.iter_mut() {
                    if place.key == "cells" && item.as_str().is_some_and(is_age) {
                        *item = json!("<age>");
                    }
                    self.walk(item, &Place { key: place.key, ..Place::default() });
                }
                if place.key == "managedFields" {
                    items.sort_by_key(writer_of);
                }
                // The conflicts of an apply come out of a Go map, in another order each time.
                if place.key == "causes" && items.iter().all(|item| item["reason"] == "FieldManagerConflict")
                {
                    items.sort_by_key(Value::to_string);
                }
            }
            _ => {}
        }
    }

    fn field(&mut self, field: &mut Value, place: &Place<'_>) {
        let Value::String(text) = field else {
            return self.walk(field, place);
        };
        match place.key {
            "uid" if looks_like_uid(text) => *text = self.uid(text),
            "resourceVersion" if place.in_metadata && place.collection => *text = self.list_version(text),
            "resourceVersion" => *text = self.version(text),
            "creationTimestamp" | "deletionTimestamp" | "time" if is_time(text) => "<time>".clone_into(text),
            "continue" if !text.is_empty() => "<continue>".clone_into(text),
            "message" => *text = self.message(text),
            "serverAddress" => *text = format!("{}:<port>", text.split(':').next().unwrap_or_default()),
            "name" => {
                if let Some((_, symbol)) = self.names.iter().find(|(name, _)| name == text) {
                    symbol.clone_into(text);
                }
            }
            _ => {}
        }
    }

    fn uid(&mut self, text: &str) -> String {
        if let Some((_, symbol)) = self.uids.iter().find(|(uid, _)| uid == text) {
            return symbol.clone();
        }
        let symbol = self.fresh("uid", self.uids.iter().map(|(_, symbol)| symbol));
        self.uids.push((text.to_owned(), symbol.clone()));
        symbol
    }

    fn version(&mut self, text: &str) -> String {
        let Ok(version) = text.parse::<u64>() else { return text.to_owned() };
        if let Some((_, symbol)) = self.versions.iter().find(|(known, _)| *known == version) {
            return symbol.clone();
        }
        let mut symbol = self.fresh("version", self.versions.iter().map(|(_, symbol)| symbol));
        if self.newest().is_some_and(|newest| version < newest) {
            symbol.push_str(" (new, but older than one that was seen)");
        }
        self.versions.push((version, symbol.clone()));
        symbol
    }

    fn list_version(&self, text: &str) -> String {
        match (text.parse::<u64>(), self.newest()) {
            (Ok(version), Some(newest)) if version < newest => "<older than the newest seen>".to_owned(),
            (Ok(_), _) => "<at least the newest seen>".to_owned(),
            (Err(_), _) => text.to_owned(),
        }
    }

    fn newest(&self) -> Option<u64> {
        self.versions.iter().map(|(version, _)| *version).max()
    }

    /// `KIND@STEP`, with a number behind it from the second one on.
    fn fresh<'a>(&self, kind: &str, known: impl Iterator<Item = &'a String>) -> String {
        let base = format!("{kind}@{}", self.step);
        let same = |symbol: &&String| **symbol == base || symbol.starts_with(&format!("{base}."));
        match known.filter(same).count() {
            0 => base,
            count => format!("{base}.{}", count + 1),
        }
    }

    /// A sentence of the server, with what it quotes replaced.
    fn message(&self, text: &str) -> String {
        let quoted = |text: String, (value, symbol): &(String, String)| text.replace(value.as_str(), symbol);
        let text = self.uids.iter().chain(&self.names).fold(without_object(text), quoted);
        if !text.to_lowercase().replace(' ', "").contains("resourceversion") {
            return text;
        }
        let mut numbers = String::new();
        let mut rest = text.as_str();
        while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(start);
            let end = from.find(|c: char| !c.is_ascii_digit()).unwrap_or(from.len());
            let (digits, behind) = from.split_at(end);
            let known = self.versions.iter().find(|(version, _)| version.to_string() == digits);
            numbers.push_str(before);
            numbers.push_str(match known {
                _ if before.ends_with("current: ") => "<the newest>",
                Some((_, symbol)) if !before.ends_with(in_word) && !behind.starts_with(in_word) => symbol,
                _ => digits,
            });
            rest = behind;
        }
        numbers + rest
    }

    /// Names that the server completed: their random part is hidden.
    fn learn_names(&mut self, value: &Value) {
        for item in value["items"].as_array().into_iter().flatten() {
            self.learn_names(item);
        }
        let metadata = &value["metadata"];
        let (Some(prefix), Some(name)) = (metadata["generateName"].as_str(), metadata["name"].as_str())
        else {
            return;
        };
        let random = name.strip_prefix(prefix).unwrap_or_default();
        if random.len() == GENERATED_LENGTH && !self.names.iter().any(|(known, _)| known == name) {
            let symbol = self.fresh(&format!("{prefix}<generated>"), self.names.iter().map(|(_, s)| s));
            self.names.push((name.to_owned(), symbol));
        }
    }
}

/// Where a value stands, as far as its meaning depends on that.
#[derive(Default)]
struct Place<'a> {
    key: &'a str,
    in_metadata: bool,
    /// In the metadata of a list, or beside it.
    collection: bool,
}

impl Place<'_> {
    fn collection_metadata(&self) -> bool {
        self.key == "metadata" && self.collection
    }
}

fn writer_of(entry: &Value) -> String {
    let part = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    [part("manager"), part("operation"), part("subresource"), part("apiVersion"), entry.to_string()].join(" ")
}

/// Whether a number beside this character is part of something longer: a uid, a name, a symbol.
fn in_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '@')
}

fn looks_like_uid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

/// `2026-01-02T03:04:05Z`, as the server writes the times that it makes.
fn is_time(text: &str) -> bool {
    text.len() == 20 && text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok()
}

/// `5s`, `3m4s`, `2d`.
fn is_age(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.ends_with(['s', 'm', 'h', 'd', 'y'])
        && text.chars().all(|c| c.is_ascii_digit() || "smhdy".contains(c))
}

/// A message without the object that it quotes.
fn without_object(text: &str) -> String {
    let Some((before, quoted)) = text.split_once(QUOTED_OBJECT) else { return text.to_owned() };
    let mut escaped = false;
    let end = quoted.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let behind = end.map_or("", |end| &quoted[end + 1..]);
    format!("{before}Invalid value: <object>{behind}")
}

/// How a message begins to quote the whole patched object.
const QUOTED_OBJECT: &str = "Invalid value: \"{";
/// How many random characters end a generated name.
const GENERATED_LENGTH: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &Value) -> Answer {
        Answer {
            status: 200,
            content_type: None,
            warnings: Vec::new(),
            dated: true,
            body: body.to_string().into(),
        }
    }

    fn object(uid: &str, version: &str) -> Value {
        json!({"metadata": {"name": "a", "uid": uid, "resourceVersion": version,
            "creationTimestamp": "2026-01-02T03:04:05Z"}})
    }

    const UID: &str = "01234567-89ab-cdef-0123-456789abcdef";

    #[test]
    fn the_same_new_and_older_versions_are_told_apart() {
        let mut symbols = Symbols::default();
        let mut version = |step, text| {
            symbols.normal(step, &answer(&object(UID, text)))["body"]["metadata"]["resourceVersion"].clone()
        };
        assert_eq!(version(1, "10"), "version@1");
        assert_eq!(version(2, "10"), "version@1");
        assert_eq!(version(3, "12"), "version@3");
        assert_eq!(version(4, "11"), "version@4 (new, but older than one that was seen)");
    }

    #[test]
    fn messages_lose_the_values_they_quote_and_nothing_else() {
        let mut symbols = Symbols::default();
        symbols.normal(1, &answer(&object(UID, "10")));
        let message = format!("uid {UID}, resourceVersion 10 and not 110: 3 causes");
        let normal = symbols.normal(2, &answer(&json!({"message": message})));
        assert_eq!(normal["body"]["message"], "uid uid@1, resourceVersion version@1 and not 110: 3 causes");
    }

    /// The real server had come to version 4000, and `4000` in the middle of a uid that no object has became a version.
    #[test]
    fn a_part_of_a_uid_or_a_name_is_no_version() {
        let mut symbols = Symbols::default();
        symbols.normal(1, &answer(&object(UID, "4000")));
        let message = "ResourceVersion: 0, uid 00000000-0000-4000-8000-000000000000, name b-4000, not 4000";
        let normal = symbols.normal(2, &answer(&json!({"message": message})));
        let expected =
            "ResourceVersion: 0, uid 00000000-0000-4000-8000-000000000000, name b-4000, not version@1";
        assert_eq!(normal["body"]["message"], expected);
    }

    #[test]
    fn an_object_quoted_in_a_message_is_not_compared() {
        let message = "patch: Invalid value: \"{\\\"time\\\":\\\"x\\\"}\": strict \"decoding\" error";
        assert_eq!(without_object(message), "patch: Invalid value: <object>: strict \"decoding\" error");
        assert_eq!(without_object("Invalid value: \"x\""), "Invalid value: \"x\"");
    }

    #[test]
    fn a_time_in_another_form_stays_visible() {
        let mut symbols = Symbols::default();
        let normal =
            symbols.normal(1, &answer(&json!({"metadata": {"creationTimestamp": "2026-01-02T03:04:05.1Z"}})));
        assert_eq!(normal["body"]["metadata"]["creationTimestamp"], "2026-01-02T03:04:05.1Z");
    }

    #[test]
    fn the_version_of_a_list_is_held_against_the_newest_one() {
        let mut symbols = Symbols::default();
        symbols.normal(1, &answer(&object(UID, "10")));
        let mut list = |version| {
            let list = json!({"metadata": {"resourceVersion": version}, "items": []});
            symbols.normal(2, &answer(&list))["body"]["metadata"]["resourceVersion"].clone()
        };
        assert_eq!(list("9"), "<older than the newest seen>");
        assert_eq!(list("12"), "<at least the newest seen>");
    }
}
