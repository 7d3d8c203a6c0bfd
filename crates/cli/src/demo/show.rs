//! What people read: a line a round, the timeline, and both locks side by side.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets};

use crate::demo::args::{Lock, Output};
use crate::demo::candidate::LEASE_DURATION;
use crate::demo::report::{DemoReport, PROBES_PER_SECOND_MIN, RoundReport, Verdict};
use crate::demo::round::{PERSON_AFTER, Person};
use crate::millis::thousands;
use crate::screen::{BAD, DIM, GOOD, HEADING};

/// Where progress goes: stdout where it is the result, else stderr.
pub(crate) fn screen(output: Output) -> Box<dyn Write> {
    match output {
        Output::Table => Box::new(anstream::stdout()),
        Output::Json => Box::new(anstream::stderr()),
    }
}

/// What is going to be tried.
pub(crate) fn introduction(lock: Lock) -> String {
    let seconds = LEASE_DURATION.as_secs();
    let name = format!("{HEADING}{lock}{HEADING:#}");
    let what = match lock {
        Lock::Lease => format!(
            "{name}: three candidates of leasehold on one Lease, each a process with a network\n\
             of its own; lease duration {seconds} s, and no other electors (--no-peers)"
        ),
        Lock::Naive => format!(
            "{name}: the same with a ConfigMap lock as people write it by hand: holder and\n\
             timestamp; taken when older than {seconds} s, failed writes are ignored until next time"
        ),
    };
    format!(
        "{what}\n\n{DIM}{}{DIM:#}\n",
        columns("round", "fault", "leader", ["vacuum", "overlap", "token", "probes/s"])
    )
}

/// A round that is over.
pub(crate) fn round(round: &RoundReport, person: Option<&Person>) -> String {
    let new = round.new.as_deref().unwrap_or("nobody");
    let token = round.token.map_or("-".to_owned(), |token| token.to_string());
    let vacuum = round.vacuum_ms.to_string();
    // Padded before it is styled: styles have no width, but count as letters.
    let overlap = format!("{:>OVERLAP_WIDTH$}", round.overlap_ms);
    let style = if round.overlap_ms.is_zero() { GOOD } else { BAD };
    let overlap = format!("{style}{overlap}{style:#}");
    let line = columns(
        &round.round.to_string(),
        &round.fault.to_string(),
        &format!("{} → {new}", round.old),
        [&vacuum, &overlap, &token, &round.probes_per_second.to_string()],
    );
    let Some(person) = person else { return format!("{line}\n") };
    format!(
        "{line}\n       {BAD}a person{BAD:#} deletes the ConfigMap after {} s: it names {holder} ({} ago),\n       \
         and {holder} does not lead\n",
        PERSON_AFTER.as_secs(),
        person.age,
        holder = person.holder
    )
}

fn columns(round: &str, fault: &str, leader: &str, figures: [&str; 4]) -> String {
    let [vacuum, overlap, token, probes] = figures;
    format!(
        "{round:>5}  {fault:<8}  {leader:<15}  {vacuum:>10}  {overlap:>OVERLAP_WIDTH$}  {token:>6}  {probes:>8}"
    )
}

/// What a lock's rounds come to.
pub(crate) fn conclusion(report: &DemoReport) -> String {
    let overlap = report.overlap_ms_total;
    let rounds = report.rounds.len();
    let leaderless = report.rounds.iter().filter(|round| round.new.is_none()).count();
    let sentence = match report.verdict {
        Verdict::Pass => {
            format!("{GOOD}pass{GOOD:#}: never two leaders, and every token larger than the last")
        }
        Verdict::Fail if report.token_faults > 0 => format!(
            "{BAD}fail{BAD:#}: two leaders for {overlap}; tokens that did not grow: {}",
            report.token_faults
        ),
        Verdict::Fail => format!("{BAD}fail{BAD:#}: two leaders for {overlap}"),
        Verdict::Inconclusive if leaderless > 0 => {
            format!("{BAD}inconclusive{BAD:#}: {leaderless} of {rounds} rounds ended without a new leader")
        }
        Verdict::Inconclusive => format!(
            "{BAD}inconclusive{BAD:#}: fewer than {PROBES_PER_SECOND_MIN} answers a second prove nothing"
        ),
        Verdict::Measured => format!(
            "two leaders for {overlap} in all; nobody until a person acted in {} of {rounds} rounds",
            report.persons_needed
        ),
    };
    let asked = format!(
        "{} answers, at least {} a second from each candidate that ran",
        thousands(report.probes.try_into().unwrap_or(u64::MAX)),
        thousands(report.probes_per_second)
    );
    format!("{sentence}\n{DIM}{asked}{DIM:#}{}", left_open(report))
}

/// What the answers alone cannot exclude, said where the rest is proven.
fn left_open(report: &DemoReport) -> String {
    let open = report.overlap_possible_ms_total;
    if report.verdict != Verdict::Pass || open.is_zero() {
        return String::new();
    }
    format!("\n{DIM}{open} cannot be excluded by answers alone: who is paused gives none{DIM:#}")
}

/// Both locks side by side.
pub(crate) fn comparison(lease: &DemoReport, naive: &DemoReport) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let row =
        |name: &str, figure: &dyn Fn(&DemoReport) -> String| [name.to_owned(), figure(lease), figure(naive)];
    table.set_header(["", "lease", "naive"]);
    table.add_rows([
        row("two leaders at once", &|report| report.overlap_ms_total.to_string()),
        row("longest without a leader", &|report| report.worst_vacuum_ms.to_string()),
        row("new leader without help", &|report| format!("{} of {}", report.hand_overs, report.rounds.len())),
        row("rounds that needed a person", &|report| report.persons_needed.to_string()),
        row("fencing tokens", &|report| tokens(report).to_owned()),
    ]);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if index == 0 { CellAlignment::Left } else { CellAlignment::Right });
    }
    format!("{}\n", table.trim_fmt())
}

fn tokens(report: &DemoReport) -> &'static str {
    match (report.rounds.iter().any(|round| round.token.is_some()), report.token_faults) {
        (false, _) => "none",
        (true, 0) => "growing",
        (true, _) => "NOT GROWING",
    }
}

const OVERLAP_WIDTH: usize = 9;

#[cfg(test)]
mod tests {
    use leasehold_history::Nanos;

    use super::*;
    use crate::demo::report::tests::report;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn rounds(lock: Lock) -> String {
        let report = report(lock, if lock == Lock::Naive { 2_034 } else { 0 });
        let person = Person { at: Nanos(0), holder: "app-0".to_owned(), age: Nanos(412_000_000).into() };
        let lines =
            report.rounds.iter().map(|line| round(line, Some(&person).filter(|_| line.person_needed)));
        format!("{}{}\n{}", introduction(lock), lines.collect::<String>(), conclusion(&report))
    }

    #[test]
    fn rounds_read_well_in_eighty_columns() {
        let text = plain(&format!("{}\n\n{}", rounds(Lock::Lease), rounds(Lock::Naive)));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn both_locks_stand_side_by_side() {
        insta::assert_snapshot!(comparison(&report(Lock::Lease, 0), &report(Lock::Naive, 2_034)));
    }

    #[test]
    fn what_failed_or_proves_nothing_says_so() {
        let fail = plain(&conclusion(&report(Lock::Lease, 3)));
        assert!(fail.starts_with("fail: two leaders for 3.0 ms\n"), "{fail}");
        let repeated = DemoReport { verdict: Verdict::Fail, token_faults: 2, ..report(Lock::Lease, 0) };
        let repeated = plain(&conclusion(&repeated));
        assert!(repeated.starts_with("fail: two leaders for 0; tokens that did not grow: 2\n"), "{repeated}");
        let void =
            DemoReport { verdict: Verdict::Inconclusive, probes_per_second: 12, ..report(Lock::Lease, 0) };
        let void = plain(&conclusion(&void));
        assert!(void.starts_with("inconclusive: fewer than 200 answers a second"), "{void}");
        assert!(void.ends_with("at least 12 a second from each candidate that ran"), "{void}");
    }
}
