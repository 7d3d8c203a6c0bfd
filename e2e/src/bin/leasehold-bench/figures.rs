//! Samples, and what may honestly be said of so many of them.

use leasehold_e2e::Elector;
use serde::Serialize;

/// One for each elector.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair<T> {
    pub(crate) leasehold: T,
    pub(crate) client_go: T,
}

impl<T> Pair<T> {
    pub(crate) fn of_mut(&mut self, elector: Elector) -> &mut T {
        match elector {
            Elector::Ours => &mut self.leasehold,
            Elector::ClientGo => &mut self.client_go,
        }
    }
}

/// Who comes first in this round: neither elector always follows the other.
pub(crate) fn order(round: u32) -> [Elector; 2] {
    if round.is_multiple_of(2) {
        [Elector::Ours, Elector::ClientGo]
    } else {
        [Elector::ClientGo, Elector::Ours]
    }
}

/// What samples are counted in. Less is better in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Unit {
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "bytes")]
    Bytes,
    #[serde(rename = "requests/h")]
    RequestsPerHour,
    #[serde(rename = "s/h")]
    SecondsPerHour,
    #[serde(rename = "writes")]
    Writes,
}

/// The same thing measured of both electors; no samples where there is nothing to compare with.
#[derive(Clone, Debug)]
pub(crate) struct Measure {
    /// For scripts.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    pub(crate) unit: Unit,
    pub(crate) samples: Pair<Vec<f64>>,
}

impl Measure {
    pub(crate) fn new(name: &'static str, title: &'static str, unit: Unit) -> Self {
        Self { name, title, unit, samples: Pair::default() }
    }

    pub(crate) fn add(&mut self, elector: Elector, sample: f64) {
        self.samples.of_mut(elector).push(sample);
    }

    /// How many times client-go's median is ours; `None` where one of them is zero or missing.
    pub(crate) fn ratio(&self) -> Option<f64> {
        let ours = Summary::of(&self.samples.leasehold)?.p50;
        let theirs = Summary::of(&self.samples.client_go)?.p50;
        (ours > 0.0 && theirs > 0.0).then(|| theirs / ours)
    }
}

/// What is said of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// The middle sample, or the mean of the two in the middle.
    pub(crate) p50: f64,
    /// The sample that 99 % do not exceed; of fewer than a hundred samples that is the largest, and not said twice.
    pub(crate) p99: Option<f64>,
    pub(crate) max: f64,
    pub(crate) n: usize,
}

impl Summary {
    /// `None` when there are no samples.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let max = *sorted.last()?;
        let p50 = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0;
        let p99 = (n >= P99_SAMPLES_MIN).then(|| sorted[(n * 99).div_ceil(100) - 1]);
        Some(Self { p50, p99, max, n })
    }
}

const P99_SAMPLES_MIN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_have_a_median_and_a_maximum_and_no_p99() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[3.0, 1.0, 2.0]), Some(Summary { p50: 2.0, p99: None, max: 3.0, n: 3 }));
        assert_eq!(Summary::of(&[4.0, 1.0]), Some(Summary { p50: 2.5, p99: None, max: 4.0, n: 2 }));
    }

    #[test]
    fn the_p99_of_many_samples_is_one_of_them_and_not_always_the_largest() {
        let samples: Vec<f64> = (1..=200_u32).rev().map(f64::from).collect();
        let summary = Summary::of(&samples).unwrap();
        assert_eq!((summary.p99, summary.max), (Some(198.0), 200.0));
    }

    #[test]
    fn a_ratio_needs_two_medians_that_are_not_zero() {
        let mut measure = Measure::new("x", "x", Unit::Seconds);
        measure.add(Elector::Ours, 0.5);
        assert_eq!(measure.ratio(), None);
        measure.add(Elector::ClientGo, 2.0);
        assert_eq!(measure.ratio(), Some(4.0));
        measure.add(Elector::ClientGo, 0.0);
        measure.add(Elector::ClientGo, 0.0);
        assert_eq!(measure.ratio(), None);
    }
}
