//! The clocks of one machine as functions of true time, which nobody in the world can see.

use std::time::Duration;

use jiff::Timestamp;
use leasehold_election::Reading;
use leasehold_history::Nanos;

/// What the machine is doing, as far as its clocks can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// All clocks advance.
    Runs,
    /// RAW stands still; BOOTTIME and the wall clock advance.
    Suspended,
    /// A stopped virtual machine: no clock advances.
    Stopped,
}

/// Which clocks a process reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockSight {
    /// All three, as the shipped library does.
    All,
    /// One that stands still in suspend, in place of all.
    RawOnly,
    /// The wall clock in place of all.
    WallOnly,
}

/// The three clocks, each exact since the last change of its course.
#[derive(Clone, Debug)]
pub(crate) struct Clocks {
    /// True time of the last change.
    since: Nanos,
    raw: u64,
    boottime: u64,
    wall: i64,
    raw_ppm: i64,
    boottime_ppm: i64,
    motion: Motion,
}

impl Clocks {
    /// Clocks that were started before the world, with rates in parts per million off true time.
    pub(crate) fn new(uptime: Duration, raw_ppm: i64, boottime_ppm: i64, wall_offset: i64) -> Self {
        let uptime = nanos(uptime);
        Self {
            since: Nanos(0),
            raw: uptime,
            boottime: uptime,
            wall: EPOCH_NANOS + wall_offset,
            raw_ppm,
            boottime_ppm,
            motion: Motion::Runs,
        }
    }

    pub(crate) fn reading(&self, at: Nanos) -> Reading {
        let wall = self.wall + i64::try_from(self.boottime_at(at) - self.boottime).unwrap_or(i64::MAX);
        Reading {
            raw: Duration::from_nanos(self.raw_at(at)),
            boottime: Duration::from_nanos(self.boottime_at(at)),
            realtime: Timestamp::from_nanosecond(wall.into()).unwrap_or(Timestamp::MAX),
        }
    }

    /// What a process that reads only some clocks takes for all three.
    pub(crate) fn seen(&self, sight: ClockSight, at: Nanos) -> Reading {
        let reading = self.reading(at);
        match sight {
            ClockSight::All => reading,
            ClockSight::RawOnly => {
                let wall = EPOCH_NANOS + i64::try_from(reading.raw.as_nanos()).unwrap_or(0);
                let realtime = Timestamp::from_nanosecond(wall.into()).unwrap_or(Timestamp::MAX);
                Reading { raw: reading.raw, boottime: reading.raw, realtime }
            }
            ClockSight::WallOnly => {
                let wall = u64::try_from(reading.realtime.as_nanosecond()).unwrap_or(0);
                let wall = Duration::from_nanos(wall);
                Reading { raw: wall, boottime: wall, realtime: reading.realtime }
            }
        }
    }

    pub(crate) fn motion(&self) -> Motion {
        self.motion
    }

    pub(crate) fn set_motion(&mut self, at: Nanos, motion: Motion) {
        self.settle(at);
        self.motion = motion;
    }

    pub(crate) fn set_rates(&mut self, at: Nanos, raw_ppm: i64, boottime_ppm: i64) {
        self.settle(at);
        self.raw_ppm = raw_ppm;
        self.boottime_ppm = boottime_ppm;
    }

    pub(crate) fn step_wall(&mut self, at: Nanos, by: i64) {
        self.settle(at);
        self.wall = self.wall.saturating_add(by);
    }

    pub(crate) fn set_wall_to_1970(&mut self, at: Nanos) {
        self.settle(at);
        self.wall = 0;
    }

    /// The machine is started again: RAW and BOOTTIME begin at zero.
    pub(crate) fn reboot(&mut self, at: Nanos) {
        self.settle(at);
        self.raw = 0;
        self.boottime = 0;
        self.motion = Motion::Runs;
    }

    /// The first true instant at which a timer fires whose clock is to show this; `None` while that stands still. The
    /// shipped library's timers run on BOOTTIME.
    pub(crate) fn when(&self, sight: ClockSight, target: Duration, now: Nanos) -> Option<Nanos> {
        let target = nanos(target);
        if nanos(self.seen(sight, now).boottime) >= target {
            return Some(now);
        }
        let (since, rate) = match sight {
            ClockSight::All => (self.boottime, self.boottime_rate()),
            ClockSight::RawOnly => (self.raw, self.raw_rate()),
            ClockSight::WallOnly => (u64::try_from(self.wall).unwrap_or(0), self.boottime_rate()),
        };
        self.crossing(target.saturating_sub(since), rate).map(|at| at.max(now))
    }

    /// The first true instant at which a leader must assume that `lead_for` has passed since `from`.
    pub(crate) fn when_led(
        &self,
        sight: ClockSight,
        from: &Reading,
        lead_for: Duration,
        now: Nanos,
    ) -> Option<Nanos> {
        if self.seen(sight, now).elapsed_for_leading(from) >= lead_for {
            return Some(now);
        }
        let [raw, boottime] = self.when_reached(from, lead_for);
        let wall_target = from.realtime.as_nanosecond() + i128::from(nanos(lead_for));
        let wall_needed = u64::try_from(wall_target - i128::from(self.wall)).unwrap_or(0);
        let wall = self.crossing(wall_needed, self.boottime_rate());
        let first = match sight {
            ClockSight::All => raw.into_iter().chain(boottime).chain(wall).min(),
            ClockSight::RawOnly => raw,
            ClockSight::WallOnly => wall,
        };
        first.map(|at| at.max(now))
    }

    /// The first true instant at which `time` has passed since `from` for what is stopped, by RAW or by BOOTTIME.
    pub(crate) fn when_stopped(
        &self,
        sight: ClockSight,
        from: &Reading,
        time: Duration,
        now: Nanos,
    ) -> Option<Nanos> {
        if self.seen(sight, now).elapsed_for_stopping(from) >= time {
            return Some(now);
        }
        let [raw, boottime] = self.when_reached(from, time);
        let first = match sight {
            ClockSight::All => raw.into_iter().chain(boottime).min(),
            ClockSight::RawOnly => raw,
            ClockSight::WallOnly => boottime,
        };
        first.map(|at| at.max(now))
    }

    /// When RAW and BOOTTIME have each advanced by `time` since `from`.
    fn when_reached(&self, from: &Reading, time: Duration) -> [Option<Nanos>; 2] {
        let reach = |reading: u64, start: u64, rate: u64| {
            let needed = (reading + nanos(time)).saturating_sub(start);
            self.crossing(needed, rate)
        };
        let raw = reach(nanos(from.raw), self.raw, self.raw_rate());
        [raw, reach(nanos(from.boottime), self.boottime, self.boottime_rate())]
    }

    fn crossing(&self, needed: u64, rate: u64) -> Option<Nanos> {
        if rate == 0 {
            return None;
        }
        let true_nanos = (u128::from(needed) * MILLION).div_ceil(u128::from(rate));
        Some(Nanos(self.since.0.saturating_add(u64::try_from(true_nanos).unwrap_or(u64::MAX))))
    }

    fn settle(&mut self, at: Nanos) {
        let boottime = self.boottime_at(at);
        self.raw = self.raw_at(at);
        self.wall += i64::try_from(boottime - self.boottime).unwrap_or(i64::MAX);
        self.boottime = boottime;
        self.since = at;
    }

    fn raw_at(&self, at: Nanos) -> u64 {
        self.raw + run(at.since(self.since).0, self.raw_rate())
    }

    fn boottime_at(&self, at: Nanos) -> u64 {
        self.boottime + run(at.since(self.since).0, self.boottime_rate())
    }

    /// Nanoseconds that pass in a true millisecond, and so parts of a million.
    fn raw_rate(&self) -> u64 {
        match self.motion {
            Motion::Runs => rate(self.raw_ppm),
            Motion::Suspended | Motion::Stopped => 0,
        }
    }

    fn boottime_rate(&self) -> u64 {
        match self.motion {
            Motion::Runs | Motion::Suspended => rate(self.boottime_ppm),
            Motion::Stopped => 0,
        }
    }
}

fn rate(ppm: i64) -> u64 {
    u64::try_from(1_000_000 + ppm).unwrap_or(0)
}

fn run(true_nanos: u64, rate: u64) -> u64 {
    u64::try_from(u128::from(true_nanos) * u128::from(rate) / MILLION).unwrap_or(u64::MAX)
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// This long after an instant.
pub(crate) fn after(at: Nanos, duration: Duration) -> Nanos {
    Nanos(at.0.saturating_add(nanos(duration)))
}

/// True wall-clock time at the start of each world, 2026-01-01.
pub(crate) const EPOCH_NANOS: i64 = 1_767_225_600_000_000_000;
const MILLION: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn a_suspended_machine_counts_boottime_and_not_raw() {
        let mut clocks = Clocks::new(Duration::ZERO, 0, 0, 0);
        clocks.set_motion(Nanos(SECOND), Motion::Suspended);
        let reading = clocks.reading(Nanos(3 * SECOND));
        assert_eq!((reading.raw, reading.boottime), (Duration::from_secs(1), Duration::from_secs(3)));
    }

    #[test]
    fn the_end_of_leading_is_told_to_the_nanosecond() {
        let clocks = Clocks::new(Duration::from_secs(7), -10_000, 10_000, 0);
        let from = clocks.reading(Nanos(SECOND));
        let lead_for = Duration::from_secs(10);
        let end = clocks.when_led(ClockSight::All, &from, lead_for, Nanos(SECOND)).unwrap();
        assert!(clocks.reading(end).elapsed_for_leading(&from) >= lead_for);
        assert!(clocks.reading(Nanos(end.0 - 2)).elapsed_for_leading(&from) < lead_for);
    }

    #[test]
    fn a_stopped_machine_never_reaches_its_time() {
        let mut clocks = Clocks::new(Duration::ZERO, 0, 0, 0);
        clocks.set_motion(Nanos(0), Motion::Stopped);
        assert_eq!(clocks.when(ClockSight::All, Duration::from_secs(1), Nanos(5)), None);
    }
}
