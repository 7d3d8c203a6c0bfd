//! Runs worlds of the swarm and prints their report: `worlds FIRST LAST`; or one with its trace: `worlds SEED`.

use std::io::Write as _;

use leasehold_sim::{Settings, Variant, run_world, run_worlds};

fn main() -> std::io::Result<()> {
    let seeds: Vec<u64> = std::env::args().skip(1).filter_map(|text| text.parse().ok()).collect();
    let (settings, mut out) = (Settings::default(), std::io::stdout());
    match seeds[..] {
        [seed] => {
            let report = run_world(seed, &settings, true);
            report.trace.iter().chain(&report.violations).try_for_each(|line| writeln!(out, "{line}"))
        }
        [first, last] => {
            let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
            let report = run_worlds(first..last, &settings, Variant::Shipped, threads, &|_| {});
            writeln!(out, "{}", serde_json::to_string_pretty(&report)?)
        }
        _ => writeln!(out, "usage: worlds SEED | FIRST LAST"),
    }
}
