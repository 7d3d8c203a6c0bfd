//! What can happen next in a world.
//!
//! The ordinary course: what is sent arrives, what is due is done, then a second passes. Everything else is a
//! *deviation*, of which a world has so many at most. Deviations begin at any time, and what they have begun ends at any
//! time or never: so a request that is held is one that is late, and one that is lost.

use leasehold_election::Input;
use stateright::{Model, Property};

use crate::mutants::Mutant;
use crate::possible::{push_deviations, push_ends, push_late, push_urgent};
use crate::process::Work;
use crate::rules::{Event, Events, Rule};
use crate::server::Server;
use crate::state::{Candidate, Cause, Mood, State};

/// All worlds within a bound.
#[derive(Clone, Debug)]
pub(crate) struct Worlds {
    pub(crate) bound: Bound,
    pub(crate) mutant: Option<Mutant>,
}

/// How far worlds are followed.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) candidates: usize,
    pub(crate) seconds: u8,
    pub(crate) deviations: u8,
    /// The kinds of deviations.
    pub(crate) kinds: &'static [Deviation],
    pub(crate) rates: Rates,
    pub(crate) start: Start,
    /// Whether watches are answered.
    pub(crate) watches: bool,
    /// Requests on their way, for each candidate, for whose answer nobody waits.
    pub(crate) orphans: usize,
}

/// How a world begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// All processes have just started, and the Lease is free.
    Free,
    /// All processes have just started, and there is no Lease.
    Missing,
    /// The first candidate leads; the others watch it.
    Led,
}

/// How fast clocks run, until a deviation changes it. Each is slow or fast by the tenth that the timings allow for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rates {
    /// All sets of candidates with fast clocks, but for those that differ by names only.
    All,
    /// Those of the first candidate are slow, all others fast.
    Worst,
}

/// A kind of deviation from the ordinary course.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Deviation {
    /// A message is held: it comes at any later time, or never.
    Hold,
    /// A write is delivered a second time, at any later time or never.
    Copy,
    /// Nothing comes through from and to one candidate.
    Cut,
    /// A process is stopped by a signal.
    Freeze,
    /// The driver of a process does not run; its work, clocks and watchdog do.
    Starve,
    /// A process is killed, and may be started again as a new candidate.
    Crash,
    /// A leader is asked to step down.
    StepDown,
    /// A process is asked to stop, and may be started again.
    Stop,
    /// The events of a watch come at any later time, or never.
    Lag,
    /// Work that was asked to stop does not.
    Hang,
    /// The clocks of a candidate go over to the other rate.
    Drift,
    /// Somebody deletes the Lease, which the contract forbids.
    Delete,
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A second passes.
    Tick,
    /// The timer of a process is due.
    Wake(usize),
    /// The work of a process has ended, and its driver hears of it.
    WorkEnds(usize),
    /// A message arrives, at the server or with its answer at the process.
    Arrive(usize),
    WatchOpens(usize),
    Event(usize),
    Resume(usize),
    Heal(usize),
    Restart(usize),
    /// A deviation, of a candidate or of a message.
    Deviate(Deviation, usize),
}

impl Model for Worlds {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sets: Vec<u8> = match self.bound.rates {
            Rates::All => self.bound.sets(),
            Rates::Worst => vec![set_of(self.bound.candidates) - 1],
        };
        sets.into_iter().map(|fast| self.begin(fast)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_some() {
            return;
        }
        push_urgent(&self.bound, state, actions);
        let quiet = actions.is_empty();
        push_late(state, actions);
        if quiet {
            push_ends(state, actions);
            if state.now < self.bound.seconds {
                actions.push(Action::Tick);
            }
        }
        if state.deviations < self.bound.deviations {
            push_deviations(&self.bound, state, actions);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = State { just: Events::default(), ..last.clone() };
        match action {
            Action::Tick => state.tick(),
            Action::Wake(who) => state.step(who, Input::Wake, Cause::Other),
            Action::WorkEnds(who) => {
                if let Some(process) = &mut state.candidates[who].process {
                    process.work = Work::None;
                }
                state.step(who, Input::WorkEnded, Cause::Other);
            }
            Action::Arrive(message) => state.arrive(message),
            Action::WatchOpens(who) => state.open_watch(who),
            Action::Event(who) => state.deliver_event(who),
            Action::Resume(who) => state.resume(who),
            Action::Heal(who) => state.candidates[who].is_cut = false,
            Action::Restart(who) => state.start(who, self.mutant),
            Action::Deviate(kind, what) => {
                state.deviations += 1;
                state.deviate(kind, what);
            }
        }
        state.forget_the_dead(&self.bound);
        state.judge();
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        Rule::properties().into_iter().chain(Event::properties()).collect()
    }
}

impl Worlds {
    fn begin(&self, fast: u8) -> State {
        let mut state = self.started(fast);
        // The ordinary course, the first candidate first, until all has happened that happens at once.
        let urgent = |state: &State| {
            let mut actions = Vec::new();
            push_urgent(&self.bound, state, &mut actions);
            actions.first().copied().filter(|_| self.bound.start == Start::Led)
        };
        while let Some(action) = urgent(&state) {
            state = self.next_state(&state, action).expect("an action that is possible");
        }
        state.just = Events::default();
        state
    }

    fn started(&self, fast: u8) -> State {
        let candidate = Candidate {
            clock: 0,
            incarnation: 0,
            is_cut: false,
            mood: Mood::Awake,
            process: None,
            watch: None,
            crashed_leading: false,
        };
        let mut state = State {
            now: 0,
            deviations: 0,
            fast,
            server: Server::new(self.bound.start != Start::Missing),
            candidates: vec![candidate; self.bound.candidates],
            messages: Vec::new(),
            newest_token: 0,
            is_contract_kept: true,
            just: Events::default(),
            broken: None,
        };
        for who in 0..self.bound.candidates {
            state.start(who, self.mutant);
        }
        state
    }
}

impl Bound {
    /// The sets of candidates with fast clocks. Without a leader candidates differ by their names only.
    fn sets(&self) -> Vec<u8> {
        match self.start {
            Start::Free | Start::Missing => (0..=self.candidates).map(set_of).collect(),
            Start::Led => (0..=set_of(self.candidates)).collect(),
        }
    }
}

/// The first so many candidates.
fn set_of(count: usize) -> u8 {
    (1 << count) - 1
}
