//! A model of client-go 0.37 `tools/leaderelection/leaderelection.go` with its known unsafe paths: validity from the
//! answer (U5), release before the work is cancelled (U2) and decided on the cached record (U1), another holder that does
//! not stop a leader (U3), work that is not awaited (U7), a clock that stops in suspend (U11).

use std::time::Duration;

use http::Request;
use leasehold_election::{Config, Delivery, LeaseName, Operation, Reading};
use serde_json::{Value, json};

use super::leads_for;
use crate::candidate::{Act, Candidate, Happening, Told, Turn};

/// One candidate.
#[derive(Debug)]
pub(super) struct ClientGo {
    identity: String,
    lease: LeaseName,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    /// The Lease as last read or written, and when that was seen to differ from before.
    observed: Option<Value>,
    observed_at: Duration,
    phase: Phase,
    flight: Option<Flight>,
    next_id: u64,
    next_try: Duration,
    acts: Vec<Act>,
    now: Duration,
    wall: String,
    spread: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Acquiring,
    /// A cycle of renewal that is given up at this time.
    Renewing {
        until: Duration,
    },
    Releasing {
        until: Duration,
    },
    Over,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    id: u64,
    step: Step,
    until: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Get,
    Write,
}

impl ClientGo {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            identity: config.identity.as_str().to_owned(),
            lease: config.lease.clone(),
            lease_duration: config.timing.lease_duration(),
            renew_deadline: config.timing.renew_deadline(),
            retry_period: config.timing.retry_period(),
            observed: None,
            observed_at: Duration::ZERO,
            phase: Phase::Acquiring,
            flight: None,
            next_id: 0,
            next_try: Duration::ZERO,
            acts: Vec::new(),
            now: Duration::ZERO,
            wall: String::new(),
            spread: Duration::ZERO,
        }
    }

    fn leads(&self) -> bool {
        matches!(self.phase, Phase::Renewing { .. } | Phase::Releasing { .. })
    }

    fn look(&mut self) {
        if let Some(flight) = self.flight.filter(|flight| self.now >= flight.until) {
            self.flight = None;
            self.acts.push(Act::Abandon(flight.id));
            self.fail();
        }
        match self.phase {
            Phase::Renewing { until } if self.now >= until => self.release(),
            Phase::Releasing { until } if self.now >= until => self.stop(),
            _ => {}
        }
        let due = self.flight.is_none() && self.now >= self.next_try;
        match self.phase {
            Phase::Acquiring if due => self.get(),
            // The fast path: write on what was observed last.
            Phase::Renewing { .. } if due => self.write(),
            _ => {}
        }
    }

    fn hear(&mut self, id: u64, delivery: &Delivery) {
        let Some(flight) = self.flight.take_if(|flight| flight.id == id) else { return };
        let Delivery::Response(response) = delivery else { return self.fail() };
        let lease: Option<Value> = serde_json::from_slice(response.body()).ok();
        let missing = response.status() == 404 && flight.step == Step::Get;
        match (flight.step, lease) {
            _ if missing && self.phase == Phase::Acquiring => {
                self.observed = None;
                self.write();
            }
            (Step::Get, Some(lease)) if response.status().is_success() => self.judge(lease),
            (Step::Write, Some(lease)) if response.status().is_success() => self.succeed(lease),
            // A leader whose fast path failed reads, and goes on from there.
            (Step::Write, _) if matches!(self.phase, Phase::Renewing { .. }) => self.get(),
            _ => self.fail(),
        }
    }

    fn judge(&mut self, lease: Value) {
        if matches!(self.phase, Phase::Releasing { .. }) {
            // The cached record says that it holds the lease; the fresh object only gives its resourceVersion.
            self.observed = Some(lease);
            return self.write();
        }
        let changed = self.observed.as_ref().is_none_or(|known| known["spec"] != lease["spec"]);
        if changed {
            self.observed_at = self.now;
        }
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or("").to_owned();
        let seconds = lease["spec"]["leaseDurationSeconds"].as_u64().unwrap_or(0);
        self.observed = Some(lease);
        let valid = self.observed_at + Duration::from_secs(seconds) > self.now;
        if !holder.is_empty() && holder != self.identity && valid {
            return self.fail();
        }
        self.write();
    }

    fn succeed(&mut self, lease: Value) {
        self.observed = Some(lease);
        self.observed_at = self.now;
        match self.phase {
            Phase::Acquiring => {
                let version =
                    self.observed.as_ref().and_then(|lease| lease["metadata"]["resourceVersion"].as_str());
                let token = version.and_then(|text| text.parse().ok()).unwrap_or(0);
                self.acts.extend([Act::StartWork { token }, Act::Told(Told::Started)]);
                self.begin_cycle();
            }
            Phase::Renewing { .. } => self.begin_cycle(),
            Phase::Releasing { .. } => self.stop(),
            Phase::Over => {}
        }
    }

    fn begin_cycle(&mut self) {
        self.next_try = self.now + self.retry_period;
        self.phase = Phase::Renewing { until: self.next_try + self.renew_deadline };
    }

    fn fail(&mut self) {
        match self.phase {
            Phase::Acquiring => self.next_try = self.now + self.retry_period + self.spread,
            Phase::Renewing { .. } => self.next_try = self.now + self.retry_period,
            Phase::Releasing { .. } => self.stop(),
            Phase::Over => {}
        }
    }

    /// Gives the lease back while the work goes on, within another renew deadline.
    fn release(&mut self) {
        if let Some(flight) = self.flight.take() {
            self.acts.push(Act::Abandon(flight.id));
        }
        self.phase = Phase::Releasing { until: self.now + self.renew_deadline };
        self.get();
    }

    fn stop(&mut self) {
        self.phase = Phase::Over;
        self.acts.extend([
            Act::StopWork { planned: false, duplicate: false },
            Act::Told(Told::Stopping),
            Act::Told(Told::Stopped),
            Act::Finish,
        ]);
    }

    fn get(&mut self) {
        let request = Request::get(self.path()).body(Vec::new());
        self.send(Step::Get, Operation::Read, request);
    }

    fn write(&mut self) {
        let (holder, operation) = match self.phase {
            Phase::Releasing { .. } => ("", Operation::Release),
            Phase::Renewing { .. } => (self.identity.as_str(), Operation::Renew),
            Phase::Acquiring | Phase::Over => (self.identity.as_str(), Operation::Acquire),
        };
        let mut lease = self.observed.clone().unwrap_or_else(|| {
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                   "metadata": {"name": self.lease.name(), "namespace": self.lease.namespace()}, "spec": {}})
        });
        let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
        if operation == Operation::Acquire && lease["spec"]["holderIdentity"] != json!(holder) {
            lease["spec"]["leaseTransitions"] = json!(transitions + 1);
            lease["spec"]["acquireTime"] = json!(self.wall);
        }
        let seconds = if holder.is_empty() { 1 } else { self.lease_duration.as_secs() };
        lease["spec"]["leaseDurationSeconds"] = json!(seconds);
        lease["spec"]["holderIdentity"] = json!(holder);
        lease["spec"]["renewTime"] = json!(self.wall);
        let request = Request::put(self.path()).header("content-type", "application/json");
        self.send(Step::Write, operation, request.body(lease.to_string().into_bytes()));
    }

    fn send(&mut self, step: Step, operation: Operation, request: http::Result<Request<Vec<u8>>>) {
        let id = self.next_id;
        self.next_id += 1;
        self.flight = Some(Flight { id, step, until: self.now + self.renew_deadline / 2 });
        let request = request.expect("a valid request");
        self.acts.push(Act::Send { id, request, fresh: false, operation });
    }

    fn path(&self) -> String {
        let (namespace, name) = (self.lease.namespace(), self.lease.name());
        format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}")
    }

    fn wake_after(&self) -> Option<Duration> {
        let end = match self.phase {
            Phase::Renewing { until } | Phase::Releasing { until } => Some(until),
            Phase::Acquiring | Phase::Over => None,
        };
        let next = self.flight.map_or(self.next_try, |flight| flight.until);
        Some(end.map_or(next, |end| end.min(next)).saturating_sub(self.now))
    }
}

impl Candidate for ClientGo {
    fn handle(&mut self, reading: Reading, chance: u64, happening: Happening) -> Turn {
        // Go's monotonic clock stands still in suspend.
        self.now = reading.raw;
        self.wall = format!("{:.6}", reading.realtime);
        self.spread = self.retry_period * u32::try_from(chance % 1_200).unwrap_or(0) / 1_000;
        match happening {
            Happening::Answer(id, delivery) => self.hear(id, &delivery),
            Happening::Stop | Happening::StepDown if matches!(self.phase, Phase::Renewing { .. }) => {
                self.release();
            }
            _ => {}
        }
        self.look();
        let leads = self.leads();
        Turn {
            acts: std::mem::take(&mut self.acts),
            wake_after: self.wake_after(),
            limits: leads_for(leads.then_some(FOR_EVER)),
            says_leader: leads,
        }
    }
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);
