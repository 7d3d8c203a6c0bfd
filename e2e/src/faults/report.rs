//! What many rounds have shown.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use comfy_table::{Table, presets};

use super::strike::Fault;
use super::verdict::Outcome;

/// The rounds of one run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    rounds: Vec<Vec<Outcome>>,
    errors: Vec<String>,
}

impl Report {
    /// Adds one round, as each electorate that it struck has seen it.
    pub fn add(&mut self, outcomes: Vec<Outcome>) {
        self.rounds.push(outcomes);
    }

    /// Adds a round that could not be played to its end, or what all rounds together have shown to be wrong.
    pub fn add_error(&mut self, error: &anyhow::Error) {
        self.errors.push(format!("{error:#}"));
    }

    /// Adds the rounds of another run.
    pub fn append(&mut self, mut other: Self) {
        self.rounds.append(&mut other.rounds);
        self.errors.append(&mut other.errors);
    }

    /// How many faults have struck.
    pub fn rounds(&self) -> usize {
        self.rounds.len()
    }

    /// How many of them prove nothing, since no electorate has answered often enough.
    pub fn void(&self) -> usize {
        let is_void = |round: &&Vec<Outcome>| round.iter().all(|outcome| outcome.void.is_some());
        self.rounds.iter().filter(is_void).count()
    }

    /// All that was promised and not kept, each with what is needed to look into it.
    pub fn failures(&self) -> Vec<String> {
        let failed = self.outcomes().filter(|outcome| !outcome.violations.is_empty());
        failed.map(Outcome::explanation).chain(self.errors.iter().cloned()).collect()
    }

    /// Time in which two surely led.
    pub fn overlap(&self) -> Duration {
        self.outcomes().map(|outcome| outcome.overlap).sum()
    }

    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.rounds.iter().flatten()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut by_fault: BTreeMap<Fault, Self> = BTreeMap::new();
        for round in &self.rounds {
            let Some(first) = round.first() else { continue };
            by_fault.entry(first.strike.fault).or_default().add(round.clone());
        }
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header([
            "fault",
            "rounds",
            "void",
            "judged",
            "hand-overs",
            "hard stops",
            "longest vacuum",
            "longest recovery",
            "overlap",
        ]);
        for (fault, rounds) in &by_fault {
            table.add_row(rounds.row(&fault.to_string()));
        }
        table.add_row(self.row("all"));
        write!(f, "{table}")
    }
}

impl Report {
    fn row(&self, name: &str) -> Vec<String> {
        let longest = |of: fn(&Outcome) -> Duration| {
            let whole = self.outcomes().filter(|outcome| outcome.void.is_none());
            millis(whole.map(of).max().unwrap_or_default())
        };
        let sum = |of: fn(&Outcome) -> usize| self.outcomes().map(of).sum::<usize>().to_string();
        vec![
            name.to_owned(),
            self.rounds().to_string(),
            self.void().to_string(),
            self.outcomes().filter(|outcome| outcome.void.is_none()).count().to_string(),
            sum(|outcome| outcome.hand_overs),
            sum(|outcome| outcome.hard_stops),
            longest(|outcome| outcome.vacuum),
            longest(|outcome| outcome.recovery),
            millis(self.overlap()),
        ]
    }
}

fn millis(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}
