//! Pictures of histories: what they show, and that any history gives one that a parser of XML can read.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use leasehold_history::{Elector, History, Nanos, Note, NoteKind, Span, Term, Timeline};
use proptest::prelude::*;
use roxmltree::Document;

fn at(millis: u64) -> Nanos {
    Nanos(millis * 1_000_000)
}

fn span(from: u64, to: u64) -> Span {
    Span::new(at(from), at(to)).unwrap()
}

/// db-0 stops as planned, db-1 is paused and comes back, db-2 is cut off while it believes that it leads.
fn timeline() -> Timeline {
    let mut history = History::new(span(0, 60_000));
    let mut terms = |name: &str, elector, terms: &[(u64, u64, u64)]| {
        let candidate = history.add_candidate(name, elector);
        for &(from, to, token) in terms {
            history.add_term(candidate, Term::exact(at(from), at(to)).with_token(token)).unwrap();
        }
    };
    terms("db-0", Elector::Ours, &[(2_000, 14_000, 7), (44_500, 60_000, 31)]);
    terms("db-1", Elector::Ours, &[(14_020, 26_000, 11)]);
    terms("db-2", Elector::Peer, &[(32_000, 45_231, 23)]);
    let mut timeline = Timeline::of(&history, "three candidates & four faults");
    timeline.set_subtitle("lease duration 6 s; db-2 runs another elector");
    for (lane, kind, from, to, label) in [
        ("db-0", NoteKind::Runs, 0, 14_100, "runs"),
        ("db-0", NoteKind::Runs, 16_000, 60_000, "runs"),
        ("db-1", NoteKind::Runs, 0, 60_000, "runs"),
        ("db-2", NoteKind::Runs, 0, 60_000, "runs"),
        ("db-1", NoteKind::Paused, 26_000, 34_000, "paused"),
        ("db-2", NoteKind::CutOff, 38_000, 50_000, "cut off"),
        ("db-0", NoteKind::Acquired, 1_990, 1_990, "takes a free lease"),
        ("db-1", NoteKind::Acquired, 14_010, 14_010, "takes a free lease"),
        ("db-2", NoteKind::Acquired, 31_900, 31_900, "takes over"),
        ("db-0", NoteKind::Acquired, 44_400, 44_400, "takes over"),
        ("db-0", NoteKind::Released, 14_005, 14_005, "gives the lease back"),
        ("db-0", NoteKind::Fault, 13_990, 13_990, "StoppedGracefully"),
        ("db-1", NoteKind::Fault, 26_000, 26_000, "Frozen"),
        ("db-2", NoteKind::Fault, 38_000, 38_000, "Partition"),
        ("db-2", NoteKind::Fault, 38_900, 38_900, "HeldRequest"),
        ("db-2", NoteKind::Fault, 39_900, 39_900, "Duplicate"),
    ] {
        timeline.add(Note::of(lane, kind, span(from, to), label));
    }
    timeline.add(Note::of_all(NoteKind::Fault, span(20_000, 20_000), "StoreStalls"));
    timeline.add(Note::of_all(
        NoteKind::Finding,
        span(44_500, 45_231),
        "S1: db-2 and db-0 both led for 731 ms",
    ));
    timeline.set_close_up(span(43_000, 46_000));
    timeline
}

#[test]
fn a_picture_shows_terms_faults_and_two_leaders_as_a_whole_and_close_up() {
    insta::assert_snapshot!(timeline().to_svg());
}

#[test]
fn whoever_does_not_see_the_picture_is_told_what_it_shows() {
    let svg = timeline().to_svg();
    let document = Document::parse(&svg).unwrap();
    let root = document.root_element();
    assert_eq!(root.attribute("role"), Some("img"));
    let label = root.attribute("aria-label").unwrap();
    assert_eq!(
        label,
        "three candidates & four faults: 3 lanes, 4 terms in 60.000s; two led for 731.000ms, nobody for 8.020s"
    );
    let texts =
        |name| root.descendants().filter(move |node| node.has_tag_name(name)).filter_map(|node| node.text());
    assert_eq!(texts("title").next(), Some("three candidates & four faults"));
    assert!(texts("title").any(|words| words == "db-2 leads with token 23, 32.000s to 45.231s"));
    assert!(!svg.contains("<script"), "a picture does nothing");
}

#[test]
fn an_overlap_of_a_nanosecond_in_an_hour_is_wide_enough_to_be_seen() {
    let mut history = History::new(span(0, 3_600_000));
    let terms = [(0, 1_000_000_001), (1_000_000_000, 3_600_000_000_000)];
    for (index, (from, to)) in terms.into_iter().enumerate() {
        let candidate = history.add_candidate(format!("db-{index}"), Elector::Ours);
        history.add_term(candidate, Term::exact(Nanos(from), Nanos(to))).unwrap();
    }
    let svg = Timeline::of(&history, "a nanosecond").to_svg();
    let document = Document::parse(&svg).unwrap();
    let of_class = |class| document.descendants().filter(move |node| node.attribute("class") == Some(class));
    let widths: Vec<f64> =
        of_class("overlap").map(|node| node.attribute("width").unwrap().parse().unwrap()).collect();
    assert!(matches!(widths[..], [width] if width >= 2.0), "{widths:?}");
    let explained = of_class("two").filter(roxmltree::Node::has_children);
    assert_eq!(explained.count(), 2, "and in both lanes");
}

#[test]
fn incarnations_of_one_process_share_a_lane() {
    let mut history = History::new(span(0, 1_000));
    for (name, from) in [("#0", 0), ("#1", 300), ("#2", 600)] {
        let candidate = history.add_candidate(name, Elector::Ours);
        history.add_term(candidate, Term::exact(at(from), at(from + 200))).unwrap();
    }
    let lane = |name: &str| if name == "#1" { "db-1".to_owned() } else { "db-0".to_owned() };
    let svg = Timeline::grouped(&history, "lanes", lane).to_svg();
    let document = Document::parse(&svg).unwrap();
    let names: Vec<_> =
        document.descendants().filter(|node| node.attribute("class") == Some("name")).collect();
    assert_eq!(names.iter().filter_map(|node| node.text()).collect::<Vec<_>>(), ["db-0", "db-1"]);
    assert!(svg.contains("#2 leads, 600.000ms to 800.000ms"));
}

/// A thousand faults in a second cannot be told apart: the picture stays small, and the pointer still counts them.
#[test]
fn faults_that_fall_into_one_place_are_one_tick() {
    let mut history = History::new(span(0, 3_600_000));
    history.add_candidate("db-0", Elector::Ours);
    let mut timeline = Timeline::of(&history, "busy");
    for fault in 0..1_000 {
        timeline.add(Note::of("db-0", NoteKind::Fault, span(fault, fault), "Slow"));
    }
    let svg = timeline.to_svg();
    assert!(svg.len() < 10_000 && svg.contains("and 988 more"), "{} bytes", svg.len());
}

prop_compose! {
    fn any_term()(begin in 0..2_000_u64, lasts in 0..2_000_u64, blur in 0..100_u64, token: Option<u64>, open: bool)
        -> Term
    {
        let end = begin + blur + lasts;
        let ended = Span::new(Nanos(end), Nanos(end + blur)).unwrap();
        Term { begin: Span::new(Nanos(begin), Nanos(begin + blur)).unwrap(), end: (!open).then_some(ended), token }
    }
}

prop_compose! {
    fn any_note()(lane in "\\PC{0,20}|.{0,4}", kind in 0..7_usize, from: u64, lasts in 0..3_000_u64, label in ".{0,60}",
        near: bool, common: bool) -> Note
    {
        let kinds = [NoteKind::Runs, NoteKind::Paused, NoteKind::CutOff, NoteKind::Fault, NoteKind::Acquired,
            NoteKind::Released, NoteKind::Finding];
        let from = if near { from % 2_000 } else { from };
        let span = Span::new(Nanos(from), Nanos(from.saturating_add(lasts))).unwrap();
        if common { Note::of_all(kinds[kind], span, label) } else { Note::of(lane, kinds[kind], span, label) }
    }
}

proptest! {
    #[test]
    fn any_history_gives_a_picture_that_can_be_read(
        window in (0..1_000_u64, 0..3_000_u64),
        candidates in prop::collection::vec((".{0,30}", any::<bool>(), prop::collection::vec(any_term(), 0..5)), 0..6),
        notes in prop::collection::vec(any_note(), 0..20),
        words in (".{0,200}", ".{0,200}"),
        close_up in prop::option::of((0..2_000_u64, 0..1_000_u64)),
    ) {
        let span = |(from, lasts): (u64, u64)| Span::new(Nanos(from), Nanos(from + lasts)).unwrap();
        let mut history = History::new(span(window));
        for (name, ours, terms) in candidates {
            let candidate = history.add_candidate(name, if ours { Elector::Ours } else { Elector::Peer });
            for term in terms {
                history.add_term(candidate, term).unwrap();
            }
        }
        let mut timeline = Timeline::of(&history, words.0);
        timeline.set_subtitle(words.1);
        notes.into_iter().for_each(|note| timeline.add(note));
        if let Some(part) = close_up {
            timeline.set_close_up(span(part));
        }
        let svg = timeline.to_svg();
        let document = Document::parse(&svg).unwrap();
        inside(&document)?;
    }
}

/// Everything that has a place lies within the picture.
fn inside(document: &Document<'_>) -> Result<(), TestCaseError> {
    let number =
        |node: &roxmltree::Node<'_, '_>, name| node.attribute(name).and_then(|text| text.parse::<f64>().ok());
    let root = document.root_element();
    let (width, height) = (number(&root, "width").unwrap(), number(&root, "height").unwrap());
    for node in root.descendants().filter(|node| !node.ancestors().any(|parent| parent.has_tag_name("defs")))
    {
        for (name, most) in
            [("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)]
        {
            let value = number(&node, name).unwrap_or(0.0);
            prop_assert!(value <= most, "{name}={value} is beyond {most}: {node:?}");
        }
        let right = number(&node, "x").unwrap_or(0.0) + number(&node, "width").unwrap_or(0.0);
        prop_assert!(right <= width + 0.01, "a shape ends at {right}: {node:?}");
    }
    Ok(())
}
