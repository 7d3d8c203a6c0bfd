//! A lock as many write it first: a holder and a time in a ConfigMap, read, judged by the wall clock, and written back
//! without a resourceVersion.

use std::time::Duration;

use http::Request;
use leasehold_election::{Config, Delivery, Operation, Reading};
use serde_json::{Value, json};

use super::leads_for;
use crate::candidate::{Act, Candidate, Happening, Told, Turn};

/// One candidate.
#[derive(Debug)]
pub(super) struct ConfigMapLock {
    identity: String,
    namespace: String,
    name: String,
    lease_duration: Duration,
    retry_period: Duration,
    /// The request under way, and whether it writes.
    flight: Option<(u64, bool)>,
    sent: Duration,
    next_id: u64,
    next_try: Duration,
    /// Since the last write that succeeded.
    held_since: Option<Duration>,
    acts: Vec<Act>,
}

impl ConfigMapLock {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            identity: config.identity.as_str().to_owned(),
            namespace: config.lease.namespace().to_owned(),
            name: config.lease.name().to_owned(),
            lease_duration: config.timing.lease_duration(),
            retry_period: config.timing.retry_period(),
            flight: None,
            sent: Duration::ZERO,
            next_id: 0,
            next_try: Duration::ZERO,
            held_since: None,
            acts: Vec::new(),
        }
    }

    fn hear(&mut self, now: Reading, id: u64, delivery: &Delivery) {
        let Some((_, writes)) = self.flight.take_if(|(flight, _)| *flight == id) else { return };
        let Delivery::Response(response) = delivery else { return };
        let succeeded = response.status().is_success();
        if writes {
            if succeeded {
                self.hold(now, response.body());
            }
            return;
        }
        let lock: Value = serde_json::from_slice(response.body()).unwrap_or_default();
        let holder = lock["data"]["holder"].as_str().unwrap_or("");
        let renewed: i64 = lock["data"]["renewed"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let age = now.realtime.as_millisecond() - renewed;
        let expired = age > i64::try_from(self.lease_duration.as_millis()).unwrap_or(i64::MAX);
        if holder == self.identity || expired || !succeeded {
            self.write(now, !succeeded);
        }
    }

    fn hold(&mut self, now: Reading, body: &[u8]) {
        if self.held_since.replace(now.boottime).is_none() {
            let lock: Value = serde_json::from_slice(body).unwrap_or_default();
            let version = lock["metadata"]["resourceVersion"].as_str();
            let token = version.and_then(|text| text.parse().ok()).unwrap_or(0);
            self.acts.extend([Act::StartWork { token }, Act::Told(Told::Started)]);
        }
    }

    fn write(&mut self, now: Reading, creates: bool) {
        let renewed = now.realtime.as_millisecond().to_string();
        let lock = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "data": {"holder": self.identity, "renewed": renewed},
        });
        let collection = format!("/api/v1/namespaces/{}/configmaps", self.namespace);
        let request = if creates {
            Request::post(collection)
        } else {
            Request::put(format!("{collection}/{}", self.name))
        };
        let operation = if self.held_since.is_some() { Operation::Renew } else { Operation::Acquire };
        let request = request.header("content-type", "application/json");
        self.send(now, operation, request.body(lock.to_string().into_bytes()));
    }

    fn send(&mut self, now: Reading, operation: Operation, request: http::Result<Request<Vec<u8>>>) {
        let id = self.next_id;
        self.next_id += 1;
        self.sent = now.boottime;
        self.flight = Some((id, operation != Operation::Read));
        let request = request.expect("a valid request");
        self.acts.push(Act::Send { id, request, fresh: false, operation });
    }

    fn look(&mut self, now: Reading) {
        let lost = self.held_since.is_some_and(|since| now.boottime >= since + self.lease_duration);
        if lost {
            self.held_since = None;
            self.acts.extend([
                Act::StopWork { planned: false, duplicate: false, fails: false },
                Act::Told(Told::Stopping),
                Act::Told(Told::Stopped),
            ]);
        }
        if self.flight.is_some() && now.boottime >= self.sent + self.lease_duration / 3 {
            self.acts.extend(self.flight.take().map(|(id, _)| Act::Abandon(id)));
        }
        if self.flight.is_none() && now.boottime >= self.next_try {
            self.next_try = now.boottime + self.retry_period;
            let path = format!("/api/v1/namespaces/{}/configmaps/{}", self.namespace, self.name);
            self.send(now, Operation::Read, Request::get(path).body(Vec::new()));
        }
    }
}

impl Candidate for ConfigMapLock {
    fn handle(&mut self, reading: Reading, _: u64, happening: Happening) -> Turn {
        if let Happening::Answer(id, delivery) = happening {
            self.hear(reading, id, &delivery);
        }
        self.look(reading);
        let left =
            self.held_since.map(|since| (since + self.lease_duration).saturating_sub(reading.boottime));
        Turn {
            acts: std::mem::take(&mut self.acts),
            wake_after: Some(self.retry_period / 4),
            limits: leads_for(left),
            says_leader: left.is_some(),
        }
    }
}
