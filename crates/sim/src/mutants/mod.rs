//! Our elector with one rule removed, from outside: `election` itself has no switches.
//!
//! Each mutant has settings in which its rule matters often, so that it is caught within few worlds. The shipped elector
//! breaks nothing in the same worlds, which a test shows: so it is the missing rule that is caught, and nothing else.

mod evidence;
mod health;
mod lease;
mod liveness;
mod records;
mod term;
mod time;

use leasehold_election::{Config, Effects, Elector, Input, Reading, Secret, TimingSettings};
use serde::Serialize;

use crate::clocks::ClockSight;
use crate::controls::ControlKind;
use crate::fault::FaultKind as F;
use crate::mixed::PeerFault;
use crate::plan::{Mixed, Settings, tight};

/// An adapter around the shipped elector that breaks one rule.
pub(crate) trait Mutant: std::fmt::Debug {
    fn config(&self, config: Config) -> Config {
        config
    }

    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        elector.handle(reading, chance, input)
    }

    /// Hears a secret that only its process should know.
    fn learn(&mut self, _secret: &Secret) {}

    fn sight(&self) -> ClockSight {
        ClockSight::All
    }

    fn end_is_final(&self) -> bool {
        true
    }
}

macro_rules! mutants {
    ($($kind:ident, $sentence:literal, $rules:literal, [$($fault:ident)*], $make:expr;)+) => {
        /// A rule of the protocol that was removed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum MutantKind {
            $(#[doc = $sentence] $kind,)+
        }

        impl MutantKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// What is wrong with it, in a sentence.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }

            /// The name in reports and documents.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)+
                }
            }

            /// The rules of which it breaks at least one.
            pub fn rules(self) -> &'static str {
                match self {
                    $(Self::$kind => $rules,)+
                }
            }

            fn faults(self) -> Vec<F> {
                match self {
                    $(Self::$kind => vec![$(F::$fault),*],)+
                }
            }

            pub(crate) fn make(self) -> Box<dyn Mutant> {
                match self {
                    $(Self::$kind => Box::new($make),)+
                }
            }
        }
    };
}

mutants! {
    ValidityFromAnswer, "Validity counts from the answer of a renewal, not from its sending.",
        "S1 S8", [Slow HeldAnswer RequestsLost WatchSilent WatchRefused], time::ValidityFromAnswer::default();
    TimerFromSend, "A standby counts from when it sent its read, not from when the answer was complete.",
        "S1 S8", [Slow WatchRefused WatchSilent Partition], time::TimerFromSend::default();
    RateIgnored, "The clocks are taken to run at the right rate.",
        "S1 S8", [Partition Frozen RateChange], time::RateIgnored;
    ClockStops, "The only clock read stands still while the machine is suspended.",
        "S1 S8", [Suspend], time::ClockStops;
    StoredDurationIgnored, "A standby waits for its own lease duration, whatever is stored.",
        "S1 S8", [Partition Frozen Killed], records::StoredDurationIgnored;
    ReleaseByMemory, "A release is written without a test that the Lease is still this term's.",
        "S6", [StepDown HeldRequest GatewayTimeout], lease::ReleaseByMemory;
    TermNotTested, "A renewal is written without a test that the Lease is still this term's.",
        "S6", [HeldRequest GatewayTimeout Partition StepDown], lease::TermNotTested;
    MissingIsFree, "A Lease that is missing is created at once.",
        "S7", [LeaseDeleted Partition], lease::MissingIsFree::default();
    ForeignHolderIgnored, "A leader that sees another holder leads on to its deadline.",
        "S10", [HolderEdited], records::ForeignHolderIgnored;
    UnknownIsFailure, "A renewal whose answer was lost is taken not to have happened.",
        "L5", [ResetAfter AppliedThenError], lease::UnknownIsFailure::default();
    LateAnswerRevives, "The answer of a renewal that comes after the end of the term revives it.",
        "S9", [HeldAnswer WatchSilent WatchRefused], term::LateAnswerRevives::default();
    TokenReused, "A later term carries the token of the first.",
        "S2 S3", [StepDown Partition], term::TokenReused::default();
    WorkNotAwaited, "The lease is given back when the work is asked to stop, not when it has ended.",
        "S8", [StepDown StoppedGracefully], term::WorkNotAwaited::default();
    KillIgnored, "Work that does not stop in time is not killed.",
        "S8", [StubbornWork Partition Frozen], term::KillIgnored;
    RestoreIgnored, "A store that went back is believed: terms get tokens that were used before.",
        "S3", [StoreRestored StepDown], lease::RestoreIgnored;
    RetryAfterIgnored, "The server's Retry-After is ignored.",
        "L4", [Throttled WatchRefused], lease::RetryAfterIgnored;
    WatchTrusted, "While a watch is open nothing is read: its silence is believed.",
        "L1", [WatchSilent WatchBookmarks Killed Partition], lease::WatchTrusted::default();
    PeerGraceIgnored, "A term of another election is free when its lease has ended, without the grace for its work.",
        "B3", [Killed Partition], records::PeerGraceIgnored;
    OldMarkBelieved, "The mark of an earlier term is taken for that of the present one.",
        "B3", [Killed StepDown Partition], records::OldMarkBelieved;
    ClearedIsReleased, "A term of ours that another election has cleared is taken as released.",
        "B3", [Partition Frozen], records::ClearedIsReleased;
    WatchDistrusted, "A standby polls, though a watch tells it all.",
        "L2", [], liveness::WatchDistrusted;
    FirstFailureEndsTerm, "A leader steps down when a renewal fails.",
        "L2", [Partition ResetBefore InternalError Throttled], liveness::FirstFailureEndsTerm;
    ReleaseUnheard, "A standby does not act on the event of a release, but on its next look.",
        "L3", [StepDown StoppedGracefully], liveness::ReleaseUnheard;
    RetriesAtOnce, "A request that failed is sent again at once.",
        "L4", [ResetBefore InternalError], liveness::RetriesAtOnce::default();
    UnhealthyCampaigns, "An unhealthy candidate stops leading, and campaigns on.",
        "H1", [UnhealthyLeader StepDown], health::UnhealthyCampaigns;
    UnhealthyLeads, "A leader that becomes unhealthy leads on.",
        "H2", [UnhealthyLeader], health::UnhealthyLeads;
    HeartbeatIgnored, "Work that gives no sign of life leads on.",
        "H3", [HungWork], health::HeartbeatIgnored;
    DegradedAtOnce, "An unhealthy candidate leads as soon as it may acquire, and not when nobody did for long enough.",
        "H1", [EverybodyUnhealthy Killed], health::DegradedAtOnce;
    SecretNotChecked, "Any end of the elector's container proves that of the process that now runs there.",
        "S1 S8", [Killed StoppedGracefully], evidence::Believes::any_end();
    NonceForSecret, "What the Lease shows to everybody proves the end of its holder's process.",
        "S1 S8", [PodImitated], evidence::Believes::the_nonce();
    AbsentPodIsProof, "A Pod that is gone proves the end of its processes.",
        "S1 S8", [PodForceDeleted], evidence::Believes::absence();
    FailedPodIsProof, "A Pod that has failed proves the end of its processes.",
        "S1 S8", [PodFailed PodEvicted], evidence::Believes::failure();
    FileIsExec, "The end of the elector is taken for the end of an app that reads its file.",
        "S8", [Killed], evidence::FileIsExec;
}

impl MutantKind {
    /// Worlds in which the rule that is missing matters often.
    pub fn settings(self) -> Settings {
        let mut settings = directed(self.faults());
        match self {
            Self::SecretNotChecked
            | Self::NonceForSecret
            | Self::AbsentPodIsProof
            | Self::FailedPodIsProof
            | Self::FileIsExec => settings.pods_permille = 1_000,
            Self::RateIgnored => settings.timings = vec![tight(8, 100_000)],
            Self::PeerGraceIgnored | Self::OldMarkBelieved => {
                settings.mixed = beside(ControlKind::ClientGo, TimingSettings::default());
            }
            Self::ClearedIsReleased => return cleared(),
            Self::FirstFailureEndsTerm => settings.single_fault = true,
            Self::UnhealthyCampaigns
            | Self::UnhealthyLeads
            | Self::HeartbeatIgnored
            | Self::DegradedAtOnce => {
                settings.caring_permille = 1_000;
            }
            // These faults break the contract.
            Self::MissingIsFree | Self::RestoreIgnored => settings.strict = false,
            Self::StoredDurationIgnored => {
                settings.timings = vec![tight(6, 10_000), tight(15, 10_000)];
                settings.mixed_timings = true;
            }
            _ => {}
        }
        settings
    }
}

/// Every world is mixed: one or two of ours, and others of one kind.
fn beside(kind: ControlKind, timing: TimingSettings) -> Mixed {
    Mixed { permille: 1_000, ours: (1, 2), peers: (1, 2), kinds: vec![kind], timings: vec![timing] }
}

/// The worlds in which client-go clears a term of ours, with a second of ours that sees it.
fn cleared() -> Settings {
    let mut settings = PeerFault::ClearsAnother.settings();
    settings.mixed.ours = (2, 2);
    for stroke in &mut settings.script {
        // The machine of the other election comes after those of ours.
        stroke.machine *= 2;
    }
    settings
}

/// A quarter of an hour with a few faults, each often, and leaders that use nearly all of their lease.
pub(crate) fn directed(faults: Vec<F>) -> Settings {
    let seconds = std::time::Duration::from_secs;
    Settings {
        length: seconds(900),
        candidates: (3, 3),
        fault_permille: 1_000,
        fault_every: (seconds(5), seconds(40)),
        timings: vec![tight(6, 10_000), tight(15, 10_000)],
        mixed_timings: false,
        broken_permille: 1_000,
        caring_permille: 0,
        strict: true,
        mixed: Mixed::none(),
        pods_permille: 0,
        faults,
        ..Settings::default()
    }
}
