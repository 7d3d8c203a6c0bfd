//! Health: who is unhealthy stops leading as planned and stays out, and so does work that gives no sign of life. Both may
//! come and go: rests keep leadership from coming and going with them.
//!
//! "Degraded rather than never": if so configured, an unhealthy candidate acquires what nobody has held for long enough. It
//! then leads on until it has been healthy for a lease duration and is unhealthy again: nothing in a Lease tells it of a
//! healthy candidate that could lead instead, and to stop for nobody would only make a vacuum.

use std::time::Duration;

use super::{Elector, Phase};
use crate::clocks::Reading;
use crate::effect::{Effect, Note, StopReason};
use crate::health::Health;

/// What is known of the health of this candidate and its work.
#[derive(Clone, Debug, Default)]
pub(super) struct Vitals {
    health: Health,
    /// Since when it is healthy, on the wait clock.
    healthy_since: Duration,
    /// The latest sign of life of the work, on the kill clock.
    pulse: Duration,
    /// The newest acquisition was sent although this candidate is unhealthy.
    tries_degraded: bool,
    /// The present term began so.
    is_degraded: bool,
    /// The present term, or the last one, ended for want of health.
    has_failed: bool,
    /// How many terms did so one after the other.
    failures: u32,
    /// No acquisition before, on the wait clock.
    rests_until: Duration,
}

impl Elector {
    /// The health that this candidate was told of last.
    pub fn health(&self) -> &Health {
        &self.vitals.health
    }

    pub(super) fn handle_health(&mut self, health: Health) {
        if matches!(self.phase, Phase::Finished) {
            return;
        }
        let was_healthy = std::mem::replace(&mut self.vitals.health, health.clone()).is_healthy();
        if was_healthy != health.is_healthy() {
            self.effects.push(Effect::Note(Note::Health(health.clone())));
        }
        match health {
            Health::Healthy if !was_healthy => self.vitals.healthy_since = self.now.wait,
            Health::Unhealthy { reason } if was_healthy && !self.leads_in_need() => {
                self.fail(StopReason::Unhealthy { reason });
            }
            Health::Healthy | Health::Unhealthy { .. } => {}
        }
    }

    /// Whether this term began because nobody else would lead, and that has not been over for long enough.
    fn leads_in_need(&self) -> bool {
        let healthy_for = self.now.wait.saturating_sub(self.vitals.healthy_since);
        self.vitals.is_degraded && healthy_for < self.config.timing.lease_duration()
    }

    fn fail(&mut self, reason: StopReason) {
        self.vitals.has_failed |= matches!(self.phase, Phase::Leading(_));
        self.handle_stop(reason);
    }

    /// The work gave a sign of life at `at`.
    pub(super) fn handle_heartbeat(&mut self, at: Reading) {
        let pulse = self.now.kill.saturating_sub(self.clocks.elapsed_since(&at));
        self.vitals.pulse = self.vitals.pulse.max(pulse);
    }

    /// Work that gives no sign of life is stopped as planned, and killed if it does not stop: the lease is renewed
    /// meanwhile, so that it has the whole stop timeout.
    pub(super) fn judge_heartbeat(&mut self) {
        if let Some(deadline) = self.config.heartbeat_deadline
            && self.heartbeat_wake() == Some(Duration::ZERO)
        {
            self.fail(StopReason::NoHeartbeat { deadline });
        }
    }

    /// How long the work has for its next sign of life.
    pub(super) fn heartbeat_wake(&self) -> Option<Duration> {
        let Phase::Leading(_) = &self.phase else { return None };
        let due = self.vitals.pulse.saturating_add(self.config.heartbeat_deadline?);
        Some(due.saturating_sub(self.now.kill))
    }

    /// A term begins, which counts as a sign of life.
    pub(super) fn note_begin(&mut self) {
        self.vitals.pulse = self.now.kill;
        // It may have become healthy since the acquisition was sent.
        self.vitals.is_degraded &= !self.vitals.health.is_healthy();
        if self.vitals.is_degraded {
            self.note_degraded(true);
        }
    }

    /// An acquisition is about to be sent.
    pub(super) fn note_try(&mut self) {
        self.vitals.tries_degraded = !self.vitals.health.is_healthy();
        if self.vitals.tries_degraded {
            self.note_degraded(false);
        }
    }

    fn note_degraded(&mut self, leads: bool) {
        if let Some(reason) = self.vitals.health.reason().map(str::to_owned) {
            self.effects.push(Effect::Note(Note::Degraded { leads, reason }));
        }
    }

    /// Whether a term whose acquisition is seen to have succeeded is to be given back instead of led, because its candidate
    /// has become unhealthy meanwhile.
    pub(super) fn gives_back(&mut self) -> bool {
        let is_healthy = self.vitals.health.is_healthy();
        self.vitals.is_degraded = !is_healthy && self.vitals.tries_degraded;
        !is_healthy && !self.vitals.is_degraded
    }

    /// From when on health allows an acquisition, on the wait clock; `None` for not as things are. What nobody has held for
    /// long enough may be acquired unhealthy, and without the rest, too.
    pub(super) fn fit_at(&self) -> Option<Duration> {
        let after = self.config.lead_unhealthy_after;
        let in_need = after.map(|after| self.view.free_at().saturating_add(after));
        if !self.vitals.health.is_healthy() {
            return in_need;
        }
        let rests_until = self.vitals.rests_until;
        Some(in_need.map_or(rests_until, |in_need| in_need.min(rests_until)))
    }

    /// The work of a term that began at `began` has ended. After one that ended for want of health this candidate rests,
    /// twice as long each time, up to eight lease durations: a term of that length shows that all is well again.
    pub(super) fn rest_after(&mut self, began: Duration) {
        self.vitals.is_degraded = false;
        if !std::mem::take(&mut self.vitals.has_failed) {
            return;
        }
        let lease_duration = self.config.timing.lease_duration();
        if self.now.kill.saturating_sub(began) >= lease_duration * 2_u32.pow(DOUBLINGS_MAX) {
            self.vitals.failures = 0;
        }
        let rest = lease_duration * 2_u32.pow(self.vitals.failures.min(DOUBLINGS_MAX));
        self.vitals.failures = self.vitals.failures.saturating_add(1);
        self.vitals.rests_until = self.now.wait + rest;
    }
}

const DOUBLINGS_MAX: u32 = 3;
