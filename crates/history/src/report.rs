//! The judgement of a history.

use std::fmt;

use serde::Serialize;

use crate::time::{Nanos, Span, gaps};
use crate::{Candidate, Elector, Term};

/// Two terms of two candidates at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overlap {
    /// Whose term began first.
    pub first: String,
    /// Its token.
    pub first_token: Option<u64>,
    /// Whose term began second.
    pub second: String,
    /// Its token.
    pub second_token: Option<u64>,
    /// When both surely led; `None` if uncertainty can explain the overlap away.
    pub proven: Option<Span>,
    /// When both may have led.
    pub possible: Span,
}

/// Time in which nobody led.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Vacuum {
    /// When nobody can be ruled out to have led: the longest it may have been.
    pub possible: Span,
    /// How much of that is proven.
    pub proven: Nanos,
}

/// Two terms whose tokens do not grow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenFault {
    /// Whose term came first.
    pub first: String,
    /// Its token.
    pub first_token: u64,
    /// Whose term came second, with a token that is not larger.
    pub second: String,
    /// Its token.
    pub second_token: u64,
}

/// Overlaps of one class of pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    /// All overlaps, also those that are only possible.
    pub overlaps: Vec<Overlap>,
    /// Time in which two surely led, added over pairs.
    pub overlap_proven: Nanos,
    /// Time in which two may have led, added over pairs.
    pub overlap_possible: Nanos,
}

/// What a history shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// `leasehold.dev/v1`.
    pub api_version: &'static str,
    /// `HistoryReport`.
    pub kind: &'static str,
    /// The time observed.
    pub window: Span,
    /// How many terms were seen.
    pub terms: usize,
    /// How many answers were given.
    pub answers: usize,
    /// Class (a): two of ours.
    pub ours: ClassReport,
    /// Class (b): one of ours and a peer.
    pub mixed: ClassReport,
    /// Two peers.
    pub peers: ClassReport,
    /// Time without a leader.
    pub vacuums: Vec<Vacuum>,
    /// Tokens that do not grow.
    pub token_faults: Vec<TokenFault>,
}

impl Report {
    /// Whether the history proves nothing: nobody ever led.
    pub fn is_void(&self) -> bool {
        self.terms == 0
    }

    /// The longest time that may have passed without a leader.
    pub fn longest_vacuum(&self) -> Nanos {
        self.vacuums.iter().map(|vacuum| vacuum.possible.length()).max().unwrap_or_default()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_void() {
            return write!(f, "void: nobody led in {}, which proves nothing", self.window.length());
        }
        writeln!(f, "{} terms, {} answers in {}", self.terms, self.answers, self.window.length())?;
        for (name, class) in
            [("ours/ours", &self.ours), ("ours/peer", &self.mixed), ("peer/peer", &self.peers)]
        {
            let (proven, possible) = (class.overlap_proven, class.overlap_possible);
            writeln!(f, "overlap {name}: proven {proven}, possible {possible}")?;
            for overlap in class.overlaps.iter().filter(|overlap| overlap.proven.is_some()) {
                let length = overlap.proven.map(Span::length).unwrap_or_default();
                writeln!(f, "  {} and {} for {length}", overlap.first, overlap.second)?;
            }
        }
        writeln!(f, "vacuum: longest {}", self.longest_vacuum())?;
        for fault in &self.token_faults {
            let TokenFault { first, first_token, second, second_token } = fault;
            writeln!(
                f,
                "token of {second} ({second_token}) is not larger than that of {first} ({first_token})"
            )?;
        }
        write!(f, "tokens: {} faults", self.token_faults.len())
    }
}

pub(crate) fn judge(candidates: &[Candidate], window: Span, answers: usize) -> Report {
    let mut report = Report {
        api_version: "leasehold.dev/v1",
        kind: "HistoryReport",
        window,
        terms: candidates.iter().map(|candidate| candidate.terms.len()).sum(),
        answers,
        ours: ClassReport::default(),
        mixed: ClassReport::default(),
        peers: ClassReport::default(),
        vacuums: vacuums(candidates, window),
        token_faults: token_faults(candidates),
    };
    for (index, one) in candidates.iter().enumerate() {
        for other in &candidates[index + 1..] {
            let class = match (one.elector, other.elector) {
                (Elector::Ours, Elector::Ours) => &mut report.ours,
                (Elector::Peer, Elector::Peer) => &mut report.peers,
                (Elector::Ours, Elector::Peer) | (Elector::Peer, Elector::Ours) => &mut report.mixed,
            };
            for pair in one.terms.iter().flat_map(|a| other.terms.iter().map(move |b| (a, b))) {
                class.add(overlap((one, pair.0), (other, pair.1), window));
            }
        }
    }
    report
}

impl ClassReport {
    fn add(&mut self, overlap: Option<Overlap>) {
        let Some(overlap) = overlap else { return };
        self.overlap_possible = self.overlap_possible.plus(overlap.possible.length());
        self.overlap_proven = self.overlap_proven.plus(overlap.proven.map(Span::length).unwrap_or_default());
        self.overlaps.push(overlap);
    }
}

fn overlap(one: (&Candidate, &Term), other: (&Candidate, &Term), window: Span) -> Option<Overlap> {
    let possible = one.1.possible(window)?.intersection(other.1.possible(window)?)?;
    let both_sure = one.1.sure(window).zip(other.1.sure(window)).and_then(|(a, b)| a.intersection(b));
    let proven = both_sure
        .or_else(|| moment_within(one.1, other.1, window))
        .or_else(|| moment_within(other.1, one.1, window));
    let in_order = one.1.begin.earliest <= other.1.begin.earliest;
    let ((first, first_term), (second, second_term)) = if in_order { (one, other) } else { (other, one) };
    Some(Overlap {
        first: first.name.clone(),
        first_token: first_term.token,
        second: second.name.clone(),
        second_token: second_term.token,
        proven,
        possible,
    })
}

/// A single "yes" while another surely leads is an overlap, however short. It counts as the time in which it was given.
fn moment_within(short: &Term, long: &Term, window: Span) -> Option<Span> {
    let (moment, sure) = (short.moment(window)?, long.sure(window)?);
    (sure.earliest <= moment.earliest && moment.latest <= sure.latest).then_some(moment)
}

fn vacuums(candidates: &[Candidate], window: Span) -> Vec<Vacuum> {
    let terms = || candidates.iter().flat_map(|candidate| &candidate.terms);
    let proven = gaps(window, terms().filter_map(|term| term.possible(window)).collect());
    let possible = gaps(window, terms().filter_map(|term| term.sure(window)).collect());
    let within = |outer: Span| {
        let parts = proven.iter().filter_map(|gap| gap.intersection(outer));
        parts.fold(Nanos(0), |sum, gap| sum.plus(gap.length()))
    };
    possible.into_iter().map(|possible| Vacuum { possible, proven: within(possible) }).collect()
}

/// A term that surely began after another has a larger token; and no two terms have the same.
fn token_faults(candidates: &[Candidate]) -> Vec<TokenFault> {
    let mut terms: Vec<(&str, &Term, u64)> = Vec::new();
    for candidate in candidates {
        let named =
            candidate.terms.iter().filter_map(|term| Some((candidate.name.as_str(), term, term.token?)));
        terms.extend(named);
    }
    terms.sort_by_key(|(_, term, _)| (term.begin.earliest, term.begin.latest));
    let mut faults = Vec::new();
    for (index, (first, first_term, first_token)) in terms.iter().enumerate() {
        for (second, second_term, second_token) in &terms[index + 1..] {
            let surely_later = first_term.begin.latest < second_term.begin.earliest;
            if second_token == first_token || (surely_later && second_token < first_token) {
                faults.push(TokenFault {
                    first: (*first).to_owned(),
                    first_token: *first_token,
                    second: (*second).to_owned(),
                    second_token: *second_token,
                });
            }
        }
    }
    faults
}
