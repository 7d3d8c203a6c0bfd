//! Mutants that measure time wrongly.

use std::collections::BTreeMap;
use std::time::Duration;

use leasehold_election::{Config, Delivery, Effect, Effects, Elector, Input, Reading, RequestId};

use super::Mutant;
use crate::clocks::ClockSight;
use crate::plan::tight;

/// Makes the elector's time stand still from the last input before a successful answer to that answer.
#[derive(Debug, Default)]
pub(super) struct ValidityFromAnswer {
    behind: Duration,
    last: Option<Reading>,
}

impl Mutant for ValidityFromAnswer {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let mut shown = set_back(reading, self.behind);
        let answered = matches!(&input, Input::Answer(_, Delivery::Response(response)) if response.status().is_success());
        if let Some(last) = self.last.filter(|_| answered) {
            self.behind += shown.elapsed_for_stopping(&last);
            shown = set_back(reading, self.behind);
        }
        self.last = Some(shown);
        elector.handle(shown, chance, input)
    }
}

/// Hands the answer of a read over with the reading at which the read was sent.
#[derive(Debug, Default)]
pub(super) struct TimerFromSend {
    reads: BTreeMap<RequestId, Reading>,
    last: Option<Reading>,
}

impl Mutant for TimerFromSend {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let sent = match &input {
            Input::Answer(id, _) => self.reads.remove(id),
            _ => None,
        };
        // What was handled since cannot be undone.
        let shown = match (sent, self.last) {
            (Some(sent), Some(last)) if last.boottime > sent.boottime => last,
            (Some(sent), _) => sent,
            (None, _) => reading,
        };
        self.last = Some(shown);
        let effects = elector.handle(shown, chance, input);
        for effect in &effects.list {
            if let Effect::Send { id, request, .. } = effect
                && request.method() == http::Method::GET
            {
                self.reads.insert(*id, reading);
            }
        }
        effects
    }
}

/// Leads as long as a lease lasts on clocks without error.
#[derive(Debug)]
pub(super) struct RateIgnored;

impl Mutant for RateIgnored {
    fn config(&self, config: Config) -> Config {
        let seconds = config.timing.lease_duration().as_secs();
        let timing = tight(seconds, 0).build().expect("a tight timing without clock error holds");
        Config { timing, ..config }
    }
}

/// Reads `CLOCK_MONOTONIC` alone.
#[derive(Debug)]
pub(super) struct ClockStops;

impl Mutant for ClockStops {
    fn sight(&self) -> ClockSight {
        ClockSight::RawOnly
    }
}

fn set_back(reading: Reading, by: Duration) -> Reading {
    Reading {
        raw: reading.raw.saturating_sub(by),
        boottime: reading.boottime.saturating_sub(by),
        realtime: reading.realtime.saturating_sub(by).unwrap_or(reading.realtime),
    }
}
