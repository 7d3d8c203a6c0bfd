//! Tells people what happened: log lines, the latest error, Kubernetes Events.

use leasehold_election::{Change, Delivery, Note, Operation, Reason, State};

use super::Driver;
use crate::events;
use crate::hint::hint;
use crate::transport;

impl Driver {
    pub(super) fn tell(&mut self, change: &Change) {
        match change {
            Change::Started { token, transitions } => {
                tracing::info!(target: TARGET, %token, transitions, "started leading");
                self.trouble = None;
            }
            Change::Stopping { reason } => tracing::info!(target: TARGET, %reason, "stopping"),
            Change::Stopped { released } => {
                tracing::info!(target: TARGET, released, "stopped leading");
                self.term = None;
                self.shared.set_term(None);
            }
            Change::NewLeader { holder } => {
                if holder.is_empty() {
                    tracing::info!(target: TARGET, "no leader");
                } else {
                    tracing::info!(target: TARGET, %holder, "new leader");
                }
                self.trouble = None;
                self.shared.metrics.count_holder();
            }
            _ => {}
        }
        self.shared.tell(change);
        if self.record_events {
            self.record_event(change);
        }
    }

    /// What a person must know of a leader that is not fit to lead.
    pub(super) fn degraded(&self) -> Option<String> {
        let reason = self.elector.health().reason()?;
        let leads = self.elector.state() == State::Leader;
        leads.then(|| format!("leading although unhealthy, since nobody had led for too long: {reason}"))
    }

    fn record_event(&mut self, change: &Change) {
        let config = self.elector.config();
        let subject = events::Subject {
            namespace: config.lease.namespace(),
            lease: config.lease.name(),
            lease_uid: self.elector.lease_uid(),
            identity: config.identity.as_str(),
        };
        let Some(request) = events::record(change, &subject, self.machine.now()) else { return };
        let client = self.transport.client(false);
        self.last_event = Some(tokio::spawn(async move {
            match transport::send(client, request).await {
                Delivery::Response(response) if response.status().is_success() => {}
                Delivery::Response(response) => {
                    let message = String::from_utf8_lossy(response.body()).into_owned();
                    tracing::warn!(target: TARGET, status = %response.status(), message, "the Event was not recorded");
                }
                Delivery::Lost(message) => {
                    tracing::warn!(target: TARGET, message, "the Event was not recorded")
                }
            }
        }));
    }

    pub(super) fn note(&mut self, note: &Note) {
        self.shared.metrics.note(note);
        match note {
            Note::Answered { operation, result: Ok(()), elapsed, .. } => {
                tracing::debug!(target: TARGET, %operation, ?elapsed, "answered");
                self.last_error = None;
            }
            Note::Answered { operation, result: Err(refusal), elapsed, .. } => {
                let lease = &self.elector.config().lease;
                let mut text = format!("{operation} of lease {lease} failed: {refusal}");
                if let Some(hint) = hint(refusal, *operation, lease, self.transport.server()) {
                    text = format!("{text}\nhint: {hint}");
                }
                // A lost race is no error; what is said again is said more quietly.
                if refusal.reason == Reason::Conflict && *operation != Operation::Renew {
                    tracing::debug!(target: TARGET, %operation, reason = %refusal.reason, message = %refusal.message, "refused");
                    return;
                }
                if self.last_error.as_ref() == Some(&text) {
                    tracing::debug!(target: TARGET, %operation, reason = %refusal.reason, ?elapsed, "failed again");
                } else {
                    tracing::warn!(target: TARGET, %operation, reason = %refusal.reason, ?elapsed, "{text}");
                }
                self.last_error = Some(text);
            }
            Note::Watch { up, refusal } => match refusal {
                Some(refusal) => {
                    let lease = &self.elector.config().lease;
                    let server = self.transport.server();
                    let hint = hint(refusal, Operation::Watch, lease, server).unwrap_or_default();
                    tracing::warn!(target: TARGET, reason = %refusal.reason, message = %refusal.message, "the watch failed; reading instead. {hint}");
                }
                None => tracing::debug!(target: TARGET, up, "watch"),
            },
            Note::PodWatch { up, refusal } => {
                let reason = refusal.as_ref().map(|refusal| refusal.reason.as_str());
                tracing::debug!(target: TARGET, up, reason, "watch of the holder's Pod");
            }
            Note::EvidenceOff { operation, refusal } => {
                let why = evidence_off(*operation, self.elector.config().lease.namespace());
                tracing::info!(target: TARGET, reason = %refusal.reason, message = %refusal.message, "{why}");
            }
            Note::TakenOverByEvidence { holder } => {
                tracing::info!(target: TARGET, %holder, "took over on the kubelet's report that the holder's process has ended");
            }
            Note::Trouble(refusal) => {
                tracing::error!(target: TARGET, reason = %refusal.reason, "{}", refusal.message);
                self.trouble = Some(refusal.to_string());
            }
            Note::Health(health) => match health.reason() {
                None => tracing::info!(target: TARGET, "healthy"),
                Some(reason) => tracing::warn!(target: TARGET, reason, "unhealthy: not fit to lead"),
            },
            Note::Degraded { leads: true, .. } => {
                let message = self.degraded().unwrap_or_default();
                tracing::error!(target: TARGET, "{message}");
            }
            Note::Degraded { reason, .. } => {
                tracing::error!(target: TARGET, reason, "nobody has led for too long, campaigning although unhealthy");
            }
            _ => {}
        }
    }
}

/// Why the end of a process is not known before its lease expires, and what to do.
fn evidence_off(operation: Operation, namespace: &str) -> String {
    let why = if operation == Operation::Watch {
        format!(
            "may not watch pods in namespace {namespace}; allow it by a Role, as `leasehold generate rbac` prints it, or switch \
             evidence off"
        )
    } else {
        "a take-over before the lease has expired was refused, perhaps by an admission policy".to_owned()
    };
    format!("{why}. A holder whose process has died is waited for until its lease expires")
}

/// As the rest of the driver: people filter and read by it.
const TARGET: &str = "leasehold::driver";

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use leasehold_election::{Config, Elector, Identity, LeaseName, Refusal, Secret, Timing};
    use tokio::sync::mpsc;

    use super::*;
    use crate::handle::Shared;
    use crate::machine::Machine;
    use crate::transport::Transport;
    use crate::watchdog::Watchdog;

    /// Only what counts for the alert on renewals was told: a release that was refused three times was not.
    #[tokio::test]
    async fn a_refused_release_is_seen_in_the_status_and_a_lost_race_is_not() {
        let identity = Identity::of_process("db-0", None, &Secret::from_random([1; 16]));
        let config = Config::new(LeaseName::new("prod", "db").unwrap(), identity, Timing::default());
        let (shared, _commands) = Shared::new(&config.lease, config.identity.as_str(), Machine::HERE);
        let transport = Transport::new(kube::Config::new("http://127.0.0.1:1".parse().unwrap())).unwrap();
        let watchdog = Watchdog::start("prod/db".to_owned(), Box::new(|_| {})).unwrap();
        let elector = Elector::new(config, Machine::HERE.now());
        let (terms, _terms) = mpsc::unbounded_channel();
        let (mut driver, _events) =
            Driver::new(elector, Arc::new(shared), transport, Arc::new(watchdog), false, terms);
        driver.note(&refused(Operation::Acquire, Reason::Conflict));
        assert_eq!(driver.last_error, None);
        driver.note(&refused(Operation::Release, Reason::Policy));
        assert!(
            driver
                .last_error
                .as_ref()
                .is_some_and(|error| error.contains("release of lease prod/db failed: policy"))
        );
    }

    fn refused(operation: Operation, reason: Reason) -> Note {
        let refusal = Refusal { reason, code: 422, message: "no".to_owned(), retry_after: None };
        let elapsed = Duration::from_millis(2);
        Note::Answered { operation, verb: "PATCH", result: Err(refusal), elapsed, counts: false }
    }
}
