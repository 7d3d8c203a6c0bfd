//! Where the time axis has its ticks, and what stands at them.

use crate::time::{Nanos, Span};

/// A tick: where it is, and what stands there.
pub(super) fn ticks(window: Span, origin: Nanos, most: u64) -> Vec<(Nanos, String)> {
    let length = window.length().0;
    let step = steps().find(|step| length / step <= most).unwrap_or(u64::MAX);
    let (from, to) = (window.earliest.since(origin).0, window.latest.since(origin).0);
    let unit = Unit::for_axis(step, to);
    let first = from.div_ceil(step).saturating_mul(step);
    let mut ticks = Vec::new();
    let mut at = Some(first).filter(|first| *first <= to);
    while let Some(offset) = at {
        ticks.push((origin.plus(Nanos(offset)), unit.words(offset, step)));
        at = offset.checked_add(step).filter(|next| *next <= to);
    }
    ticks
}

/// What an axis counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    name: &'static str,
    nanos: u64,
}

impl Unit {
    /// The largest of which the step is a whole number, from minutes on; below, the largest that the axis reaches.
    fn for_axis(step: u64, to: u64) -> Self {
        let whole = LARGE.into_iter().find(|unit| step.is_multiple_of(unit.nanos));
        let reached = || SMALL.into_iter().find(|unit| to >= unit.nanos);
        whole.or_else(reached).unwrap_or(SMALL[3])
    }

    /// With as many decimals as the step has.
    fn words(self, offset: u64, step: u64) -> String {
        let (whole, rest) = (offset / self.nanos, offset % self.nanos);
        let mut decimals = 0;
        let mut part = self.nanos;
        while !step.is_multiple_of(part) && part > 1 {
            part /= 10;
            decimals += 1;
        }
        match decimals {
            0 => format!("{whole} {}", self.name),
            _ => format!("{whole}.{:0decimals$} {}", rest / part, self.name),
        }
    }
}

/// Steps that people count in, from the smallest.
fn steps() -> impl Iterator<Item = u64> {
    let decades = |unit: u64, count: u32| {
        (0..count).flat_map(move |power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power) * unit))
    };
    let below_a_minute = decades(1, 10).chain([10, 15, 30].map(|seconds| seconds * SECOND));
    let minutes = [1, 2, 5, 10, 15, 30].map(|minutes| minutes * MINUTE);
    let hours = [1, 2, 3, 6, 12].map(|hours| hours * HOUR);
    below_a_minute.chain(minutes).chain(hours).chain(decades(DAY, 5))
}

const SECOND: u64 = 1_000_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const LARGE: [Unit; 3] =
    [Unit { name: "d", nanos: DAY }, Unit { name: "h", nanos: HOUR }, Unit { name: "min", nanos: MINUTE }];
const SMALL: [Unit; 4] = [
    Unit { name: "s", nanos: SECOND },
    Unit { name: "ms", nanos: 1_000_000 },
    Unit { name: "µs", nanos: 1_000 },
    Unit { name: "ns", nanos: 1 },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(from: u64, to: u64) -> String {
        let window = Span { earliest: Nanos(from), latest: Nanos(to) };
        let words: Vec<String> = ticks(window, Nanos(0), 4).into_iter().map(|(_, words)| words).collect();
        words.join(", ")
    }

    #[test]
    fn ticks_stand_at_round_times_in_units_that_people_use() {
        assert_eq!(shown(0, HOUR), "0 min, 15 min, 30 min, 45 min, 60 min");
        assert_eq!(shown(0, 10 * MINUTE), "0 min, 5 min, 10 min");
        assert_eq!(shown(231 * SECOND, 238 * SECOND), "232 s, 234 s, 236 s, 238 s");
        assert_eq!(shown(61 * SECOND, 61 * SECOND + 300_000_000), "61.0 s, 61.1 s, 61.2 s, 61.3 s");
        assert_eq!(shown(0, 900), "0 ns, 200 ns, 400 ns, 600 ns, 800 ns");
    }

    #[test]
    fn an_axis_of_no_length_or_of_centuries_has_few_ticks() {
        assert!(ticks(Span::at(Nanos(5)), Nanos(0), 4).len() <= 1);
        let for_ever = Span { earliest: Nanos(0), latest: Nanos(u64::MAX) };
        assert!((1..=6).contains(&ticks(for_ever, Nanos(0), 4).len()));
    }
}
