//! Terms as answers to "do you lead?" show them.

use crate::Term;
use crate::time::{Nanos, Span};

/// One answer of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Between these two instants the candidate looked whether it leads.
    pub taken: Span,
    /// What it answered.
    pub leading: bool,
    /// The token it named.
    pub token: Option<u64>,
}

impl Sample {
    fn same_term(&self, other: &Self) -> bool {
        self.leading && other.leading && self.token == other.token
    }
}

/// The terms that samples in order show. Between two "yes" of one term the candidate surely led; beyond them it may
/// have led until the "no" on either side.
pub(crate) fn terms(samples: &[Sample], window: Span) -> Vec<Term> {
    let mut terms = Vec::new();
    let mut index = 0;
    while index < samples.len() {
        let first = samples[index];
        let length = samples[index..].iter().take_while(|sample| first.same_term(sample)).count();
        if length == 0 {
            index += 1;
            continue;
        }
        let last = samples[index + length - 1];
        let before = index.checked_sub(1).map_or(window.earliest, |before| samples[before].taken.earliest);
        let after = samples.get(index + length).map(|after| after.taken.latest);
        terms.push(Term {
            begin: Span { earliest: before.min(first.taken.earliest), latest: first.taken.latest },
            end: Some(Span {
                earliest: last.taken.earliest,
                latest: after.unwrap_or(window.latest).max(last.taken.latest),
            }),
            token: first.token,
        });
        index += length;
    }
    terms
}

/// Lets what samples prove of a term widen what its events say: a candidate that still answers "yes" after its own
/// end event still leads.
pub(crate) fn widen(term: &mut Term, sampled: &Term, window: Span) {
    let Some(sure) = sampled.sure(window) else { return };
    if sure.earliest < term.begin.latest {
        term.begin.earliest = term.begin.earliest.min(sure.earliest);
        term.begin.latest = sure.earliest;
    }
    if let Some(end) = &mut term.end
        && end.earliest < sure.latest
    {
        end.earliest = sure.latest;
        end.latest = end.latest.max(Nanos(sure.latest.0));
    }
}
