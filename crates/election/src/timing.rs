//! The timings of an election, checked once: a `Timing` that exists can hold its promise.
//!
//! The names and defaults are client-go's (`tools/leaderelection/leaderelection.go`); the rules are stricter,
//! because a leader must have stopped before another candidate may start.

use std::time::Duration;

/// Time between the hard stop of work and `valid_until`.
pub const KILL_MARGIN: Duration = Duration::from_millis(500);

/// What a user sets; [`TimingSettings::build`] checks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimingSettings {
    /// How long a lease lasts after a renewal. Whole seconds, since the Lease stores seconds. Default 15 s.
    /// Longer survives longer outages of the API server, and delays the take-over from a dead node.
    pub lease_duration: Duration,
    /// How long a leader leads after its last successful renewal was sent. Default 10 s.
    pub renew_deadline: Duration,
    /// Pause after a failed request, before jitter. Default 2 s.
    pub retry_period: Duration,
    /// Time that work has to stop by itself after the lease was lost, before it is killed. Default: all the
    /// room that the other timings leave (4.2 s of 15/10/2 s).
    pub lost_stop_timeout: Option<Duration>,
    /// Largest rate error of any clock, in parts per million. Default 10,000 (1 %), at most 100,000 (10 %).
    /// Chrony may slew by 83,333; larger costs usable lease time.
    /// All candidates of one Lease must be given the same: none can see the bound that another one counts with.
    pub clock_rate_error_ppm: u32,
}

impl Default for TimingSettings {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            lost_stop_timeout: None,
            clock_rate_error_ppm: 10_000,
        }
    }
}

impl TimingSettings {
    /// The other timings in the proportions of the defaults: 15 : 10 : 2.
    pub fn from_lease_duration(lease_duration: Duration) -> Self {
        Self {
            lease_duration,
            renew_deadline: lease_duration.saturating_mul(2) / 3,
            retry_period: lease_duration.saturating_mul(2) / 15,
            ..Self::default()
        }
    }

    /// Checks that these timings can hold the promise.
    ///
    /// # Errors
    ///
    /// A [`TimingError`] that shows the arithmetic of the first rule that does not hold.
    pub fn build(self) -> Result<Timing, TimingError> {
        let Self { lease_duration, renew_deadline, retry_period, lost_stop_timeout, clock_rate_error_ppm } =
            self;
        check_lease_duration(lease_duration)?;
        if clock_rate_error_ppm > RATE_ERROR_PPM_MAX {
            return Err(TimingError::RateError { ppm: clock_rate_error_ppm });
        }
        if renew_deadline >= lease_duration {
            return Err(TimingError::RenewDeadline { renew_deadline, lease_duration });
        }
        if retry_period.is_zero() || jittered(retry_period) >= renew_deadline {
            return Err(TimingError::RetryPeriod { retry_period, renew_deadline });
        }
        let renew_interval = (lease_duration / 3).min(renew_deadline / 2).max(RENEW_INTERVAL_MIN);
        let attempts = renew_deadline.saturating_sub(renew_interval);
        let attempt_timeout = attempts / 3;
        if attempt_timeout < ATTEMPT_TIMEOUT_MIN {
            return Err(TimingError::Attempts { renew_interval, renew_deadline });
        }
        let validity = validity(lease_duration, clock_rate_error_ppm);
        let room = validity.checked_sub(renew_deadline + KILL_MARGIN);
        let too_late = |lost_stop_timeout| TimingError::StopsTooLate {
            renew_deadline,
            lost_stop_timeout,
            validity,
            lease_duration,
            ppm: clock_rate_error_ppm,
        };
        let room = room.ok_or_else(|| too_late(lost_stop_timeout.unwrap_or_default()))?;
        let lost_stop_timeout = lost_stop_timeout.unwrap_or_else(|| floor_to_100_ms(room));
        if lost_stop_timeout > room {
            return Err(too_late(lost_stop_timeout));
        }
        Ok(Timing {
            lease_duration,
            renew_deadline,
            retry_period,
            lost_stop_timeout,
            renew_interval,
            attempt_timeout,
            clock_rate_error_ppm,
        })
    }
}

/// Timings that hold: see the fields of [`TimingSettings`] for meaning and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timing {
    lease_duration: Duration,
    renew_deadline: Duration,
    retry_period: Duration,
    lost_stop_timeout: Duration,
    renew_interval: Duration,
    attempt_timeout: Duration,
    clock_rate_error_ppm: u32,
}

impl Timing {
    /// How long a lease lasts after a renewal, in whole seconds.
    pub fn lease_duration(&self) -> Duration {
        self.lease_duration
    }

    /// How long a leader leads after its last successful renewal was sent.
    pub fn renew_deadline(&self) -> Duration {
        self.renew_deadline
    }

    /// Pause after a failed request, before jitter.
    pub fn retry_period(&self) -> Duration {
        self.retry_period
    }

    /// Time that work has to stop after the lease was lost, before it is killed.
    pub fn lost_stop_timeout(&self) -> Duration {
        self.lost_stop_timeout
    }

    /// Time between successful renewals: a third of the lease or half of the renew deadline, at least 1 s,
    /// because client-go compares renew times at whole seconds and must see each renewal.
    pub fn renew_interval(&self) -> Duration {
        self.renew_interval
    }

    /// Longest time that one request may take; three fit between a renewal that is due and the deadline.
    pub fn attempt_timeout(&self) -> Duration {
        self.attempt_timeout
    }

    /// Least time between the end of `is_leader()` and `valid_until`.
    pub fn stop_budget(&self) -> Duration {
        self.lost_stop_timeout + KILL_MARGIN
    }

    /// How long after the sending of a renewal the holder may count on a lease of `duration`:
    /// `duration * (1 - e) / (1 + e)`, so that it ends, in true time, before a standby's clock that runs
    /// fast by `e` has counted `duration`.
    pub(crate) fn validity(&self, duration: Duration) -> Duration {
        validity(duration, self.clock_rate_error_ppm)
    }

    pub(crate) fn lease_duration_seconds(&self) -> i32 {
        i32::try_from(self.lease_duration.as_secs()).expect("a Timing holds at most i32::MAX seconds")
    }
}

impl Default for Timing {
    fn default() -> Self {
        TimingSettings::default().build().expect("the default timings hold")
    }
}

/// Timings that cannot hold the promise, with the arithmetic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimingError {
    /// The Lease stores whole seconds, and at least one.
    #[error(
        "lease duration {lease_duration:?} is not a whole number of seconds from 1 to 2147483647, which is what a Lease can store"
    )]
    WholeSeconds {
        /// The value given.
        lease_duration: Duration,
    },
    /// A leader must stop leading before its lease ends.
    #[error("renew deadline {renew_deadline:?} must be shorter than the lease duration {lease_duration:?}")]
    RenewDeadline {
        /// The value given.
        renew_deadline: Duration,
        /// The value given.
        lease_duration: Duration,
    },
    /// As client-go: the retry period with its jitter of 1.2 must fit into the renew deadline.
    #[error(
        "retry period {retry_period:?} must be above zero, and 1.2 x {retry_period:?} = {jittered:?} shorter than the renew deadline {renew_deadline:?}",
        jittered = jittered(*retry_period)
    )]
    RetryPeriod {
        /// The value given.
        retry_period: Duration,
        /// The value given.
        renew_deadline: Duration,
    },
    /// A renewal that is due must have three attempts before the deadline.
    #[error(
        "renew interval {renew_interval:?} (a third of the lease duration or half of the renew deadline, at least 1s) + 3 attempts of at least {ATTEMPT_TIMEOUT_MIN:?} = {needed:?}, more than the renew deadline {renew_deadline:?}; use a longer lease duration and renew deadline",
        needed = *renew_interval + 3 * ATTEMPT_TIMEOUT_MIN
    )]
    Attempts {
        /// Derived from the values given.
        renew_interval: Duration,
        /// The value given.
        renew_deadline: Duration,
    },
    /// Work must have ended before another candidate may acquire.
    #[error(
        "renew deadline {renew_deadline:?} + lost-stop timeout {lost_stop_timeout:?} + kill margin {KILL_MARGIN:?} = {sum:?}, more than the {validity:?} that a lease of {lease_duration:?} is worth with clocks that err by {ppm} ppm; shorten the renew deadline or the lost-stop timeout, or lengthen the lease duration",
        sum = renew_deadline.saturating_add(*lost_stop_timeout).saturating_add(KILL_MARGIN)
    )]
    StopsTooLate {
        /// The value given.
        renew_deadline: Duration,
        /// The value given or, where none was, zero.
        lost_stop_timeout: Duration,
        /// `lease_duration * (1 - e) / (1 + e)`.
        validity: Duration,
        /// The value given.
        lease_duration: Duration,
        /// The rate error `e`.
        ppm: u32,
    },
    /// Beyond a rate error of 10 % nothing is promised.
    #[error(
        "clock rate error of {ppm} ppm is above the largest that can be allowed for, {RATE_ERROR_PPM_MAX} ppm (10 %)"
    )]
    RateError {
        /// The value given.
        ppm: u32,
    },
}

fn check_lease_duration(lease_duration: Duration) -> Result<(), TimingError> {
    let whole = lease_duration.subsec_nanos() == 0;
    let in_range = (1..=i32::MAX.unsigned_abs().into()).contains(&lease_duration.as_secs());
    if whole && in_range { Ok(()) } else { Err(TimingError::WholeSeconds { lease_duration }) }
}

fn validity(duration: Duration, ppm: u32) -> Duration {
    let nanos = duration.as_nanos() * u128::from(1_000_000 - ppm) / u128::from(1_000_000 + ppm);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The retry period with client-go's longest jitter.
fn jittered(retry_period: Duration) -> Duration {
    retry_period.saturating_mul(6) / 5
}

fn floor_to_100_ms(duration: Duration) -> Duration {
    Duration::from_millis(u64::try_from(duration.as_millis() / 100 * 100).unwrap_or(u64::MAX))
}

const RENEW_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// Shortest time in which an answer can be hoped for.
pub(crate) const ATTEMPT_TIMEOUT_MIN: Duration = Duration::from_millis(100);
const RATE_ERROR_PPM_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_defaults_renew_every_five_seconds_and_leave_time_to_stop() {
        let timing = Timing::default();
        assert_eq!(timing.renew_interval(), seconds(5));
        assert_eq!(timing.attempt_timeout(), seconds(5) / 3);
        assert_eq!(timing.lost_stop_timeout(), Duration::from_millis(4_200));
    }

    #[test]
    fn three_seconds_is_a_lease_that_holds() {
        let timing = TimingSettings::from_lease_duration(seconds(3)).build().unwrap();
        assert_eq!(timing.renew_interval(), seconds(1));
        assert_eq!(timing.lost_stop_timeout(), Duration::from_millis(400));
    }

    #[test]
    fn a_lost_stop_timeout_that_does_not_fit_is_refused_with_the_sum() {
        let settings = TimingSettings { lost_stop_timeout: Some(seconds(5)), ..TimingSettings::default() };
        let message = settings.build().unwrap_err().to_string();
        assert!(message.contains("10s + lost-stop timeout 5s + kill margin 500ms = 15.5s"), "{message}");
        assert!(message.contains("more than the 14.702970297s"), "{message}");
    }

    #[test]
    fn the_renew_interval_is_a_third_of_the_lease_or_half_of_the_deadline_whichever_is_less() {
        let interval = |lease_duration, renew_deadline| {
            let settings = TimingSettings {
                lease_duration: seconds(lease_duration),
                renew_deadline: seconds(renew_deadline),
                ..TimingSettings::default()
            };
            settings.build().unwrap().renew_interval()
        };
        assert_eq!(interval(12, 10), seconds(4));
        assert_eq!(interval(30, 10), seconds(5));
    }

    #[test]
    fn what_just_fits_is_allowed() {
        let tenth = TimingSettings {
            clock_rate_error_ppm: 100_000,
            ..TimingSettings::from_lease_duration(seconds(60))
        };
        assert!(tenth.clone().build().is_ok());
        let more = TimingSettings { clock_rate_error_ppm: 100_001, ..tenth };
        assert!(matches!(more.build(), Err(TimingError::RateError { ppm: 100_001 })));
        let least = TimingSettings {
            lease_duration: seconds(3),
            renew_deadline: Duration::from_millis(1_300),
            retry_period: Duration::from_millis(500),
            ..TimingSettings::default()
        };
        assert_eq!(least.build().unwrap().attempt_timeout(), ATTEMPT_TIMEOUT_MIN);
        let room = Timing::default().validity(seconds(15)) - seconds(10) - KILL_MARGIN;
        let all_of_it = TimingSettings { lost_stop_timeout: Some(room), ..TimingSettings::default() };
        assert_eq!(all_of_it.build().unwrap().lost_stop_timeout(), room);
    }

    /// Numbers that overflow ended the process by a panic, where a message says what is wrong.
    #[test]
    fn times_beyond_all_bounds_are_refused_with_a_message() {
        let all = [
            TimingSettings::from_lease_duration(Duration::MAX),
            TimingSettings { renew_deadline: Duration::MAX, ..TimingSettings::default() },
            TimingSettings { retry_period: Duration::MAX, ..TimingSettings::default() },
            TimingSettings { lost_stop_timeout: Some(Duration::MAX), ..TimingSettings::default() },
        ];
        for settings in all {
            assert!(!settings.build().unwrap_err().to_string().is_empty());
        }
    }

    #[test]
    fn fractional_seconds_are_refused() {
        let settings = TimingSettings::from_lease_duration(Duration::from_millis(1_500));
        assert!(matches!(settings.build(), Err(TimingError::WholeSeconds { .. })));
    }

    #[test]
    fn one_second_leaves_no_room_for_attempts() {
        let error = TimingSettings::from_lease_duration(seconds(1)).build().unwrap_err();
        assert!(matches!(error, TimingError::Attempts { .. }), "{error}");
    }

    #[test]
    fn a_retry_period_whose_jitter_reaches_the_deadline_is_refused() {
        let settings =
            TimingSettings { retry_period: Duration::from_millis(8_400), ..TimingSettings::default() };
        assert!(matches!(settings.build(), Err(TimingError::RetryPeriod { .. })));
    }
}
