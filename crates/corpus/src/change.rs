//! One change of an example: what breaks parsers, drawn by chance.

use std::ops::Range;

use proptest::prelude::*;

/// A change, and where. Places are shares of the length, so that a change fits whatever it meets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    kind: Kind,
    begin: u16,
    end: u16,
    number: u8,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The rest is missing.
    Cut,
    /// A part is missing.
    Drop,
    /// A byte is another.
    Replace,
    /// A part is there twice.
    Repeat,
    /// A word that breaks parsers is in the place of a part.
    Word,
    /// A number is another.
    Number,
    /// A part is within many brackets.
    Nest,
    /// The rest is that of another example.
    Splice,
}

impl Arbitrary for Change {
    type Parameters = ();
    type Strategy = BoxedStrategy<Self>;

    fn arbitrary_with((): ()) -> Self::Strategy {
        let kinds = prop::sample::select(vec![
            Kind::Cut,
            Kind::Drop,
            Kind::Replace,
            Kind::Repeat,
            Kind::Word,
            Kind::Number,
            Kind::Nest,
            Kind::Splice,
        ]);
        let change = (kinds, any::<u16>(), any::<u16>(), any::<u8>());
        change.prop_map(|(kind, begin, end, number)| Self { kind, begin, end, number }).boxed()
    }
}

impl Change {
    pub(crate) fn make(self, bytes: &mut Vec<u8>, others: &[Vec<u8>]) {
        let part = self.part(bytes.len());
        match self.kind {
            Kind::Cut => bytes.truncate(part.start),
            Kind::Drop => drop(bytes.drain(part)),
            Kind::Replace => {
                if let Some(byte) = bytes.get_mut(part.start) {
                    *byte = self.number;
                }
            }
            Kind::Repeat => {
                let twice = bytes[part.clone()].to_vec();
                bytes.splice(part.end..part.end, twice);
            }
            Kind::Word => drop(bytes.splice(part, self.pick(WORDS).iter().copied())),
            Kind::Number => {
                if let Some(digits) = digits_after(bytes, part.start) {
                    bytes.splice(digits, self.pick(NUMBERS).iter().copied());
                }
            }
            Kind::Nest => {
                let depth = usize::from(self.number) * 2;
                bytes.splice(part.end..part.end, vec![b']'; depth]);
                bytes.splice(part.start..part.start, vec![b'['; depth]);
            }
            Kind::Splice => {
                let other = &others[usize::from(self.number) % others.len()];
                bytes.truncate(part.start);
                bytes.extend_from_slice(&other[self.part(other.len()).start..]);
            }
        }
    }

    fn part(self, length: usize) -> Range<usize> {
        let place = |share: u16| usize::from(share) * (length + 1) / (usize::from(u16::MAX) + 1);
        let (one, other) = (place(self.begin), place(self.end));
        one.min(other)..one.max(other)
    }

    fn pick(self, words: &[&'static [u8]]) -> &'static [u8] {
        words[usize::from(self.number) % words.len()]
    }
}

/// The first number at or after a place.
fn digits_after(bytes: &[u8], place: usize) -> Option<Range<usize>> {
    let begin = place + bytes[place..].iter().position(u8::is_ascii_digit)?;
    let length = bytes[begin..].iter().position(|byte| !byte.is_ascii_digit());
    Some(begin..length.map_or(bytes.len(), |length| begin + length))
}

const WORDS: &[&[u8]] = &[
    b"null",
    b"true",
    b"-1",
    b"{}",
    b"[]",
    b"\"\"",
    b"\"\\u0000\"",
    b"\"\\ud800\"",
    b"\xff\xfe",
    b"\0",
    b"\n",
    b"\r\n",
    b",",
    b":",
    b"\"",
    b"}",
    b"%00",
    b"%",
    b"/",
    b"~0~1",
    b"\"2016-12-31T23:59:60.123456789Z\"",
    b"\"9999-12-31T23:59:59.999999Z\"",
];

const NUMBERS: &[&[u8]] = &[
    b"0",
    b"-0",
    b"007",
    b"-1",
    b"1.5",
    b"1e400",
    b"2147483647",
    b"2147483648",
    b"9223372036854775807",
    b"18446744073709551615",
    b"18446744073709551616",
    b"99999999999999999999999999999999999999",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(kind: Kind, number: u8) -> String {
        let mut bytes = b"{\"n\": 15}".to_vec();
        let half = u16::MAX / 2;
        Change { kind, begin: half, end: u16::MAX, number }.make(&mut bytes, &[b"other example".to_vec()]);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn each_kind_of_change_leaves_what_it_says() {
        assert_eq!(changed(Kind::Cut, 0), "{\"n\"");
        assert_eq!(changed(Kind::Drop, 0), "{\"n\"");
        assert_eq!(changed(Kind::Replace, b'X'), "{\"n\"X 15}");
        assert_eq!(changed(Kind::Repeat, 0), "{\"n\": 15}: 15}");
        assert_eq!(changed(Kind::Word, 0), "{\"n\"null");
        assert_eq!(changed(Kind::Number, 3), "{\"n\": -1}");
        assert_eq!(changed(Kind::Nest, 1), "{\"n\"[[: 15}]]");
        assert_eq!(changed(Kind::Splice, 0), "{\"n\"example");
    }

    #[test]
    fn every_change_fits_nothing_at_all() {
        for kind in [Kind::Cut, Kind::Drop, Kind::Replace, Kind::Repeat, Kind::Number, Kind::Splice] {
            let mut bytes = Vec::new();
            Change { kind, begin: 9, end: u16::MAX, number: 0 }.make(&mut bytes, &[Vec::new()]);
            assert!(bytes.is_empty(), "{kind:?}");
        }
    }
}
