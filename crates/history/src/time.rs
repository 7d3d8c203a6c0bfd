//! Instants and spans on one shared clock.

use std::fmt;

use serde::Serialize;

use crate::HistoryError;

/// An instant, or a length of time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Nanos(pub u64);

impl Nanos {
    /// The length of time since `earlier`, zero if that is later.
    pub fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    /// Both lengths together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        match (seconds, nanos / 1_000_000, nanos / 1_000) {
            (0, 0, 0) => write!(f, "{nanos}ns"),
            (0, 0, micros) => write!(f, "{micros}us"),
            (0, millis, micros) => write!(f, "{millis}.{:03}ms", micros % 1_000),
            (seconds, millis, _) => write!(f, "{seconds}.{millis:03}s"),
        }
    }
}

/// Two instants in order: an interval, or an instant that is known only to lie between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// The first instant.
    pub earliest: Nanos,
    /// The last instant.
    pub latest: Nanos,
}

impl Span {
    /// From `earliest` to `latest`.
    ///
    /// # Errors
    ///
    /// [`HistoryError::SpanGoesBack`] if they are not in order.
    pub fn new(earliest: Nanos, latest: Nanos) -> Result<Self, HistoryError> {
        if latest < earliest {
            return Err(HistoryError::SpanGoesBack { earliest, latest });
        }
        Ok(Self { earliest, latest })
    }

    /// An instant that is known exactly.
    pub fn at(instant: Nanos) -> Self {
        Self { earliest: instant, latest: instant }
    }

    /// How long it is.
    pub fn length(self) -> Nanos {
        self.latest.since(self.earliest)
    }

    /// What both have in common; touching is nothing.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let earliest = self.earliest.max(other.earliest);
        let latest = self.latest.min(other.latest);
        (earliest < latest).then_some(Self { earliest, latest })
    }
}

/// What of `window` none of `spans` covers.
pub(crate) fn gaps(window: Span, mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.earliest);
    let mut gaps = Vec::new();
    let mut covered = window.earliest;
    for span in spans {
        if covered < span.earliest.min(window.latest) {
            gaps.push(Span { earliest: covered, latest: span.earliest.min(window.latest) });
        }
        covered = covered.max(span.latest);
    }
    if covered < window.latest {
        gaps.push(Span { earliest: covered, latest: window.latest });
    }
    gaps
}
