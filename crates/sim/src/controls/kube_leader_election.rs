//! A model of kube-leader-election 0.44 with the loop of its example: `renewTime` is compared with the own wall clock, all
//! writes are merge patches without a resourceVersion, no request has a timeout, and an error leaves the flag as it is.

use std::time::Duration;

use http::Request;
use jiff::Timestamp;
use leasehold_election::{Config, Delivery, LeaseName, Operation, Reading};
use serde_json::{Value, json};

use super::leads_for;
use crate::candidate::{Act, Candidate, Happening, Told, Turn};

/// One candidate.
#[derive(Debug)]
pub(super) struct KubeLeaderElection {
    identity: String,
    lease: LeaseName,
    lease_duration: Duration,
    flight: Option<(u64, Step)>,
    next_id: u64,
    next_try: Duration,
    leads: bool,
    stopping: bool,
    over: bool,
    acts: Vec<Act>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Get,
    /// A patch or a creation after which it leads.
    Write,
    Release,
}

impl KubeLeaderElection {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            identity: config.identity.as_str().to_owned(),
            lease: config.lease.clone(),
            lease_duration: config.timing.lease_duration(),
            flight: None,
            next_id: 0,
            next_try: Duration::ZERO,
            leads: false,
            stopping: false,
            over: false,
            acts: Vec::new(),
        }
    }

    fn hear(&mut self, now: Reading, id: u64, delivery: &Delivery) {
        let Some((_, step)) = self.flight.take_if(|(flight, _)| *flight == id) else { return };
        let Delivery::Response(response) = delivery else { return };
        let lease: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        match (step, response.status().as_u16()) {
            (Step::Get, 404) => self.create(now),
            (Step::Get, 200) => self.judge(now, &lease),
            (Step::Write, 200 | 201) => self.lead(&lease),
            (Step::Release, _) => self.end(),
            // An error is logged, and the flag keeps its value.
            (Step::Get | Step::Write, _) => {}
        }
    }

    fn judge(&mut self, now: Reading, lease: &Value) {
        let spec = &lease["spec"];
        let time = spec["renewTime"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
        let (Some(holder), Some(renewed)) = (spec["holderIdentity"].as_str(), time) else { return };
        let wall = format!("{:.6}", now.realtime);
        if self.stopping {
            return self.release(holder, &wall);
        }
        if holder == self.identity {
            return self.patch(Step::Write, Operation::Renew, &json!({"renewTime": wall}));
        }
        let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or(0);
        if now.realtime.as_second() <= renewed.as_second().saturating_add(seconds) {
            return self.follow();
        }
        let transitions = spec["leaseTransitions"].as_i64().unwrap_or(0) + 1;
        self.patch(
            Step::Write,
            Operation::Acquire,
            &json!({"holderIdentity": self.identity, "leaseDurationSeconds": self.lease_duration.as_secs(),
                "acquireTime": wall, "renewTime": wall, "leaseTransitions": transitions}),
        );
    }

    /// `step_down`: a read, and then a patch that does not test what was read.
    fn release(&mut self, holder: &str, wall: &str) {
        if holder != self.identity {
            return self.end();
        }
        let spec =
            json!({"holderIdentity": "", "leaseDurationSeconds": 1, "acquireTime": wall, "renewTime": wall});
        self.patch(Step::Release, Operation::Release, &spec);
    }

    fn lead(&mut self, lease: &Value) {
        if std::mem::replace(&mut self.leads, true) {
            return;
        }
        let version = lease["metadata"]["resourceVersion"].as_str();
        let token = version.and_then(|text| text.parse().ok()).unwrap_or(0);
        self.acts.extend([Act::StartWork { token }, Act::Told(Told::Started)]);
    }

    fn follow(&mut self) {
        if std::mem::replace(&mut self.leads, false) {
            self.acts.extend([
                Act::StopWork { planned: false, duplicate: false, fails: false },
                Act::Told(Told::Stopping),
                Act::Told(Told::Stopped),
            ]);
        }
    }

    /// The caller ends: its work is over when the flag falls, then the lease is given back.
    fn stop(&mut self) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        let led = self.leads;
        self.follow();
        self.acts.extend(self.flight.take().map(|(id, _)| Act::Abandon(id)));
        if led {
            self.acts.push(Act::Release);
            self.get();
        } else {
            self.end();
        }
    }

    fn end(&mut self) {
        self.over = true;
        self.acts.push(Act::Finish);
    }

    fn create(&mut self, now: Reading) {
        if self.stopping {
            return self.end();
        }
        let wall = format!("{:.6}", now.realtime);
        let body = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.lease.name(), "namespace": self.lease.namespace()},
            "spec": {"holderIdentity": self.identity, "leaseDurationSeconds": self.lease_duration.as_secs(),
                "acquireTime": wall, "renewTime": wall, "leaseTransitions": 0}});
        let request = Request::post(self.collection()).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes());
        self.send(Step::Write, Operation::Acquire, request);
    }

    fn get(&mut self) {
        let request = Request::get(self.path()).body(Vec::new());
        self.send(Step::Get, Operation::Read, request);
    }

    fn patch(&mut self, step: Step, operation: Operation, spec: &Value) {
        let request = Request::patch(self.path()).header("content-type", "application/merge-patch+json");
        let request = request.body(json!({"spec": spec}).to_string().into_bytes());
        self.send(step, operation, request);
    }

    fn send(&mut self, step: Step, operation: Operation, request: http::Result<Request<Vec<u8>>>) {
        let id = self.next_id;
        self.next_id += 1;
        self.flight = Some((id, step));
        let request = request.expect("a valid request");
        self.acts.push(Act::Send { id, request, fresh: false, operation });
    }

    fn collection(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.lease.namespace())
    }

    fn path(&self) -> String {
        format!("{}/{}", self.collection(), self.lease.name())
    }
}

impl Candidate for KubeLeaderElection {
    fn handle(&mut self, reading: Reading, _: u64, happening: Happening) -> Turn {
        match happening {
            Happening::Answer(id, delivery) => self.hear(reading, id, &delivery),
            Happening::Stop | Happening::StepDown | Happening::WorkEnded => self.stop(),
            Happening::Start
            | Happening::Wake
            | Happening::WatchOpened(_)
            | Happening::WatchLine(..)
            | Happening::WatchEnded(..)
            | Happening::Health(_)
            | Happening::Heartbeat(_) => {}
        }
        let waits = self.flight.is_none() && !self.over;
        if waits && self.stopping {
            // What was to be released could not be read.
            self.end();
        } else if waits && reading.raw >= self.next_try {
            self.next_try = reading.raw + self.lease_duration / 3;
            self.get();
        }
        Turn {
            acts: std::mem::take(&mut self.acts),
            wake_after: Some(self.next_try.saturating_sub(reading.raw)),
            limits: leads_for(self.leads.then_some(FOR_EVER)),
            says_leader: self.leads,
        }
    }
}

const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);
