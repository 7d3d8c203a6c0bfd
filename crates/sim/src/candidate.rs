//! A candidate as a process runs it: the shipped elector, a broken variant of it, or somebody else's election.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Request;
use leasehold_election::{
    Change, Config, Delivery, Effect, Effects, Elector, Health, Input, Limits, Note, Operation, Reading,
    RequestId, Secret, State, StopReason, WatchId,
};
use serde::Serialize;

use crate::clocks::ClockSight;
use crate::controls::ControlKind;
use crate::mutants::{Mutant, MutantKind};

/// Something that happened to a candidate. Requests and watches are numbered by the candidate.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Start,
    Wake,
    Answer(u64, Delivery),
    WatchOpened(u64),
    WatchLine(u64, Vec<u8>),
    WatchEnded(u64, Option<Delivery>),
    WorkEnded,
    /// What a check of the health found.
    Health(Health),
    /// When the work last gave a sign of life.
    Heartbeat(Reading),
    StepDown,
    Stop,
}

/// Something a candidate does.
#[derive(Debug)]
pub(crate) enum Act {
    Send {
        id: u64,
        request: Request<Vec<u8>>,
        fresh: bool,
        operation: Operation,
    },
    Abandon(u64),
    OpenWatch(u64, Request<Vec<u8>>),
    CloseWatch(u64),
    StartWork {
        token: u64,
    },
    StopWork {
        planned: bool,
        duplicate: bool,
        /// For want of health, of the candidate or of its work.
        fails: bool,
    },
    KillWork,
    /// The term that begins was acquired before the lease had expired.
    TakeOverByEvidence,
    /// It begins to give the lease back, be it by a read.
    Release,
    Told(Told),
    Finish,
}

/// What the user is told, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Started,
    Stopping,
    Stopped,
}

/// What a candidate does about one thing that happened.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) acts: Vec<Act>,
    pub(crate) wake_after: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) says_leader: bool,
}

/// A candidate.
pub(crate) trait Candidate: std::fmt::Debug {
    fn handle(&mut self, reading: Reading, chance: u64, happening: Happening) -> Turn;

    /// Hears a secret that only its process should know.
    fn learn(&mut self, _secret: &Secret) {}

    /// Which clocks the process reads; the shipped library reads all.
    fn sight(&self) -> ClockSight {
        ClockSight::All
    }

    /// Whether a term that was seen as over stays over; the shipped library never revives one.
    fn end_is_final(&self) -> bool {
        true
    }
}

/// What all candidates of a world are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The shipped elector.
    Shipped,
    /// The shipped elector with a rule removed.
    Mutant(MutantKind),
    /// Another design.
    Control(ControlKind),
}

impl Variant {
    pub(crate) fn make(self, config: Config, reading: Reading) -> Box<dyn Candidate> {
        match self {
            Self::Shipped => Box::new(Ours::new(config, reading, None)),
            Self::Mutant(kind) => Box::new(Ours::new(config, reading, Some(kind.make()))),
            Self::Control(kind) => kind.make(config, reading),
        }
    }

    /// The rules that it is known to break, in one line; for the shipped elector any.
    pub(crate) fn rules(self) -> &'static str {
        match self {
            Self::Shipped => "",
            Self::Mutant(kind) => kind.rules(),
            Self::Control(_) => "S1",
        }
    }

    pub(crate) fn sight(self) -> ClockSight {
        match self {
            Self::Shipped => ClockSight::All,
            Self::Mutant(kind) => kind.make().sight(),
            Self::Control(kind) => kind.sight(),
        }
    }
}

/// The shipped elector, or a variant with a rule removed.
#[derive(Debug)]
pub(crate) struct Ours {
    elector: Elector,
    mutant: Option<Box<dyn Mutant>>,
    sight: ClockSight,
    requests: BTreeMap<RequestId, u64>,
    ids: BTreeMap<u64, RequestId>,
    watches: BTreeMap<u64, WatchId>,
    next: u64,
}

impl Ours {
    pub(crate) fn new(config: Config, reading: Reading, mutant: Option<Box<dyn Mutant>>) -> Self {
        let config = mutant.as_ref().map_or(config.clone(), |mutant| mutant.config(config));
        Self {
            elector: Elector::new(config, reading),
            mutant,
            sight: ClockSight::All,
            requests: BTreeMap::new(),
            ids: BTreeMap::new(),
            watches: BTreeMap::new(),
            next: 0,
        }
    }

    pub(crate) fn of_wall_clock(config: Config, reading: Reading) -> Self {
        Self { sight: ClockSight::WallOnly, ..Self::new(config, reading, None) }
    }

    fn input(&self, happening: Happening) -> Option<Input> {
        Some(match happening {
            Happening::Start => Input::Start,
            Happening::Wake => Input::Wake,
            Happening::Answer(id, delivery) => Input::Answer(*self.ids.get(&id)?, delivery),
            Happening::WatchOpened(id) => Input::WatchOpened(*self.watches.get(&id)?),
            Happening::WatchLine(id, line) => Input::WatchLine(*self.watches.get(&id)?, line),
            Happening::WatchEnded(id, delivery) => Input::WatchEnded(*self.watches.get(&id)?, delivery),
            Happening::WorkEnded => Input::WorkEnded,
            Happening::Health(health) => Input::Health(health),
            Happening::Heartbeat(at) => Input::Heartbeat(at),
            Happening::StepDown => Input::StepDown,
            Happening::Stop => Input::Stop,
        })
    }

    fn act(&mut self, effect: Effect) -> Option<Act> {
        Some(match effect {
            Effect::Send { id, request, fresh } => {
                let number = self.next;
                self.next += 1;
                self.requests.insert(id, number);
                self.ids.insert(number, id);
                let operation = operation(&request);
                Act::Send { id: number, request, fresh, operation }
            }
            Effect::Abandon(id) => Act::Abandon(*self.requests.get(&id)?),
            Effect::OpenWatch(id, request) => {
                let number = self.next;
                self.next += 1;
                self.watches.insert(number, id);
                Act::OpenWatch(number, request)
            }
            Effect::CloseWatch(id) => {
                let (&number, _) = self.watches.iter().find(|(_, open)| **open == id)?;
                self.watches.remove(&number);
                Act::CloseWatch(number)
            }
            Effect::StartWork { token, .. } => Act::StartWork { token: token.get() },
            Effect::StopWork(reason) => Act::StopWork {
                planned: reason.is_planned(),
                duplicate: reason == StopReason::Duplicate,
                fails: matches!(reason, StopReason::Unhealthy { .. } | StopReason::NoHeartbeat { .. }),
            },
            Effect::KillWork(_) => Act::KillWork,
            Effect::Tell(Change::Started { .. }) => Act::Told(Told::Started),
            Effect::Tell(Change::Stopping { .. }) => Act::Told(Told::Stopping),
            Effect::Tell(Change::Stopped { .. }) => Act::Told(Told::Stopped),
            Effect::Note(Note::TakenOverByEvidence { .. }) => Act::TakeOverByEvidence,
            Effect::Tell(_) | Effect::Note(_) => return None,
            Effect::Finish(_) => Act::Finish,
        })
    }
}

impl Candidate for Ours {
    fn handle(&mut self, reading: Reading, chance: u64, happening: Happening) -> Turn {
        let answered = match &happening {
            Happening::Answer(id, _) => Some(*id),
            _ => None,
        };
        let input = self.input(happening).unwrap_or(Input::Wake);
        let effects = match &mut self.mutant {
            Some(mutant) => mutant.handle(&mut self.elector, reading, chance, input),
            None => self.elector.handle(reading, chance, input),
        };
        let Effects { list, wake_after, limits } = effects;
        let acts = list.into_iter().filter_map(|effect| self.act(effect)).collect();
        if let Some(id) = answered.and_then(|number| self.ids.remove(&number)) {
            self.requests.remove(&id);
        }
        Turn { acts, wake_after, limits, says_leader: self.elector.state() == State::Leader }
    }

    fn learn(&mut self, secret: &Secret) {
        if let Some(mutant) = &mut self.mutant {
            mutant.learn(secret);
        }
    }

    fn sight(&self) -> ClockSight {
        self.mutant.as_ref().map_or(self.sight, |mutant| mutant.sight())
    }

    fn end_is_final(&self) -> bool {
        self.mutant.as_ref().is_none_or(|mutant| mutant.end_is_final())
    }
}

/// What a request of ours is for; it says so by what it writes.
fn operation(request: &Request<Vec<u8>>) -> Operation {
    let writes = |text: &[u8]| request.body().windows(text.len()).any(|window| window == text);
    match request.method().as_str() {
        "GET" => Operation::Read,
        "PUT" => Operation::Acquire,
        _ if writes(br#""/spec/acquireTime""#) => Operation::Acquire,
        _ if writes(br#""add","path":"/spec/holderIdentity""#) => Operation::Release,
        _ => Operation::Renew,
    }
}
