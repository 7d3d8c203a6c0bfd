//! A model of client-go 0.37.2: `tools/leaderelection/leaderelection.go` over `resourcelock/leaselock.go`, with the loops
//! of `apimachinery/pkg/util/wait` as they are called there. The functions are named as in client-go where there is one.
//!
//! It has the unsafe paths of the original: a release that is decided on the cached record (U1) and comes before the work
//! is cancelled (U2), another holder or a missing Lease that does not stop the leader (U3, U4), validity that counts from
//! the answer (U5) and is not looked at when the answer of an acquisition comes (U6), work that is not awaited (U7), times
//! that are compared by the second (U10), a clock that stands still in suspend (U11). What it leaves out: the coordinated
//! election, and the tries that the REST client makes again by itself after a Retry-After.

mod record;
mod requests;

use std::time::Duration;

use leasehold_election::{Config, Delivery, LeaseName, Operation, Reading};
use serde_json::Value;

use record::{Raw, Record};

use super::leads_for;
use crate::candidate::{Act, Candidate, Happening, Told, Turn};

/// What differs between those who use client-go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// `ReleaseOnCancel`.
    pub(super) release: bool,
    /// Timeout of the HTTP client; `None` leaves a request to the health check of its HTTP/2 connection.
    pub(super) client_timeout: Option<Duration>,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct ClientGo {
    identity: String,
    lease: LeaseName,
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    options: Options,
    /// The object that the lock writes next, as last got or written (`LeaseLock.lease`).
    object: Option<Value>,
    /// `observedRecord`, and `observedTime`.
    observed: Record,
    observed_at: Duration,
    /// `observedRawRecord`, which only a read sets.
    observed_raw: Option<Raw>,
    phase: Phase,
    flight: Option<Flight>,
    next_id: u64,
    acts: Vec<Act>,
    now: Duration,
    wall: String,
    spread: Duration,
    /// `now` of the present `tryAcquireOrRenew`, by the clock and as it is written.
    try_now: Duration,
    try_wall: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Between two tries, or in one.
    Acquiring {
        next: Duration,
    },
    /// Between two polls: the lease was renewed.
    Pausing {
        until: Duration,
    },
    /// One `PollUntilContextTimeout`: tries at each tick until one succeeds or the deadline passes.
    Polling {
        tick: Duration,
        deadline: Duration,
    },
    /// `release`; `cancelled` tells whether the work has been told to stop.
    Releasing {
        deadline: Duration,
        cancelled: bool,
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
    /// The update of the fast path.
    Fast,
    Get,
    Create,
    Update,
    ReleaseGet,
    ReleaseUpdate,
}

impl ClientGo {
    pub(super) fn new(config: &Config, options: Options) -> Self {
        Self {
            identity: config.identity.as_str().to_owned(),
            lease: config.lease.clone(),
            lease_duration: config.timing.lease_duration(),
            renew_deadline: config.timing.renew_deadline(),
            retry_period: config.timing.retry_period(),
            options,
            object: None,
            observed: Record::default(),
            observed_at: Duration::ZERO,
            observed_raw: None,
            phase: Phase::Acquiring { next: Duration::ZERO },
            flight: None,
            next_id: 0,
            acts: Vec::new(),
            now: Duration::ZERO,
            wall: String::new(),
            spread: Duration::ZERO,
            try_now: Duration::ZERO,
            try_wall: String::new(),
        }
    }

    /// Whether the context of the work is alive, whatever the Lease says.
    fn leads(&self) -> bool {
        match self.phase {
            Phase::Pausing { .. } | Phase::Polling { .. } => true,
            Phase::Releasing { cancelled, .. } => !cancelled,
            Phase::Acquiring { .. } | Phase::Over => false,
        }
    }

    /// `IsLeader`, which ignores time (U9).
    fn is_leader(&self) -> bool {
        self.observed.holder == self.identity
    }

    /// `isLeaseValid`.
    fn is_lease_valid(&self) -> bool {
        self.observed_at + Duration::from_secs(self.observed.seconds) > self.try_now
    }

    /// `setObservedRecord`.
    fn observe(&mut self, record: Record) {
        self.observed = record;
        self.observed_at = self.now;
    }

    fn look(&mut self) {
        match self.phase {
            Phase::Polling { deadline, .. } if self.now >= deadline => self.lose(),
            Phase::Releasing { deadline, .. } if self.now >= deadline => self.end(),
            _ => {}
        }
        if let Some(flight) = self.flight.take_if(|flight| self.now >= flight.until) {
            self.acts.push(Act::Abandon(flight.id));
            self.fail(flight.step);
        }
        if self.flight.is_some() {
            return;
        }
        match self.phase {
            Phase::Acquiring { next } if self.now >= next => self.try_acquire_or_renew(),
            Phase::Pausing { until } if self.now >= until => self.poll(),
            Phase::Polling { tick, deadline } if self.now >= tick => {
                // A ticker keeps its beat, and drops what nobody takes.
                let mut next = tick;
                while next <= self.now {
                    next += self.retry_period;
                }
                self.phase = Phase::Polling { tick: next, deadline };
                self.try_acquire_or_renew();
            }
            _ => {}
        }
    }

    /// Begins a poll, whose first try is made at once.
    fn poll(&mut self) {
        let (tick, deadline) = (self.now + self.retry_period, self.now + self.renew_deadline);
        self.phase = Phase::Polling { tick, deadline };
        self.try_acquire_or_renew();
    }

    fn try_acquire_or_renew(&mut self) {
        self.try_now = self.now;
        self.try_wall.clone_from(&self.wall);
        if self.is_leader() && self.is_lease_valid() {
            let (acquired, transitions) = (self.observed.acquired.clone(), self.observed.transitions);
            self.update(Step::Fast, Operation::Renew, Record { acquired, transitions, ..self.record() });
        } else {
            self.get(Step::Get);
        }
    }

    fn hear(&mut self, id: u64, delivery: &Delivery) {
        let Some(Flight { step, .. }) = self.flight.take_if(|flight| flight.id == id) else { return };
        let Delivery::Response(response) = delivery else { return self.fail(step) };
        let code = response.status().as_u16();
        let lease = serde_json::from_slice::<Value>(response.body()).ok();
        match (step, lease.filter(|_| response.status().is_success())) {
            (Step::Get, Some(lease)) => self.judge(lease),
            (Step::Fast | Step::Update | Step::Create, Some(lease)) => self.succeed(lease),
            (Step::ReleaseGet, Some(lease)) => self.try_release(lease),
            (Step::Get, None) if code == 404 => self.create(),
            (Step::ReleaseUpdate, None) if code == 409 => self.get(Step::ReleaseGet),
            (Step::ReleaseUpdate, Some(_)) => self.end(),
            (step, None) => self.fail(step),
        }
    }

    /// The Lease was read: it is another's and valid, or it is written.
    fn judge(&mut self, lease: Value) {
        let record = Record::of(&lease);
        self.object = Some(lease);
        if self.observed_raw.as_ref() != Some(&record.raw()) {
            self.observed_raw = Some(record.raw());
            self.observe(record.clone());
        }
        if !record.holder.is_empty() && self.is_lease_valid() && !self.is_leader() {
            return self.finish_try(false);
        }
        if self.is_leader() {
            let Record { acquired, transitions, .. } = record;
            self.update(Step::Update, Operation::Renew, Record { acquired, transitions, ..self.record() });
        } else {
            let transitions = record.transitions + 1;
            self.update(Step::Update, Operation::Acquire, Record { transitions, ..self.record() });
        }
    }

    fn succeed(&mut self, lease: Value) {
        // What was written is what comes back.
        self.observe(Record::of(&lease));
        self.object = Some(lease);
        self.finish_try(true);
    }

    fn fail(&mut self, step: Step) {
        match step {
            Step::Fast => self.get(Step::Get),
            Step::Get | Step::Create | Step::Update => self.finish_try(false),
            Step::ReleaseGet | Step::ReleaseUpdate => self.end(),
        }
    }

    fn finish_try(&mut self, succeeded: bool) {
        match self.phase {
            // The answer may be as late as it likes (U6).
            Phase::Acquiring { .. } if succeeded => {
                let version =
                    self.object.as_ref().and_then(|lease| lease["metadata"]["resourceVersion"].as_str());
                let token = version.and_then(|text| text.parse().ok()).unwrap_or(0);
                self.acts.extend([Act::StartWork { token }, Act::Told(Told::Started)]);
                self.poll();
            }
            // `JitterUntil` with a factor of 1.2, sliding.
            Phase::Acquiring { .. } => {
                self.phase = Phase::Acquiring { next: self.now + self.retry_period + self.spread };
            }
            Phase::Polling { .. } if succeeded => {
                self.phase = Phase::Pausing { until: self.now + self.retry_period };
            }
            Phase::Polling { .. } | Phase::Pausing { .. } | Phase::Releasing { .. } | Phase::Over => {}
        }
    }

    /// The renew deadline has passed: gives the lease back while the work goes on (U2), within another renew deadline.
    fn lose(&mut self) {
        self.drop_flight();
        if self.options.release {
            self.release(false);
        } else {
            self.end();
        }
    }

    /// The caller cancels, or its work has returned: the work is told, and not awaited (U7).
    fn cancel(&mut self) {
        match self.phase {
            Phase::Acquiring { .. } => {
                self.drop_flight();
                self.phase = Phase::Over;
                self.acts.push(Act::Finish);
            }
            Phase::Pausing { .. } | Phase::Polling { .. } => {
                self.drop_flight();
                self.tell_work();
                if self.options.release {
                    self.release(true);
                } else {
                    self.phase = Phase::Over;
                    self.acts.extend([Act::Told(Told::Stopped), Act::Finish]);
                }
            }
            Phase::Releasing { deadline, cancelled: false } => {
                self.tell_work();
                self.phase = Phase::Releasing { deadline, cancelled: true };
            }
            Phase::Releasing { .. } | Phase::Over => {}
        }
    }

    fn tell_work(&mut self) {
        self.acts.extend([
            Act::StopWork { planned: true, duplicate: false, fails: false },
            Act::Told(Told::Stopping),
        ]);
    }

    fn release(&mut self, cancelled: bool) {
        self.phase = Phase::Releasing { deadline: self.now + self.renew_deadline, cancelled };
        self.acts.push(Act::Release);
        self.get(Step::ReleaseGet);
    }

    /// Whose lease it is says the cached record; the fresh object gives its resourceVersion (U1).
    fn try_release(&mut self, lease: Value) {
        let transitions = Record::of(&lease).transitions;
        self.object = Some(lease);
        if !self.is_leader() {
            return self.end();
        }
        self.try_wall.clone_from(&self.wall);
        let record = Record { holder: String::new(), seconds: 1, transitions, ..self.record() };
        self.update(Step::ReleaseUpdate, Operation::Release, record);
    }

    /// `Run` returns, and the process with it.
    fn end(&mut self) {
        self.drop_flight();
        if self.leads() {
            self.tell_work();
        }
        self.phase = Phase::Over;
        self.acts.extend([Act::Told(Told::Stopped), Act::Finish]);
    }

    fn drop_flight(&mut self) {
        self.acts.extend(self.flight.take().map(|flight| Act::Abandon(flight.id)));
    }

    /// A record of this candidate as of the present try.
    fn record(&self) -> Record {
        Record {
            holder: self.identity.clone(),
            seconds: self.lease_duration.as_secs(),
            acquired: self.try_wall.clone(),
            renewed: self.try_wall.clone(),
            transitions: 0,
        }
    }

    fn wake_after(&self) -> Option<Duration> {
        let (next, deadline) = match self.phase {
            Phase::Acquiring { next } => (next, None),
            Phase::Pausing { until } => (until, None),
            Phase::Polling { tick, deadline } => (tick, Some(deadline)),
            Phase::Releasing { deadline, .. } => (deadline, Some(deadline)),
            Phase::Over => return None,
        };
        let next = self.flight.map_or(next, |flight| flight.until);
        Some(deadline.map_or(next, |deadline| deadline.min(next)).saturating_sub(self.now))
    }
}

impl Candidate for ClientGo {
    fn handle(&mut self, reading: Reading, chance: u64, happening: Happening) -> Turn {
        // Go's monotonic clock stands still in suspend (U11).
        self.now = reading.raw;
        self.wall = format!("{:.6}", reading.realtime);
        self.spread = self.retry_period * u32::try_from(chance % 1_200).unwrap_or(0) / 1_000;
        match happening {
            Happening::Answer(id, delivery) => self.hear(id, &delivery),
            Happening::Stop | Happening::StepDown | Happening::WorkEnded => self.cancel(),
            Happening::Start
            | Happening::Wake
            | Happening::WatchOpened(_)
            | Happening::WatchLine(..)
            | Happening::WatchEnded(..)
            | Happening::Health(_)
            | Happening::Heartbeat(_) => {}
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

#[cfg(test)]
mod tests;
