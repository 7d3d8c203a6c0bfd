//! The flags about health, and nothing else: [`HealthConfig`](super::HealthConfig) makes sense of them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as ClapArgs, ValueEnum};

use crate::args::duration;

/// Flags about health. Each has an environment name, shown in the help.
#[derive(Clone, Debug, ClapArgs)]
pub struct HealthArgs {
    /// Fit to lead while this answers a GET with 200 to 399, as for a kubelet's httpGet; redirects are not followed. Of
    /// several checks all have to pass
    #[arg(long, env = "LEADER_ELECTOR_HEALTH_URL", value_name = "URL")]
    pub health_url: Option<String>,

    /// Fit to lead while this command exits with 0: words, with quotes as in a shell, but run without one
    #[arg(long, env = "LEADER_ELECTOR_HEALTH_EXEC", value_name = "CMD")]
    pub health_exec: Option<String>,

    /// Fit to lead while this file is there and was written within --health-max-age
    #[arg(long, env = "LEADER_ELECTOR_HEALTH_FILE", value_name = "PATH")]
    pub health_file: Option<PathBuf>,

    /// How old the file of --health-file may be
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_MAX_AGE",
        value_parser = duration,
        default_value = "30s",
        value_name = "TIME"
    )]
    pub health_max_age: Duration,

    /// Pause between two checks
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_INTERVAL",
        value_parser = duration,
        default_value = "5s",
        value_name = "TIME"
    )]
    pub health_interval: Duration,

    /// Time that a check has; a command is then killed, with its process group
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_TIMEOUT",
        value_parser = duration,
        default_value = "1s",
        value_name = "TIME"
    )]
    pub health_timeout: Duration,

    /// How many checks in a row have to fail before this Pod is unhealthy
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_FAILURES",
        value_parser = clap::value_parser!(u32).range(1..),
        default_value_t = 3,
        value_name = "COUNT"
    )]
    pub health_failures: u32,

    /// How many checks in a row have to pass before it is healthy again, or for the first time
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_SUCCESSES",
        value_parser = clap::value_parser!(u32).range(1..),
        default_value_t = 1,
        value_name = "COUNT"
    )]
    pub health_successes: u32,

    /// When to check [default: leader with a command, else always]
    #[arg(long, env = "LEADER_ELECTOR_HEALTH_WHILE", value_enum, value_name = "WHEN")]
    pub health_while: Option<HealthWhile>,

    /// With --health-while leader: how long after the begin of a term failures do not count, until the first check passes
    #[arg(
        long,
        env = "LEADER_ELECTOR_HEALTH_START_PERIOD",
        value_parser = duration,
        default_value = "30s",
        value_name = "TIME"
    )]
    pub health_start_period: Duration,

    /// Lead although unhealthy, once nobody has held the lease for this time; at least 1s [default: never]
    #[arg(long, env = "LEADER_ELECTOR_LEAD_UNHEALTHY_AFTER", value_parser = duration, value_name = "TIME")]
    pub lead_unhealthy_after: Option<Duration>,
}

/// When health is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HealthWhile {
    /// Who is unhealthy, or not checked yet, does not campaign.
    Always,
    /// Only while this Pod leads: a standby, whose command does not run, counts as healthy.
    Leader,
}
