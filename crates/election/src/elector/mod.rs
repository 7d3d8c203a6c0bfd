//! The election of one candidate as a state machine without IO.
//!
//! [`Elector::handle`] takes a reading of the clocks, a random number and an [`Input`], and returns
//! [`Effects`]. Time is looked at first: an answer that comes after the end of a term finds it ended.
//! Every change of phase goes through one `become_*` function.

mod acquire;
mod campaign;
mod evidence;
mod health;
mod lead;
mod requests;
mod stop;
mod term;
mod watching;

use std::time::Duration;

use crate::clocks::{Clocks, Moment, Reading};
use crate::config::Config;
use crate::effect::{Change, Effect, Effects, Input, Limits, Note, State, StopReason, WatchId};
use crate::fencing::FencingToken;
use crate::request::Requests;
use crate::timing::KILL_MARGIN;
use crate::view::{Lease, View};
use campaign::Campaign;
use evidence::Evidence;
use health::Vitals;
use requests::Flight;
use stop::Release;
use term::Term;
use watching::Watch;

/// A candidate for one Lease.
///
/// The methods come in three kinds: [`Elector::handle`] takes input and gives effects, and all others read.
#[derive(Clone, Debug)]
pub struct Elector {
    config: Config,
    requests: Requests,
    clocks: Clocks,
    now: Moment,
    chance: u64,
    view: View,
    phase: Phase,
    campaign: Campaign,
    vitals: Vitals,
    watch: Watch,
    evidence: Evidence,
    next_watch: u64,
    flight: Option<Flight>,
    next_request: u64,
    /// Whether the next request must not use an idle connection.
    fresh: bool,
    /// Whether `Input::Stop` came: finish instead of campaigning again.
    finishing: bool,
    /// When the API server last said something about the Lease, on the kill clock.
    heard: Option<Duration>,
    /// Whether the API server has ever answered.
    answered: bool,
    told_holder: Option<String>,
    effects: Vec<Effect>,
}

/// Where the candidate is between starting and finishing.
#[derive(Clone, Debug)]
enum Phase {
    /// `Input::Start` has not come.
    Idle,
    /// Standby.
    Campaigning,
    /// Holds the lease by an acquisition that was confirmed too late to lead from; a renewal starts the term.
    Confirming(Term),
    /// Leads.
    Leading(Term),
    /// Planned stop: does not lead, renews until the work has ended.
    Stopping(Term),
    /// Lost the lease, or may have: does not lead, does not renew; the work is ending.
    Lost(Term),
    /// The work has ended; the lease is being given back.
    Releasing(Release),
    /// Nothing follows.
    Finished,
}

impl Elector {
    /// A candidate that has not started.
    pub fn new(config: Config, reading: Reading) -> Self {
        let mut clocks = Clocks::new(reading);
        let now = clocks.fold(reading);
        Self {
            requests: Requests::new(config.lease.clone()),
            config,
            clocks,
            now,
            chance: 0,
            view: View::new(),
            phase: Phase::Idle,
            campaign: Campaign::default(),
            vitals: Vitals::default(),
            watch: Watch::default(),
            evidence: Evidence::default(),
            next_watch: 0,
            flight: None,
            next_request: 0,
            fresh: false,
            finishing: false,
            heard: None,
            answered: false,
            told_holder: None,
            effects: Vec::new(),
        }
    }

    /// Takes what happened, `reading` being taken after it, and says what to do. `chance` is a fresh random
    /// number: it spreads candidates, and nothing about safety hangs on it.
    pub fn handle(&mut self, reading: Reading, chance: u64, input: Input) -> Effects {
        self.now = self.clocks.fold(reading);
        self.chance = chance;
        self.handle_time();
        match input {
            Input::Start => self.handle_start(),
            Input::Wake => {}
            Input::Answer(id, delivery) => self.handle_answer(id, delivery),
            Input::WatchOpened(id) if self.is_pod_watch(id) => self.handle_pod_watch_opened(id),
            Input::WatchLine(id, line) if self.is_pod_watch(id) => self.handle_pod_line(id, &line),
            Input::WatchEnded(id, delivery) if self.is_pod_watch(id) => {
                self.handle_pod_watch_ended(id, delivery.as_ref());
            }
            Input::WatchOpened(id) => self.handle_watch_opened(id),
            Input::WatchLine(id, line) => self.handle_watch_line(id, &line),
            Input::WatchEnded(id, delivery) => self.handle_watch_ended(id, delivery.as_ref()),
            Input::WorkEnded => self.handle_work_ended(),
            Input::Health(health) => self.handle_health(health),
            Input::Heartbeat(at) => self.handle_heartbeat(at),
            Input::StepDown => self.handle_stop(StopReason::StepDown),
            Input::Stop => {
                self.finishing = true;
                self.handle_stop(StopReason::Requested);
            }
        }
        self.judge_heartbeat();
        self.act();
        Effects {
            list: std::mem::take(&mut self.effects),
            wake_after: self.next_wake(),
            limits: self.limits(),
        }
    }

    /// What this candidate was told.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The state as of the last input.
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Leading(_) => State::Leader,
            Phase::Stopping(_) | Phase::Lost(_) | Phase::Releasing(_) => State::Stopping,
            Phase::Idle | Phase::Finished => State::Unknown,
            Phase::Campaigning | Phase::Confirming(_) => {
                if self.holder().is_some() {
                    State::Standby
                } else {
                    State::Unknown
                }
            }
        }
    }

    /// The holder as last read: `""` for nobody, `None` if it cannot be known, because nothing was read yet or the
    /// record has expired since the API server was last heard.
    pub fn holder(&self) -> Option<&str> {
        let heard = self.heard?;
        let trusted = self.now.kill.saturating_sub(heard) <= self.config.timing.lease_duration();
        match self.view.lease() {
            Lease::Present(record) if trusted => Some(record.holder().unwrap_or("")),
            Lease::Missing if trusted => Some(""),
            Lease::Present(_) | Lease::Missing | Lease::Unknown => None,
        }
    }

    /// Transitions of the Lease as last read.
    pub fn transitions(&self) -> Option<i32> {
        self.view.record().and_then(|record| record.transitions)
    }

    /// The uid of the Lease as last read.
    pub fn lease_uid(&self) -> Option<&str> {
        self.view.record().map(|record| record.uid.as_str())
    }

    /// The fencing token of the present term, until its work has ended.
    pub fn token(&self) -> Option<FencingToken> {
        self.term().and_then(Term::token)
    }

    /// Whether the API server has answered at least once, be it with a refusal.
    pub fn is_ready(&self) -> bool {
        self.answered
    }

    fn term(&self) -> Option<&Term> {
        match &self.phase {
            Phase::Confirming(term) | Phase::Leading(term) | Phase::Stopping(term) | Phase::Lost(term) => {
                Some(term)
            }
            Phase::Idle | Phase::Campaigning | Phase::Releasing(_) | Phase::Finished => None,
        }
    }

    fn limits(&self) -> Limits {
        match &self.phase {
            Phase::Leading(term) => Limits {
                lead_for: Some(term.lead_until().saturating_sub(self.now.lead)),
                ..self.work_limits(term)
            },
            Phase::Stopping(term) | Phase::Lost(term) => self.work_limits(term),
            Phase::Idle
            | Phase::Campaigning
            | Phase::Confirming(_)
            | Phase::Releasing(_)
            | Phase::Finished => Limits::default(),
        }
    }

    fn work_limits(&self, term: &Term) -> Limits {
        Limits {
            lead_for: None,
            valid_for: Some(term.valid_until().saturating_sub(self.now.kill)),
            kill_in: Some(term.kill_at().saturating_sub(self.now.kill)),
        }
    }

    fn handle_start(&mut self) {
        if matches!(self.phase, Phase::Idle) {
            self.become_campaigning();
        }
    }

    /// Ends what its time has ended, before anything else is looked at.
    fn handle_time(&mut self) {
        self.handle_request_timeout();
        self.handle_watch_timeout();
        self.handle_pod_watch_timeout();
        match &self.phase {
            Phase::Leading(term) if self.now.lead >= term.lead_until() => {
                self.become_lost(StopReason::Expired)
            }
            Phase::Stopping(term) if self.now.kill + KILL_MARGIN >= term.valid_until() => {
                self.become_lost(StopReason::Expired);
            }
            _ => {}
        }
        if let Phase::Stopping(term) | Phase::Lost(term) = &mut self.phase
            && let Some(reason) = term.kill_if_due(self.now)
        {
            self.effects.push(Effect::KillWork(reason));
        }
    }

    /// Does what there is to do now.
    fn act(&mut self) {
        self.tell_holder();
        match &self.phase {
            Phase::Idle | Phase::Finished => return,
            Phase::Campaigning => self.act_campaigning(),
            Phase::Confirming(_) | Phase::Leading(_) | Phase::Stopping(_) => self.act_renewing(),
            Phase::Lost(_) => self.act_lost(),
            Phase::Releasing(_) => self.act_releasing(),
        }
        self.act_watching();
        self.act_evidence();
    }

    fn next_wake(&self) -> Option<Duration> {
        let phase = match &self.phase {
            Phase::Idle | Phase::Finished => return None,
            Phase::Campaigning => self.campaign_wake(),
            Phase::Confirming(term) | Phase::Leading(term) | Phase::Stopping(term) | Phase::Lost(term) => {
                self.term_wake(term)
            }
            Phase::Releasing(release) => self.release_wake(release),
        };
        let wakes = [self.request_wake(), self.watch_wake(), self.evidence_wake(), self.heartbeat_wake()];
        wakes.into_iter().chain([phase]).flatten().min()
    }

    fn tell_holder(&mut self) {
        let holder = match self.view.lease() {
            Lease::Unknown => return,
            Lease::Missing => "",
            Lease::Present(record) => record.holder().unwrap_or(""),
        };
        if self.told_holder.as_deref() == Some(holder) || matches!(self.phase, Phase::Idle | Phase::Finished)
        {
            return;
        }
        let holder = holder.to_owned();
        self.told_holder = Some(holder.clone());
        self.effects.push(Effect::Tell(Change::NewLeader { holder }));
    }

    fn next_watch(&mut self) -> WatchId {
        let id = WatchId(self.next_watch);
        self.next_watch += 1;
        id
    }

    fn trouble(&mut self, refusal: crate::answer::Refusal) {
        self.effects.push(Effect::Note(Note::Trouble(refusal)));
    }

    /// A share of `duration` by chance.
    fn share(&self, duration: Duration) -> Duration {
        let thousandths = u32::try_from(self.chance % 1_000).expect("below 1000");
        duration * thousandths / 1_000
    }

    /// The retry period with client-go's jitter of up to a fifth.
    fn jittered(&self, duration: Duration) -> Duration {
        duration + self.share(duration / 5)
    }
}
