//! The flags of `leader-elector`, and nothing else: [`Config`](crate::Config) makes sense of them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::done::AppDone;
use crate::exec::signal_by_name;
use crate::health::HealthArgs;

use clap::{ArgAction, Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// Elects a leader on a Kubernetes Lease, for a service that cannot be changed.
///
/// The service asks the file (`leader-elector check`) or HTTP (`GET /leader`) whether it leads, or it is a command that
/// runs only while this process leads: `leader-elector --lease my-service-leader -- my-service --its-flags`.
#[derive(Debug, Parser)]
#[command(name = "leader-elector", version, max_term_width = 110, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of electing.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to elect.
    #[command(flatten)]
    pub args: Args,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Exit with 0 only while the is-leader file says that this Pod leads; 1 if not, 2 if it cannot be told
    Check(CheckArgs),
    /// Copy this program to a path, for a container whose image does not have it
    Install(InstallArgs),
}

/// Flags of `install`.
#[derive(Debug, ClapArgs)]
pub struct InstallArgs {
    /// Where to: a file, or a folder that is there
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
}

/// Flags of `check`.
#[derive(Debug, ClapArgs)]
pub struct CheckArgs {
    /// The is-leader file
    #[arg(long, env = "LEADER_ELECTOR_FILE", default_value = "/tmp/is-leader", value_name = "PATH")]
    pub file: PathBuf,
    /// Say nothing
    #[arg(long, short)]
    pub quiet: bool,
}

/// Flags of the election. Each has an environment name, shown in the help.
#[derive(Clone, Debug, ClapArgs)]
pub struct Args {
    /// Name of the Lease
    #[arg(long, env = "LEADER_ELECTOR_LEASE", visible_aliases = ["election", "leader-elect-resource-name"])]
    pub lease: Option<String>,

    /// Namespace of the Lease [default: POD_NAMESPACE, or that of the Pod's service account]
    #[arg(
        long,
        short,
        env = "LEADER_ELECTOR_NAMESPACE",
        visible_aliases = ["election-namespace", "leader-elect-resource-namespace"]
    )]
    pub namespace: Option<String>,

    /// Identity to write as holder; no two candidates may share one [default: Pod name, Pod uid and a nonce]
    #[arg(long, env = "LEADER_ELECTOR_IDENTITY", visible_alias = "id", value_name = "ID")]
    pub identity: Option<String>,

    /// How long a lease lasts after a renewal, in whole seconds
    #[arg(
        long,
        env = "LEADER_ELECTOR_LEASE_DURATION",
        visible_alias = "leader-elect-lease-duration",
        value_parser = duration,
        default_value = "15s",
        value_name = "TIME"
    )]
    pub lease_duration: Duration,

    /// How long a leader leads after its last successful renewal was sent
    #[arg(
        long,
        env = "LEADER_ELECTOR_RENEW_DEADLINE",
        visible_alias = "leader-elect-renew-deadline",
        value_parser = duration,
        default_value = "10s",
        value_name = "TIME"
    )]
    pub renew_deadline: Duration,

    /// Pause after a failed request
    #[arg(
        long,
        env = "LEADER_ELECTOR_RETRY_PERIOD",
        visible_alias = "leader-elect-retry-period",
        value_parser = duration,
        default_value = "2s",
        value_name = "TIME"
    )]
    pub retry_period: Duration,

    /// As --lease-duration, with the other timings in the proportions of the defaults
    #[arg(
        long,
        env = "LEADER_ELECTOR_TTL",
        value_parser = duration,
        conflicts_with_all = ["lease_duration", "renew_deadline", "retry_period"],
        value_name = "TIME"
    )]
    pub ttl: Option<Duration>,

    /// When the service has done in a planned stop, so that the lease is given back: `time` when nobody believes the file or
    /// an answer any more, `at-once` if it asks before each act, `native` if this is a native sidecar, `file:PATH` is there,
    /// the process of `pid-file:PATH` has ended, `port-closed:PORT`, no `process:NAME` runs
    #[arg(long, env = "LEADER_ELECTOR_APP_DONE", default_value = "time", value_name = "WHAT")]
    pub app_done: AppDone,

    /// Time that the command has to end, or to take the file back, in a planned stop, while the lease is renewed
    #[arg(
        long,
        env = "LEADER_ELECTOR_STOP_TIMEOUT",
        value_parser = duration,
        default_value = "25s",
        value_name = "TIME"
    )]
    pub stop_timeout: Duration,

    /// The same after the lease was lost, before the command is killed [default: what the other timings leave]
    #[arg(long, env = "LEADER_ELECTOR_LOST_STOP_TIMEOUT", value_parser = duration, value_name = "TIME")]
    pub lost_stop_timeout: Option<Duration>,

    /// What to do about a Lease that is not there: `wait`, `create` it after one lease duration, or `fail`
    #[arg(long, env = "LEADER_ELECTOR_ON_MISSING", default_value = "create", value_name = "WHAT")]
    pub on_missing: leasehold::OnMissing,

    /// What to do after leadership was lost
    #[arg(long, env = "LEADER_ELECTOR_ON_LOST", value_enum, default_value_t = OnLost::Recampaign, value_name = "WHAT")]
    pub on_lost: OnLost,

    /// Signal that asks the command to end, if none was sent to this process to be passed on
    #[arg(
        long,
        env = "LEADER_ELECTOR_STOP_SIGNAL",
        value_parser = signal_by_name,
        default_value = "TERM",
        value_name = "SIGNAL"
    )]
    pub stop_signal: i32,

    /// Where to write the command's LEADER_* variables too, for what it restarts itself; a shell can read it
    #[arg(long, env = "LEADER_ELECTOR_ENV_FILE", value_name = "PATH")]
    pub env_file: Option<PathBuf>,

    /// Give up with 124 if this process has not led after this time [default: never]
    #[arg(long, env = "LEADER_ELECTOR_ACQUIRE_TIMEOUT", value_parser = duration, value_name = "TIME")]
    pub acquire_timeout: Option<Duration>,

    /// Where to say that this Pod leads, or `off` [default: /tmp/is-leader, with a command off]
    #[arg(long, env = "LEADER_ELECTOR_FILE", value_name = "PATH")]
    pub file: Option<String>,

    /// Where the service asks: a loopback address, `unix:PATH`, or `off`. Any other address is served read-only
    #[arg(long, env = "LEADER_ELECTOR_HTTP", default_value = "127.0.0.1:4040", value_name = "ADDRESS")]
    pub http: String,

    /// Where kubelet and Prometheus ask, read-only, or `off`
    #[arg(long, env = "LEADER_ELECTOR_PROBE_ADDR", default_value = ":8081", value_name = "ADDRESS")]
    pub probe_addr: String,

    /// No other electors, such as client-go, use this Lease: take over half a lease duration sooner from them
    #[arg(long, env = "LEADER_ELECTOR_NO_PEERS")]
    pub no_peers: bool,

    /// Lead although the store was restored from a backup and fencing tokens may repeat
    #[arg(long, env = "LEADER_ELECTOR_ACCEPT_RESTORE")]
    pub accept_restore: bool,

    /// Place in the order of standbys: each step waits 50 ms longer for a free lease
    #[arg(long, env = "LEADER_ELECTOR_PRIORITY", default_value_t = 0)]
    pub priority: u8,

    /// Take over at once when the kubelet reports that the holder's process has ended, and leave behind what proves that of
    /// this one; needs the right to watch Pods
    #[arg(long, env = "LEADER_ELECTOR_EVIDENCE", value_enum, default_value_t = Switch::On, value_name = "SWITCH")]
    pub evidence: Switch,

    /// The container's terminationMessagePath, to which a line is appended for --evidence
    #[arg(
        long,
        env = "LEADER_ELECTOR_TERMINATION_LOG",
        default_value = "/dev/termination-log",
        value_name = "PATH"
    )]
    pub termination_log: PathBuf,

    /// Record Kubernetes Events about the Lease; needs the right to create Events
    #[arg(long, env = "LEADER_ELECTOR_EVENTS")]
    pub events: bool,

    /// Path of a kubeconfig, outside a cluster [default: KUBECONFIG, else the Pod's service account]
    #[arg(long, env = "LEADER_ELECTOR_KUBECONFIG", value_name = "PATH")]
    pub kubeconfig: Option<PathBuf>,

    /// Context of the kubeconfig [default: its current one]
    #[arg(long, env = "LEADER_ELECTOR_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,

    /// Log lines as text or as JSON
    #[arg(long, env = "LEADER_ELECTOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    pub log_format: LogFormat,

    /// error, warn, info, debug, or filters as of RUST_LOG
    #[arg(long, env = "LEADER_ELECTOR_LOG_LEVEL", default_value = "info", value_name = "LEVEL")]
    pub log_level: String,

    /// Accepted, as of Kubernetes' own components: electing is all that this program does
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        default_missing_value = "true",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub leader_elect: bool,

    /// Accepted, as of the old image: it is the default in a Pod
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        default_missing_value = "true",
        default_value_t = true,
        action = ArgAction::Set
    )]
    pub use_cluster_credentials: bool,

    /// How this Pod's fitness to lead is checked.
    #[command(flatten)]
    pub health: HealthArgs,

    /// Command to run while this process leads, and only then: it is stopped before the lease is given back
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// What to do after leadership was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnLost {
    /// Campaign again.
    Recampaign,
    /// Exit with 75.
    Exit,
}

/// Whether to do something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// Do it.
    On,
    /// Do not.
    Off,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For collectors.
    Json,
}

/// Reads `15s`, `1m30s`, `500ms`, or a whole number of seconds.
///
/// # Errors
/// If it is none of these, with what to write.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = || format!("{text:?} is no time; write 15s, 1m30s, 500ms, or a whole number of seconds");
    let signed: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(signed).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(flags: &[&str]) -> Result<Args, clap::Error> {
        Cli::try_parse_from(["leader-elector"].iter().chain(flags)).map(|cli| cli.args)
    }

    #[test]
    fn the_help_is_what_users_read() {
        let help = Cli::command().render_long_help().to_string();
        insta::assert_snapshot!("help", help);
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, millis) in [("15s", 15_000), ("15", 15_000), ("1m30s", 90_000), ("500ms", 500)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "soon", "-5s", "1.5.s", "15 apples"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wrong_time_names_its_flag_and_the_forms() {
        let message = parse(&["--lease-duration", "soon"]).unwrap_err().to_string();
        assert!(message.contains("--lease-duration"), "{message}");
        assert!(message.contains("write 15s, 1m30s, 500ms"), "{message}");
    }

    #[test]
    fn the_flags_of_the_old_image_and_of_kubernetes_components_are_understood() {
        let old =
            parse(&["--election", "db", "--election-namespace", "prod", "--id", "db-0", "--ttl", "10s"])
                .unwrap();
        assert_eq!((old.lease.as_deref(), old.identity.as_deref()), (Some("db"), Some("db-0")));
        assert_eq!(old.ttl, Some(Duration::from_secs(10)));
        let component = parse(&[
            "--leader-elect",
            "--leader-elect-resource-name=db",
            "--leader-elect-lease-duration=30s",
        ])
        .unwrap();
        assert_eq!(component.lease_duration, Duration::from_secs(30));
    }

    #[test]
    fn a_flag_and_its_alias_together_are_refused() {
        assert!(parse(&["--lease", "a", "--election", "b"]).is_err());
        assert!(parse(&["--ttl", "10s", "--lease-duration", "15s"]).is_err());
    }
}
