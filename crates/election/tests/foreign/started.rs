//! A machine that has started, and waits for the answer of its first read.

use std::time::Duration;

use http::Response;
use jiff::Timestamp;
use leasehold_election::{
    Config, Delivery, Effect, Effects, Elector, Identity, Input, LeaseName, Note, Reading, Refusal,
    RequestId, Secret, Timing, WatchId,
};

pub(crate) struct Started {
    pub(crate) elector: Elector,
    read: RequestId,
}

impl Started {
    pub(crate) fn new() -> Self {
        let identity = Identity::of_process("me", None, &Secret::from_random([1; 16]));
        let config = Config::new(LeaseName::new("prod", "db").unwrap(), identity, Timing::default());
        let mut elector = Elector::new(config, reading(0));
        assert!(!elector.is_ready(), "nothing has been answered");
        let effects = elector.handle(reading(0), 0, Input::Start);
        let read = effects.list.iter().find_map(|effect| match effect {
            Effect::Send { id, .. } => Some(*id),
            _ => None,
        });
        Self { elector, read: read.expect("it reads first") }
    }

    /// The answer of the read.
    pub(crate) fn answer(&mut self, response: Response<Vec<u8>>) -> Effects {
        self.elector.handle(reading(1), 0, Input::Answer(self.read, Delivery::Response(response)))
    }

    /// A standby that knows this Lease and has a watch open.
    pub(crate) fn watching(lease: &str) -> (Self, WatchId) {
        Self::watching_any(lease, "/leases")
    }

    /// A standby that knows this Lease and has a watch of its holder's Pod open.
    pub(crate) fn watching_pod(lease: &str) -> (Self, WatchId) {
        Self::watching_any(lease, "/pods")
    }

    fn watching_any(lease: &str, path: &str) -> (Self, WatchId) {
        let mut started = Self::new();
        let effects = started.answer(Response::new(lease.as_bytes().to_vec()));
        let watch = effects.list.iter().find_map(|effect| match effect {
            Effect::OpenWatch(id, request) if request.uri().path().ends_with(path) => Some(*id),
            _ => None,
        });
        let watch = watch.expect("it watches what it knows");
        started.input(Input::WatchOpened(watch));
        (started, watch)
    }

    pub(crate) fn input(&mut self, input: Input) -> Effects {
        self.elector.handle(reading(2), 0, input)
    }
}

/// The notes among the effects, as far as they tell of something refused.
pub(crate) fn refusals(effects: &Effects) -> Vec<Refusal> {
    let refusal = |effect: &Effect| match effect {
        Effect::Note(Note::Answered { result: Err(refusal), .. } | Note::Trouble(refusal)) => {
            Some(refusal.clone())
        }
        Effect::Note(Note::Watch { refusal, .. }) => refusal.clone(),
        _ => None,
    };
    effects.list.iter().filter_map(refusal).collect()
}

/// What must hold after any one input of a standby.
pub(crate) fn assert_sober(effects: &Effects) {
    assert!(effects.list.len() <= EFFECTS_MAX, "{effects:?}");
    assert!(effects.wake_after.is_some_and(|after| after <= WAKE_MAX), "it looks again: {effects:?}");
    let acts = |effect: &Effect| matches!(effect, Effect::StartWork { .. } | Effect::Finish(_));
    assert!(!effects.list.iter().any(acts), "{effects:?}");
    for refusal in refusals(effects) {
        let length = refusal.message.chars().count();
        assert!((1..=MESSAGE_MAX).contains(&length), "a message that people can read: {refusal:?}");
    }
}

fn reading(seconds: u64) -> Reading {
    let since = Duration::from_secs(100 + seconds);
    let realtime = Timestamp::from_second(1_767_225_600 + i64::try_from(seconds).unwrap()).unwrap();
    Reading { raw: since, boottime: since, realtime }
}

const EFFECTS_MAX: usize = 8;
const MESSAGE_MAX: usize = 1_100;
/// The longest back-off with its jitter, and the longest time that a held lease is waited for: what is stored, at first
/// sight, and the peers' grace.
const WAKE_MAX: Duration = Duration::from_secs(15);
