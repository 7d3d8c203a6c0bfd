//! Who led when, as a picture: a lane for each candidate, its terms as bars, and what happened to it below them.
//!
//! Where two led the picture is red, where nobody did it is shaded, and nothing is too short to be seen. The picture is
//! SVG of one file, without scripts, and reads in light and in dark.
//!
//! ```
//! use leasehold_history::{Elector, History, Nanos, Note, NoteKind, Span, Term, Timeline};
//! let seconds = |seconds: u64| Nanos(seconds * 1_000_000_000);
//! let mut history = History::new(Span::new(seconds(0), seconds(60))?);
//! let first = history.add_candidate("db-0", Elector::Ours);
//! history.add_term(first, Term::exact(seconds(2), seconds(31)).with_token(7))?;
//! let mut timeline = Timeline::of(&history, "one minute of db-0");
//! timeline.add(Note::of("db-0", NoteKind::Fault, Span::at(seconds(30)), "killed"));
//! assert!(timeline.to_svg().starts_with("<svg "));
//! # Ok::<(), leasehold_history::HistoryError>(())
//! ```

mod axis;
mod labels;
mod legend;
mod panel;
mod svg;

use crate::report::Report;
use crate::time::{Nanos, Span};
use crate::{Elector, History};
use svg::{Length, Svg};

/// A picture of a history.
#[derive(Clone, Debug)]
pub struct Timeline {
    title: String,
    subtitle: String,
    window: Span,
    close_up: Option<Span>,
    lanes: Vec<Lane>,
    notes: Vec<Note>,
    report: Report,
}

/// What one candidate did.
#[derive(Clone, Debug)]
struct Lane {
    name: String,
    elector: Elector,
    bars: Vec<Bar>,
}

/// One term.
#[derive(Clone, Debug)]
struct Bar {
    /// Whose it is, where a lane shows more than one.
    who: Option<String>,
    possible: Span,
    sure: Option<Span>,
    token: Option<u64>,
}

/// Something that happened, to a candidate or to all.
#[derive(Clone, Debug)]
pub struct Note {
    lane: Option<String>,
    kind: NoteKind,
    span: Span,
    label: String,
}

/// What kind of thing happened, which decides how it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// The candidate's process runs: a thin line.
    Runs,
    /// It is paused: hatched.
    Paused,
    /// It is cut off: a dashed line.
    CutOff,
    /// A fault struck: a tick with its name.
    Fault,
    /// It obtained the lease.
    Acquired,
    /// It gave the lease back.
    Released,
    /// A rule was broken, or anything else that a reader looks for: a line over all lanes with its name on top.
    Finding,
}

impl Note {
    /// Something that happened to the lane of this name. A lane that no candidate has is added.
    pub fn of(lane: impl Into<String>, kind: NoteKind, span: Span, label: impl Into<String>) -> Self {
        Self { lane: Some(lane.into()), kind, span, label: label.into() }
    }

    /// Something that happened to all.
    pub fn of_all(kind: NoteKind, span: Span, label: impl Into<String>) -> Self {
        Self { lane: None, kind, span, label: label.into() }
    }
}

impl Timeline {
    /// A lane for each candidate, in the order in which they were added.
    pub fn of(history: &History, title: impl Into<String>) -> Self {
        Self::grouped(history, title, str::to_owned)
    }

    /// Candidates for which `lane` gives the same name share a lane: the incarnations of one process, for example.
    pub fn grouped(history: &History, title: impl Into<String>, lane: impl Fn(&str) -> String) -> Self {
        let mut lanes: Vec<Lane> = Vec::new();
        for candidate in history.observed() {
            let name = lane(&candidate.name);
            let who = (name != candidate.name).then(|| candidate.name.clone());
            let index = lanes.iter().position(|lane| lane.name == name).unwrap_or_else(|| {
                lanes.push(Lane { name, elector: candidate.elector, bars: Vec::new() });
                lanes.len() - 1
            });
            let window = history.window;
            lanes[index].bars.extend(candidate.terms.iter().filter_map(|term| {
                let sure = term.sure(window).or_else(|| term.moment(window));
                let possible = term.possible(window).or(sure)?;
                Some(Bar { who: who.clone(), possible, sure, token: term.token })
            }));
        }
        Self {
            title: title.into(),
            subtitle: String::new(),
            window: history.window,
            close_up: None,
            lanes,
            notes: Vec::new(),
            report: history.judge(),
        }
    }

    /// Lanes in this order, and all others after them. A name that no candidate has gets an empty lane.
    pub fn order_lanes(&mut self, names: impl IntoIterator<Item = String>) {
        let mut others = std::mem::take(&mut self.lanes);
        for name in names {
            let index = others.iter().position(|lane| lane.name == name);
            let empty = || Lane { name, elector: Elector::Ours, bars: Vec::new() };
            self.lanes.push(index.map(|index| others.remove(index)).unwrap_or_else(empty));
        }
        self.lanes.append(&mut others);
    }

    /// Other words above the picture.
    pub fn set_title(&mut self, title: impl Into<String>) {
        self.title = title.into();
    }

    /// A line of smaller words below the title.
    pub fn set_subtitle(&mut self, subtitle: impl Into<String>) {
        self.subtitle = subtitle.into();
    }

    /// Adds something that happened. What lies outside of the window is not drawn.
    pub fn add(&mut self, note: Note) {
        let missing = note.lane.as_ref().filter(|name| self.lanes.iter().all(|lane| lane.name != **name));
        if let Some(name) = missing {
            self.lanes.push(Lane { name: name.clone(), elector: Elector::Ours, bars: Vec::new() });
        }
        self.notes.push(note);
    }

    /// Draws this part a second time, large, below the whole.
    pub fn set_close_up(&mut self, part: Span) {
        self.close_up = part.intersection(self.window);
    }

    /// The picture.
    pub fn to_svg(&self) -> String {
        let whole = panel::Panel::new(self, self.window, self.close_up.map(|_| "all of it"));
        let close = self.close_up.map(|part| panel::Panel::new(self, part, Some("close-up")));
        let panels: Vec<panel::Panel> = std::iter::once(whole).chain(close).collect();
        let heights = panels.iter().map(panel::Panel::height);
        let height = heights.fold(HEADER, |sum, height| sum + height) + FOOTER;
        let mut svg = Svg::new(WIDTH, height, &self.title, &self.summary());
        svg.text("title", MARGIN, Length::of(30), &labels::shorten(&self.title, TITLE_LETTERS));
        svg.text("subtitle", MARGIN, Length::of(50), &labels::shorten(&self.subtitle, SUBTITLE_LETTERS));
        let mut top = HEADER;
        for panel in &panels {
            panel.draw(&mut svg, top);
            top = top + panel.height();
        }
        legend::draw(&mut svg, MARGIN, top + Length::of(14));
        svg.finish()
    }

    /// The picture in words.
    fn summary(&self) -> String {
        let Report { ours, mixed, peers, .. } = &self.report;
        let overlaps = [ours, mixed, peers].into_iter().map(|class| class.overlap_proven);
        let two = overlaps.fold(Nanos(0), Nanos::plus);
        let nobody =
            self.report.vacuums.iter().fold(Nanos(0), |sum, vacuum| sum.plus(vacuum.possible.length()));
        format!(
            "{} lanes, {} terms in {}; two led for {two}, nobody for {nobody}",
            self.lanes.len(),
            self.report.terms,
            self.window.length()
        )
    }

    fn overlaps(&self) -> impl Iterator<Item = Span> {
        let Report { ours, mixed, peers, .. } = &self.report;
        let classes = [ours, mixed, peers].into_iter();
        classes.flat_map(|class| &class.overlaps).filter_map(|overlap| overlap.proven)
    }

    fn vacuums(&self) -> impl Iterator<Item = Span> {
        self.report.vacuums.iter().map(|vacuum| vacuum.possible)
    }
}

const WIDTH: Length = Length::of(1_200);
const MARGIN: Length = Length::of(16);
const HEADER: Length = Length::of(62);
const FOOTER: Length = Length::of(44);
const TITLE_LETTERS: usize = 100;
const SUBTITLE_LETTERS: usize = 160;
