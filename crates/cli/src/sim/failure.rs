//! A world that breaks a rule: which one, how to make it again, and what led to it.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use anyhow::{Context as _, Result};
use leasehold_sim::{Story, StoryLine, Tone, Violation, WorldReport, rule};
use serde::Serialize;

use crate::screen::{self, BAD, DIM, GOOD, HEADING};
use crate::sim::Ended;
use crate::sim::document::millis;
use crate::sim::progress::Watched;
use crate::sim::replay::Worlds;
use crate::sim::show;

/// The first world that failed, or a smaller one in its place.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) worlds: Worlds,
    pub(crate) world: WorldReport,
    pub(crate) violation: Violation,
    story: Story,
    /// What shrinking came to, in words.
    shrunk: Option<String>,
}

/// The same as scripts read it.
#[derive(Debug, Serialize)]
pub(crate) struct FailureDocument<'a> {
    seed: u64,
    rule: &'a str,
    sentence: &'a str,
    at_ms: f64,
    what: &'a str,
    replay: String,
    world: String,
    story: Vec<String>,
}

impl Failure {
    pub(crate) fn of(worlds: &Worlds, seed: u64, shrink: bool, ended: &Ended) -> Result<Self> {
        let (mut worlds, mut shrunk) = (worlds.clone(), None);
        if shrink {
            let words;
            (worlds, words) = shrink_world(&worlds, seed, ended)?;
            shrunk = Some(words);
        }
        let world = worlds.simulation().world(seed, true);
        let violation = world.violations.first().context("equal seeds gave two different worlds")?.clone();
        let story = world.story(&violation);
        Ok(Self { seed, worlds, world, violation, story, shrunk })
    }

    /// For scripts.
    pub(crate) fn document(&self) -> FailureDocument<'_> {
        FailureDocument {
            seed: self.seed,
            rule: self.violation.rule,
            sentence: rule(self.violation.rule).unwrap_or_default(),
            at_ms: millis(self.violation.at),
            what: &self.violation.what,
            replay: self.worlds.replay(self.seed),
            world: show::setting(&self.world),
            story: self
                .story
                .lines
                .iter()
                .map(|line| format!("T+{} {} {}", line.at, line.who, line.what))
                .collect(),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let Self { seed, violation, story, .. } = self;
        let width = screen::width();
        let mut text = format!("\n{HEADING}seed {seed}{HEADING:#} breaks {BAD}{}{BAD:#}", violation.rule);
        if let Some(sentence) = rule(violation.rule) {
            let _ = write!(text, ": {sentence}");
        }
        let mut text = textwrap::fill(&text, width);
        let at = if violation.at.0 == 0 { String::new() } else { format!("at T+{}: ", violation.at) };
        let others = self.world.violations.len() - 1;
        let others = if others == 0 { String::new() } else { format!(" (and {others} more)") };
        for (name, words) in [
            ("what", format!("{at}{}{others}", violation.what)),
            ("world", show::setting(&self.world)),
            ("again", self.worlds.replay(*seed)),
        ] {
            let _ = write!(text, "\n{}", labelled(name, &words, width));
        }
        text.extend(self.shrunk.as_ref().map(|words| format!("\n{}", labelled("shrunk", words, width))));
        text.push_str("\n\n");
        if story.left_out > 0 {
            let _ = writeln!(text, "{DIM}{} lines before these: --trace tells all{DIM:#}", story.left_out);
        }
        story.lines.iter().for_each(|line| text.push_str(&line_text(line, width)));
        text
    }
}

/// Leaves out what the world does not need.
fn shrink_world(worlds: &Worlds, seed: u64, ended: &Ended) -> Result<(Worlds, String)> {
    let simulation = worlds.simulation();
    let whole = simulation.world(seed, false);
    let rule = whole.violations.first().context("equal seeds gave two different worlds")?.rule;
    let watched = Watched::new(whole.faults.len() as u64, "faults");
    watched.done(0, "; shrinking");
    let shrunk = simulation.shrink(seed, rule, &|| ended.goes_on());
    watched.finish();
    let shrunk = shrunk.context("equal seeds gave two different worlds")?;
    let (before, after) = (show::length(whole.length), show::length(shrunk.report.length));
    let words = format!(
        "from {before} with {} kinds of faults to {after} with {}, after {} worlds",
        whole.faults.len(),
        shrunk.report.faults.len(),
        shrunk.tried
    );
    Ok((worlds.shrunk(&shrunk.simulation), words))
}

fn labelled(name: &str, words: &str, width: usize) -> String {
    let options = textwrap::Options::new(width).subsequent_indent("          ");
    textwrap::fill(&format!("  {name:<6}  {words}"), options)
}

/// When, who, and what, with what does not fit below.
fn line_text(line: &StoryLine, width: usize) -> String {
    let style = match line.tone {
        Tone::Plain => Style::new(),
        Tone::Fault => AnsiColor::Yellow.on_default(),
        Tone::Leads => GOOD,
        Tone::Broken => BAD,
    };
    let head = format!("{:>10}  {:<9} ", line.at.to_string(), line.who);
    let room = width.saturating_sub(head.chars().count()).max(20);
    let indent = " ".repeat(head.chars().count());
    let mut text = String::new();
    for (index, part) in textwrap::wrap(&line.what, room).into_iter().enumerate() {
        let head = if index == 0 { &head } else { &indent };
        let _ = writeln!(text, "{DIM}{head}{DIM:#}{style}{part}{style:#}");
    }
    text
}
