//! What to measure and how often.

use std::time::Duration;

use clap::{Parser, ValueEnum};
use leasehold::{Timing, TimingSettings};

/// Measures leasehold and client-go side by side, in one run, on one real API server.
///
/// The result goes to stdout, progress to stderr. Medians and ratios compare; absolute figures belong to the machine.
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
pub(crate) struct Args {
    /// Lease duration of both; renew deadline and retry period follow as 15 : 10 : 2
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = timing)]
    pub(crate) lease_duration: Timing,
    /// Planned hand-overs of each elector
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Crashes of each leader
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) crashes: u32,
    /// Times that each leader is cut off from the API server
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) cuts: u32,
    /// Starts of each elector on a free Lease
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) starts: u32,
    /// How long the steady state is watched
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub(crate) steady: Duration,
    /// Measure only these
    #[arg(long, value_delimiter = ',', value_name = "WHAT")]
    pub(crate) only: Vec<What>,
    /// Build the small static sidecar first, to measure it too
    #[arg(long)]
    pub(crate) dist: bool,
    /// How the result is printed
    #[arg(long, short, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

impl Args {
    /// What was asked for, in the order in which it is measured.
    pub(crate) fn wanted(&self) -> Vec<What> {
        let all = What::value_variants().iter().copied();
        all.filter(|what| self.only.is_empty() || self.only.contains(what)).collect()
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// From SIGTERM to the leader until another candidate's work begins
    Graceful,
    /// From a kill of the leader until another candidate's work begins
    Crash,
    /// A leader whose connections stay open and carry nothing
    Cut,
    /// Requests, writes, memory and CPU time while nothing happens
    Steady,
    /// From the start of a process until its work begins, on a free Lease
    Start,
    /// Memory of the sidecar while it leads
    Sidecar,
    /// Memory of the static sidecar after an hour's work, done in twelve minutes
    Hour,
    /// Sizes of the programs
    Size,
    /// The API server in memory; client-go has none
    Store,
}

/// How the result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// A table in Markdown
    Table,
    /// A document of kind `BenchReport`
    Json,
}

fn timing(text: &str) -> Result<Timing, String> {
    let lease_duration = duration(text)?;
    TimingSettings::from_lease_duration(lease_duration).build().map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    let duration = Duration::try_from(parsed).map_err(|_| "a time cannot be negative".to_owned())?;
    if duration.is_zero() { Err("a time of zero measures nothing".to_owned()) } else { Ok(duration) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"leasehold-bench").chain(words))
    }

    #[test]
    fn everything_is_measured_unless_something_is_named_and_the_order_stays() {
        assert_eq!(parse(&[]).unwrap().wanted(), What::value_variants());
        assert_eq!(parse(&["--only", "size,crash"]).unwrap().wanted(), [What::Crash, What::Size]);
    }

    #[test]
    fn times_that_cannot_be_measured_are_refused_with_their_reason() {
        let error = parse(&["--steady", "0s"]).unwrap_err().to_string();
        assert!(error.contains("measures nothing"), "{error}");
        parse(&["--lease-duration", "1500ms"]).unwrap_err();
    }
}
