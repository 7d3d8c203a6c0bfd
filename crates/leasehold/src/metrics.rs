//! What the election counts, as OpenMetrics text. Identities are never labels: each restart would add a series.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use leasehold_election::{Note, Operation, Reason, Refusal, State};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The metrics of one candidate.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    name: Name,
    master_status: Family<Name, Gauge>,
    renew_failures: Family<RenewFailure, Counter>,
    renew_duration: Family<RenewResult, Histogram, fn() -> Histogram>,
    lease_valid_seconds: Gauge<f64, AtomicU64>,
    fencing_token: Gauge<u64, AtomicU64>,
    transitions: Counter,
    requests: Family<RequestLabels, Counter>,
    watch_up: Gauge,
    taken_over_by_evidence: Counter,
    state_seconds: Family<StateLabel, Counter<f64, AtomicU64>>,
    healthy: Gauge,
    health_checks: Family<HealthCheckResult, Counter>,
}

/// How a check of a candidate's health came out, for the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HealthCheck {
    /// All is well.
    Passed,
    /// Something is not, or could not be asked.
    Failed,
    /// No answer came in time.
    TimedOut,
}

/// What is read when the metrics are asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Present {
    pub(crate) is_leader: bool,
    pub(crate) valid_for: Option<Duration>,
    pub(crate) token: Option<u64>,
}

impl Metrics {
    pub(crate) fn new(lease: &str) -> Self {
        let name = Name { name: lease.to_owned() };
        let mut metrics = Self {
            registry: Registry::default(),
            master_status: Family::default(),
            renew_failures: Family::default(),
            renew_duration: Family::new_with_constructor(renew_histogram),
            lease_valid_seconds: Gauge::default(),
            fencing_token: Gauge::default(),
            transitions: Counter::default(),
            requests: Family::default(),
            watch_up: Gauge::default(),
            taken_over_by_evidence: Counter::default(),
            state_seconds: Family::default(),
            healthy: Gauge::default(),
            health_checks: Family::default(),
            name,
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "leader_election_master_status",
            "1 while this candidate leads, evaluated at the scrape, else 0",
            self.master_status.clone(),
        );
        registry.register(
            "leader_election_lease_renew_failure",
            "Failed or refused attempts to renew, and to read or obtain the Lease while no leader is known",
            self.renew_failures.clone(),
        );
        registry.register(
            "leasehold_renew_duration_seconds",
            "Time from sending a renewal to its whole answer, or to giving it up",
            self.renew_duration.clone(),
        );
        registry.register(
            "leasehold_lease_valid_seconds",
            "Time until the work of the present term must be over; 0 without a term",
            self.lease_valid_seconds.clone(),
        );
        registry.register(
            "leasehold_fencing_token",
            "Fencing token of the present term; 0 without a term",
            self.fencing_token.clone(),
        );
        registry.register(
            "leasehold_transitions",
            "Changes of the holder that this candidate saw, its own terms included",
            self.transitions.clone(),
        );
        registry.register(
            "leasehold_requests",
            "Requests to the API server by verb and status code; code 0 without an answer",
            self.requests.clone(),
        );
        registry.register(
            "leasehold_watch_up",
            "1 while the watch of the Lease is open",
            self.watch_up.clone(),
        );
        registry.register(
            "leasehold_evidence_take_overs",
            "Terms acquired before the lease had expired, on the kubelet's report that the holder's process has ended",
            self.taken_over_by_evidence.clone(),
        );
        registry.register("leasehold_state_seconds", "Time spent in each state", self.state_seconds.clone());
        registry.register(
            "leasehold_healthy",
            "1 while this candidate is fit to lead as far as anybody checks, else 0",
            self.healthy.clone(),
        );
        registry.register(
            "leasehold_health_checks",
            "Checks of the health of this candidate by result",
            self.health_checks.clone(),
        );
        registry.register("leasehold_build", "Version of this program", build_info());
        self.master_status.get_or_create(&self.name).set(0);
        self.healthy.set(1);
        for check in [HealthCheck::Passed, HealthCheck::Failed, HealthCheck::TimedOut] {
            self.health_checks.get_or_create(&check.label()).inc_by(0);
        }
        // A counter that begins with its first failure hides it from `rate()`.
        for reason in Reason::ALL {
            self.renew_failures.get_or_create(&self.renew_failure(reason)).inc_by(0);
        }
        for state in STATES {
            self.state_seconds.get_or_create(&StateLabel { state: state.as_str() }).inc_by(0.0);
        }
    }

    pub(crate) fn note(&self, note: &Note) {
        match note {
            Note::Answered { operation, verb, result, elapsed, counts } => {
                let code = result.as_ref().err().map_or(200, |refusal| refusal.code);
                self.count_request(verb, code);
                if *operation == Operation::Renew {
                    let result = if result.is_ok() { "ok" } else { "error" };
                    self.renew_duration.get_or_create(&RenewResult { result }).observe(elapsed.as_secs_f64());
                }
                if *counts && let Err(refusal) = result {
                    self.renew_failures.get_or_create(&self.renew_failure(refusal.reason)).inc();
                }
            }
            Note::Watch { up, refusal } => {
                self.watch_up.set((*up).into());
                self.count_watch(*up, refusal.as_ref());
            }
            Note::Health(health) => drop(self.healthy.set(health.is_healthy().into())),
            Note::PodWatch { up, refusal } => self.count_watch(*up, refusal.as_ref()),
            Note::TakenOverByEvidence { .. } => drop(self.taken_over_by_evidence.inc()),
            _ => {}
        }
    }

    pub(crate) fn count_health_check(&self, check: HealthCheck) {
        self.health_checks.get_or_create(&check.label()).inc();
    }

    pub(crate) fn count_holder(&self) {
        self.transitions.inc();
    }

    pub(crate) fn spend(&self, state: State, elapsed: Duration) {
        self.state_seconds.get_or_create(&StateLabel { state: state.as_str() }).inc_by(elapsed.as_secs_f64());
    }

    pub(crate) fn encode(&self, present: Present) -> String {
        self.master_status.get_or_create(&self.name).set(present.is_leader.into());
        self.lease_valid_seconds.set(present.valid_for.unwrap_or_default().as_secs_f64());
        self.fencing_token.set(present.token.unwrap_or_default());
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String succeeds");
        text
    }

    fn renew_failure(&self, reason: Reason) -> RenewFailure {
        RenewFailure { name: self.name.name.clone(), reason: reason.as_str() }
    }

    fn count_watch(&self, up: bool, refusal: Option<&Refusal>) {
        match refusal {
            Some(refusal) => self.count_request("WATCH", refusal.code),
            None if up => self.count_request("WATCH", 200),
            None => {}
        }
    }

    fn count_request(&self, verb: &'static str, code: u16) {
        self.requests.get_or_create(&RequestLabels { verb, code: code.into() }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewFailure {
    name: String,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RenewResult {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    verb: &'static str,
    code: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HealthCheckResult {
    result: &'static str,
}

impl HealthCheck {
    fn label(self) -> HealthCheckResult {
        let result = match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        };
        HealthCheckResult { result }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

fn renew_histogram() -> Histogram {
    Histogram::new([0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0])
}

fn build_info() -> Info<Vec<(String, String)>> {
    Info::new(vec![("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned())])
}

const STATES: [State; 4] = [State::Leader, State::Standby, State::Stopping, State::Unknown];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use leasehold_election::Refusal;

    use super::*;

    fn refused(operation: Operation, counts: bool) -> Note {
        let refusal =
            Refusal { reason: Reason::Forbidden, code: 403, message: "no".to_owned(), retry_after: None };
        Note::Answered {
            operation,
            verb: "PATCH",
            result: Err(refusal),
            elapsed: Duration::from_millis(3),
            counts,
        }
    }

    #[test]
    fn the_names_that_alerts_ask_for_are_there() {
        let metrics = Metrics::new("db");
        metrics.note(&refused(Operation::Renew, true));
        metrics.note(&refused(Operation::Release, false));
        metrics.note(&Note::Health(leasehold_election::Health::unhealthy("the disk is full")));
        metrics.count_health_check(HealthCheck::TimedOut);
        let present = Present { is_leader: true, valid_for: Some(Duration::from_secs(7)), token: Some(42) };
        let text = metrics.encode(present);
        for line in [
            r#"leader_election_master_status{name="db"} 1"#,
            r#"leader_election_lease_renew_failure_total{name="db",reason="forbidden"} 1"#,
            r#"leasehold_requests_total{verb="PATCH",code="403"} 2"#,
            r#"leasehold_renew_duration_seconds_count{result="error"} 1"#,
            "leasehold_lease_valid_seconds 7.0",
            "leasehold_fencing_token 42",
            r#"leasehold_state_seconds_total{state="leader"} 0.0"#,
            "leasehold_healthy 0",
            r#"leasehold_health_checks_total{result="timed_out"} 1"#,
            r#"leasehold_build_info{version="0.1.0"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Names, types and labels, as a reader of the docs or of a scrape knows them.
    type Families = BTreeSet<(String, String, Vec<String>)>;

    fn exported(text: &str) -> Families {
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
        let family = |(name, kind): (&str, &str)| {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            let sample = text.lines().find(|line| line.starts_with(&format!("{name}{suffix}")));
            let labels =
                sample.and_then(|line| line.split_once('{')?.1.split_once('}')).unwrap_or_default().0;
            let labels = labels.split(',').filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            (format!("{name}{suffix}"), kind.to_owned(), labels.filter(|label| label != "le").collect())
        };
        types.map(family).collect()
    }

    fn documented(page: &str) -> Families {
        let rows = page.lines().filter(|line| line.starts_with("| `lea") && line.contains("_"));
        let family = |row: &str| {
            let mut cells = row.split('|').skip(1).map(|cell| cell.trim().replace('`', ""));
            let (name, kind, labels) = (cells.next()?, cells.next()?, cells.next()?);
            let labels = labels.split(", ").filter(|label| !label.is_empty()).map(str::to_owned);
            Some((name, kind, labels.collect()))
        };
        rows.filter_map(family).collect()
    }

    #[test]
    fn the_docs_name_every_metric_that_is_exported_and_no_other() {
        let metrics = Metrics::new("db");
        metrics.note(&refused(Operation::Renew, true));
        let text = metrics.encode(Present { is_leader: false, valid_for: None, token: None });
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sidecar.md");
        let section = std::fs::read_to_string(path).unwrap();
        let section = section.split("\n## Metrics\n").nth(1).expect("the page has a section of metrics");
        let section = section.split("\n## ").next().unwrap();
        assert_eq!(exported(&text), documented(section));
    }
}
