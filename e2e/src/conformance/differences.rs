//! Where the embedded server may differ from the real one: each place, what either says there, and why.
//!
//! The list is short on purpose, and exact: a difference that has gone is an error, as is one that is not listed.

use std::fmt::Write as _;

use serde_json::Value;

use super::compare::{Comparison, Deviation};

/// A difference that stays.
#[derive(Debug)]
pub struct Difference {
    /// What differs, as a user would say it.
    pub summary: &'static str,
    /// Why the real server answers as it does, and where that is written.
    pub source: &'static str,
    /// Why the embedded server does not.
    pub reason: &'static str,
    /// Every place where it shows.
    pub places: &'static [Place],
}

/// A place in the answer to one step of a case.
#[derive(Debug)]
pub struct Place {
    /// The case's name.
    pub case: &'static str,
    /// The step, counted from one.
    pub step: usize,
    /// The JSON pointer in the answer.
    pub pointer: &'static str,
    /// What the real server says there.
    pub real: Said,
    /// What the embedded server says there.
    pub embedded: Said,
}

/// What a server says at a place.
#[derive(Debug)]
pub enum Said {
    /// This JSON.
    Exactly(&'static str),
    /// Nothing: the field is absent.
    Nothing,
}

impl Place {
    fn matches(&self, deviation: &Deviation) -> bool {
        self.case == deviation.case
            && self.step == deviation.step
            && self.pointer == deviation.pointer
            && self.real.matches(deviation.real.as_ref())
            && self.embedded.matches(deviation.embedded.as_ref())
    }
}

impl Said {
    fn matches(&self, value: Option<&Value>) -> bool {
        match self {
            Self::Exactly(text) => serde_json::from_str::<Value>(text).ok().as_ref() == value,
            Self::Nothing => value.is_none(),
        }
    }
}

/// Whether these cases show the listed differences, all of them, and no other.
///
/// # Errors
/// A text for people: each unlisted deviation with its script and both answers, and each listed difference that
/// did not show.
pub fn judge(comparisons: &[Comparison], listed: &[Difference]) -> Result<(), String> {
    let mut text = String::new();
    for comparison in comparisons {
        let unlisted: Vec<Deviation> = comparison
            .deviations()
            .into_iter()
            .filter(|deviation| !places(listed).any(|(_, place)| place.matches(deviation)))
            .collect();
        text.push_str(&comparison.report(&unlisted));
    }
    let shown: Vec<Deviation> = comparisons.iter().flat_map(Comparison::deviations).collect();
    for (difference, place) in places(listed) {
        let run = comparisons.iter().any(|comparison| comparison.case.name == place.case);
        if run && !shown.iter().any(|deviation| place.matches(deviation)) {
            let _ = writeln!(text, "listed, but gone: {} ({place:?})", difference.summary);
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}

fn places(listed: &[Difference]) -> impl Iterator<Item = (&Difference, &Place)> {
    listed.iter().flat_map(|difference| difference.places.iter().map(move |place| (difference, place)))
}

/// How many differences may stay.
pub const DIFFERENCES_MAX: usize = 15;

/// The differences that stay.
pub const LISTED: &[Difference] = &[];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::script::{Case, get};
    use super::*;

    fn comparison(real: Value, embedded: Value) -> Comparison {
        Comparison {
            case: Case::new("a case", vec![get("leases")]),
            real: vec![real],
            embedded: vec![embedded],
        }
    }

    const LIST: &[Difference] = &[Difference {
        summary: "the body is another one",
        source: "this test",
        reason: "it needs one",
        places: &[Place {
            case: "a case",
            step: 1,
            pointer: "/body",
            real: Said::Exactly("1"),
            embedded: Said::Exactly("2"),
        }],
    }];

    #[test]
    fn an_unlisted_difference_a_gone_one_and_a_changed_one_are_errors() {
        let differing = [comparison(json!({"body": 1}), json!({"body": 2}))];
        assert!(judge(&differing, &[]).unwrap_err().contains("/body: real 1, embedded 2"));
        assert_eq!(judge(&differing, LIST), Ok(()));
        let equal = [comparison(json!({"body": 1}), json!({"body": 1}))];
        assert_eq!(judge(&equal, &[]), Ok(()));
        assert!(judge(&equal, LIST).unwrap_err().contains("listed, but gone"));
        let changed = [comparison(json!({"body": 1}), json!({"body": 3}))];
        assert!(judge(&changed, LIST).is_err());
    }

    #[test]
    fn the_list_is_short_and_each_entry_has_a_source_and_a_reason() {
        assert!(LISTED.len() <= DIFFERENCES_MAX, "{} differences", LISTED.len());
        for difference in LISTED {
            assert!(!difference.places.is_empty(), "{difference:?}");
            for text in [difference.summary, difference.source, difference.reason] {
                assert!(text.len() > 10, "{difference:?}");
            }
        }
    }
}
