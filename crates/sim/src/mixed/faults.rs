//! What other elections do wrong, found by what they did and not by how they are built.

use std::time::Duration;

use leasehold_election::{Operation, TimingSettings};
use leasehold_history::Nanos;
use serde::Serialize;

use super::leads_on;
use super::ledger::{Ledger, found};
use crate::controls::ControlKind;
use crate::fault::FaultKind as F;
use crate::mutants::directed;
use crate::plan::{Mixed, Settings};
use crate::script::{Stroke, StrokeOutcome, Struck};
use crate::world::{Sign, SignKind, TermLog};

/// A fault of another election on the same Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PeerFault {
    /// U1: it released a lease that another held.
    ClearsAnother,
    /// U2: it released, or tried to, before its work was told to stop.
    ReleasesBeforeItStops,
    /// U3: it was shown another holder, and led on.
    LeadsOnBesideAnother,
    /// U4: it was shown that there is no Lease, and led on.
    LeadsOnWithoutLease,
    /// U5: it led past its lease, which it counted from an answer, or by a clock that stood still.
    LeadsPastItsLease,
    /// U6: it began to lead when its lease had ended.
    BeginsLapsed,
    /// U10 and others: it acquired a lease that was held and not over, by the wall clock, or blind within a second.
    TakesALiveLease,
}

impl PeerFault {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::ClearsAnother,
        Self::ReleasesBeforeItStops,
        Self::LeadsOnBesideAnother,
        Self::LeadsOnWithoutLease,
        Self::LeadsPastItsLease,
        Self::BeginsLapsed,
        Self::TakesALiveLease,
    ];

    /// The name in reports and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::ClearsAnother => "ClearsAnother",
            Self::ReleasesBeforeItStops => "ReleasesBeforeItStops",
            Self::LeadsOnBesideAnother => "LeadsOnBesideAnother",
            Self::LeadsOnWithoutLease => "LeadsOnWithoutLease",
            Self::LeadsPastItsLease => "LeadsPastItsLease",
            Self::BeginsLapsed => "BeginsLapsed",
            Self::TakesALiveLease => "TakesALiveLease",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::ClearsAnother => "U1: it released a lease that another held.",
            Self::ReleasesBeforeItStops => "U2: it released, or tried to, before its work was told to stop.",
            Self::LeadsOnBesideAnother => "U3: it was shown another holder, and led on.",
            Self::LeadsOnWithoutLease => "U4: it was shown that there is no Lease, and led on.",
            Self::LeadsPastItsLease => {
                "U5: it led past its lease, which it counted from an answer, or by a clock that stood still."
            }
            Self::BeginsLapsed => "U6: it began to lead when its lease had ended.",
            Self::TakesALiveLease => {
                "U10 and others: it acquired a lease that was held and not over, by the wall clock, or blind within a second."
            }
        }
    }

    /// Two minutes of one of ours and one other, in which it shows; [`Self::shows`] tells what else does.
    pub fn settings(self) -> Settings {
        let (kind, timing) = match self {
            Self::ClearsAnother => (ControlKind::ClientGoNoTimeout, long_deadline()),
            Self::ReleasesBeforeItStops => (ControlKind::ClientGo, TimingSettings::default()),
            Self::LeadsOnWithoutLease => (ControlKind::ClientGoNoRelease, TimingSettings::default()),
            Self::LeadsPastItsLease => (ControlKind::ClientGoBare, long_deadline()),
            Self::LeadsOnBesideAnother | Self::BeginsLapsed => {
                (ControlKind::ClientGoBare, TimingSettings::default())
            }
            Self::TakesALiveLease => (ControlKind::KubeLeaderElection, TimingSettings::default()),
        };
        let mixed =
            Mixed { permille: 1_000, ours: (1, 1), peers: (1, 1), kinds: vec![kind], timings: vec![timing] };
        // A Lease that is deleted breaks the contract.
        let deleted = self == Self::LeadsOnWithoutLease;
        Settings {
            length: Duration::from_secs(120),
            timings: vec![TimingSettings::default()],
            mixed,
            strict: !deleted,
            script: self.script(),
            ..directed(if deleted { vec![F::LeaseDeleted] } else { Vec::new() })
        }
    }

    /// What shows in these worlds, and nothing else.
    pub fn shows(self) -> &'static [Self] {
        match self {
            // Who releases late has led until then, and was shown by the read for whom the lease is.
            Self::ClearsAnother => {
                &[Self::ClearsAnother, Self::ReleasesBeforeItStops, Self::LeadsOnBesideAnother]
            }
            // Nobody is shown another holder while it holds the lease.
            Self::LeadsOnBesideAnother => &[Self::LeadsOnBesideAnother, Self::BeginsLapsed],
            Self::ReleasesBeforeItStops => &[Self::ReleasesBeforeItStops],
            Self::LeadsOnWithoutLease => &[Self::LeadsOnWithoutLease],
            Self::LeadsPastItsLease => &[Self::LeadsPastItsLease],
            Self::BeginsLapsed => &[Self::BeginsLapsed],
            Self::TakesALiveLease => &[Self::TakesALiveLease],
        }
    }

    /// The other leads first, for ours hears nothing in the beginning.
    fn script(self) -> Vec<Stroke> {
        use StrokeOutcome::{AnswerHeld, Lost, RequestHeld};
        let seconds = Duration::from_secs_f64;
        let stroke = |machine, from, until, struck, outcome| {
            let (from, until) = (seconds(from), seconds(until));
            Stroke { machine, from, until, struck, outcome }
        };
        let ours_late = stroke(OURS, 0.0, 4.0, Struck::All, Lost);
        match self {
            // It is cut off at 30 s. The read of its release is on its way from 42 to 45 s on, and comes back when ours has
            // acquired, which is after 50 s.
            Self::ClearsAnother => vec![
                ours_late,
                stroke(PEER, 30.0, 48.0, Struck::Writes, Lost),
                stroke(PEER, 30.0, 48.0, Struck::Reads, RequestHeld(seconds(9.5))),
            ],
            // It is cut off until its release, which is carried out at once and answered 4.5 s later. Ours waits for 2 s.
            Self::ReleasesBeforeItStops => vec![
                ours_late,
                stroke(PEER, 30.0, 39.0, Struck::All, Lost),
                stroke(PEER, 39.0, 60.0, Struck::Writes, AnswerHeld(seconds(4.5))),
            ],
            // The answer of its acquisition comes when ours has led for a while; then it reads, or hears nothing more.
            Self::LeadsOnBesideAnother => {
                vec![ours_late, stroke(PEER, 0.0, 10.0, Struck::Writes, AnswerHeld(seconds(42.0)))]
            }
            Self::BeginsLapsed => vec![
                ours_late,
                stroke(PEER, 0.0, 10.0, Struck::Writes, AnswerHeld(seconds(42.0))),
                stroke(PEER, 10.0, 120.0, Struck::All, Lost),
            ],
            Self::LeadsOnWithoutLease => vec![ours_late],
            // A renewal is answered 12 s late, within the deadline, and none after it is heard of.
            Self::LeadsPastItsLease => vec![
                ours_late,
                stroke(PEER, 30.0, 32.5, Struck::Writes, AnswerHeld(seconds(12.0))),
                stroke(PEER, 32.5, 120.0, Struck::All, Lost),
            ],
            // Ours leads when it comes, with a wall clock that may be ahead.
            Self::TakesALiveLease => vec![stroke(PEER, 0.0, 30.0, Struck::All, RequestHeld(seconds(30.0)))],
        }
    }
}

/// A renew deadline near the lease duration, which client-go allows: it outlasts what ours allows others besides.
fn long_deadline() -> TimingSettings {
    let renew_deadline = Duration::from_millis(12_500);
    let lost_stop_timeout = Some(Duration::from_millis(500));
    TimingSettings { renew_deadline, lost_stop_timeout, ..TimingSettings::default() }
}

/// A fault that was shown, by whom, whose lease it struck, and when.
#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) fault: PeerFault,
    process: usize,
    /// Whose lease was cleared or taken.
    victim: Option<usize>,
    at: Nanos,
}

impl Shown {
    /// Whether this is how it came that both lead, `first` since before `second`. Who is told late of its acquisition leads
    /// late: what was taken from it may be taken before that.
    pub(super) fn explains(&self, ledger: &Ledger<'_>, first: &TermLog, second: &TermLog) -> bool {
        let by =
            |term: &TermLog| self.process == term.process && self.at >= term.begin && self.at <= term.end;
        match self.fault {
            PeerFault::ClearsAnother | PeerFault::TakesALiveLease => {
                let held = |term: &TermLog| ledger.acquired_at(term)..=second.begin;
                let from =
                    |term: &TermLog| self.victim == Some(term.process) && held(term).contains(&self.at);
                from(first) || self.process == first.process && from(second)
            }
            PeerFault::ReleasesBeforeItStops
            | PeerFault::LeadsOnBesideAnother
            | PeerFault::LeadsOnWithoutLease
            | PeerFault::LeadsPastItsLease => by(first) && self.at <= second.begin,
            PeerFault::BeginsLapsed => by(first) && self.at <= second.begin || by(second),
        }
    }
}

/// All faults of the other elections of a world.
pub(super) fn all(ledger: &Ledger<'_>) -> Vec<Shown> {
    let mut shown = strikes(ledger);
    shown.extend(signs(ledger));
    shown.extend(lapses(ledger));
    shown
}

/// Writes that changed the lease of another while it was not over.
fn strikes(ledger: &Ledger<'_>) -> Vec<Shown> {
    let mut shown = Vec::new();
    for applied in ledger.log.applied.iter().filter(|applied| !ledger.is_ours(applied.process)) {
        let Some(victim) = ledger.process_of(found(applied)) else { continue };
        let fault = match applied.operation {
            Operation::Release if victim != applied.process => PeerFault::ClearsAnother,
            Operation::Acquire | Operation::Renew
                if victim != applied.process && ledger.is_live(victim, applied.at) =>
            {
                PeerFault::TakesALiveLease
            }
            _ => continue,
        };
        shown.push(Shown { fault, process: applied.process, victim: Some(victim), at: applied.at });
    }
    shown
}

/// What it saw, or did, and led on.
fn signs(ledger: &Ledger<'_>) -> Vec<Shown> {
    let log = ledger.log;
    let theirs = log.signs.iter().filter(|sign| !ledger.is_ours(sign.process));
    theirs
        .filter(|sign| leads_on(log, sign.process, sign.at))
        .map(|sign| {
            let fault = match sign.kind {
                SignKind::OtherHolder => PeerFault::LeadsOnBesideAnother,
                SignKind::NoLease => PeerFault::LeadsOnWithoutLease,
                SignKind::Releases => PeerFault::ReleasesBeforeItStops,
            };
            Shown { fault, process: sign.process, victim: None, at: sign.at }
        })
        .collect()
}

/// Terms that begin after their lease has ended, or go on after it.
fn lapses(ledger: &Ledger<'_>) -> Vec<Shown> {
    let mut shown = Vec::new();
    for term in ledger.log.terms.iter().filter(|term| !ledger.is_ours(term.process)) {
        let Some(at) = ledger.lapses(term.process, term.begin, term.end) else { continue };
        // Who is releasing leads past its lease for this reason.
        let releases = |sign: &Sign| {
            sign.kind == SignKind::Releases
                && sign.process == term.process
                && (term.begin..=at).contains(&sign.at)
        };
        if ledger.log.signs.iter().any(releases) {
            continue;
        }
        let fault = if at == term.begin { PeerFault::BeginsLapsed } else { PeerFault::LeadsPastItsLease };
        shown.push(Shown { fault, process: term.process, victim: None, at });
    }
    shown
}

const OURS: usize = 0;
const PEER: usize = 1;
