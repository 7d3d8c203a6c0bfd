//! The shipped elector with one rule removed, from outside, and the bound within which that is found.
//!
//! Adapters of the model: `election` has no switches, and those of `leasehold_sim` cannot be copied with a state.

use std::time::Duration;

use leasehold_election::{
    Delivery, Effect, Effects, Elector, Input, Reading, RequestId, State, Timing, TimingSettings,
};
use serde_json::Value;

use crate::model::{Bound, Deviation, Rates, Start};
use crate::network::Kind;
use crate::process::{LEASE_DURATION, settings};
use crate::rules::Rule;

/// A rule of the protocol that was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Validity counts from the answer of a renewal, not from its sending.
    ValidityFromAnswer,
    /// A standby counts from when it sent its read, not from when the answer was complete.
    TimerFromSend,
    /// The clocks are taken to run at the right rate.
    RateIgnored,
    /// A release is written without a test that the Lease is still this term's.
    ReleaseByMemory,
    /// A renewal does not test the renew time that it replaces.
    RenewTimeNotTested,
    /// A Lease that is missing is created at once.
    MissingIsFree,
    /// The lease is given back when the work is asked to stop, not when it has ended.
    WorkNotAwaited,
    /// Work that does not stop in time is not killed.
    KillIgnored,
}

/// What a mutant remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    behind: Duration,
    ahead: Duration,
    last: Option<Reading>,
    read: Option<(RequestId, Reading)>,
}

impl Mutant {
    pub(crate) const ALL: &[Self] = &[
        Self::ValidityFromAnswer,
        Self::TimerFromSend,
        Self::RateIgnored,
        Self::ReleaseByMemory,
        Self::RenewTimeNotTested,
        Self::MissingIsFree,
        Self::WorkNotAwaited,
        Self::KillIgnored,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ValidityFromAnswer => "ValidityFromAnswer",
            Self::TimerFromSend => "TimerFromSend",
            Self::RateIgnored => "RateIgnored",
            Self::ReleaseByMemory => "ReleaseByMemory",
            Self::RenewTimeNotTested => "RenewTimeNotTested",
            Self::MissingIsFree => "MissingIsFree",
            Self::WorkNotAwaited => "WorkNotAwaited",
            Self::KillIgnored => "KillIgnored",
        }
    }

    /// The rules of which it breaks one.
    pub(crate) fn rules(self) -> &'static [Rule] {
        match self {
            Self::ReleaseByMemory => &[Rule::S6],
            Self::MissingIsFree => &[Rule::S7],
            Self::WorkNotAwaited | Self::KillIgnored => &[Rule::S8],
            Self::ValidityFromAnswer | Self::TimerFromSend | Self::RateIgnored | Self::RenewTimeNotTested => {
                &[Rule::S1, Rule::S8]
            }
        }
    }

    /// Where it is found. The shipped elector breaks nothing there.
    pub(crate) fn bound(self) -> Bound {
        use Deviation as D;
        let (kinds, seconds, deviations): (&[D], _, _) = match self {
            Self::ValidityFromAnswer => (&[D::Hold, D::Starve], 16, 2),
            Self::TimerFromSend => (&[D::Hold, D::Starve], 15, 2),
            Self::RateIgnored => (&[D::Starve], 12, 1),
            Self::ReleaseByMemory => (&[D::Copy, D::StepDown], 12, 2),
            Self::RenewTimeNotTested => (&[D::Copy, D::Cut], 16, 2),
            Self::MissingIsFree => (&[], 12, 0),
            Self::WorkNotAwaited => (&[D::StepDown], 4, 1),
            Self::KillIgnored => (&[D::Cut, D::Hang], 14, 2),
        };
        let start = if self == Self::MissingIsFree { Start::Missing } else { Start::Led };
        let watches = self != Self::TimerFromSend;
        Bound { candidates: 2, seconds, deviations, kinds, rates: Rates::Worst, start, watches, orphans: 2 }
    }

    /// Other timings than those of the shipped elector.
    pub(crate) fn timing(self) -> Option<Timing> {
        let settings =
            TimingSettings { renew_deadline: Duration::from_secs(10), clock_rate_error_ppm: 0, ..settings() };
        (self == Self::RateIgnored).then(|| settings.build().expect("these timings hold without clock error"))
    }

    pub(crate) fn handle(
        self,
        memory: &mut Memory,
        elector: &mut Elector,
        reading: Reading,
        input: Input,
    ) -> Effects {
        match self {
            Self::ValidityFromAnswer => validity_from_answer(memory, elector, reading, input),
            Self::TimerFromSend => timer_from_send(memory, elector, reading, input),
            Self::RateIgnored => elector.handle(reading, 0, input),
            Self::ReleaseByMemory => {
                strip(elector.handle(reading, 0, input), Kind::Release, |path| path != "/metadata/uid")
            }
            Self::RenewTimeNotTested => {
                strip(elector.handle(reading, 0, input), Kind::Renew, |path| path == "/spec/renewTime")
            }
            Self::MissingIsFree => missing_is_free(memory, elector, reading, input),
            Self::WorkNotAwaited => work_not_awaited(elector, reading, input),
            Self::KillIgnored => {
                let mut effects = elector.handle(reading, 0, input);
                effects.limits.kill_in = None;
                effects.list.retain(|effect| !matches!(effect, Effect::KillWork(_)));
                effects
            }
        }
    }
}

/// Time stands still from the last input before a successful answer to that answer.
fn validity_from_answer(
    memory: &mut Memory,
    elector: &mut Elector,
    reading: Reading,
    input: Input,
) -> Effects {
    let mut shown = shifted(reading, -signed(memory.behind));
    let answered =
        matches!(&input, Input::Answer(_, Delivery::Response(answer)) if answer.status().is_success());
    if let Some(last) = memory.last.filter(|_| answered) {
        memory.behind += shown.elapsed_for_stopping(&last);
        shown = shifted(reading, -signed(memory.behind));
    }
    memory.last = Some(shown);
    elector.handle(shown, 0, input)
}

/// To a standby the answer of a read comes with the reading of its sending, unless something was handled since.
fn timer_from_send(memory: &mut Memory, elector: &mut Elector, reading: Reading, input: Input) -> Effects {
    let sent = match (&input, &memory.read) {
        (Input::Answer(id, _), Some((read, sent))) if id == read && elector.state() == State::Standby => {
            Some(*sent)
        }
        _ => None,
    };
    let shown = match (sent, memory.last) {
        (Some(sent), Some(last)) if last.boottime > sent.boottime => last,
        (Some(sent), _) => sent,
        (None, _) => reading,
    };
    memory.last = Some(shown);
    let effects = elector.handle(shown, 0, input);
    for effect in &effects.list {
        if let Effect::Send { id, request, .. } = effect
            && request.method() == http::Method::GET
        {
            memory.read = Some((*id, reading));
        }
    }
    effects
}

/// A lease duration passes as soon as the Lease is seen to be missing.
fn missing_is_free(memory: &mut Memory, elector: &mut Elector, reading: Reading, input: Input) -> Effects {
    let missing = matches!(&input, Input::Answer(_, Delivery::Response(answer)) if answer.status() == 404);
    let mut effects = elector.handle(shifted(reading, signed(memory.ahead)), 0, input);
    if missing {
        memory.ahead += LEASE_DURATION;
        join(&mut effects, elector.handle(shifted(reading, signed(memory.ahead)), 0, Input::Wake));
    }
    effects
}

fn work_not_awaited(elector: &mut Elector, reading: Reading, input: Input) -> Effects {
    let mut effects = elector.handle(reading, 0, input);
    if effects.list.iter().any(|effect| matches!(effect, Effect::StopWork(reason) if reason.is_planned())) {
        join(&mut effects, elector.handle(reading, 0, Input::WorkEnded));
    }
    effects
}

/// Takes those tests out of the requests of a kind that test such a path.
fn strip(mut effects: Effects, kind: Kind, unwanted: fn(&str) -> bool) -> Effects {
    for effect in &mut effects.list {
        if let Effect::Send { request, .. } = effect
            && Kind::of(request.method(), request.body()) == kind
        {
            let mut operations: Vec<Value> =
                serde_json::from_slice(request.body()).expect("a patch is a list of operations");
            operations.retain(|operation| {
                operation["op"] != "test" || !unwanted(operation["path"].as_str().unwrap_or_default())
            });
            *request.body_mut() = Value::from(operations).to_string().into_bytes();
        }
    }
    effects
}

/// What two calls came to.
fn join(first: &mut Effects, second: Effects) {
    first.list.extend(second.list);
    (first.wake_after, first.limits) = (second.wake_after, second.limits);
}

fn shifted(reading: Reading, milliseconds: i64) -> Reading {
    let by = Duration::from_millis(milliseconds.unsigned_abs());
    let shift = |time: Duration| if milliseconds < 0 { time.saturating_sub(by) } else { time + by };
    Reading { raw: shift(reading.raw), boottime: shift(reading.boottime), realtime: reading.realtime }
}

fn signed(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).expect("a few seconds")
}
