//! Who led when, as text: one row a candidate, and below them when nobody led and when two did.
//!
//! It reads the same without colour. Nothing is too short to be seen: what happened in a column is shown in it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use leasehold_history::{Nanos, Span};

use crate::demo::args::Fault;

/// What is drawn.
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    pub(crate) window: Span,
    pub(crate) rows: Vec<Row>,
    pub(crate) marks: Vec<Mark>,
    pub(crate) nobody: Vec<Span>,
    pub(crate) two: Vec<Span>,
}

/// One candidate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) leads: Vec<Span>,
    pub(crate) runs: Vec<Span>,
    pub(crate) paused: Vec<Span>,
    pub(crate) cut: Vec<Span>,
}

/// Something that was done.
#[derive(Clone, Debug)]
pub(crate) struct Mark {
    pub(crate) at: Nanos,
    pub(crate) what: Event,
}

/// What was done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Event {
    /// The leader was made to leave, in the round of this number.
    Fault(u32, Fault),
    /// A person acted.
    Person,
}

impl Timeline {
    /// Lines of at most `width` columns, each with its end, with styles for whoever can show them.
    pub(crate) fn render(&self, width: usize) -> String {
        let columns = width.saturating_sub(LABEL_WIDTH).max(COLUMNS_MIN);
        let mut text = format!("{:LABEL_WIDTH$}{}\n", "", self.marks(columns));
        for (index, row) in self.rows.iter().enumerate() {
            let style = COLOURS[index % COLOURS.len()].on_default();
            self.line(&mut text, &row.name, style, columns, |cell| row.glyph(cell));
        }
        let glyph = |spans, glyph| move |cell| if touches(spans, cell) { glyph } else { ' ' };
        self.line(&mut text, "nobody", Style::new().dimmed(), columns, glyph(&self.nobody, NOBODY));
        let alarm = AnsiColor::Red.on_default().bold();
        self.line(&mut text, "two", alarm, columns, glyph(&self.two, TWO));
        let _ = writeln!(text, "{:LABEL_WIDTH$}{}", "", self.axis(columns));
        text
    }

    /// What the glyphs mean, and what a column is worth.
    pub(crate) fn legend(&self, width: usize) -> String {
        let columns = width.saturating_sub(LABEL_WIDTH).max(COLUMNS_MIN);
        let column = self.window.length().0 / u64::try_from(columns).unwrap_or(1) / 1_000_000;
        let persons = self.marks.iter().any(|mark| matches!(mark.what, Event::Person));
        let person = if persons { format!("  {PERSON} a person acts") } else { String::new() };
        format!(
            "{LEADS} leads  {WAITS} waits  {PAUSED} paused  {CUT} cut off  blank: does not run{person}\n\
             {NOBODY} nobody leads  {TWO} two lead; a column is {column} ms, and what is shorter fills one"
        )
    }

    fn line(
        &self,
        text: &mut String,
        name: &str,
        style: Style,
        columns: usize,
        glyph: impl Fn(Span) -> char,
    ) {
        let cells: String = (0..columns).map(|column| glyph(self.cell(column, columns))).collect();
        let _ = match cells.trim_end() {
            "" => writeln!(text, "{name}"),
            cells => writeln!(text, "{name:LABEL_WIDTH$}{style}{cells}{style:#}"),
        };
    }

    fn cell(&self, column: usize, columns: usize) -> Span {
        Span { earliest: self.edge(column, columns), latest: self.edge(column + 1, columns) }
    }

    fn edge(&self, column: usize, columns: usize) -> Nanos {
        let (column, columns) = (column as u128, columns as u128);
        let offset = u128::from(self.window.length().0) * column / columns;
        self.window.earliest.plus(Nanos(offset.try_into().unwrap_or(u64::MAX)))
    }

    fn column(&self, at: Nanos, columns: usize) -> usize {
        (0..columns).rev().find(|&column| self.edge(column, columns) <= at).unwrap_or(0)
    }

    /// Each mark at its column, with its whole name where that fits before the next, else with its number.
    fn marks(&self, columns: usize) -> String {
        let mut line = vec![' '; columns];
        let starts: Vec<usize> = self.marks.iter().map(|mark| self.column(mark.at, columns)).collect();
        for (index, mark) in self.marks.iter().enumerate() {
            let room = starts.get(index + 1).unwrap_or(&columns).saturating_sub(starts[index]);
            let labels = mark.what.labels();
            let fits = |label: &&String| label.chars().count() <= room;
            // The mark itself is always there, even where two fall into one column.
            let label = labels.iter().find(fits).unwrap_or(&labels[2]);
            for (cell, letter) in line[starts[index]..].iter_mut().zip(label.chars()) {
                *cell = letter;
            }
        }
        line.into_iter().collect::<String>().trim_end().to_owned()
    }

    /// Seconds since the begin, as many as can be read.
    fn axis(&self, columns: usize) -> String {
        let seconds = self.window.length().0 / NANOS_PER_SECOND;
        let most = u64::try_from(columns / TICK_WIDTH).unwrap_or(1).max(1);
        let step = TICK_STEPS.into_iter().find(|step| seconds / step <= most).unwrap_or(seconds.max(1));
        let mut line = vec![' '; columns];
        for tick in (0..=seconds).step_by(usize::try_from(step).unwrap_or(1)) {
            let at = self.window.earliest.plus(Nanos(tick * NANOS_PER_SECOND));
            let start = self.column(at, columns);
            let label = format!("{AXIS}{tick} s");
            if start + label.chars().count() <= columns {
                label.chars().enumerate().for_each(|(offset, letter)| line[start + offset] = letter);
            }
        }
        line.into_iter().collect::<String>().trim_end().to_owned()
    }
}

impl Event {
    /// The longest first. Names are followed by a free column.
    fn labels(self) -> [String; 3] {
        match self {
            Self::Fault(round, fault) => {
                [format!("{MARK}{round} {fault} "), format!("{MARK}{round}"), MARK.to_string()]
            }
            Self::Person => [(); 3].map(|()| PERSON.to_string()),
        }
    }
}

impl Row {
    /// Half a block where leading begins or ends, so that a hand-over within one column reads in order.
    fn glyph(&self, cell: Span) -> char {
        let led: Vec<Span> = self.leads.iter().filter_map(|span| span.intersection(cell)).collect();
        let from_start = led.iter().any(|span| span.earliest == cell.earliest);
        let to_end = led.iter().any(|span| span.latest == cell.latest);
        match (from_start, to_end) {
            (true, true) => LEADS,
            (true, false) => LEADS_FIRST,
            (false, true) => LEADS_THEN,
            (false, false) if !led.is_empty() => LEADS_SHORTLY,
            (false, false) => self.idle(cell),
        }
    }

    fn idle(&self, cell: Span) -> char {
        let states = [(&self.paused, PAUSED), (&self.cut, CUT), (&self.runs, WAITS)];
        states.into_iter().find(|(spans, _)| touches(spans, cell)).map_or(' ', |(_, glyph)| glyph)
    }
}

fn touches(spans: &[Span], cell: Span) -> bool {
    spans.iter().any(|span| span.intersection(cell).is_some())
}

const COLOURS: [AnsiColor; 3] = [AnsiColor::Cyan, AnsiColor::Yellow, AnsiColor::Magenta];
const LEADS: char = '█';
const LEADS_FIRST: char = '▌';
const LEADS_THEN: char = '▐';
const LEADS_SHORTLY: char = '│';
const WAITS: char = '·';
const PAUSED: char = 'z';
const CUT: char = '~';
const NOBODY: char = '░';
const TWO: char = '#';
const MARK: char = '▼';
const PERSON: char = '◆';
const AXIS: char = '╵';
const LABEL_WIDTH: usize = 8;
const COLUMNS_MIN: usize = 24;
const TICK_WIDTH: usize = 8;
const TICK_STEPS: [u64; 8] = [1, 2, 5, 10, 30, 60, 300, 600];
const NANOS_PER_SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Nanos {
        Nanos(millis * 1_000_000)
    }

    fn span(from: u64, to: u64) -> Span {
        Span::new(at(from), at(to)).unwrap()
    }

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    /// app-0 stops as planned, app-1 is paused and comes back, app-2 is cut off while it believes that it leads.
    fn timeline() -> Timeline {
        let row = |name: &str, leads| Row {
            name: name.to_owned(),
            leads,
            runs: vec![span(0, 30_000)],
            ..Row::default()
        };
        let mut rows = vec![
            row("app-0", vec![span(0, 5_000), span(23_000, 30_000)]),
            row("app-1", vec![span(5_004, 12_000)]),
            row("app-2", vec![span(15_000, 24_500)]),
        ];
        rows[0].runs = vec![span(0, 5_100), span(6_200, 30_000)];
        rows[1].paused = vec![span(12_000, 16_000)];
        rows[2].cut = vec![span(20_000, 26_000)];
        let mark = |millis, what| Mark { at: at(millis), what };
        Timeline {
            window: span(0, 30_000),
            rows,
            marks: vec![
                mark(5_000, Event::Fault(1, Fault::Graceful)),
                mark(12_000, Event::Fault(2, Fault::Pause)),
                mark(14_000, Event::Person),
                mark(20_000, Event::Fault(3, Fault::Cut)),
            ],
            nobody: vec![span(5_000, 5_004), span(12_000, 15_000)],
            two: vec![span(23_000, 24_500)],
        }
    }

    #[test]
    fn it_reads_without_colour_in_eighty_columns() {
        let timeline = timeline();
        let text = format!("{}{}", plain(&timeline.render(80)), timeline.legend(80));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_narrow_terminal_shortens_names_and_loses_no_event() {
        let text = plain(&timeline().render(40));
        assert!(text.lines().all(|line| line.chars().count() <= 40), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn an_overlap_of_a_microsecond_fills_a_column() {
        let mut timeline = timeline();
        timeline.two = vec![Span { earliest: Nanos(7), latest: Nanos(1_007) }];
        assert_eq!(plain(&timeline.render(80)).matches(TWO).count(), 1);
    }

    #[test]
    fn each_candidate_has_a_colour_of_its_own() {
        let text = timeline().render(80);
        let colours: Vec<String> =
            COLOURS.iter().map(|colour| colour.on_default().render().to_string()).collect();
        for (line, colour) in text.lines().skip(1).zip(&colours) {
            assert!(line.contains(colour.as_str()), "{line:?}");
        }
    }
}
