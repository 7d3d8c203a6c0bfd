//! What must never happen, and what must happen somewhere.

use stateright::{Expectation, Property};

use crate::model::Worlds;
use crate::state::State;

macro_rules! properties {
    ($name:ident, $doc:literal, $expectation:ident, $condition:expr, $($variant:ident, $sentence:literal;)+) => {
        #[doc = $doc]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum $name {
            $($variant,)+
        }

        impl $name {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),+];

            pub(crate) fn sentence(self) -> &'static str {
                match self {
                    $(Self::$variant => $sentence,)+
                }
            }

            pub(crate) fn properties() -> Vec<Property<Worlds>> {
                vec![$(Property {
                    expectation: Expectation::$expectation,
                    name: $sentence,
                    condition: |_, state| ($condition as fn(&State, Self) -> bool)(state, Self::$variant),
                },)+]
            }
        }
    };
}

properties! {
    Rule, "A rule, by the sentence that always holds.", Always, |state, rule| state.broken != Some(rule),
    S1, "S1: no two candidates lead at once";
    S2, "S2: tokens grow from term to term";
    S6, "S6: a renewal or release changes only its own term";
    S7, "S7: who creates the Lease has known for a lease duration that there is none";
    S8, "S8: work has ended before another candidate acquires";
    S9, "S9: nobody leads outside of a term that was begun";
    S10, "S10: a leader that sees another holder leads no more";
    S11, "S11: the state says leader only while the candidate leads";
}

properties! {
    Event, "Something that must happen in some world, by its sentence.", Sometimes, |state, event| state.just.has(event),
    Leads, "somebody leads";
    Race, "both try to acquire in one race";
    RaceLost, "a race is lost";
    HandOver, "hand-over by release";
    TakeOver, "take-over by expiry";
    Tight, "take-over at the very instant at which the validity ended";
    CrashTakeOver, "a crashed leader's lease is taken over";
    Restarted, "a process started again leads";
    Created, "a missing Lease is created";
    RenewalReadBack, "a renewal whose answer was lost counts by read-back";
    RenewalByWatch, "a renewal counts by its event";
    AcquisitionReadBack, "an acquisition whose answer was lost is adopted by read-back";
    AcquisitionByWatch, "an acquisition is adopted by its event";
    Overtaken, "an acquisition is refused and yet carried out, by a second delivery that overtook the first";
    Confirmed, "an acquisition confirmed too late starts no term before a renewal";
    RenewalRefused, "a renewal is refused";
    LateWrite, "a request that was given up is carried out";
    Twice, "a second delivery of a request is carried out";
    Expired, "a leader steps down because of time";
    LedOut, "a leader's time is over before its driver knows";
    Killed, "work that does not stop is killed";
    Successor, "a former leader learns of its successor";
    LateNews, "a leader hears of an old version, which changes nothing";
    Vanished, "a leader learns that the Lease is gone";
    Finished, "a process that was asked to stop finishes";
}

impl Rule {
    /// Whether it is judged only as long as nobody has deleted the Lease.
    pub(crate) fn needs_contract(self) -> bool {
        match self {
            Self::S1 | Self::S2 | Self::S6 | Self::S8 => true,
            Self::S7 | Self::S9 | Self::S10 | Self::S11 => false,
        }
    }
}

/// What the latest action has made happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Events(u32);

impl Events {
    pub(crate) fn note(&mut self, event: Event) {
        self.0 |= 1 << event as u32;
    }

    pub(crate) fn has(self, event: Event) -> bool {
        self.0 & (1 << event as u32) != 0
    }
}
