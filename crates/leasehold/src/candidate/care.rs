//! What a candidate is told of health: its own, and that of its work.

use std::time::Duration;

use leasehold_election::Health;
use tokio::sync::watch;

#[cfg(doc)]
use super::Handle;
use super::{BuildError, CandidateBuilder};
#[cfg(doc)]
use crate::leadership::Leadership;

impl CandidateBuilder {
    /// Whether this candidate is fit to lead: a leader that becomes unhealthy stops as planned, and who is unhealthy does
    /// not campaign. What the receiver holds counts from the start, so begin with `Health::Unhealthy` where nothing is known
    /// yet. When its sender is dropped, nobody knows any more, and the candidate is unhealthy. Default: always healthy.
    ///
    /// After a term that ended so, the candidate rests, one lease duration and twice as long each time, up to eight: health
    /// that comes and goes does not make leadership come and go. A leader that is unhealthy for a moment only is better
    /// left alone: let a few checks fail before you say so.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use leasehold::{Candidate, Health};
    /// use tokio::sync::watch;
    ///
    /// # async fn disk_is_writable() -> bool { true }
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let (sender, health) = watch::channel(Health::unhealthy("not checked yet"));
    /// tokio::spawn(async move {
    ///     loop {
    ///         let found = if disk_is_writable().await {
    ///             Health::Healthy
    ///         } else {
    ///             Health::unhealthy("the disk is read-only")
    ///         };
    ///         sender.send_if_modified(|health| std::mem::replace(health, found.clone()) != found);
    ///         tokio::time::sleep(Duration::from_secs(5)).await;
    ///     }
    /// });
    /// let candidate = Candidate::builder("production", "my-service-leader").health(health).build()?;
    /// # drop(candidate);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn health(mut self, health: watch::Receiver<Health>) -> Self {
        self.health = Some(health);
        self
    }

    /// Degraded rather than never: once nobody has held the lease for this time, as far as this candidate sees, it leads
    /// although it is unhealthy. It says so in its log and in [`Status::last_error`](crate::Status::last_error), and leads
    /// on until it was healthy for a lease duration and is unhealthy again, or until [`Handle::step_down`]: it cannot see
    /// whether somebody healthy is there by now. At least a second, so that who is healthy comes first. Default: never.
    #[must_use]
    pub fn lead_unhealthy_after(mut self, time: Duration) -> Self {
        self.lead_unhealthy_after = Some(time);
        self
    }

    /// Work that leads and does not call [`Leadership::heartbeat`] for this time is taken to hang: it leads no more, by
    /// `CLOCK_BOOTTIME` and `CLOCK_MONOTONIC_RAW`, and is stopped as planned. It has
    /// [`CandidateBuilder::stop_timeout`] to end, with the lease renewed meanwhile; then the hard stop ends it, before
    /// anybody else can lead. Default: work may be silent for ever.
    #[must_use]
    pub fn heartbeat_deadline(mut self, deadline: Duration) -> Self {
        self.heartbeat_deadline = Some(deadline);
        self
    }

    pub(super) fn check_care(&self) -> Result<(), BuildError> {
        if self.heartbeat_deadline.is_some_and(|deadline| deadline.is_zero()) {
            return Err(BuildError::HeartbeatDeadline);
        }
        match self.lead_unhealthy_after {
            Some(given) if given < LEAD_UNHEALTHY_AFTER_MIN => Err(BuildError::LeadUnhealthyAfter { given }),
            Some(_) | None => Ok(()),
        }
    }
}

/// Healthy candidates try to acquire what is free within a second, however wrong their clocks run.
const LEAD_UNHEALTHY_AFTER_MIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Candidate;

    fn error(builder: CandidateBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    #[test]
    fn times_that_nobody_can_keep_are_refused() {
        let builder = || Candidate::builder("prod", "db").identity("db-0");
        assert!(error(builder().heartbeat_deadline(Duration::ZERO)).contains("leaves the work no time"));
        let soon = Duration::from_millis(999);
        assert!(error(builder().lead_unhealthy_after(soon)).contains("at least 1s"));
        assert!(builder().lead_unhealthy_after(Duration::from_secs(1)).build().is_ok());
    }
}
