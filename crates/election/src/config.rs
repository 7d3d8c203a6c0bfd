//! What one candidate for one Lease is told.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::identity::Identity;
use crate::timing::Timing;

/// Everything that an [`Elector`](crate::Elector) is told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Lease.
    pub lease: LeaseName,
    /// Who this candidate is.
    pub identity: Identity,
    /// Checked timings.
    pub timing: Timing,
    /// Time that work has to stop in a planned stop, with the lease renewed meanwhile, before it is killed.
    /// Default 25 s: the usual grace period of a Pod (30 s) less 5 s.
    pub stop_timeout: Duration,
    /// What to do about a Lease that is not there.
    pub on_missing: OnMissing,
    /// Whether other electors (client-go) may be candidates for the same Lease. If so (default), their terms
    /// get half a lease duration more before a take-over, because their work ends late.
    pub peers: bool,
    /// Whether to lead although the store's revisions went back behind tokens that were seen (etcd restored).
    pub accept_restore: bool,
    /// Preference among standbys: each step delays the attempt on a free lease by 50 ms. Default 0.
    pub priority: u8,
    /// How the work is run; written into the mark of each term.
    pub mode: Mode,
    /// How long the work of a leader may be silent ([`Input::Heartbeat`](crate::Input::Heartbeat)) before it is stopped as
    /// planned. Default: for ever.
    pub heartbeat_deadline: Option<Duration>,
    /// How long nobody holds the lease, as far as this candidate sees, before it leads although it is unhealthy. Default:
    /// never. Below a second it would win races against healthy candidates.
    pub lead_unhealthy_after: Option<Duration>,
    /// Whether to take over at once on the kubelet's report that the holder's process has ended (default), for which the
    /// holder's Pod is watched. Without the right to do so, the lease expires as ever.
    pub evidence: bool,
}

impl Config {
    /// The defaults for this Lease and identity.
    pub fn new(lease: LeaseName, identity: Identity, timing: Timing) -> Self {
        Self {
            lease,
            identity,
            timing,
            stop_timeout: Duration::from_secs(25),
            on_missing: OnMissing::default(),
            peers: true,
            accept_restore: false,
            priority: 0,
            mode: Mode::Library,
            heartbeat_deadline: None,
            lead_unhealthy_after: None,
            evidence: true,
        }
    }

    pub(crate) fn peer_grace(&self, stored_duration: Duration) -> Duration {
        if self.peers { stored_duration / 2 } else { Duration::ZERO }
    }
}

/// A Lease's namespace and name, known to be valid for Kubernetes, hence safe in a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseName {
    namespace: String,
    name: String,
}

impl LeaseName {
    /// Checks both names.
    ///
    /// # Errors
    ///
    /// [`LeaseNameError`] unless the namespace is a DNS label and the name a DNS subdomain (RFC 1123).
    pub fn new(namespace: &str, name: &str) -> Result<Self, LeaseNameError> {
        if namespace.len() > 63 || !is_dns_label(namespace) {
            return Err(LeaseNameError::Namespace { namespace: namespace.to_owned() });
        }
        if !is_dns_name(name) {
            return Err(LeaseNameError::Name { name: name.to_owned() });
        }
        Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }

    /// The namespace.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for LeaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A name that Kubernetes would refuse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseNameError {
    /// Not a DNS label.
    #[error(
        "namespace {namespace:?} is not a DNS label: 1 to 63 of a-z, 0-9 and '-', with a letter or digit at both ends"
    )]
    Namespace {
        /// The name given.
        namespace: String,
    },
    /// Not a DNS subdomain.
    #[error(
        "lease name {name:?} is not a DNS name: 1 to 253 of a-z, 0-9, '-' and '.', with a letter or digit at both ends of each part"
    )]
    Name {
        /// The name given.
        name: String,
    },
}

/// What to do about a Lease that is not there. In no case is it free at first sight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnMissing {
    /// Wait until somebody creates it.
    Wait,
    /// Wait one lease duration, in which a holder that lost its Lease stops, then create it.
    #[default]
    Create,
    /// End with an error if it is not there at the start; later as `Wait`.
    Fail,
}

impl FromStr for OnMissing {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "wait" => Ok(Self::Wait),
            "create" => Ok(Self::Create),
            "fail" => Ok(Self::Fail),
            other => Err(UnknownWord { word: other.to_owned(), known: "wait, create, fail" }),
        }
    }
}

impl fmt::Display for OnMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wait => "wait",
            Self::Create => "create",
            Self::Fail => "fail",
        })
    }
}

/// How the work of a term is run, which decides what proves its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In the candidate's own process.
    Library,
    /// A child process of the candidate.
    Exec,
    /// Another process, which reads the is-leader file.
    File,
    /// Another process, which asks by HTTP.
    Http,
}

impl FromStr for Mode {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "library" => Ok(Self::Library),
            "exec" => Ok(Self::Exec),
            "file" => Ok(Self::File),
            "http" => Ok(Self::Http),
            other => Err(UnknownWord { word: other.to_owned(), known: "library, exec, file, http" }),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Library => "library",
            Self::Exec => "exec",
            Self::File => "file",
            Self::Http => "http",
        })
    }
}

/// A word that is none of those known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{word:?} is none of: {known}")]
pub struct UnknownWord {
    word: String,
    known: &'static str,
}

/// A DNS subdomain, as most objects of Kubernetes are named (RFC 1123).
pub(crate) fn is_dns_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

fn is_dns_label(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    alphanumeric(first) && alphanumeric(last) && bytes.iter().all(|&byte| alphanumeric(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_refuses_are_refused_before_any_request() {
        assert!(LeaseName::new("prod", "my-service.leader").is_ok());
        for name in ["", "My-Service", "a_b", "-a", "a-", "a..b", "a/b", "a?b"] {
            assert!(LeaseName::new("prod", name).is_err(), "{name:?}");
        }
        for namespace in ["", "Prod", "a.b", "a/b"] {
            assert!(LeaseName::new(namespace, "x").is_err(), "{namespace:?}");
        }
    }

    #[test]
    fn words_read_back_as_they_are_printed() {
        for mode in [Mode::Library, Mode::Exec, Mode::File, Mode::Http] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for on_missing in [OnMissing::Wait, OnMissing::Create, OnMissing::Fail] {
            assert_eq!(on_missing.to_string().parse(), Ok(on_missing));
        }
        assert_eq!(
            "later".parse::<OnMissing>().unwrap_err().to_string(),
            "\"later\" is none of: wait, create, fail"
        );
    }
}
