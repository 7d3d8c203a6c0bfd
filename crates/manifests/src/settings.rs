//! What is asked for.

use std::fmt;
use std::path::{Component, Path};
use std::time::Duration;

use leasehold_election::{LeaseName, Timing};

use crate::error::InputError;

/// The Lease, and who may use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Election {
    pub(crate) lease: LeaseName,
    pub(crate) app: String,
    pub(crate) service_account: Option<String>,
    pub(crate) events: bool,
    /// Pods that may be watched; none named for all of the namespace.
    pub(crate) evidence: Option<Vec<String>>,
}

impl Election {
    /// An election of `app`, the value of the label `app.kubernetes.io/name`.
    ///
    /// # Errors
    ///
    /// If `app` is no name for a label.
    pub fn new(lease: LeaseName, app: &str) -> Result<Self, InputError> {
        let is_label = app.len() <= LABEL_LENGTH_MAX
            && app.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && app.starts_with(|c: char| c.is_ascii_alphanumeric())
            && app.ends_with(|c: char| c.is_ascii_alphanumeric());
        if !is_label {
            return Err(InputError::Name {
                what: "app",
                name: app.to_owned(),
                why: "1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, as a label wants it",
            });
        }
        Ok(Self { lease, app: app.to_owned(), service_account: None, events: false, evidence: None })
    }

    /// The service account of the Pods, if it has another name than the app.
    ///
    /// # Errors
    ///
    /// If it is no name for a service account.
    pub fn service_account(mut self, name: &str) -> Result<Self, InputError> {
        check_name("service account", name)?;
        self.service_account = Some(name.to_owned());
        Ok(self)
    }

    /// Also allows Events about the Lease, and asks the elector to record them.
    #[must_use]
    pub fn events(mut self, events: bool) -> Self {
        self.events = events;
        self
    }

    /// Also allows the watch of these Pods, or with none named of all in the namespace, for take-overs on the kubelet's
    /// report that the holder's process has ended. Without it, the elector is told to do without.
    ///
    /// # Errors
    ///
    /// If one is no name for a Pod.
    pub fn evidence(mut self, pods: Vec<String>) -> Result<Self, InputError> {
        pods.iter().try_for_each(|pod| check_name("Pod", pod))?;
        self.evidence = Some(pods);
        Ok(self)
    }

    /// The service account of the Pods.
    pub(crate) fn account(&self) -> &str {
        self.service_account.as_deref().unwrap_or(&self.app)
    }
}

/// Fails unless it is a DNS subdomain, as the names of most objects are.
pub(crate) fn check_name(what: &'static str, name: &str) -> Result<(), InputError> {
    LeaseName::new("default", name).map(drop).map_err(|_| InputError::Name {
        what,
        name: name.to_owned(),
        why: "labels of a-z, 0-9 and '-', joined by '.', each with a letter or digit at both ends",
    })
}

/// How the elector runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elector {
    /// Its image.
    pub image: String,
    /// The election's timings. What differs from the defaults becomes a flag.
    pub timing: Timing,
    /// Time that the service has to end in a planned stop. The Pod's grace period is this and a margin at least.
    pub stop_timeout: Duration,
    /// Where the kubelet asks.
    pub probes: Probes,
    /// Further flags, passed on as they are.
    pub flags: Vec<String>,
}

impl Elector {
    /// What the flags must say, since the elector would not do it by itself.
    pub(crate) fn timing_flags(&self) -> Vec<String> {
        let default = Timing::default();
        let timing = &self.timing;
        let pairs = [
            ("lease-duration", timing.lease_duration(), default.lease_duration()),
            ("renew-deadline", timing.renew_deadline(), default.renew_deadline()),
            ("retry-period", timing.retry_period(), default.retry_period()),
            ("lost-stop-timeout", timing.lost_stop_timeout(), default.lost_stop_timeout()),
            ("stop-timeout", self.stop_timeout, STOP_TIMEOUT),
        ];
        let differ = pairs.iter().filter(|(_, value, default)| value != default);
        differ.map(|(name, value, _)| format!("--{name}={}", shown(*value))).collect()
    }
}

/// The least `terminationGracePeriodSeconds` for something that takes this long: with time to give the lease back.
pub(crate) fn grace_period_seconds(takes: Duration) -> u64 {
    takes.as_secs() + u64::from(takes.subsec_nanos() > 0) + GRACE_MARGIN_SECONDS
}

/// Where the kubelet asks: a port of all addresses, or nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probes(pub(crate) Option<u16>);

impl Probes {
    /// Reads `--probe-addr`: `:8081`, an unspecified address with a port, or `off`.
    ///
    /// # Errors
    ///
    /// For any other address: the kubelet could not reach it.
    pub fn parse(text: &str) -> Result<Self, InputError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let port = ["0.0.0.0:", "[::]:", ":"].iter().find_map(|all| text.strip_prefix(all)?.parse().ok());
        match port {
            Some(port) if port > 0 => Ok(Self(Some(port))),
            _ => Err(InputError::Probes { text: text.to_owned() }),
        }
    }

    pub(crate) fn flag(&self) -> Option<String> {
        match self.0 {
            Some(DEFAULT_PROBE_PORT) => None,
            Some(port) => Some(format!("--probe-addr=:{port}")),
            None => Some("--probe-addr=off".to_owned()),
        }
    }
}

/// How the service asks whether it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It reads a file in a folder that all its containers see.
    File {
        /// The folder, where an emptyDir is mounted.
        folder: String,
        /// The file's name.
        name: String,
    },
    /// It asks HTTP on a loopback address of the Pod.
    Http,
}

impl Asked {
    /// The file that the service reads, as its containers see it.
    ///
    /// # Errors
    ///
    /// Unless it is an absolute path with a folder above it.
    pub fn file(path: &str) -> Result<Self, InputError> {
        let wrong = || InputError::File { path: path.to_owned() };
        let as_path = Path::new(path);
        let plain =
            as_path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        let folder = as_path.parent().and_then(Path::to_str).ok_or_else(wrong)?;
        let name = as_path.file_name().and_then(|name| name.to_str()).ok_or_else(wrong)?;
        if !plain || !as_path.is_absolute() || folder == "/" || path.ends_with('/') {
            return Err(wrong());
        }
        Ok(Self::File { folder: folder.to_owned(), name: name.to_owned() })
    }
}

/// As a flag takes it: `15s`, or `500ms` where it is no whole number of seconds.
fn shown(time: Duration) -> impl fmt::Display {
    match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    }
}

/// The elector's own defaults.
pub(crate) const STOP_TIMEOUT: Duration = Duration::from_secs(25);
const DEFAULT_PROBE_PORT: u16 = 8081;
/// For the release, a retry of it, and the kubelet.
const GRACE_MARGIN_SECONDS: u64 = 5;
const LABEL_LENGTH_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_a_folder_of_its_own() {
        let wanted = Asked::File { folder: "/run/leader".to_owned(), name: "is-leader".to_owned() };
        assert_eq!(Asked::file("/run/leader/is-leader"), Ok(wanted));
        for wrong in ["is-leader", "/is-leader", "/run/../is-leader", "/run/leader/", "/", ""] {
            assert!(Asked::file(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn probes_must_be_reachable_by_the_kubelet() {
        assert_eq!(Probes::parse(":9000"), Ok(Probes(Some(9000))));
        assert_eq!(Probes::parse("off"), Ok(Probes(None)));
        for wrong in ["127.0.0.1:8081", "8081", ":0", ":x", ""] {
            assert!(Probes::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_differs_from_the_defaults_becomes_a_flag() {
        let elector = |ttl, stop_timeout| Elector {
            image: "leader-elector".to_owned(),
            timing: leasehold_election::TimingSettings::from_lease_duration(Duration::from_secs(ttl))
                .build()
                .unwrap(),
            stop_timeout,
            probes: Probes(Some(8081)),
            flags: Vec::new(),
        };
        let default = elector(15, STOP_TIMEOUT);
        assert_eq!((default.timing_flags(), grace_period_seconds(STOP_TIMEOUT)), (Vec::new(), 30));
        let short = elector(3, Duration::from_millis(7500));
        let flags = ["--lease-duration=3s", "--renew-deadline=2s", "--retry-period=400ms"];
        let stops = ["--lost-stop-timeout=400ms", "--stop-timeout=7500ms"];
        assert_eq!(short.timing_flags(), [&flags[..], &stops].concat());
        assert_eq!(grace_period_seconds(short.stop_timeout), 13, "a part of a second counts as one");
    }
}
