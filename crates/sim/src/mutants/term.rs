//! Mutants whose terms do not end as they must.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_election::{
    Delivery, Effect, Effects, Elector, FencingToken, Input, Limits, Reading, RequestId,
};

use super::Mutant;
use super::lease::{is_renewal, joined};

/// Waits on for the answer of a renewal that was given up, and leads again when it comes.
#[derive(Debug, Default)]
pub(super) struct LateAnswerRevives {
    renewals: BTreeSet<RequestId>,
    led: Option<(Reading, Limits)>,
    revived: Option<(Reading, Duration)>,
}

impl Mutant for LateAnswerRevives {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let late = match &input {
            Input::Answer(id, Delivery::Response(response)) => {
                self.renewals.remove(id) && response.status().is_success()
            }
            _ => false,
        };
        let mut effects = elector.handle(reading, chance, input);
        if effects.limits.lead_for.is_some() {
            self.led = Some((reading, effects.limits));
            self.revived = None;
        } else if late && self.led.take().is_some() {
            self.revived = Some((reading, elector.config().timing.renew_deadline()));
        }
        if let Some((from, lead_for)) = self.revived {
            let left = lead_for.saturating_sub(reading.elapsed_for_leading(&from));
            effects.limits.lead_for = (!left.is_zero()).then_some(left);
        }
        for effect in &effects.list {
            if let Effect::Send { id, request, .. } = effect
                && is_renewal(request)
            {
                self.renewals.insert(*id);
            }
        }
        let renewals = &self.renewals;
        effects.list.retain(|effect| !matches!(effect, Effect::Abandon(id) if renewals.contains(id)));
        effects
    }

    fn end_is_final(&self) -> bool {
        false
    }
}

/// Hands the first term's token to all later ones.
#[derive(Debug, Default)]
pub(super) struct TokenReused {
    first: Option<FencingToken>,
}

impl Mutant for TokenReused {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let mut effects = elector.handle(reading, chance, input);
        for effect in &mut effects.list {
            if let Effect::StartWork { token, .. } = effect {
                *token = *self.first.get_or_insert(*token);
            }
        }
        effects
    }
}

/// Says that the work has ended as soon as it is asked to.
#[derive(Debug, Default)]
pub(super) struct WorkNotAwaited {
    /// Ends of work that were told too early, and will be told again.
    ahead: u32,
}

impl Mutant for WorkNotAwaited {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        if matches!(input, Input::WorkEnded) && self.ahead > 0 {
            self.ahead -= 1;
            return elector.handle(reading, chance, Input::Wake);
        }
        let effects = elector.handle(reading, chance, input);
        if effects.list.iter().any(|effect| matches!(effect, Effect::StopWork(_))) {
            self.ahead += 1;
            let more = elector.handle(reading, chance, Input::WorkEnded);
            return joined(effects, more);
        }
        effects
    }
}

/// Never ends work by force.
#[derive(Debug)]
pub(super) struct KillIgnored;

impl Mutant for KillIgnored {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let mut effects = elector.handle(reading, chance, input);
        effects.list.retain(|effect| !matches!(effect, Effect::KillWork(_)));
        effects.limits.kill_in = None;
        effects
    }
}
