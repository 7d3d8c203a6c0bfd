//! Intervals of leadership from any source, and their judgement: overlap, vacuum, tokens.
//!
//! Observations are never exact. So each term has a part in which its candidate *surely* led and a larger one in
//! which it *may* have led, and every figure comes twice: what is proven, and what cannot be ruled out. An overlap is
//! proven only if no uncertainty can explain it away.
//!
//! ```
//! use leasehold_history::{Elector, History, Nanos, Span, Term};
//! let mut history = History::new(Span::new(Nanos(0), Nanos(100))?);
//! let first = history.add_candidate("db-0", Elector::Ours);
//! let second = history.add_candidate("db-1", Elector::Ours);
//! history.add_term(first, Term::exact(Nanos(10), Nanos(60)).with_token(7))?;
//! history.add_term(second, Term::exact(Nanos(50), Nanos(90)).with_token(9))?;
//! let report = history.judge();
//! assert_eq!(report.ours.overlap_proven, Nanos(10));
//! # Ok::<(), leasehold_history::HistoryError>(())
//! ```
//!
//! No clock is read here: times come from one clock that all candidates share, `CLOCK_BOOTTIME` of one machine for
//! example.

mod report;
mod samples;
mod time;
mod timeline;

use std::collections::BTreeMap;

pub use report::{ClassReport, Overlap, Report, TokenFault, Vacuum};
pub use samples::Sample;
pub use time::{Nanos, Span};
pub use timeline::{Note, NoteKind, Timeline};

/// Whose election a candidate runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Elector {
    /// leasehold.
    Ours,
    /// Any other.
    Peer,
}

/// Names a candidate of one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CandidateId(usize);

/// One uninterrupted leadership as observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// When it began.
    pub begin: Span,
    /// When it ended; `None` if it had not at the end of the observation.
    pub end: Option<Span>,
    /// Its fencing token.
    pub token: Option<u64>,
}

impl Term {
    /// A term whose begin and end are known exactly.
    pub fn exact(begin: Nanos, end: Nanos) -> Self {
        Self { begin: Span::at(begin), end: Some(Span::at(end)), token: None }
    }

    /// The same with a fencing token.
    #[must_use]
    pub fn with_token(self, token: u64) -> Self {
        Self { token: Some(token), ..self }
    }

    /// The part of `window` in which the candidate may have led, if any.
    pub fn possible(&self, window: Span) -> Option<Span> {
        let end = self.end.map_or(window.latest, |end| end.latest);
        Span { earliest: self.begin.earliest, latest: end }.intersection(window)
    }

    /// The part of `window` in which it surely led, if any.
    pub fn sure(&self, window: Span) -> Option<Span> {
        let end = self.end.map_or(window.latest, |end| end.earliest);
        Span { earliest: self.begin.latest, latest: end }.intersection(window)
    }

    /// Where no part of it is sure: a part of `window` in which it surely led at some instant. Whenever it began and
    /// ended, it did not end before `end.earliest`, nor begin after `begin.latest`.
    pub fn moment(&self, window: Span) -> Option<Span> {
        let end = self.end?.earliest;
        let begin = self.begin.latest;
        // An instant is a nanosecond long.
        let moment = Span { earliest: end, latest: begin.max(end.plus(Nanos(1))) };
        (end <= begin && window.earliest <= moment.earliest && moment.latest <= window.latest)
            .then_some(moment)
    }
}

/// What was observed of all candidates for one Lease.
#[derive(Clone, Debug)]
pub struct History {
    window: Span,
    candidates: Vec<Candidate>,
}

#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) elector: Elector,
    pub(crate) terms: Vec<Term>,
    samples: Vec<Sample>,
}

impl History {
    /// A history of the time in `window`, with nothing in it yet.
    pub fn new(window: Span) -> Self {
        Self { window, candidates: Vec::new() }
    }

    /// Adds a candidate, also one that never leads.
    pub fn add_candidate(&mut self, name: impl Into<String>, elector: Elector) -> CandidateId {
        self.candidates.push(Candidate {
            name: name.into(),
            elector,
            terms: Vec::new(),
            samples: Vec::new(),
        });
        CandidateId(self.candidates.len() - 1)
    }

    /// Adds a term that was observed from inside, by its events.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if the candidate is of another history, or the term ends before it begins.
    pub fn add_term(&mut self, candidate: CandidateId, term: Term) -> Result<(), HistoryError> {
        let candidate = self.candidate(candidate)?;
        if let Some(end) = term.end
            && (end.latest < term.begin.earliest || end.earliest < term.begin.earliest)
        {
            let (begin, end) = (term.begin.earliest, end.earliest);
            return Err(HistoryError::EndsBeforeBegin { candidate: candidate.name.clone(), begin, end });
        }
        candidate.terms.push(term);
        Ok(())
    }

    /// Adds an answer to the question whether a candidate leads. Samples of one candidate come in order.
    ///
    /// # Errors
    ///
    /// [`HistoryError`] if the candidate is of another history, or time goes back.
    pub fn add_sample(&mut self, candidate: CandidateId, sample: Sample) -> Result<(), HistoryError> {
        let candidate = self.candidate(candidate)?;
        if let Some(last) = candidate.samples.last()
            && sample.taken.latest < last.taken.latest
        {
            let (earlier, later) = (last.taken.latest, sample.taken.latest);
            return Err(HistoryError::TimeGoesBack { candidate: candidate.name.clone(), earlier, later });
        }
        candidate.samples.push(sample);
        Ok(())
    }

    /// Judges what was observed: terms as given, and those that samples show. The two are kept apart, since they are
    /// two views of the same leadership, and each must stand on its own.
    pub fn judge(&self) -> Report {
        self.judge_within(self.window)
    }

    /// Judges only what lies in `part`, such as one round of a test. What begins before it or ends after it is seen as
    /// a whole and counts as far as it lies in the part.
    pub fn judge_within(&self, part: Span) -> Report {
        let mut candidates = self.observed();
        for candidate in &mut candidates {
            candidate.terms.retain(|term| term.possible(part).is_some());
        }
        let taken = self.candidates.iter().flat_map(|candidate| &candidate.samples);
        let instants = taken.map(|sample| sample.taken.latest);
        let answers = instants.filter(|at| (part.earliest..=part.latest).contains(at)).count();
        report::judge(&candidates, part, answers)
    }

    /// The terms of each candidate that were observed, in the order in which candidates were added.
    pub fn terms(&self) -> Vec<(String, Vec<Term>)> {
        self.observed().into_iter().map(|candidate| (candidate.name, candidate.terms)).collect()
    }

    /// The candidates with the terms that their samples show.
    fn observed(&self) -> Vec<Candidate> {
        let mut candidates = self.candidates.clone();
        for candidate in &mut candidates {
            let mut sampled = samples::terms(&candidate.samples, self.window);
            // A term that is also known by its events is judged by both; a token names it once.
            let mut by_token: BTreeMap<u64, usize> = BTreeMap::new();
            for (index, term) in candidate.terms.iter().enumerate() {
                term.token.map(|token| by_token.insert(token, index));
            }
            sampled.retain_mut(|term| match term.token.and_then(|token| by_token.get(&token)) {
                Some(&index) => {
                    samples::widen(&mut candidate.terms[index], term, self.window);
                    false
                }
                None => true,
            });
            candidate.terms.append(&mut sampled);
        }
        candidates
    }

    fn candidate(&mut self, CandidateId(index): CandidateId) -> Result<&mut Candidate, HistoryError> {
        self.candidates.get_mut(index).ok_or(HistoryError::UnknownCandidate { index })
    }
}

/// An observation that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// The candidate was added to another history.
    #[error("candidate number {index} was not added to this history")]
    UnknownCandidate {
        /// Its number there.
        index: usize,
    },
    /// A span whose end lies before its begin.
    #[error("a span from {earliest} to {latest} goes back in time")]
    SpanGoesBack {
        /// The begin given.
        earliest: Nanos,
        /// The end given.
        latest: Nanos,
    },
    /// A term that ends before it begins.
    #[error("a term of {candidate} that begins at {begin} cannot end at {end}")]
    EndsBeforeBegin {
        /// Whose term.
        candidate: String,
        /// Its earliest begin.
        begin: Nanos,
        /// Its earliest end.
        end: Nanos,
    },
    /// A sample older than the one before it.
    #[error("a sample of {candidate} at {later} comes after one at {earlier}; add samples in order")]
    TimeGoesBack {
        /// Whose sample.
        candidate: String,
        /// When the sample before was answered.
        earlier: Nanos,
        /// When this one was.
        later: Nanos,
    },
}
