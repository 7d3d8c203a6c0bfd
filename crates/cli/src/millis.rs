//! Lengths of time as people and scripts read them.

use std::fmt;
use std::time::Duration;

use leasehold_history::Nanos;
use serde::{Serialize, Serializer};

/// A length of time in milliseconds, to the microsecond. What is not zero is never shown as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Millis {
    micros: u64,
}

impl Millis {
    /// Whether it is exactly zero.
    pub(crate) fn is_zero(self) -> bool {
        self.micros == 0
    }
}

impl From<Nanos> for Millis {
    /// Rounds up: an overlap of a nanosecond is one.
    fn from(Nanos(nanos): Nanos) -> Self {
        Self { micros: nanos.div_ceil(1_000) }
    }
}

impl From<Duration> for Millis {
    fn from(duration: Duration) -> Self {
        Nanos(duration.as_nanos().try_into().unwrap_or(u64::MAX)).into()
    }
}

/// `0`, `0.004 ms`, `3.2 ms`, `412 ms`, `3,012 ms`.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millis, micros) = (self.micros / 1_000, self.micros % 1_000);
        let text = match (millis, micros) {
            (0, 0) => "0".to_owned(),
            (0, _) => format!("0.{micros:03} ms"),
            (1..10, _) => format!("{millis}.{} ms", micros / 100),
            _ => format!("{} ms", thousands(millis)),
        };
        f.pad(&text)
    }
}

/// A whole number where it is one, so that `0` is `0`.
impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.micros.is_multiple_of(1_000) {
            return serializer.serialize_u64(self.micros / 1_000);
        }
        // Far below 2^53 microseconds, which are 285 years.
        #[expect(clippy::cast_precision_loss, reason = "exact below 285 years")]
        serializer.serialize_f64(self.micros as f64 / 1_000.0)
    }
}

/// `41234` as `41,234`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_zero_is_never_shown_as_zero() {
        let shown = [0, 1, 999_999, 1_000_000, 9_999_999, 10_000_000, 3_012_400_000]
            .map(|nanos| Millis::from(Nanos(nanos)).to_string());
        assert_eq!(shown, ["0", "0.001 ms", "1.0 ms", "1.0 ms", "10 ms", "10 ms", "3,012 ms"]);
    }

    #[test]
    fn scripts_read_whole_numbers_where_they_are_whole() {
        let json = |nanos| serde_json::to_string(&Millis::from(Nanos(nanos))).unwrap();
        assert_eq!([json(0), json(3_000_000), json(1_234_567)], ["0", "3", "1.235"]);
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
    }
}
