//! The chance of a world: one stream of numbers from one seed, the same on every machine.

use std::time::Duration;

use chacha20::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A stream of random numbers that is equal for equal seeds.
#[derive(Debug)]
pub(crate) struct Chance {
    stream: ChaCha8Rng,
}

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self { stream: ChaCha8Rng::seed_from_u64(seed) }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// From zero to below `end`; the bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.number() % end }
    }

    pub(crate) fn index(&mut self, length: usize) -> usize {
        usize::try_from(self.below(length as u64)).expect("below a usize")
    }

    /// Happens `permille` times of a thousand.
    pub(crate) fn happens(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.index(list.len())]
    }

    pub(crate) fn within(&mut self, least: Duration, most: Duration) -> Duration {
        let span = u64::try_from(most.saturating_sub(least).as_nanos()).unwrap_or(u64::MAX);
        least + Duration::from_nanos(self.below(span.saturating_add(1)))
    }

    pub(crate) fn millis(&mut self, least: u64, most: u64) -> Duration {
        self.within(Duration::from_millis(least), Duration::from_millis(most))
    }

    /// A length of time of which the order of magnitude is drawn first, so that short ones are as likely as long ones.
    pub(crate) fn spread(&mut self, least: Duration, most: Duration) -> Duration {
        let mut top = most;
        while top > least * 2 && self.happens(500) {
            top /= 2;
        }
        self.within(least, top.max(least))
    }

    /// Between `-most` and `most`; half of the time one of the two.
    pub(crate) fn either_way(&mut self, most: i64) -> i64 {
        match self.below(4) {
            0 => most,
            1 => -most,
            _ => {
                let span = most.unsigned_abs() * 2 + 1;
                i64::try_from(self.below(span)).unwrap_or(0) - most
            }
        }
    }

    pub(crate) fn bytes(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number().to_le_bytes());
        bytes[8..].copy_from_slice(&self.number().to_le_bytes());
        bytes
    }
}
