//! What health promises of one machine, whatever else happens.

use std::time::Duration;

use leasehold_election::{Config, Effect, Effects, Health, Input, Reading, StopReason};

/// What the machine was told of its health and of its work.
pub(crate) struct HealthRules {
    health: Health,
    /// When the work last gave a sign of life.
    pulse: Reading,
    /// Terms that want of health has ended.
    pub(crate) failed: u64,
}

impl HealthRules {
    pub(crate) fn new(now: Reading) -> Self {
        Self { health: Health::Healthy, pulse: now, failed: 0 }
    }

    /// Takes down what the machine is about to be told.
    pub(crate) fn note(&mut self, input: &Input, now: Reading) {
        let silent_for = |pulse: &Reading| now.elapsed_for_stopping(pulse);
        match input {
            Input::Health(health) => self.health = health.clone(),
            Input::Heartbeat(at) if silent_for(at) < silent_for(&self.pulse) => self.pulse = *at,
            _ => {}
        }
    }

    /// Looks at what one input led to.
    pub(crate) fn check(&mut self, effects: &Effects, now: Reading, config: &Config) {
        let has = |wanted: fn(&Effect) -> bool| effects.list.iter().any(wanted);
        if has(|effect| matches!(effect, Effect::StartWork { .. })) {
            self.pulse = now;
        }
        self.failed += u64::from(has(stops_for_health));
        let leads = effects.limits.lead_for.is_some();
        if !self.health.is_healthy() && config.lead_unhealthy_after.is_none() {
            assert!(!leads, "it is unhealthy, and leads");
            assert!(!has(acquires), "it is unhealthy, and campaigns");
        }
        if let Some(deadline) = config.heartbeat_deadline.filter(|_| leads) {
            let silent_for = now.elapsed_for_stopping(&self.pulse);
            assert!(silent_for < deadline, "its work is silent for {silent_for:?}, and it leads");
        }
    }
}

/// A candidate that cares for its health in one of three ways.
pub(crate) fn caring(config: Config, how: u8) -> Config {
    match how % 3 {
        0 => config,
        1 => Config { heartbeat_deadline: Some(Duration::from_secs(20)), ..config },
        _ => Config { lead_unhealthy_after: Some(Duration::from_secs(30)), ..config },
    }
}

fn stops_for_health(effect: &Effect) -> bool {
    matches!(effect, Effect::StopWork(StopReason::Unhealthy { .. } | StopReason::NoHeartbeat { .. }))
}

fn acquires(effect: &Effect) -> bool {
    let Effect::Send { request, .. } = effect else { return false };
    request.method() == http::Method::PUT
        || String::from_utf8_lossy(request.body()).contains("/spec/acquireTime")
}
