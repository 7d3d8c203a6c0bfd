//! Times as Kubernetes reads and writes them: Go's `time.Parse`, with its refusals, and back.

use jiff::civil::{Date, DateTime, Time};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// How exactly a field keeps time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// `Time` of apimachinery: a fraction is read and dropped.
    Second,
    /// `MicroTime` of apimachinery: exactly six digits, or it is refused.
    Micro,
}

/// A time as it is stored.
pub(crate) fn format(time: Timestamp, precision: Precision) -> String {
    format_utc(time.to_zoned(TimeZone::UTC).datetime(), precision)
}

/// A time in UTC as it is stored; the years of Go reach further than those of [`Timestamp`].
pub(crate) fn format_utc(time: DateTime, precision: Precision) -> String {
    let format = match precision {
        Precision::Second => "%Y-%m-%dT%H:%M:%SZ",
        Precision::Micro => "%Y-%m-%dT%H:%M:%S.%6fZ",
    };
    time.strftime(format).to_string()
}

/// Whether a time that can be read is written just as [`format_utc`] would write it.
pub(crate) fn is_as_stored(text: &str, precision: Precision) -> bool {
    let text = text.as_bytes();
    match precision {
        Precision::Second => text.len() == "2006-01-02T15:04:05Z".len() && text.ends_with(b"Z"),
        Precision::Micro => {
            text.len() == "2006-01-02T15:04:05.000000Z".len() && text.ends_with(b"Z") && text[19] == b'.'
        }
    }
}

/// Reads a time.
///
/// # Errors
///
/// The sentence in which Go refuses it.
pub(crate) fn parse(text: &str, precision: Precision) -> Result<DateTime, String> {
    let mut cursor = Cursor { text, rest: text, precision };
    let year = cursor.number("2006", 4, 4)?;
    cursor.literal("-")?;
    let month = cursor.number("01", 2, 2)?;
    cursor.in_range("month", (1..=12).contains(&month))?;
    cursor.literal("-")?;
    let day = cursor.number("02", 2, 2)?;
    cursor.literal("T")?;
    let hour = cursor.number("15", 1, 2)?;
    cursor.in_range("hour", hour < 24)?;
    cursor.literal(":")?;
    let minute = cursor.number("04", 2, 2)?;
    cursor.in_range("minute", minute < 60)?;
    cursor.literal(":")?;
    let second = cursor.number("05", 2, 2)?;
    cursor.in_range("second", second < 60)?;
    let nanoseconds = cursor.fraction()?;
    let offset = cursor.offset()?;
    if !cursor.rest.is_empty() {
        return Err(format!("parsing time {text:?}: extra text: {:?}", cursor.rest));
    }
    let date = small(year).zip(small(month)).zip(small(day));
    let date = date.and_then(|((year, month), day)| Date::new(year, month, day).ok());
    let time = small(hour).zip(small(minute)).zip(small(second));
    let time = time.and_then(|((hour, minute), second)| Time::new(hour, minute, second, nanoseconds).ok());
    let local = date.zip(time).map(|(date, time)| date.to_datetime(time));
    let shifted = local.and_then(|local| local.checked_sub(offset).ok());
    shifted.ok_or_else(|| format!("parsing time {text:?}: day out of range"))
}

struct Cursor<'a> {
    text: &'a str,
    rest: &'a str,
    precision: Precision,
}

impl Cursor<'_> {
    fn refuse<T>(&self, element: &str) -> Result<T, String> {
        let layout = match self.precision {
            Precision::Second => "2006-01-02T15:04:05Z07:00",
            Precision::Micro => "2006-01-02T15:04:05.000000Z07:00",
        };
        Err(format!(
            "parsing time {:?} as {layout:?}: cannot parse {:?} as {element:?}",
            self.text, self.rest
        ))
    }

    fn in_range(&self, part: &str, holds: bool) -> Result<(), String> {
        if holds { Ok(()) } else { Err(format!("parsing time {:?}: {part} out of range", self.text)) }
    }

    fn literal(&mut self, literal: &str) -> Result<(), String> {
        match self.rest.strip_prefix(literal) {
            Some(rest) => self.rest = rest,
            None => return self.refuse(literal),
        }
        Ok(())
    }

    fn number(&mut self, element: &str, digits_min: usize, digits_max: usize) -> Result<i32, String> {
        let digits = self.digits().min(digits_max);
        if digits < digits_min {
            return self.refuse(element);
        }
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        Ok(number.parse().expect("at most four digits"))
    }

    fn digits(&self) -> usize {
        self.rest.bytes().take_while(u8::is_ascii_digit).count()
    }

    fn fraction(&mut self) -> Result<i32, String> {
        let Some(after) = self.rest.strip_prefix(['.', ',']) else {
            return if self.precision == Precision::Micro { self.refuse(".000000") } else { Ok(0) };
        };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let taken = if self.precision == Precision::Micro { 6 } else { digits };
        if digits < taken || digits == 0 {
            return self.refuse(if self.precision == Precision::Micro { ".000000" } else { "Z07:00" });
        }
        let (fraction, rest) = after.split_at(taken);
        self.rest = rest;
        let padded: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        Ok(padded.parse().expect("nine digits"))
    }

    fn offset(&mut self) -> Result<SignedDuration, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(SignedDuration::ZERO);
        }
        let bytes = self.rest.as_bytes();
        let well_formed = bytes.len() >= 6
            && matches!(bytes[0], b'+' | b'-')
            && bytes[3] == b':'
            && [1, 2, 4, 5].into_iter().all(|at| bytes[at].is_ascii_digit());
        if !well_formed {
            return self.refuse("Z07:00");
        }
        let digit = |at: usize| i64::from(bytes[at] - b'0');
        let minutes = (digit(1) * 10 + digit(2)) * 60 + digit(4) * 10 + digit(5);
        let sign = if bytes[0] == b'-' { -1 } else { 1 };
        self.in_range("time zone offset hour", digit(1) * 10 + digit(2) <= 24)?;
        self.in_range("time zone offset minute", digit(4) < 6)?;
        self.rest = &self.rest[6..];
        Ok(SignedDuration::from_mins(sign * minutes))
    }
}

fn small<T: TryFrom<i32>>(number: i32) -> Option<T> {
    T::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro(text: &str) -> String {
        match parse(text, Precision::Micro) {
            Ok(time) => format_utc(time, Precision::Micro),
            Err(refusal) => refusal,
        }
    }

    #[test]
    fn micro_times_have_six_digits_and_are_stored_in_utc() {
        assert_eq!(micro("2026-11-24T01:02:03.000004Z"), "2026-11-24T01:02:03.000004Z");
        assert_eq!(micro("2026-11-24T01:02:03.000004+02:00"), "2026-11-23T23:02:03.000004Z");
        assert_eq!(
            micro("2026-11-24T01:02:03Z"),
            r#"parsing time "2026-11-24T01:02:03Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000""#
        );
        assert_eq!(
            micro("2026-11-24T01:02:03.0000041Z"),
            r#"parsing time "2026-11-24T01:02:03.0000041Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "1Z" as "Z07:00""#
        );
        assert_eq!(
            micro("2026-13-24T01:02:03Z"),
            r#"parsing time "2026-13-24T01:02:03Z": month out of range"#
        );
        assert_eq!(micro("9999-12-31T23:59:59,999999Z"), "9999-12-31T23:59:59.999999Z");
        assert_eq!(
            micro("soon"),
            r#"parsing time "soon" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "soon" as "2006""#
        );
        assert!(micro("2026-02-30T01:02:03.000000Z").ends_with("day out of range"));
    }

    #[test]
    fn what_is_said_to_be_written_as_stored_is() {
        for text in [
            "2026-11-24T01:02:03.000004Z",
            "0001-01-01T00:00:00.000000Z",
            "0987-12-31T23:59:59.999999Z",
            "2026-11-24T01:02:03,000004Z",
            "2026-11-24T1:02:03.000004Z",
            "2026-11-24T01:02:03.000004+00:00",
            "2026-11-24T01:02:03Z",
            "2026-11-24T1:02:03.0Z",
            "2026-11-24T1:02:03Z",
            "2026-11-24T01:02:03+00:00",
        ] {
            for precision in [Precision::Micro, Precision::Second] {
                if let Ok(time) = parse(text, precision) {
                    let stored = format_utc(time, precision);
                    assert_eq!(is_as_stored(text, precision), text == stored, "{text} is stored as {stored}");
                }
            }
        }
    }

    #[test]
    fn times_of_a_second_drop_their_fraction() {
        let time = parse("2026-11-24T01:02:03.987654321Z", Precision::Second).unwrap();
        assert_eq!(format_utc(time, Precision::Second), "2026-11-24T01:02:03Z");
    }
}
