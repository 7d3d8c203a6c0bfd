//! Flags made sense of, with errors that say what to do.

use std::env;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use leasehold::{Mode, OnMissing, Timing, TimingSettings};

use crate::args::{Args, LogFormat, OnLost, Switch};
use crate::done::AppDone;
use crate::health::HealthConfig;

/// What one election is told.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) namespace: String,
    pub(crate) lease: String,
    pub(crate) identity: Option<String>,
    pub(crate) timing: Timing,
    pub(crate) stop_timeout: Duration,
    pub(crate) app_done: AppDone,
    pub(crate) on_missing: OnMissing,
    pub(crate) on_lost: OnLost,
    pub(crate) file: Option<PathBuf>,
    pub(crate) command: Vec<OsString>,
    pub(crate) stop_signal: i32,
    pub(crate) env_file: Option<PathBuf>,
    pub(crate) acquire_timeout: Option<Duration>,
    pub(crate) control: Option<Listener>,
    pub(crate) probes: Option<SocketAddr>,
    pub(crate) peers: bool,
    pub(crate) accept_restore: bool,
    pub(crate) priority: u8,
    pub(crate) evidence: bool,
    pub(crate) termination_log: PathBuf,
    pub(crate) events: bool,
    pub(crate) health: Option<HealthConfig>,
    pub(crate) lead_unhealthy_after: Option<Duration>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) context: Option<String>,
    pub(crate) log_format: LogFormat,
    pub(crate) log_level: String,
}

/// Where the service asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Config {
    /// Time for a planned stop. What the service may believe until then cannot be taken back sooner.
    pub(crate) fn stop_timeout(&self) -> Duration {
        match self.mode() {
            Mode::File | Mode::Http => self.stop_timeout.max(self.timing.lease_duration()),
            Mode::Library | Mode::Exec => self.stop_timeout,
        }
    }

    /// How the work is run, for the mark of each term.
    pub(crate) fn mode(&self) -> Mode {
        // Whoever reads a file may go on by it when the command has ended.
        match (&self.file, self.command.is_empty()) {
            (Some(_), _) => Mode::File,
            (None, false) => Mode::Exec,
            (None, true) => Mode::Http,
        }
    }
}

impl TryFrom<Args> for Config {
    type Error = anyhow::Error;

    fn try_from(args: Args) -> Result<Self> {
        if !args.leader_elect || !args.use_cluster_credentials {
            bail!("electing is all that this program does; --leader-elect=false cannot be");
        }
        let lease = args.lease.context("--lease is missing: the name of the Lease (LEADER_ELECTOR_LEASE)")?;
        let settings = match args.ttl {
            Some(ttl) => TimingSettings::from_lease_duration(ttl),
            None => TimingSettings {
                lease_duration: args.lease_duration,
                renew_deadline: args.renew_deadline,
                retry_period: args.retry_period,
                ..TimingSettings::default()
            },
        };
        let settings = TimingSettings { lost_stop_timeout: args.lost_stop_timeout, ..settings };
        Ok(Self {
            namespace: namespace(args.namespace)?,
            lease,
            identity: args.identity,
            timing: settings.build().context("these timings cannot hold")?,
            stop_timeout: args.stop_timeout,
            app_done: args.app_done,
            on_missing: args.on_missing,
            on_lost: args.on_lost,
            health: HealthConfig::read(&args.health, !args.command.is_empty())?,
            lead_unhealthy_after: args.health.lead_unhealthy_after,
            file: file(args.file, !args.command.is_empty()),
            command: args.command,
            stop_signal: args.stop_signal,
            env_file: args.env_file,
            acquire_timeout: args.acquire_timeout,
            control: control(&args.http).context("--http")?,
            probes: address(&args.probe_addr).context("--probe-addr")?,
            peers: !args.no_peers,
            accept_restore: args.accept_restore,
            priority: args.priority,
            evidence: args.evidence == Switch::On,
            termination_log: args.termination_log,
            events: args.events,
            kubeconfig: args.kubeconfig,
            context: args.context,
            log_format: args.log_format,
            log_level: args.log_level,
        })
    }
}

fn namespace(flag: Option<String>) -> Result<String> {
    let pod = || env::var("POD_NAMESPACE").ok().filter(|namespace| !namespace.is_empty());
    let account = || Some(std::fs::read_to_string(SERVICE_ACCOUNT_NAMESPACE).ok()?.trim().to_owned());
    flag.or_else(pod).or_else(account).ok_or_else(|| {
        anyhow!("--namespace is missing, and this is no Pod; set it, or POD_NAMESPACE by the downward API")
    })
}

fn file(flag: Option<String>, with_command: bool) -> Option<PathBuf> {
    let default = if with_command { "off" } else { DEFAULT_FILE };
    let file = flag.unwrap_or_else(|| default.to_owned());
    (!is_off(&file)).then(|| file.into())
}

fn control(text: &str) -> Result<Option<Listener>> {
    match text.strip_prefix("unix:") {
        Some("") => bail!("unix: needs a path"),
        Some(path) => Ok(Some(Listener::Unix(path.into()))),
        None => Ok(address(text)?.map(Listener::Tcp)),
    }
}

/// Reads `127.0.0.1:4040`, `[::1]:4040`, `localhost:4040`, `:4040` for all addresses as Go does, or `off`.
fn address(text: &str) -> Result<Option<SocketAddr>> {
    if is_off(text) {
        return Ok(None);
    }
    let all = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let loopback = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let socket = match (all, loopback) {
        (Some(port), _) => Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))),
        (None, Some(port)) => Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        (None, None) => text.parse().ok(),
    };
    let socket = socket
        .with_context(|| format!("{text:?} is no address; write 127.0.0.1:4040, [::1]:4040, :4040 or off"))?;
    Ok(Some(socket))
}

fn is_off(text: &str) -> bool {
    text.is_empty() || text == "off"
}

const DEFAULT_FILE: &str = "/tmp/is-leader";
const SERVICE_ACCOUNT_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn config(flags: &[&str]) -> Result<Config> {
        let all = ["leader-elector", "--lease", "db", "--namespace", "prod"].iter().chain(flags);
        Config::try_from(Cli::try_parse_from(all)?.args)
    }

    fn error(flags: &[&str]) -> String {
        format!("{:#}", config(flags).unwrap_err())
    }

    #[test]
    fn the_defaults_are_those_of_the_field() {
        let config = config(&[]).unwrap();
        assert_eq!(config.timing, Timing::default());
        assert_eq!(config.file, Some("/tmp/is-leader".into()));
        assert_eq!(config.probes, Some("0.0.0.0:8081".parse().unwrap()));
        assert_eq!(config.mode(), Mode::File);
    }

    #[test]
    fn ttl_scales_all_timings() {
        let timing = config(&["--ttl", "30s"]).unwrap().timing;
        let seconds =
            [timing.lease_duration(), timing.renew_deadline(), timing.retry_period()].map(|t| t.as_secs());
        assert_eq!(seconds, [30, 20, 4]);
    }

    #[test]
    fn timings_that_cannot_hold_are_refused_with_the_arithmetic() {
        let message = error(&["--renew-deadline", "14500ms"]);
        assert!(message.contains("14.5s + lost-stop timeout 0ns + kill margin 500ms = 15s"), "{message}");
        let fractional = ["--lease-duration", "1500ms", "--renew-deadline", "1s", "--retry-period", "200ms"];
        assert!(error(&fractional).contains("not a whole number of seconds"));
    }

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(
            config(&["--http", "unix:/run/le.sock"]).unwrap().control,
            Some(Listener::Unix("/run/le.sock".into()))
        );
        assert_eq!(config(&["--http", "off"]).unwrap().control, None);
        let all = config(&["--http", "0.0.0.0:4040"]).unwrap().control;
        assert_eq!(all, Some(Listener::Tcp("0.0.0.0:4040".parse().unwrap())));
        assert!(error(&["--probe-addr", "8081"]).contains("\"8081\" is no address"));
    }

    #[test]
    fn a_command_needs_no_file_and_has_one_only_if_asked() {
        let exec = config(&["--", "mysqld", "--datadir", "/data"]).unwrap();
        assert_eq!((exec.file.clone(), exec.mode()), (None, Mode::Exec));
        assert_eq!(exec.command, ["mysqld", "--datadir", "/data"]);
        assert_eq!(exec.stop_signal, 15);
        let both = config(&["--file", "/run/leader/is-leader", "--", "mysqld"]).unwrap();
        assert_eq!(both.mode(), Mode::File, "the file may be believed by others");
    }

    #[test]
    fn what_this_program_cannot_do_is_refused_and_not_ignored() {
        assert!(error(&["--leader-elect=false"]).contains("electing is all"));
    }
}
