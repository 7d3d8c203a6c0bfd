//! A process: the shipped elector, the limits that it has published, and its work.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use leasehold_election::{
    Config, Effects, Elector, Identity, Input, LeaseName, Limits, Reading, Secret, State as Said,
    TimingSettings,
};

use crate::mutants::{Memory, Mutant};

/// The shipped elector, or a mutant of it, with the digest by which it is known.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    elector: Elector,
    mutant: Option<Mutant>,
    memory: Memory,
    digest: u64,
}

/// One process, from start to end.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub(crate) actor: Arc<Actor>,
    pub(crate) identity: Arc<str>,
    /// When the limits were published. All times here are of the process's own clock, in milliseconds.
    pub(crate) from: u32,
    pub(crate) limits: Limits,
    pub(crate) wake_at: Option<u32>,
    pub(crate) work: Work,
    /// Whether the present term, if any, was found over.
    pub(crate) over: bool,
    /// Since when it knows that there is no Lease.
    pub(crate) missing_since: Option<u32>,
    /// The newest version of the Lease, or of its deletion, that it was shown.
    pub(crate) newest_sight: u64,
}

/// All of a process that what follows can depend on: of the limits, when they end.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    actor: u64,
    ends: [Option<Duration>; 3],
    wake_at: Option<u32>,
    work: Work,
    over: bool,
    missing_since: Option<u32>,
    newest_sight: u64,
}

/// The work of the present term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Work {
    None,
    Running,
    /// Asked to stop, and about to.
    Stopping,
    /// Asked to stop, and will not.
    Hung,
    /// Ended or killed; the elector is not told yet.
    Over,
}

impl Process {
    pub(crate) fn new(who: usize, incarnation: u8, now: u32, mutant: Option<Mutant>) -> Self {
        let config = config(who, incarnation, mutant);
        let identity = config.identity.as_str().into();
        let elector = Elector::new(config, reading(who, now));
        Self {
            actor: Arc::new(Actor { elector, mutant, memory: Memory::default(), digest: 0 }),
            identity,
            from: now,
            limits: Limits::default(),
            wake_at: None,
            work: Work::None,
            over: false,
            missing_since: None,
            newest_sight: 0,
        }
    }

    /// Lets the elector take an input, publishes its limits and sets the timer.
    pub(crate) fn handle(&mut self, who: usize, now: u32, input: Input) -> Effects {
        let mut actor = Actor::clone(&self.actor);
        let effects = match actor.mutant {
            None => actor.elector.handle(reading(who, now), 0, input),
            Some(mutant) => mutant.handle(&mut actor.memory, &mut actor.elector, reading(who, now), input),
        };
        actor.digest = actor.digest();
        self.actor = Arc::new(actor);
        (self.from, self.limits) = (now, effects.limits);
        self.wake_at = effects.wake_after.map(|after| now + milliseconds(after).max(1));
        effects
    }

    /// What `is_leader()` says, by the clock.
    pub(crate) fn leads(&self, now: u32) -> bool {
        self.limits.lead_for.is_some_and(|lead_for| self.passed(now) < lead_for)
    }

    /// When the work has to be over, on the process's own clock.
    pub(crate) fn valid_until(&self) -> Option<u32> {
        self.limits.valid_for.map(|valid_for| self.from + milliseconds(valid_for))
    }

    /// What the watchdog does when it looks.
    pub(crate) fn kill_if_due(&mut self, now: u32) -> bool {
        let due =
            self.work.is_active() && self.limits.kill_in.is_some_and(|kill_in| self.passed(now) >= kill_in);
        if due {
            self.work = Work::Over;
        }
        due
    }

    pub(crate) fn says_leader(&self) -> bool {
        self.actor.elector.state() == Said::Leader
    }

    /// Transitions as last read.
    pub(crate) fn transitions(&self) -> Option<i64> {
        self.actor.elector.transitions().map(i64::from)
    }

    fn passed(&self, now: u32) -> Duration {
        Duration::from_millis(u64::from(now - self.from))
    }
}

impl Process {
    fn key(&self) -> Key {
        let Limits { lead_for, valid_for, kill_in } = self.limits;
        let from = Duration::from_millis(u64::from(self.from));
        Key {
            actor: self.actor.digest,
            ends: [lead_for, valid_for, kill_in].map(|left| left.map(|left| from + left)),
            wake_at: self.wake_at,
            work: self.work,
            over: self.over,
            missing_since: self.missing_since,
            newest_sight: self.newest_sight,
        }
    }
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Process {}

impl Hash for Process {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Actor {
    /// All that the elector knows, by what it prints of itself, but for two things. The numbers of its requests: they are only
    /// ever compared with that of the request under way. And when it looked at its clocks last: the clocks
    /// of this model are never stepped, so that it does not matter in how many steps their time went by.
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let text = format!("{:?}", self.elector);
        let (before, rest) = text.split_once(", clocks: Clocks {").expect("an elector has clocks");
        let (_, rest) = rest.split_once(", chance: ").expect("an elector has a random number");
        let (middle, rest) = rest.split_once(", next_request: ").expect("an elector numbers its requests");
        let (middle, flight) = middle.split_once("Flight { id: RequestId(").unwrap_or((middle, ""));
        (before, middle, without_number(flight), without_number(rest)).hash(&mut hasher);
        if self.mutant.is_some() {
            format!("{:?}", self.memory).hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl PartialEq for Actor {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Actor {}

impl Work {
    pub(crate) fn is_active(self) -> bool {
        matches!(self, Self::Running | Self::Stopping | Self::Hung)
    }
}

fn without_number(text: &str) -> &str {
    text.trim_start_matches(|letter: char| letter.is_ascii_digit())
}

/// Both clocks of a machine show the same; the wall clocks of two machines are an hour apart.
fn reading(who: usize, now: u32) -> Reading {
    let local = Duration::from_millis(u64::from(now));
    let hours = Duration::from_secs(3_600) * u32::try_from(who).expect("few candidates");
    Reading { raw: local, boottime: local, realtime: EPOCH + local + hours }
}

fn config(who: usize, incarnation: u8, mutant: Option<Mutant>) -> Config {
    let lease = LeaseName::new("prod", "db").expect("a valid name");
    let number = u8::try_from(who).expect("few candidates");
    let secret = Secret::from_random([16 * number + incarnation; 16]);
    let identity = Identity::of_process(&name(who, incarnation), None, &secret);
    let timing = mutant.and_then(Mutant::timing);
    let timing = timing.unwrap_or_else(|| settings().build().expect("these timings hold"));
    // Nothing here is a Pod.
    Config { stop_timeout: Duration::from_secs(2), evidence: false, ..Config::new(lease, identity, timing) }
}

/// As stories call it: `a`, and `a'` once it was started again.
pub(crate) fn name(who: usize, incarnation: u8) -> String {
    let letter = char::from(b'a' + u8::try_from(who).expect("few candidates"));
    format!("{letter}{incarnation}")
}

/// Chosen so that what is tight falls on whole seconds of true time: with clocks that err by a tenth, a lease of 11 s is
/// worth 9 s to its holder, and the 9 s of a slow clock and the 11 s of a fast one both last 10 s.
pub(crate) fn settings() -> TimingSettings {
    TimingSettings {
        lease_duration: LEASE_DURATION,
        renew_deadline: Duration::from_secs(8),
        retry_period: Duration::from_secs(1),
        lost_stop_timeout: Some(Duration::from_millis(500)),
        clock_rate_error_ppm: 100_000,
    }
}

fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX / 2)
}

pub(crate) const LEASE_DURATION: Duration = Duration::from_secs(11);
const EPOCH: Timestamp = Timestamp::constant(1_700_000_000, 0);
