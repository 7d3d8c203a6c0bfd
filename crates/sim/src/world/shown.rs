//! What bodies and lines show. One version of the Lease is told to many, and is parsed once.

use std::collections::VecDeque;
use std::rc::Rc;

use serde_json::value::RawValue;

use super::log::Lease;

/// Parses what servers send, and keeps the newest of it: equal bytes show the same.
#[derive(Debug, Default)]
pub(super) struct Reader {
    bodies: Recent<Lease>,
    lines: Recent<Line>,
}

/// A line of a watch.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) kind: String,
    pub(super) lease: Option<Rc<Lease>>,
}

impl Reader {
    /// The Lease in a body; none if it holds none.
    pub(super) fn body(&mut self, body: &[u8]) -> Option<Rc<Lease>> {
        self.bodies.get_or(body, Lease::parse)
    }

    /// What a line of a watch tells; none if it is no event.
    pub(super) fn line(&mut self, line: &[u8]) -> Option<Rc<Line>> {
        let bodies = &mut self.bodies;
        self.lines.get_or(line, |line| {
            let frame: Frame<'_> = serde_json::from_slice(line).ok()?;
            let lease = bodies.get_or(frame.object.get().as_bytes(), Lease::parse);
            Some(Line { kind: frame.kind.to_owned(), lease })
        })
    }
}

/// What the newest bytes came to.
#[derive(Debug)]
struct Recent<T> {
    known: VecDeque<(Vec<u8>, Option<Rc<T>>)>,
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self { known: VecDeque::new() }
    }
}

impl<T> Recent<T> {
    fn get_or(&mut self, bytes: &[u8], parse: impl FnOnce(&[u8]) -> Option<T>) -> Option<Rc<T>> {
        if let Some((_, shown)) = self.known.iter().rev().find(|(known, _)| known == bytes) {
            return shown.clone();
        }
        let shown = parse(bytes).map(Rc::new);
        let mut place = if self.known.len() < KEPT { Vec::new() } else { self.known.pop_front()?.0 };
        place.clear();
        place.extend_from_slice(bytes);
        self.known.push_back((place, shown.clone()));
        shown
    }
}

#[derive(serde::Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// Servers whose watches lag tell of versions that are not the newest.
const KEPT: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_again_shows_the_same_and_what_differs_does_not() {
        let body = |holder: &str| {
            format!(
                r#"{{"kind":"Lease","metadata":{{"uid":"u","resourceVersion":"7"}},"spec":{{"holderIdentity":"{holder}"}}}}"#
            )
        };
        let mut reader = Reader::default();
        for round in 0..3 {
            for holder in ["a", "b", "c", "d", "e", "f", "g", "h", "i"] {
                let text = body(holder);
                let line = format!(r#"{{"type":"MODIFIED","object":{text}}}"#);
                assert_eq!(reader.body(text.as_bytes()).unwrap().holder, holder, "round {round}");
                let shown = reader.line(line.as_bytes()).unwrap();
                assert_eq!(
                    (shown.kind.as_str(), shown.lease.as_ref().unwrap().holder.as_str()),
                    ("MODIFIED", holder)
                );
            }
            assert!(reader.line(b"no event").is_none());
            assert!(reader.body(b"<html>").is_none());
        }
    }
}
