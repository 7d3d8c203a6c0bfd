//! What really happened in a world, in true time, for the judges. No candidate ever sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::fault::FaultKind;

/// Everything the judges need.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub(crate) processes: Vec<ProcessLog>,
    pub(crate) terms: Vec<TermLog>,
    pub(crate) works: Vec<WorkLog>,
    pub(crate) applied: Vec<Applied>,
    pub(crate) register: RegisterCounts,
    /// Faults that lasted, in the order in which they began.
    pub(crate) episodes: Vec<EpisodeLog>,
    /// What leaders saw or did that must end their leadership.
    pub(crate) signs: Vec<Sign>,
    /// Reads and writes of the fenced register, in the order in which they began.
    pub(crate) acts: Vec<RegisterAct>,
    /// Requests and watches in the order in which they were sent.
    pub(crate) sent: Vec<Sent>,
    /// Answers other than of success that a candidate heard.
    pub(crate) refusals: Vec<Nanos>,
    /// Releases after which a standby that nothing hindered could lead.
    pub(crate) hand_overs: u64,
    /// Terms that were acquired before the lease had expired, on the kubelet's report.
    pub(crate) by_evidence: u64,
    /// Rules that were seen broken as it happened.
    pub(crate) violations: Vec<Violation>,
    pub(crate) matrix: BTreeMap<(FaultKind, Window), u64>,
    pub(crate) requests: u64,
    pub(crate) renewals: u64,
    pub(crate) healed: Option<Healed>,
    /// Versions of the Lease that live standbys knew when all faults ended, and were shown later.
    pub(crate) shown: Vec<(Nanos, u64)>,
}

/// A fault that lasted.
#[derive(Clone, Debug)]
pub(crate) struct EpisodeLog {
    pub(crate) id: u64,
    pub(crate) kind: FaultKind,
    /// `None` for all.
    pub(crate) machine: Option<usize>,
    /// Of a thousand requests, how many it struck.
    pub(crate) permille: u64,
    pub(crate) begin: Nanos,
    pub(crate) end: Option<Nanos>,
}

/// The state of affairs when all faults ended.
#[derive(Clone, Debug)]
pub(crate) struct Healed {
    pub(crate) at: Nanos,
    pub(crate) lease: Option<Lease>,
    /// A leader was stopping as planned, and its work may take this long.
    pub(crate) stop_timeout: Duration,
    /// All candidates rest for so long, each after a term that ended for want of health.
    pub(crate) rest: Duration,
}

/// Something that a leader was shown, or sent, by which it leads no more.
#[derive(Clone, Debug)]
pub(crate) struct Sign {
    pub(crate) process: usize,
    pub(crate) at: Nanos,
    pub(crate) kind: SignKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SignKind {
    /// It was shown another holder.
    OtherHolder,
    /// It was shown that there is no Lease.
    NoLease,
    /// It began to give the lease back.
    Releases,
}

/// One process from start to end.
#[derive(Debug)]
pub(crate) struct ProcessLog {
    pub(crate) machine: usize,
    pub(crate) identity: String,
    pub(crate) begin: Nanos,
    pub(crate) end: Option<Nanos>,
    /// While it was stopped, nothing of it ran.
    pub(crate) frozen: Vec<(Nanos, Nanos)>,
    pub(crate) told: Vec<crate::candidate::Told>,
}

impl ProcessLog {
    pub(crate) fn new(begin: Nanos) -> Self {
        Self { machine: 0, identity: String::new(), begin, end: None, frozen: Vec::new(), told: Vec::new() }
    }
}

/// A time in which `is_leader()` of one process would have said yes.
#[derive(Clone, Debug)]
pub(crate) struct TermLog {
    pub(crate) process: usize,
    pub(crate) token: u64,
    pub(crate) begin: Nanos,
    pub(crate) end: Nanos,
}

/// A time in which work of one process existed.
#[derive(Clone, Debug)]
pub(crate) struct WorkLog {
    pub(crate) process: usize,
    pub(crate) begin: Nanos,
    pub(crate) end: Nanos,
}

/// The Lease as stored, as far as rules ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) uid: String,
    pub(crate) version: u64,
    pub(crate) holder: String,
    pub(crate) transitions: Option<i32>,
    pub(crate) acquire_time: Option<String>,
    pub(crate) renew_time: Option<String>,
    pub(crate) seconds: Option<i32>,
    pub(crate) marked: bool,
    pub(crate) strategy: bool,
}

impl Lease {
    pub(crate) fn parse(body: &[u8]) -> Option<Self> {
        let record = leasehold_election::Record::parse(body).ok()?;
        Some(Self {
            uid: record.uid.clone(),
            version: record.resource_version,
            holder: record.holder().unwrap_or("").to_owned(),
            transitions: record.transitions,
            acquire_time: record.acquire_time.clone(),
            renew_time: record.renew_time.clone(),
            seconds: record.lease_duration_seconds,
            marked: record.is_marked(),
            strategy: record.strategy.is_some(),
        })
    }
}

/// A write of a candidate that the store carried out.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) at: Nanos,
    pub(crate) process: usize,
    pub(crate) operation: Operation,
    pub(crate) before: Option<Lease>,
    pub(crate) after: Lease,
}

/// A request, or the opening of a watch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Nanos,
    pub(crate) process: usize,
    pub(crate) operation: Operation,
}

/// One act of work on the fenced register. Each write has a value of its own.
#[derive(Clone, Debug)]
pub(crate) struct RegisterAct {
    pub(crate) process: usize,
    pub(crate) kind: ActKind,
    pub(crate) begin: Nanos,
    /// When the answer was heard, if it was.
    pub(crate) end: Option<Nanos>,
    /// When it was carried out, if it was.
    pub(crate) applied: Option<Nanos>,
    /// Whether the answer said that it was carried out.
    pub(crate) accepted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ActKind {
    Write(u64),
    /// A read at the register itself, through its gate, as a term begins with; the value that it showed.
    Load(u64),
    /// A read of what the leader remembers, after a check that it still leads.
    Recall(u64),
}

/// What the fenced register has seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RegisterCounts {
    pub(crate) tried: u64,
    pub(crate) stale_refused: u64,
    pub(crate) stale_passed: u64,
    pub(crate) good_refused: u64,
}

/// A rule that was broken.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Violation {
    /// Its name in the documentation.
    pub rule: &'static str,
    /// When, in true time since the world began; zero where no instant can be named.
    #[serde(rename = "at_ns")]
    pub at: Nanos,
    /// How, in words that name processes by their numbers.
    pub what: String,
}

impl Violation {
    /// The processes that it speaks of.
    pub(crate) fn processes(&self) -> BTreeSet<usize> {
        let words = self.what.split([' ', ',', ';']);
        words.filter_map(|word| word.strip_prefix('#')?.parse().ok()).collect()
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}: {}", self.rule, self.at, self.what)
    }
}

/// What was under way when a fault struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Window {
    /// Nothing but reads and watches.
    Idle,
    /// An acquisition of a free Lease.
    Acquire,
    /// A renewal.
    Renew,
    /// A release, or a planned stop that leads to one.
    Release,
    /// The wait for a holder that is gone, or the acquisition from it.
    TakeOver,
}

impl Window {
    pub(crate) const ALL: [Self; 5] = [Self::Idle, Self::Acquire, Self::Renew, Self::Release, Self::TakeOver];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::TakeOver => "take_over",
        }
    }
}
