//! The flags of `leasehold demo`.

use std::fmt;

use clap::{Args, ValueEnum};
use serde::Serialize;

/// Three candidates lose their leader again and again, and are asked all the time whether they lead.
///
/// Starts an API server in memory, a proxy for each candidate, and three candidates as processes of their own; makes
/// the leader leave in four ways; and shows who led when. The hand-written lock gets the same faults.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DemoArgs {
    /// How often the leader is made to leave, for each lock; the faults come in turn
    #[arg(long, env = "LEASEHOLD_DEMO_ROUNDS", default_value_t = 4, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) rounds: u32,

    /// Only one lock [default: both, and side by side]
    #[arg(long, env = "LEASEHOLD_DEMO_LOCK", value_enum, value_name = "LOCK")]
    pub(crate) lock: Option<Lock>,

    /// In which ways the leader is made to leave, in turn
    #[arg(long, env = "LEASEHOLD_DEMO_FAULTS", value_enum, value_delimiter = ',', value_name = "FAULTS",
        default_values_t = [Fault::Graceful, Fault::Kill, Fault::Pause, Fault::Cut])]
    pub(crate) faults: Vec<Fault>,

    /// What to print on stdout; with json, progress goes to stderr
    #[arg(long, short, env = "LEASEHOLD_OUTPUT", value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(crate) output: Output,
}

/// What candidates elect on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Lock {
    /// A Lease, by leasehold
    Lease,
    /// A ConfigMap with a timestamp, as people write it by hand
    Naive,
}

/// How the leader is made to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fault {
    /// Asked to stop (SIGTERM)
    Graceful,
    /// Killed (SIGKILL)
    Kill,
    /// Stopped in its tracks (SIGSTOP), and going on when another leads (SIGCONT)
    Pause,
    /// Cut off from the API server: connections stay open and carry nothing
    Cut,
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Lines, a timeline and a table, for people
    Table,
    /// One document of kind DemoReport
    Json,
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Lease => "lease",
            Self::Naive => "naive",
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Graceful => "graceful",
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Cut => "cut",
        })
    }
}

const EXAMPLES: &str = "Examples:
  leasehold demo                            # each fault once for both locks: under a minute
  leasehold demo --rounds 8 --lock lease    # each fault twice
  leasehold demo --lock naive --faults pause,cut --rounds 2
  leasehold demo --rounds 8 -o json | jq .overlap_ms_total

Exit codes:
  0  no overlap of leasehold's candidates
  1  an overlap, or a fencing token that did not grow
  2  could not run
  3  inconclusive: fewer than 200 answers a second, or a round without a new leader";
