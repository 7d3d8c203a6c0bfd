//! The result: a table for people, a document for scripts.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use leasehold::Timing;
use leasehold_e2e::tools;
use serde_json::{Value, json};

use crate::figures::{Measure, Summary, Unit};

/// A table in Markdown, so that it can be read here and pasted there.
pub(crate) fn table(measures: &[Measure]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN).set_header(["measure", "leasehold", "client-go", "ratio"]);
    for measure in measures {
        let cell =
            |samples: &[f64]| Summary::of(samples).map_or("-".to_owned(), |it| said(&it, measure.unit));
        let ratio = measure.ratio().map_or("-".to_owned(), |ratio| format!("{}x", rounded(ratio)));
        let (ours, theirs) = (cell(&measure.samples.leasehold), cell(&measure.samples.client_go));
        table.add_row([measure.title.to_owned(), ours, theirs, ratio]);
    }
    if let Some(column) = table.column_mut(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// The document of kind `BenchReport`.
///
/// # Errors
/// When the machine or the pinned versions cannot be read.
pub(crate) fn document(measures: &[Measure], timing: &Timing) -> Result<Value> {
    let measures: Vec<Value> = measures
        .iter()
        .map(|measure| {
            json!({
                "name": measure.name,
                "unit": measure.unit,
                "leasehold": Summary::of(&measure.samples.leasehold),
                "clientGo": Summary::of(&measure.samples.client_go),
                "ratio": measure.ratio(),
            })
        })
        .collect();
    Ok(json!({
        "apiVersion": "leasehold.dev/v1",
        "kind": "BenchReport",
        "machine": machine()?,
        "versions": versions()?,
        "timings": timings(timing),
        "measures": measures,
    }))
}

/// One line about where and with what a table was measured.
///
/// # Errors
/// As [`document`].
pub(crate) fn headline(timing: &Timing) -> Result<String> {
    let (machine, versions, timings) = (machine()?, versions()?, timings(timing));
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(format!(
        "leasehold {} ({}), client-go {}, kube-apiserver {}; lease {} s, renew deadline {} s, retry period {} s; \
         {} CPUs, Linux {}",
        text(&versions["leasehold"]),
        text(&machine["profile"]),
        text(&versions["clientGo"]),
        text(&versions["kubernetes"]),
        timings["leaseDurationSeconds"],
        timings["renewDeadlineSeconds"],
        timings["retryPeriodSeconds"],
        machine["cpus"],
        text(&machine["kernel"]),
    ))
}

fn machine() -> Result<Value> {
    Ok(json!({
        "cpus": thread::available_parallelism().context("counting the CPUs")?,
        "kernel": rustix::system::uname().release().to_string_lossy(),
        "profile": if cfg!(debug_assertions) { "debug" } else { "release" },
    }))
}

fn versions() -> Result<Value> {
    Ok(json!({
        "leasehold": env!("CARGO_PKG_VERSION"),
        "clientGo": tools::client_go_version()?,
        "kubernetes": tools::kubernetes_version()?,
    }))
}

fn timings(timing: &Timing) -> Value {
    json!({
        "leaseDurationSeconds": timing.lease_duration().as_secs_f64(),
        "renewDeadlineSeconds": timing.renew_deadline().as_secs_f64(),
        "retryPeriodSeconds": timing.retry_period().as_secs_f64(),
        "leaseholdRenewIntervalSeconds": timing.renew_interval().as_secs_f64(),
    })
}

/// Fewer than a hundred samples have no p99 of their own: what is shown is the largest.
fn said(summary: &Summary, unit: Unit) -> String {
    let amount = |value| amount(value, unit);
    match (summary.n, summary.p99) {
        (1, _) => amount(summary.p50),
        (n, None) => format!("p50 {}, max {} (n {n})", amount(summary.p50), amount(summary.max)),
        (n, Some(p99)) => {
            let (p50, p99, max) = (amount(summary.p50), amount(p99), amount(summary.max));
            format!("p50 {p50}, p99 {p99}, max {max} (n {n})")
        }
    }
}

fn amount(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds if value == 0.0 => "0 s".to_owned(),
        Unit::Seconds if value.abs() < Duration::from_millis(1).as_secs_f64() => {
            format!("{} µs", rounded(value * 1e6))
        }
        Unit::Seconds if value.abs() < 1.0 => format!("{} ms", rounded(value * 1e3)),
        Unit::Seconds => format!("{} s", rounded(value)),
        Unit::Bytes => format!("{} MiB", rounded(value / f64::from(1 << 20))),
        Unit::RequestsPerHour => format!("{}/h", value.round()),
        Unit::SecondsPerHour => format!("{} s/h", rounded(value)),
        Unit::Writes => rounded(value),
    }
}

/// Three digits are more than such measurements repeat.
fn rounded(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use leasehold_e2e::Elector;

    use super::*;

    #[test]
    fn a_table_shows_what_was_measured_and_no_percentile_that_was_not() {
        let mut measure = Measure::new("graceful", "graceful hand-over", Unit::Seconds);
        for (ours, theirs) in [(0.008, 0.9), (0.009, 1.1), (0.030, 4.0)] {
            measure.add(Elector::Ours, ours);
            measure.add(Elector::ClientGo, theirs);
        }
        let text = table(&[measure]);
        assert!(text.contains("p50 9.00 ms, max 30.0 ms (n 3)"), "{text}");
        assert!(text.contains("| p50 1.10 s, max 4.00 s (n 3) |"), "{text}");
        assert!(text.contains(" 122x |"), "{text}");
        assert!(!text.contains("p99"), "{text}");
    }

    #[test]
    fn units_are_chosen_by_size() {
        let seconds = [0.0, 0.000_5, 0.0123, 16.7].map(|value| amount(value, Unit::Seconds));
        assert_eq!(seconds, ["0 s", "500 µs", "12.3 ms", "16.7 s"]);
        assert_eq!(amount(7_340_032.0, Unit::Bytes), "7.00 MiB");
        assert_eq!(amount(719.6, Unit::RequestsPerHour), "720/h");
    }
}
