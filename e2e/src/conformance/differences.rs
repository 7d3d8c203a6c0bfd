//! Where the embedded server may differ from the real one: each place, what either says there, and why.
//!
//! The list is `differences.json`. It is short on purpose, and exact: a difference that has gone is an error, as is one
//! that is not listed.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::Value;

use super::compare::{Comparison, Deviation};

/// A difference that stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Difference {
    /// What differs, as a user would say it.
    pub summary: String,
    /// Why the real server answers as it does, and where that is written.
    pub source: String,
    /// Why the embedded server does not.
    pub reason: String,
    /// Every place where it shows.
    pub places: Vec<Place>,
}

/// A place in the answers to some steps of a case. It must show in each of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The case's name.
    pub case: String,
    /// The steps, counted from one.
    pub steps: Vec<usize>,
    /// The JSON pointer in the answer; `*` stands for any index of an array.
    pub pointer: String,
    /// What the real server says there; absent: nothing; [`ANY_TEXT`]: a text that is not empty.
    #[serde(default)]
    pub real: Option<Value>,
    /// What the embedded server says there; absent: nothing.
    #[serde(default)]
    pub embedded: Option<Value>,
}

impl Place {
    fn matches(&self, deviation: &Deviation) -> bool {
        self.case == deviation.case
            && self.steps.contains(&deviation.step)
            && self.covers(&deviation.pointer)
            && said(self.real.as_ref(), deviation.real.as_ref())
            && self.embedded == deviation.embedded
    }

    fn covers(&self, pointer: &str) -> bool {
        let is_index = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let (listed, found) = (self.pointer.split('/'), pointer.split('/'));
        listed.clone().count() == found.clone().count()
            && listed.zip(found).all(|(listed, found)| listed == found || listed == "*" && is_index(found))
    }
}

fn said(listed: Option<&Value>, found: Option<&Value>) -> bool {
    if listed.is_some_and(|listed| listed == ANY_TEXT) {
        return found.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    }
    listed == found
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
        if !comparisons.iter().any(|comparison| comparison.case.name == place.case) {
            continue;
        }
        for step in &place.steps {
            if !shown.iter().any(|deviation| deviation.step == *step && place.matches(deviation)) {
                let (summary, case, pointer) = (&difference.summary, &place.case, &place.pointer);
                let _ = writeln!(text, "listed, but gone: {summary}: {case} step {step} {pointer}");
            }
        }
    }
    if text.is_empty() { Ok(()) } else { Err(text) }
}

fn places(listed: &[Difference]) -> impl Iterator<Item = (&Difference, &Place)> {
    listed.iter().flat_map(|difference| difference.places.iter().map(move |place| (difference, place)))
}

/// How many differences may stay.
pub const DIFFERENCES_MAX: usize = 15;

/// Stands for a text that is not empty.
pub const ANY_TEXT: &str = "<any text>";

/// The differences that stay.
pub static LISTED: LazyLock<Vec<Difference>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("differences.json")).expect("differences.json is a list of differences")
});

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::cases;
    use super::super::script::{Case, get};
    use super::super::watching::stories;
    use super::*;

    fn comparison(real: Value, embedded: Value) -> Comparison {
        Comparison {
            case: Case::new("a case", vec![get("leases")]),
            real: vec![real],
            embedded: vec![embedded],
        }
    }

    fn listed(pointer: &str, real: &Value) -> Vec<Difference> {
        let place = json!({"case": "a case", "steps": [1], "pointer": pointer, "real": real, "embedded": 2});
        let list = json!([{"summary": "the body", "source": "this", "reason": "a test", "places": [place]}]);
        serde_json::from_value(list).unwrap()
    }

    #[test]
    fn an_unlisted_difference_a_gone_one_and_a_changed_one_are_errors() {
        let list = listed("/body", &json!(1));
        let differing = [comparison(json!({"body": 1}), json!({"body": 2}))];
        assert!(judge(&differing, &[]).unwrap_err().contains("/body: real 1, embedded 2"));
        assert_eq!(judge(&differing, &list), Ok(()));
        let equal = [comparison(json!({"body": 1}), json!({"body": 1}))];
        assert_eq!(judge(&equal, &[]), Ok(()));
        assert!(judge(&equal, &list).unwrap_err().contains("listed, but gone"));
        let changed = [comparison(json!({"body": 1}), json!({"body": 3}))];
        assert!(judge(&changed, &list).is_err());
    }

    #[test]
    fn a_star_is_an_index_and_any_text_is_a_text() {
        let list = listed("/items/*/text", &json!(ANY_TEXT));
        let both =
            |real: Value| [comparison(json!({"items": [{"text": real}]}), json!({"items": [{"text": 2}]}))];
        assert_eq!(judge(&both(json!("some")), &list), Ok(()));
        assert!(judge(&both(json!("")), &list).is_err());
        assert!(judge(&both(json!(1)), &list).is_err());
    }

    #[test]
    fn the_list_is_short_and_each_entry_has_a_source_a_reason_and_a_case() {
        assert!(LISTED.len() <= DIFFERENCES_MAX, "{} differences", LISTED.len());
        let cases = cases::all().into_iter().map(|case| case.name);
        let names: Vec<String> = cases.chain(stories::names()).collect();
        for difference in LISTED.iter() {
            assert!(!difference.places.is_empty(), "{difference:?}");
            for text in [&difference.summary, &difference.source, &difference.reason] {
                assert!(text.len() > 10, "{difference:?}");
            }
            for place in &difference.places {
                assert!(names.contains(&place.case) && !place.steps.is_empty(), "{place:?}");
            }
        }
    }
}
