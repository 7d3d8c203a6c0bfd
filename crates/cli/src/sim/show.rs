//! What people read: what the worlds came to, faults by what was under way, a trace.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use leasehold_sim::{Class, FaultKind, WorldReport};

use crate::millis::thousands;
use crate::screen::{self, BAD, DIM, GOOD, HEADING};
use crate::sim::args::described;
use crate::sim::document::{Found, Verdict};
use crate::sim::progress::rate;

/// The figures.
pub(crate) fn summary(found: &Found) -> String {
    let report = &found.report;
    let class = |class| thousands(report.overlaps.get(&class).copied().unwrap_or(0));
    let seconds = |millis: u64| format!("{}.{:03} s", thousands(millis / 1_000), millis % 1_000);
    let mut rows = vec![
        ("two leaders at once", String::new()),
        ("  (a) ours with ours, contract kept", class(Class::A)),
        ("  (b) ours beside other elections", class(Class::B)),
        ("      of which ours was the cause", thousands(report.blame.get("ours").copied().unwrap_or(0))),
        ("  (c) contract broken, not promised", class(Class::C)),
        ("times that rules were broken", thousands(report.violations)),
        ("hand-overs", thousands(report.hand_overs)),
        ("longest without a leader, under faults", seconds(report.vacuum_max_ms)),
        ("longest until one led after all faults", seconds(report.recovery_max_ms)),
        ("requests of candidates", thousands(report.requests)),
        ("writes tried at the gate", thousands(report.writes_tried)),
        ("  stale ones refused", thousands(report.stale_writes_refused)),
        ("  stale ones let in", thousands(report.stale_writes_passed)),
        ("  good ones refused", thousands(report.good_writes_refused)),
        ("worlds in which too little happened", thousands(report.void_worlds)),
    ];
    rows.push(("times that faults struck", thousands(report.faults.values().sum())));
    let mut table = plain_table(rows.iter().map(|(name, figure)| [(*name).to_owned(), figure.clone()]));
    align(&mut table);
    let [heading, least] = [heading(found), least(found)].map(|text| textwrap::fill(&text, screen::width()));
    format!("{heading}\n\n{}\n{least}\n", table.trim_fmt())
}

fn heading(found: &Found) -> String {
    let report = &found.report;
    let simulated = report.simulated_hours * 3_600.0;
    let length = length(found.worlds.simulation().settings.length);
    let (name, sentence) = described(found.worlds.variant);
    let of_whom = match found.worlds.variant {
        leasehold_sim::Variant::Shipped => String::new(),
        _ => format!("\n{BAD}{name}{BAD:#}: {sentence}"),
    };
    let played = if found.is_complete() {
        thousands(report.worlds)
    } else {
        format!("{} of {}", thousands(report.worlds), thousands(found.asked))
    };
    let noun = if found.asked == 1 { "world" } else { "worlds" };
    format!(
        "{HEADING}{played} {noun}{HEADING:#} of {length} ({}), seeds from {}: {:.1} simulated hours in {:.1} s, {} times \
         real time{of_whom}",
        found.worlds.name(),
        found.first,
        report.simulated_hours,
        found.elapsed.as_secs_f64(),
        rate(simulated, found.elapsed)
    )
}

/// How often each fault struck, by what was under way.
pub(crate) fn matrix(found: &Found) -> String {
    let kinds = kinds(found);
    let cells = |kind: &FaultKind| {
        let row = found.report.matrix.get(kind);
        WINDOWS.map(|window| row.and_then(|row| row.get(window)).copied().unwrap_or(0))
    };
    let rows = kinds.iter().map(|kind| {
        let mut row = vec![kind.name().to_owned()];
        row.extend(cells(kind).map(thousands));
        row
    });
    let mut table = plain_table(rows);
    let names = WINDOWS.map(|window| window.replace('_', "-"));
    table.set_header(std::iter::once("fault".to_owned()).chain(names));
    align(&mut table);
    format!("\n{}\n", table.trim_fmt())
}

/// The cell of the matrix that proves least, and how many prove little.
fn least(found: &Found) -> String {
    let cells = kinds(found).into_iter().flat_map(|kind| {
        let row = found.report.matrix.get(&kind);
        WINDOWS.map(|window| (row.and_then(|row| row.get(window)).copied().unwrap_or(0), kind.name(), window))
    });
    let cells: Vec<_> = cells.collect();
    let few = cells.iter().filter(|(times, ..)| *times < CELL_MIN).count();
    match cells.iter().min_by_key(|(times, ..)| *times) {
        Some((times, kind, window)) => format!(
            "{DIM}struck least: {kind} during {}, {}; {few} of {} cells of --matrix are below {CELL_MIN}{DIM:#}",
            window.replace('_', "-"),
            repeated(*times),
            cells.len()
        ),
        None => format!("{DIM}no fault was to strike{DIM:#}"),
    }
}

/// Those that may be switched on.
fn kinds(found: &Found) -> Vec<FaultKind> {
    let simulation = found.worlds.simulation();
    let only = |kind: &FaultKind| simulation.only.as_ref().is_none_or(|only| only.contains(kind));
    simulation.settings.faults.iter().copied().filter(only).collect()
}

/// The world that failed, and the verdict as the last line.
pub(crate) fn conclusion(found: &Found) -> String {
    let report = &found.report;
    let failure = found.failure.as_ref().map(|failure| failure.text()).unwrap_or_default();
    let verdict = match found.verdict() {
        Verdict::Pass => format!("{GOOD}pass{GOOD:#}: no rule was broken"),
        Verdict::Fail => {
            let failed = report.failures.len();
            let seeds: Vec<String> = report.failures.keys().take(SEEDS_MAX).map(u64::to_string).collect();
            let more = if failed > SEEDS_MAX { ", …" } else { "" };
            format!(
                "{BAD}fail{BAD:#}: rules were broken {} in {failed} of {} worlds: seeds {}{more}",
                repeated(report.violations),
                thousands(report.worlds),
                seeds.join(", ")
            )
        }
        Verdict::Inconclusive if !found.is_complete() => {
            format!("{BAD}incomplete{BAD:#}: ended by a signal; no rule was broken so far")
        }
        Verdict::Inconclusive => {
            format!("{BAD}inconclusive{BAD:#}: too little happened in every world to prove anything")
        }
    };
    format!("{failure}\n{}\n", textwrap::fill(&verdict, screen::width()))
}

fn repeated(times: u64) -> String {
    if times == 1 { "once".to_owned() } else { format!("{} times", thousands(times)) }
}

/// Everything that happened in a world, and what it was.
pub(crate) fn trace(world: &WorldReport) -> String {
    let mut text =
        format!("{HEADING}seed {}{HEADING:#}: {}; hash {}\n", world.seed, setting(world), &world.hash[..16]);
    for happened in &world.trace {
        let style = if happened.what.starts_with("VIOLATION") { BAD } else { anstyle::Style::new() };
        let (at, who, what) = (happened.at.to_string(), happened.who, &happened.what);
        let _ = writeln!(text, "{DIM}{at:>10}  {who:<9}{DIM:#} {style}{what}{style:#}");
    }
    text + "\n"
}

/// What a seed has drawn.
pub(crate) fn setting(world: &WorldReport) -> String {
    let leases = match (world.lease_durations.first(), world.lease_durations.last()) {
        (Some(shortest), Some(longest)) if shortest != longest => {
            format!("lease durations {} to {}", length(*shortest), length(*longest))
        }
        (shortest, _) => format!("lease duration {}", length(shortest.copied().unwrap_or_default())),
    };
    let class = match world.class {
        Class::A => "class (a)",
        Class::B => "class (b)",
        Class::C => "class (c)",
    };
    let faults: Vec<&str> = world.faults.iter().map(|kind| kind.name()).collect();
    let faults =
        if faults.is_empty() { "no faults".to_owned() } else { format!("faults {}", faults.join(", ")) };
    let servers =
        if world.servers == 1 { "1 API server".to_owned() } else { format!("{} API servers", world.servers) };
    let candidates = match world.others {
        0 => format!("{} candidates", world.candidates),
        others => format!("{} candidates and {others} of other elections", world.candidates - others),
    };
    format!("{candidates}, {servers}, {leases}, {}, {class}, {faults}", length(world.length))
}

/// `1 h`, `15 min`, `112 s`.
pub(crate) fn length(length: Duration) -> String {
    let seconds = length.as_secs();
    match (seconds, length.subsec_millis()) {
        (seconds, 0) if seconds >= 3_600 && seconds.is_multiple_of(3_600) => format!("{} h", seconds / 3_600),
        (seconds, 0) if seconds >= 60 && seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
        (seconds, 0) => format!("{seconds} s"),
        (seconds, millis) => format!("{seconds}.{millis:03} s"),
    }
}

fn plain_table<R: IntoIterator<Item = String>>(rows: impl Iterator<Item = R>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.add_rows(rows.map(|row| row.into_iter().collect::<Vec<_>>()));
    table
}

fn align(table: &mut Table) {
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
}

const WINDOWS: [&str; 5] = ["idle", "acquire", "renew", "release", "take_over"];
const SEEDS_MAX: usize = 10;
/// Fewer strikes of a kind at one kind of moment prove little.
const CELL_MIN: u64 = 20;
