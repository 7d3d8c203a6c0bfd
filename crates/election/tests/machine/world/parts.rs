//! Parts of a [`World`](super::World): chance, faults, and the clocks of one node.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use leasehold_election::Reading;

use crate::clocks::epoch;

/// SplitMix64 (Steele, Lea, Flood, 2014): one seed is one world.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(crate) fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }

    /// One way through the network.
    pub(crate) fn network(&mut self, slow: bool) -> Duration {
        Duration::from_micros(if slow { self.below(1_200_000) } else { 200 + self.below(3_000) })
    }

    /// From the timer's firing to the running of what it wakes.
    pub(crate) fn latency(&mut self, slow: bool) -> Duration {
        Duration::from_micros(self.below(if slow { 300_000 } else { 500 }))
    }
}

/// Which faults a world has: each seed has others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) slow: bool,
    pub(crate) loss: bool,
    pub(crate) late: bool,
    pub(crate) doubles: bool,
    pub(crate) silence: bool,
    pub(crate) pauses: bool,
    pub(crate) cuts: bool,
    pub(crate) crashes: bool,
    pub(crate) step_downs: bool,
    pub(crate) overrun: bool,
    pub(crate) labels: bool,
    pub(crate) wall_steps: bool,
}

impl Faults {
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        let mut flip = || chance.one_in(2);
        Self {
            slow: flip(),
            loss: flip(),
            late: flip(),
            doubles: flip(),
            silence: flip(),
            pauses: flip(),
            cuts: flip(),
            crashes: flip(),
            step_downs: flip(),
            overrun: flip(),
            labels: flip(),
            wall_steps: flip(),
        }
    }

    pub(crate) fn none() -> Self {
        Self {
            slow: false,
            loss: false,
            late: false,
            doubles: false,
            silence: false,
            pauses: false,
            cuts: false,
            crashes: false,
            step_downs: false,
            overrun: false,
            labels: false,
            wall_steps: false,
        }
    }
}

/// How often what the rules are about has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) terms: u64,
    pub(crate) kills: u64,
    pub(crate) releases: u64,
    pub(crate) requests: u64,
}

impl Seen {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            terms: self.terms + other.terms,
            kills: self.kills + other.kills,
            releases: self.releases + other.releases,
            requests: self.requests + other.requests,
        }
    }
}

/// The clocks of one node, whose rates are wrong by up to the 1 % that the default timings allow for.
#[derive(Clone, Debug)]
pub(crate) struct NodeClock {
    /// Parts per million of true time.
    raw_rate: u64,
    boottime_rate: u64,
    at: Duration,
    now: Reading,
}

impl NodeClock {
    pub(crate) fn draw(chance: &mut Chance, at: Duration) -> Self {
        let mut rate = || match chance.below(4) {
            0 => 990_000,
            1 => 1_010_000,
            2 => 1_000_000,
            _ => 990_000 + chance.below(20_001),
        };
        let (raw_rate, boottime_rate) = (rate(), rate());
        let since_boot = Duration::from_millis(chance.below(10_000_000));
        let offset = SignedDuration::from_millis(i64::try_from(chance.below(7_200_000)).unwrap() - 3_600_000);
        let realtime: Timestamp = epoch().saturating_add(offset).unwrap();
        let realtime = realtime.saturating_add(at).unwrap();
        Self { raw_rate, boottime_rate, at, now: Reading { raw: since_boot, boottime: since_boot, realtime } }
    }

    pub(crate) fn reading(&self) -> Reading {
        self.now
    }

    /// RAW stands still while the machine is suspended.
    pub(crate) fn read(&mut self, at: Duration, suspended: bool) -> Reading {
        let passed = at - self.at;
        self.at = at;
        let boottime = scale(passed, self.boottime_rate, 1_000_000);
        if !suspended {
            self.now.raw += scale(passed, self.raw_rate, 1_000_000);
        }
        self.now.boottime += boottime;
        self.now.realtime = self.now.realtime.saturating_add(boottime).unwrap();
        self.now
    }

    /// The true time in which BOOTTIME, which wakes processes, advances by `by`.
    pub(crate) fn true_time(&self, by: Duration) -> Duration {
        scale(by, 1_000_000, self.boottime_rate) + Duration::from_nanos(1)
    }

    pub(crate) fn step_wall(&mut self, chance: &mut Chance) {
        let step = SignedDuration::from_millis(i64::try_from(chance.below(120_000)).unwrap() - 60_000);
        self.now.realtime = self.now.realtime.saturating_add(step).unwrap();
    }
}

fn scale(duration: Duration, by: u64, of: u64) -> Duration {
    let nanos = duration.as_nanos() * u128::from(by) / u128::from(of);
    Duration::from_nanos(u64::try_from(nanos).expect("a world does not run for centuries"))
}
