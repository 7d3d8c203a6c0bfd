//! Histories that a judge must not let pass, and some that it must.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use leasehold_history::{Elector, History, HistoryError, Nanos, Report, Sample, Span, Term};
use proptest::prelude::*;

fn span(earliest: u64, latest: u64) -> Span {
    Span::new(Nanos(earliest), Nanos(latest)).unwrap()
}

/// A history of 0..1000 in which candidate `i` of ours has the terms of `terms[i]`.
fn judge(terms: &[&[Term]]) -> Report {
    let mut history = History::new(span(0, 1_000));
    for (index, terms) in terms.iter().enumerate() {
        let candidate = history.add_candidate(format!("c{index}"), Elector::Ours);
        for term in *terms {
            history.add_term(candidate, term.clone()).unwrap();
        }
    }
    history.judge()
}

fn exact(begin: u64, end: u64) -> Term {
    Term::exact(Nanos(begin), Nanos(end))
}

fn sample(at: u64, leading: bool) -> Sample {
    Sample { taken: span(at, at + 2), leading, token: None }
}

#[test]
fn an_overlap_of_one_nanosecond_is_found_and_touching_is_none() {
    assert_eq!(judge(&[&[exact(0, 501)], &[exact(500, 1_000)]]).ours.overlap_proven, Nanos(1));
    let report = judge(&[&[exact(0, 500)], &[exact(500, 1_000)]]);
    assert!(report.ours.overlaps.is_empty());
    assert!(report.vacuums.is_empty());
}

#[test]
fn an_overlap_that_uncertainty_explains_is_possible_and_not_proven() {
    let blurred = Term { begin: span(480, 520), end: None, token: None };
    let report = judge(&[&[exact(0, 500)], &[blurred]]);
    assert_eq!((report.ours.overlap_proven, report.ours.overlap_possible), (Nanos(0), Nanos(20)));
}

#[test]
fn three_at_once_are_three_pairs() {
    let report = judge(&[&[exact(0, 100)], &[exact(0, 100)], &[exact(0, 100)]]);
    assert_eq!(report.ours.overlaps.len(), 3);
}

#[test]
fn a_term_that_never_ended_overlaps_all_that_follows() {
    let open = Term { begin: Span::at(Nanos(100)), end: None, token: None };
    assert_eq!(judge(&[&[open], &[exact(300, 400)]]).ours.overlap_proven, Nanos(100));
}

#[test]
fn tokens_that_repeat_or_shrink_are_named() {
    let growing =
        judge(&[&[exact(0, 10).with_token(1), exact(20, 30).with_token(3)], &[exact(12, 15).with_token(2)]]);
    assert!(growing.token_faults.is_empty());
    let repeated = judge(&[&[exact(0, 10).with_token(1), exact(20, 30).with_token(1)]]);
    assert_eq!(repeated.token_faults.len(), 1);
    let shrinking = judge(&[&[exact(0, 10).with_token(9)], &[exact(20, 30).with_token(8)]]);
    assert_eq!((shrinking.token_faults[0].first_token, shrinking.token_faults[0].second_token), (9, 8));
}

#[test]
fn vacuums_are_what_nobody_covers() {
    let report = judge(&[&[exact(100, 200)], &[exact(250, 900)]]);
    let lengths: Vec<u64> = report.vacuums.iter().map(|vacuum| vacuum.possible.length().0).collect();
    assert_eq!(lengths, [100, 50, 100]);
}

#[test]
fn classes_are_kept_apart() {
    let mut history = History::new(span(0, 100));
    for (name, elector) in [("a", Elector::Ours), ("b", Elector::Peer), ("c", Elector::Peer)] {
        let candidate = history.add_candidate(name, elector);
        history.add_term(candidate, exact(0, 10)).unwrap();
    }
    let report = history.judge();
    let counts = [&report.ours, &report.mixed, &report.peers].map(|class| class.overlaps.len());
    assert_eq!(counts, [0, 2, 1]);
}

#[test]
fn samples_prove_what_lies_between_two_yes() {
    let mut history = History::new(span(0, 100));
    let one = history.add_candidate("a", Elector::Ours);
    let other = history.add_candidate("b", Elector::Ours);
    for (at, leading) in [(0, false), (10, true), (50, true), (60, false)] {
        history.add_sample(one, sample(at, leading)).unwrap();
    }
    for (at, leading) in [(40, false), (45, true), (90, true)] {
        history.add_sample(other, sample(at, leading)).unwrap();
    }
    let report = history.judge();
    // a surely led in 12..50 and b in 47..90; a may have led until 62, b from 40 on.
    assert_eq!((report.ours.overlap_proven, report.ours.overlap_possible), (Nanos(3), Nanos(22)));
}

/// A paused process that believed for one answer more that it leads passed for one that did not: a single "yes" had no
/// length that was sure.
#[test]
fn a_single_yes_while_another_surely_leads_is_an_overlap() {
    let overlap = |at| {
        let mut history = History::new(span(0, 1_000));
        let one = history.add_candidate("a", Elector::Ours);
        history.add_term(one, exact(100, 500)).unwrap();
        let other = history.add_candidate("b", Elector::Ours);
        for (at, leading) in [(at - 50, false), (at, true), (at + 50, false)] {
            history.add_sample(other, sample(at, leading)).unwrap();
        }
        history.judge().ours.overlap_proven
    };
    assert_eq!(overlap(300), Nanos(2), "the time in which the answer was given");
    assert_eq!(overlap(499), Nanos(0), "it may have been given at 501");
    assert_eq!(overlap(600), Nanos(0));
}

#[test]
fn a_yes_after_the_end_event_extends_the_term() {
    let mut history = History::new(span(0, 100));
    let candidate = history.add_candidate("a", Elector::Ours);
    history.add_term(candidate, exact(10, 40).with_token(5)).unwrap();
    for at in [15, 60] {
        let sample = Sample { token: Some(5), ..sample(at, true) };
        history.add_sample(candidate, sample).unwrap();
    }
    let other = history.add_candidate("b", Elector::Ours);
    history.add_term(other, exact(50, 90).with_token(6)).unwrap();
    assert_eq!(history.judge().ours.overlap_proven, Nanos(10));
}

#[test]
fn a_part_is_judged_by_itself_and_by_terms_seen_as_a_whole() {
    let mut history = History::new(span(0, 1_000));
    let first = history.add_candidate("a", Elector::Ours);
    let second = history.add_candidate("b", Elector::Ours);
    history.add_term(first, exact(100, 400)).unwrap();
    history.add_term(second, exact(350, 700)).unwrap();
    // An answer before the part and one after it prove that the candidate led throughout.
    let third = history.add_candidate("c", Elector::Ours);
    for at in [750, 950] {
        history.add_sample(third, sample(at, true)).unwrap();
    }
    let report = history.judge_within(span(360, 380));
    assert_eq!(
        (report.terms, report.ours.overlap_proven),
        (3, Nanos(20)),
        "c may have led before its first yes"
    );
    let report = history.judge_within(span(600, 900));
    assert_eq!((report.answers, report.ours.overlap_proven), (1, Nanos(0)));
    let lengths: Vec<u64> = report.vacuums.iter().map(|vacuum| vacuum.possible.length().0).collect();
    assert_eq!(lengths, [52]);
    assert!(history.judge_within(span(0, 50)).vacuums[0].possible == span(0, 50));
}

#[test]
fn terms_are_told_as_events_and_answers_show_them() {
    let mut history = History::new(span(0, 100));
    let candidate = history.add_candidate("a", Elector::Ours);
    for (at, leading) in [(10, false), (20, true), (40, true), (50, false)] {
        history.add_sample(candidate, sample(at, leading)).unwrap();
    }
    let seen = Term { begin: span(10, 22), end: Some(span(40, 52)), token: None };
    assert_eq!(history.terms(), [("a".to_owned(), vec![seen])]);
}

#[test]
fn a_history_in_which_nobody_led_proves_nothing() {
    let report = judge(&[&[], &[]]);
    assert!(report.is_void());
    assert_eq!(report.to_string(), "void: nobody led in 1us, which proves nothing");
}

#[test]
fn impossible_input_is_refused_with_what_is_wrong() {
    let mut history = History::new(span(0, 100));
    let candidate = history.add_candidate("a", Elector::Ours);
    let error = history.add_term(candidate, exact(50, 40)).unwrap_err();
    assert_eq!(error.to_string(), "a term of a that begins at 50ns cannot end at 40ns");
    history.add_sample(candidate, sample(30, true)).unwrap();
    assert!(matches!(
        history.add_sample(candidate, sample(20, true)),
        Err(HistoryError::TimeGoesBack { .. })
    ));
    assert!(matches!(Span::new(Nanos(2), Nanos(1)), Err(HistoryError::SpanGoesBack { .. })));
    let stranger = History::new(span(0, 1)).add_candidate("x", Elector::Ours);
    let mut empty = History::new(span(0, 1));
    assert!(matches!(
        empty.add_term(stranger, exact(0, 1)),
        Err(HistoryError::UnknownCandidate { index: 0 })
    ));
}

#[test]
fn the_report_is_a_versioned_document() {
    let json = serde_json::to_value(judge(&[&[exact(0, 10)]])).unwrap();
    assert_eq!((&json["apiVersion"], &json["kind"]), (&"leasehold.dev/v1".into(), &"HistoryReport".into()));
}

fn terms() -> impl Strategy<Value = Vec<(u64, u64)>> {
    let lengths = prop::collection::vec((0_u64..12, 1_u64..12), 0..5);
    lengths.prop_map(|lengths| {
        let mut at = 0;
        let place = |(gap, length): (u64, u64)| {
            let begin = at + gap;
            at = begin + length;
            (begin, at)
        };
        lengths.into_iter().map(place).collect()
    })
}

proptest! {
    /// The judge agrees with counting nanosecond by nanosecond.
    #[test]
    fn overlap_and_vacuum_are_what_counting_finds(one in terms(), other in terms()) {
        let leads = |terms: &[(u64, u64)], at: u64| terms.iter().any(|&(begin, end)| (begin..end).contains(&at));
        let both = (0..1_000).filter(|&at| leads(&one, at) && leads(&other, at)).count();
        let none = (0..1_000).filter(|&at| !leads(&one, at) && !leads(&other, at)).count();
        let exactly = |terms: &[(u64, u64)]| terms.iter().map(|&(begin, end)| exact(begin, end)).collect::<Vec<_>>();
        let report = judge(&[&exactly(&one), &exactly(&other)]);
        prop_assert_eq!(report.ours.overlap_proven, Nanos(both.try_into().unwrap()));
        let vacuum: u64 = report.vacuums.iter().map(|vacuum| vacuum.possible.length().0).sum();
        prop_assert_eq!(vacuum, u64::try_from(none).unwrap());
    }
}
