//! One drawing of the lanes over a stretch of time.

use std::collections::BTreeMap;

use super::axis;
use super::labels::{Rows, shorten, width};
use super::svg::{Area, Length, Svg};
use super::{Bar, Lane, MARGIN, Note, NoteKind, Timeline};
use crate::Elector;
use crate::time::{Nanos, Span, gaps};

/// The lanes from one instant to another.
#[derive(Debug)]
pub(super) struct Panel<'a> {
    timeline: &'a Timeline,
    window: Span,
    caption: Option<&'a str>,
    /// Room for what happened to all.
    has_common_lane: bool,
}

impl<'a> Panel<'a> {
    pub(super) fn new(timeline: &'a Timeline, window: Span, caption: Option<&'a str>) -> Self {
        let common = |note: &Note| note.lane.is_none() && note.kind != NoteKind::Finding;
        Self { timeline, window, caption, has_common_lane: timeline.notes.iter().any(common) }
    }

    pub(super) fn height(&self) -> Length {
        self.head() + LANE_STEP.times(self.lane_count()) + AXIS_HEIGHT
    }

    pub(super) fn draw(&self, svg: &mut Svg, top: Length) {
        let lanes_top = top + self.head();
        let bottom = lanes_top + LANE_STEP.times(self.lane_count());
        if let Some(caption) = self.caption {
            svg.text("caption", MARGIN, top + Length::of(13), caption);
        }
        self.draw_grid(svg, lanes_top, bottom);
        self.draw_shades(svg, lanes_top, bottom);
        self.draw_findings(svg, lanes_top, bottom);
        let common = usize::from(self.has_common_lane);
        if self.has_common_lane {
            svg.text("name", GUTTER, lanes_top + NAME_FOOT, COMMON);
            self.draw_notes(svg, None, lanes_top);
        }
        for (index, lane) in self.timeline.lanes.iter().enumerate() {
            self.draw_lane(svg, lane, lanes_top + LANE_STEP.times(index + common));
        }
        self.draw_lens(svg, lanes_top, bottom);
    }

    fn head(&self) -> Length {
        let caption = if self.caption.is_some() { Length::of(18) } else { Length::of(0) };
        let findings = self.timeline.notes.iter().any(|note| note.kind == NoteKind::Finding);
        caption + FINDING_STEP.times(if findings { FINDING_ROWS } else { 0 }) + Length::of(6)
    }

    fn lane_count(&self) -> usize {
        self.timeline.lanes.len() + usize::from(self.has_common_lane)
    }

    fn draw_grid(&self, svg: &mut Svg, top: Length, bottom: Length) {
        for index in 0..self.lane_count() {
            let area =
                Area { left: LEFT, top: top + LANE_STEP.times(index), width: PLOT, height: LANE_HEIGHT };
            svg.area("lane", area, "");
        }
        for (at, words) in axis::ticks(self.window, self.timeline.window.earliest, TICKS_MAX) {
            let x = self.x(at);
            svg.line("grid", (x, top), (x, bottom), "");
            svg.text("axis", x, bottom + Length::of(14), &words);
        }
    }

    /// Nobody leads, two lead: over the whole height, so that it is seen from afar.
    fn draw_shades(&self, svg: &mut Svg, top: Length, bottom: Length) {
        let shade = |span: Span, least: Length| {
            let Area { left, width, .. } = self.area(span, top, least)?;
            Some(Area { left, top, width, height: bottom - top })
        };
        for vacuum in self.timeline.vacuums() {
            if let Some(area) = shade(vacuum, Length::of(0)) {
                svg.area("nobody", area, &format!("nobody leads for {}", vacuum.length()));
            }
        }
        for overlap in self.timeline.overlaps() {
            if let Some(area) = shade(overlap, LEAST) {
                svg.area("overlap", area, &format!("two lead for {}", overlap.length()));
            }
        }
    }

    fn draw_lane(&self, svg: &mut Svg, lane: &Lane, top: Length) {
        svg.text("name", GUTTER, top + NAME_FOOT, &shorten(&lane.name, NAME_LETTERS));
        self.draw_states(svg, lane, top);
        for bar in &lane.bars {
            self.draw_bar(svg, lane, bar, top + BAR_TOP);
        }
        let sure = lane.bars.iter().filter_map(|bar| bar.sure);
        for overlap in self.timeline.overlaps() {
            for part in sure.clone().filter_map(|sure| sure.intersection(overlap)) {
                if let Some(area) = self.area(part, top + BAR_TOP, LEAST) {
                    svg.area("two", area, &format!("two lead for {}", overlap.length()));
                }
            }
        }
        lane.bars.iter().for_each(|bar| self.draw_token(svg, bar, top + BAR_TOP));
        self.draw_notes(svg, Some(&lane.name), top);
    }

    /// Whether the process runs, is paused, is cut off.
    fn draw_states(&self, svg: &mut Svg, lane: &Lane, top: Length) {
        let notes = self.timeline.notes.iter().filter(|note| note.lane.as_ref() == Some(&lane.name));
        for note in notes {
            let Some(area) = self.area(note.span, top + BAR_TOP, LEAST) else { continue };
            let right = area.left + area.width;
            let words = self.words_of(note);
            match note.kind {
                NoteKind::Runs => {
                    let y = area.top + area.height.share(1, 2);
                    svg.line("runs", (area.left, y), (right, y), &words);
                }
                NoteKind::CutOff => {
                    let y = area.top + area.height + Length::of(3);
                    svg.line("cut", (area.left, y), (right, y), &words);
                }
                NoteKind::Paused => svg.area("paused", area, &words),
                NoteKind::Fault | NoteKind::Acquired | NoteKind::Released | NoteKind::Finding => {}
            }
        }
    }

    fn draw_bar(&self, svg: &mut Svg, lane: &Lane, bar: &Bar, top: Length) {
        let class = match lane.elector {
            Elector::Ours => "ours",
            Elector::Peer => "peer",
        };
        let who = bar.who.as_deref().unwrap_or(&lane.name);
        let token = bar.token.map(|token| format!(" with token {token}")).unwrap_or_default();
        let words = format!(
            "{who} leads{token}, {} to {}",
            self.offset(bar.possible.earliest),
            self.offset(bar.possible.latest)
        );
        if bar.sure != Some(bar.possible)
            && let Some(area) = self.area(bar.possible, top, LEAST)
        {
            svg.area(&format!("{class} maybe"), area, &words);
        }
        let Some(area) = bar.sure.and_then(|sure| self.area(sure, top, LEAST)) else { return };
        svg.area(class, area, &words);
    }

    /// In the longest part of the bar that is of one colour, if it has room there.
    fn draw_token(&self, svg: &mut Svg, bar: &Bar, top: Length) {
        let Some(seen) = bar.sure.and_then(|sure| sure.intersection(self.window)) else { return };
        let parts = gaps(seen, self.timeline.overlaps().collect());
        let Some(longest) = parts.into_iter().max_by_key(|part| part.length()) else { return };
        let Some(area) = self.area(longest, top, Length::of(0)) else { return };
        let label = label_of(bar).into_iter().find(|label| width(label, 10) + Length::of(4) <= area.width);
        if let Some(label) = label {
            let middle = area.left + area.width.share(1, 2);
            svg.text("token", middle, top + Length::of(12), &label);
        }
    }

    /// Faults and the marks of acquisitions and releases: one tick for all in one place, its name where there is room.
    fn draw_notes(&self, svg: &mut Svg, lane: Option<&String>, top: Length) {
        let mut ticks: BTreeMap<(NoteKind, u64), Vec<&Note>> = BTreeMap::new();
        let shown = |note: &&Note| note.lane.as_ref() == lane && self.shows(note.span);
        for note in self.timeline.notes.iter().filter(shown) {
            let place = self.x(note.span.earliest.max(self.window.earliest)).units();
            ticks.entry((note.kind, place)).or_default().push(note);
        }
        let faults = ticks.keys().filter(|(kind, _)| *kind == NoteKind::Fault).count();
        // Names of many faults side by side are read by nobody; the pointer tells them.
        let rows = if faults > LABELS_MAX { 0 } else { LABEL_ROWS };
        let mut rows = Rows::new(rows, LEFT + PLOT);
        for ((kind, _), notes) in ticks {
            let x = self.x(notes[0].span.earliest.max(self.window.earliest));
            let words = self.words_of_all(&notes);
            match kind {
                NoteKind::Fault => {
                    let (from, to) = (top + TICK_TOP, top + TICK_TOP + TICK_HEIGHT);
                    svg.line("fault", (x, from), (x, to), &words);
                    let label = label_of_all(&notes);
                    if let Some(row) = rows.place(x, width(&label, 10)) {
                        let y = top + LABEL_FOOT + LABEL_STEP.times(row);
                        svg.text("note", x - Length::of(1), y, &label);
                    }
                }
                NoteKind::Acquired => {
                    let corners =
                        [(x, top), (x + Length::of(6), top + Length::of(3)), (x, top + Length::of(6))];
                    svg.polygon("acquired", &corners, &words);
                }
                NoteKind::Released => {
                    let left = x - Length::of(5);
                    let corners = [
                        (left, top + Length::of(1)),
                        (x, top + Length::of(1)),
                        (x, top + Length::of(6)),
                        (left, top + Length::of(6)),
                    ];
                    svg.polygon("released", &corners, &words);
                }
                NoteKind::Runs | NoteKind::Paused | NoteKind::CutOff | NoteKind::Finding => {}
            }
        }
    }

    fn draw_findings(&self, svg: &mut Svg, top: Length, bottom: Length) {
        let mut rows = Rows::new(FINDING_ROWS, LEFT + PLOT);
        let findings = self.timeline.notes.iter().filter(|note| note.kind == NoteKind::Finding);
        for note in findings.filter(|note| self.shows(note.span)) {
            let x = self.x(note.span.earliest);
            svg.line("finding", (x, top - Length::of(4)), (x, bottom), &self.words_of(note));
            let room = width(&note.label, 11);
            // To the left of its line where it would leave the picture.
            let left = if x + room <= LEFT + PLOT { x } else { (LEFT + PLOT - room).max(MARGIN) };
            if let Some(row) = rows.place(left, room) {
                svg.text("alert", left, top - Length::of(7) - FINDING_STEP.times(row), &note.label);
            }
        }
    }

    /// Where the close-up lies in the whole.
    fn draw_lens(&self, svg: &mut Svg, top: Length, bottom: Length) {
        let close_up = self.timeline.close_up.filter(|part| *part != self.window);
        let Some(area) = close_up.and_then(|part| self.area(part, top, Length::of(4))) else { return };
        svg.area("lens", Area { top, height: bottom - top, ..area }, "the close-up below");
    }

    fn shows(&self, span: Span) -> bool {
        span.earliest <= self.window.latest && self.window.earliest <= span.latest
    }

    fn x(&self, at: Nanos) -> Length {
        LEFT + PLOT.share(at.since(self.window.earliest).0, self.window.length().0)
    }

    /// As wide as it lasts, and at least this wide.
    fn area(&self, span: Span, top: Length, least: Length) -> Option<Area> {
        if !self.shows(span) {
            return None;
        }
        let left = self.x(span.earliest.max(self.window.earliest));
        let right = self.x(span.latest.min(self.window.latest));
        let width = (right - left).max(least);
        Some(Area { left: left.min(LEFT + PLOT - width), top, width, height: BAR_HEIGHT })
    }

    fn offset(&self, at: Nanos) -> Nanos {
        at.since(self.timeline.window.earliest)
    }

    fn words_of(&self, note: &Note) -> String {
        let Span { earliest, latest } = note.span;
        let lasts = latest.since(earliest);
        match lasts {
            Nanos(0) => format!("{} at {}", note.label, self.offset(earliest)),
            lasts => format!("{} at {} for {lasts}", note.label, self.offset(earliest)),
        }
    }

    fn words_of_all(&self, notes: &[&Note]) -> String {
        let mut words: Vec<String> = notes.iter().take(WORDS_MAX).map(|note| self.words_of(note)).collect();
        if notes.len() > WORDS_MAX {
            words.push(format!("and {} more", notes.len() - WORDS_MAX));
        }
        words.join("; ")
    }
}

/// The longest first.
fn label_of(bar: &Bar) -> Vec<String> {
    match (&bar.who, bar.token) {
        (Some(who), Some(token)) => {
            vec![format!("{who} · token {token}"), format!("{who} · {token}"), token.to_string()]
        }
        (Some(who), None) => vec![who.clone()],
        (None, Some(token)) => vec![format!("token {token}"), token.to_string()],
        (None, None) => Vec::new(),
    }
}

fn label_of_all(notes: &[&Note]) -> String {
    let first = shorten(&notes[0].label, LABEL_LETTERS);
    match notes.len() {
        1 => first,
        more => format!("{first} +{}", more - 1),
    }
}

const COMMON: &str = "all";
const GUTTER: Length = Length::of(112);
const LEFT: Length = Length::of(120);
const PLOT: Length = Length::of(1_060);
/// What is shorter is drawn this wide.
const LEAST: Length = Length::of(2);
const LANE_STEP: Length = Length::of(60);
const LANE_HEIGHT: Length = Length::of(56);
const BAR_TOP: Length = Length::of(6);
const BAR_HEIGHT: Length = Length::of(16);
const NAME_FOOT: Length = Length::of(19);
const TICK_TOP: Length = Length::of(28);
const TICK_HEIGHT: Length = Length::of(7);
const LABEL_FOOT: Length = Length::of(43);
const LABEL_STEP: Length = Length::of(10);
const LABEL_ROWS: usize = 2;
const LABELS_MAX: usize = 20;
const FINDING_ROWS: usize = 2;
const FINDING_STEP: Length = Length::of(14);
const AXIS_HEIGHT: Length = Length::of(30);
const TICKS_MAX: u64 = 12;
const NAME_LETTERS: usize = 14;
const LABEL_LETTERS: usize = 40;
const WORDS_MAX: usize = 12;
