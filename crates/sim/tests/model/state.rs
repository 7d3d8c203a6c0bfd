//! One state of a world, and what an input makes of it.

use std::sync::Arc;

use http::Response;
use leasehold_election::{Change, Delivery, Effect, Input, RequestId, StopReason};

use crate::mutants::Mutant;
use crate::network::{Kind, Letter, Message, Watch};
use crate::process::{LEASE_DURATION, Process, Work};
use crate::rules::{Event, Events, Rule};
use crate::server::{Answer, Server};

/// A world at one point: everything on which what follows depends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// True time, in seconds.
    pub(crate) now: u8,
    /// Deviations from the ordinary course so far.
    pub(crate) deviations: u8,
    /// The candidates whose clocks are fast, where that is settled once for a world.
    pub(crate) fast: u8,
    pub(crate) server: Server,
    pub(crate) candidates: Vec<Candidate>,
    /// Sorted.
    pub(crate) messages: Vec<Message>,
    /// The newest token of any term.
    pub(crate) newest_token: u64,
    /// Nobody has deleted the Lease.
    pub(crate) is_contract_kept: bool,
    pub(crate) just: Events,
    pub(crate) broken: Option<Rule>,
}

/// A machine, and the process on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Candidate {
    /// What its clocks show, in milliseconds.
    pub(crate) clock: u32,
    pub(crate) incarnation: u8,
    /// Nothing comes through from and to it.
    pub(crate) is_cut: bool,
    pub(crate) mood: Mood,
    pub(crate) process: Option<Process>,
    pub(crate) watch: Option<Watch>,
    /// It was gone while it led, and nobody has acquired since.
    pub(crate) crashed_leading: bool,
}

/// What of a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Mood {
    Awake,
    /// Stopped by a signal.
    Frozen,
    /// All but the driver of the election runs.
    Starved,
}

/// What an input is, as far as it tells what has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Answer(Kind),
    Event,
    Other,
}

/// What was so before an input.
struct Before {
    leads: bool,
    has_work: bool,
    valid_until: Option<u32>,
}

impl State {
    pub(crate) fn reaches(&self, who: usize) -> bool {
        let candidate = &self.candidates[who];
        candidate.mood == Mood::Awake && candidate.process.is_some()
    }

    pub(crate) fn leads(&self, who: usize) -> bool {
        let candidate = &self.candidates[who];
        candidate.process.as_ref().is_some_and(|process| process.leads(candidate.clock))
    }

    pub(crate) fn start(&mut self, who: usize, mutant: Option<Mutant>) {
        let candidate = &mut self.candidates[who];
        candidate.incarnation += 1;
        candidate.mood = Mood::Awake;
        candidate.process = Some(Process::new(who, candidate.incarnation, candidate.clock, mutant));
        self.step(who, Input::Start, Cause::Other);
    }

    /// The process is gone; what it has sent may still arrive.
    pub(crate) fn end(&mut self, who: usize) {
        let leads = self.leads(who);
        let candidate = &mut self.candidates[who];
        candidate.crashed_leading = leads;
        (candidate.process, candidate.watch) = (None, None);
        candidate.mood = Mood::Awake;
        self.orphan(who, None);
    }

    /// Lets a process take an input.
    pub(crate) fn step(&mut self, who: usize, input: Input, cause: Cause) {
        let candidate = &self.candidates[who];
        let Some(mut process) = candidate.process.clone() else { return };
        let clock = candidate.clock;
        let before = Before {
            leads: process.leads(clock),
            has_work: process.work.is_active(),
            valid_until: process.valid_until(),
        };
        let foreign = self.note_sight(&mut process, clock, &input, &before);
        let effects = process.handle(who, clock, input);
        let leads = process.leads(clock);
        if foreign && leads {
            self.violate(Rule::S10);
        }
        if process.says_leader() && !leads {
            self.violate(Rule::S11);
        }
        self.note_extension(&process, &before, cause, leads);
        self.candidates[who].process = Some(process);
        for effect in effects.list {
            self.carry_out(who, effect, cause);
        }
        if self.leads(who) && self.candidates[who].process.as_ref().is_some_and(|process| process.over) {
            self.violate(Rule::S9);
        }
    }

    fn note_extension(&mut self, process: &Process, before: &Before, cause: Cause, leads: bool) {
        let later = process.valid_until() > before.valid_until;
        if before.leads && leads && later {
            match cause {
                Cause::Answer(Kind::Read) => self.just.note(Event::RenewalReadBack),
                Cause::Event => self.just.note(Event::RenewalByWatch),
                Cause::Answer(_) | Cause::Other => {}
            }
        }
    }

    fn carry_out(&mut self, who: usize, effect: Effect, cause: Cause) {
        match effect {
            Effect::Send { id, request, .. } => self.send(who, id, request),
            Effect::Abandon(id) => self.orphan(who, Some(id)),
            Effect::OpenWatch(id, request) => self.candidates[who].watch = Some(Watch::new(id, &request)),
            Effect::CloseWatch(id) => {
                let watch = &mut self.candidates[who].watch;
                watch.take_if(|watch| watch.id == id);
            }
            Effect::StartWork { token, .. } => {
                if token.get() <= self.newest_token {
                    self.violate(Rule::S2);
                }
                self.newest_token = token.get();
                self.begin_work(who, cause);
            }
            Effect::StopWork(reason) => self.stop_work(who, &reason),
            Effect::KillWork(_) => {
                if let Some(process) = &mut self.candidates[who].process
                    && process.work.is_active()
                {
                    if process.work == Work::Hung {
                        self.just.note(Event::Killed);
                    }
                    process.work = Work::Over;
                }
            }
            Effect::Tell(Change::NewLeader { holder }) => {
                let former = self.candidates[who].process.as_ref().is_some_and(|process| process.over);
                if former && !holder.is_empty() && *holder != *self.identity(who) {
                    self.just.note(Event::Successor);
                }
            }
            Effect::Tell(_) | Effect::Note(_) => {}
            Effect::Finish(_) => {
                self.just.note(Event::Finished);
                self.end(who);
            }
        }
    }

    fn send(&mut self, who: usize, id: RequestId, request: http::Request<Vec<u8>>) {
        let candidate = &self.candidates[who];
        let Some(process) = &candidate.process else { return };
        let letter = Letter::new(request, Arc::clone(&process.identity), process.transitions());
        if letter.kind == Kind::Create {
            let known_for = process.missing_since.map_or(0, |since| candidate.clock - since);
            if u128::from(known_for) < LEASE_DURATION.as_millis() {
                self.violate(Rule::S7);
            }
        }
        let message = Message {
            from: who,
            incarnation: self.candidates[who].incarnation,
            id,
            letter: Arc::new(letter),
            answer: None,
            held: false,
            orphan: false,
            copy: false,
        };
        self.messages.push(message);
        self.messages.sort_by_key(|message| (message.from, message.incarnation, message.id, message.copy));
    }

    /// Nobody waits any more for the answer of this request, or of any.
    fn orphan(&mut self, who: usize, id: Option<RequestId>) {
        for message in &mut self.messages {
            if message.from == who && id.is_none_or(|id| message.id == id) {
                message.orphan = true;
            }
        }
        self.messages
            .retain(|message| !message.orphan || (message.letter.kind.writes() && message.answer.is_none()));
    }

    fn begin_work(&mut self, who: usize, cause: Cause) {
        let incarnation = self.candidates[who].incarnation;
        let Some(process) = &mut self.candidates[who].process else { return };
        (process.work, process.over) = (Work::Running, false);
        self.just.note(Event::Leads);
        if incarnation > 1 {
            self.just.note(Event::Restarted);
        }
        match cause {
            Cause::Answer(Kind::Read) => self.just.note(Event::AcquisitionReadBack),
            Cause::Answer(Kind::Renew) => self.just.note(Event::Confirmed),
            Cause::Event => self.just.note(Event::AcquisitionByWatch),
            Cause::Answer(_) | Cause::Other => {}
        }
    }

    fn stop_work(&mut self, who: usize, reason: &StopReason) {
        match reason {
            StopReason::Expired => self.just.note(Event::Expired),
            StopReason::LeaseMissing => self.just.note(Event::Vanished),
            _ => {}
        }
        let Some(process) = &mut self.candidates[who].process else { return };
        process.over = true;
        if process.work == Work::Running {
            process.work = Work::Stopping;
        }
    }

    /// Notes since when a process knows that there is no Lease; whether a leader is shown another holder.
    fn note_sight(&mut self, process: &mut Process, clock: u32, input: &Input, before: &Before) -> bool {
        let (missing, revision, holder) = match input {
            Input::WatchLine(_, line) => {
                let text = String::from_utf8_lossy(line);
                (text.starts_with(r#"{"type":"DELETED""#), number(&text), holder(&text))
            }
            Input::Answer(_, Delivery::Response(answer)) => match answer.status().as_u16() {
                404 => (true, None, None),
                200 | 201 => {
                    let text = String::from_utf8_lossy(answer.body());
                    (false, number(&text), holder(&text))
                }
                _ => return false,
            },
            _ => return false,
        };
        let revision = revision.unwrap_or(process.newest_sight);
        if revision < process.newest_sight {
            if before.has_work {
                self.just.note(Event::LateNews);
            }
            return false;
        }
        process.newest_sight = revision;
        process.missing_since = if missing { process.missing_since.or(Some(clock)) } else { None };
        before.leads
            && !missing
            && holder.is_some_and(|holder| !holder.is_empty() && *holder != *process.identity)
    }

    pub(crate) fn identity(&self, who: usize) -> Arc<str> {
        self.candidates[who]
            .process
            .as_ref()
            .map_or_else(|| "".into(), |process| Arc::clone(&process.identity))
    }

    pub(crate) fn violate(&mut self, rule: Rule) {
        if !self.is_contract_kept && rule.needs_contract() {
            return;
        }
        self.broken = self.broken.or(Some(rule));
    }

    /// The rules that can be read off a state.
    pub(crate) fn judge(&mut self) {
        let leaders = (0..self.candidates.len()).filter(|&who| self.leads(who)).count();
        if leaders > 1 {
            self.violate(Rule::S1);
        }
        let Some(holder) = self.server.lease.as_ref().map(|lease| lease.holder.clone()) else { return };
        let works_late = self.candidates.iter().any(|candidate| {
            candidate.mood != Mood::Frozen
                && candidate.process.as_ref().is_some_and(|process| {
                    process.work.is_active() && !holder.is_empty() && *process.identity != *holder
                })
        });
        if works_late {
            self.violate(Rule::S8);
        }
    }

    /// Delivers an answer.
    pub(crate) fn deliver(&mut self, message: &Message, answer: &Answer) {
        let response: Response<Vec<u8>> = answer.response();
        let kind = message.letter.kind;
        let input = Input::Answer(message.id, Delivery::Response(response));
        self.step(message.from, input, Cause::Answer(kind));
        if *answer == Answer::Refused {
            match kind {
                Kind::Renew => self.just.note(Event::RenewalRefused),
                Kind::Acquire if self.just.has(Event::Leads) => self.just.note(Event::Overtaken),
                Kind::Acquire => self.just.note(Event::RaceLost),
                Kind::Read | Kind::Create | Kind::Release => {}
            }
        }
    }
}

fn number(text: &str) -> Option<u64> {
    member(text, r#""resourceVersion":""#)?.parse().ok()
}

fn holder(text: &str) -> Option<String> {
    member(text, r#""holderIdentity":""#).map(str::to_owned)
}

/// The text of a member, which nothing here escapes.
fn member<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(key)?;
    rest.split_once('"').map(|(value, _)| value)
}
