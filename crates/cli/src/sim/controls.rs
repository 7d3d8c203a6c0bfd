//! `leasehold sim --controls`: everything that is known to be broken must be caught.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use leasehold_sim::{Catch, Variant};
use serde::Serialize;

use crate::problem::{FINDINGS, PASS};
use crate::screen::{self, BAD, DIM, GOOD};
use crate::sim::Ended;
use crate::sim::args::{Output, broken_variants, described};
use crate::sim::document::{Verdict, millis};
use crate::sim::progress::Watched;
use crate::sim::replay::Worlds;

/// The document of `--controls -o json`.
#[derive(Debug, Serialize)]
struct ControlsDocument {
    #[serde(rename = "apiVersion")]
    api_version: &'static str,
    kind: &'static str,
    verdict: Verdict,
    complete: bool,
    worlds_max: u64,
    elapsed_ms: u128,
    caught: usize,
    not_caught: Vec<&'static str>,
    controls: Vec<Control>,
}

/// One of those that must be caught.
#[derive(Debug, Serialize)]
struct Control {
    name: &'static str,
    /// `control` for another design, `mutant` for ours with a rule removed.
    role: &'static str,
    sentence: &'static str,
    caught: bool,
    /// How many worlds it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    worlds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<String>,
}

/// Hunts all, on several threads.
pub(crate) fn run(output: Output, threads: usize, ended: &Ended) -> Result<ExitCode> {
    let variants = broken_variants();
    let watched = Watched::new(variants.len() as u64, "caught");
    let caught = hunt_all(&variants, threads, &watched, ended);
    let elapsed = watched.finish();
    let controls = variants
        .iter()
        .enumerate()
        .filter_map(|(index, variant)| Some(Control::of(*variant, caught.get(&index)?.as_ref())));
    let document = ControlsDocument::of(controls.collect(), variants.len(), elapsed, ended);
    let text = match output {
        Output::Json => serde_json::to_string_pretty(&document)? + "\n",
        Output::Table => document.text(),
    };
    anstream::stdout().lock().write_all(text.as_bytes()).context("writing to stdout")?;
    Ok(match document.verdict {
        Verdict::Pass => ExitCode::from(PASS),
        Verdict::Fail => ExitCode::from(FINDINGS),
        Verdict::Inconclusive => ended.code().unwrap_or(ExitCode::from(crate::problem::INCONCLUSIVE)),
    })
}

/// What became of each, by its place in the list; a hunt that a signal ended came to nothing.
fn hunt_all(
    variants: &[Variant],
    threads: usize,
    watched: &Watched,
    ended: &Ended,
) -> BTreeMap<usize, Option<Catch>> {
    let next = AtomicUsize::new(0);
    let caught = Mutex::new(BTreeMap::new());
    let lock = || caught.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let work = || {
        while let Some((index, variant)) = Some(next.fetch_add(1, Ordering::Relaxed))
            .and_then(|index| Some((index, variants.get(index)?)))
            .filter(|_| ended.goes_on())
        {
            let catch = Worlds::of_variant(*variant).simulation().hunt(WORLDS_MAX, &|| ended.goes_on());
            if catch.is_none() && !ended.goes_on() {
                return;
            }
            let mut caught = lock();
            caught.insert(index, catch);
            watched.done(caught.len() as u64, &format!("; last {}", described(*variant).0));
        }
    };
    thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(work))));
    std::mem::take(&mut *lock())
}

impl Control {
    fn of(variant: Variant, catch: Option<&Catch>) -> Self {
        let (name, sentence) = described(variant);
        let role = match variant {
            Variant::Control(_) => "control",
            Variant::Mutant(_) | Variant::Shipped => "mutant",
        };
        Self {
            name,
            role,
            sentence,
            caught: catch.is_some(),
            worlds: catch.map(|catch| catch.worlds),
            rule: catch.map(|catch| catch.violation.rule),
            at_ms: catch.map(|catch| millis(catch.violation.at)),
            what: catch.map(|catch| catch.violation.what.clone()),
            replay: catch.map(|catch| Worlds::of_variant(variant).replay(catch.worlds)),
        }
    }
}

impl ControlsDocument {
    fn of(controls: Vec<Control>, all: usize, elapsed: Duration, ended: &Ended) -> Self {
        let not_caught: Vec<_> =
            controls.iter().filter(|control| !control.caught).map(|control| control.name).collect();
        let complete = controls.len() == all && ended.goes_on();
        let verdict = match (not_caught.is_empty(), complete) {
            (false, _) => Verdict::Fail,
            (true, true) => Verdict::Pass,
            (true, false) => Verdict::Inconclusive,
        };
        Self {
            api_version: "leasehold.dev/v1",
            kind: "SimControlsReport",
            verdict,
            complete,
            worlds_max: WORLDS_MAX,
            elapsed_ms: elapsed.as_millis(),
            caught: controls.len() - not_caught.len(),
            not_caught,
            controls,
        }
    }

    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(screen::width().try_into().unwrap_or(u16::MAX));
        table.set_header(["", "worlds", "rule", "what it broke"]);
        for control in &self.controls {
            let worlds =
                control.worlds.map_or_else(|| format!("over {WORLDS_MAX}"), |worlds| worlds.to_string());
            let what = control.what.clone().unwrap_or_else(|| format!("NOT CAUGHT: {}", control.sentence));
            table.add_row([control.name.to_owned(), worlds, control.rule.unwrap_or("-").to_owned(), what]);
        }
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            column.set_cell_alignment(if index == 1 { CellAlignment::Right } else { CellAlignment::Left });
        }
        let seconds = Duration::from_millis(self.millis()).as_secs_f64();
        let caught = self.caught;
        let verdict = match self.verdict {
            Verdict::Pass => format!("{GOOD}pass{GOOD:#}: all {caught} were caught, in {seconds:.1} s"),
            Verdict::Fail => {
                format!("{BAD}fail{BAD:#}: not caught in {WORLDS_MAX} worlds: {}", self.not_caught.join(", "))
            }
            Verdict::Inconclusive => {
                format!("{BAD}incomplete{BAD:#}: ended by a signal; caught so far: {caught}")
            }
        };
        let again = format!("{DIM}see one fail: leasehold sim --elector NAME --seed WORLDS{DIM:#}");
        format!("{}\n\n{again}\n{verdict}\n", table.trim_fmt())
    }

    fn millis(&self) -> u64 {
        self.elapsed_ms.try_into().unwrap_or(u64::MAX)
    }
}

const WORLDS_MAX: u64 = 2_000;
