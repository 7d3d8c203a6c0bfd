//! What becomes of a world when something happens.

use std::sync::Arc;

use leasehold_election::{Delivery, Input};

use crate::model::{Bound, Deviation};
use crate::network::{Kind, Message};
use crate::process::Work;
use crate::rules::{Event, Rule};
use crate::server::{Answer, gone};
use crate::state::{Cause, Mood, State};

impl State {
    /// A second passes.
    pub(crate) fn tick(&mut self) {
        let fast = self.fast;
        self.now += 1;
        for (who, candidate) in self.candidates.iter_mut().enumerate() {
            let was = candidate.clock;
            candidate.clock += if fast >> who & 1 == 1 { FAST } else { SLOW };
            let now = candidate.clock;
            let Some(process) = &mut candidate.process else { continue };
            if process.leads(was) && !process.leads(now) {
                process.over = true;
                self.just.note(Event::LedOut);
            }
            if candidate.mood != Mood::Frozen && process.kill_if_due(now) {
                self.just.note(Event::Killed);
            }
        }
    }

    /// A process that was frozen runs again; its watchdog is the first to look.
    pub(crate) fn resume(&mut self, who: usize) {
        let candidate = &mut self.candidates[who];
        let clock = candidate.clock;
        candidate.mood = Mood::Awake;
        if let Some(process) = &mut candidate.process {
            process.kill_if_due(clock);
        }
    }

    pub(crate) fn open_watch(&mut self, who: usize) {
        let Some(watch) = &mut self.candidates[who].watch else { return };
        let id = watch.id;
        let is_gone = watch.since.is_some_and(|since| since < self.server.revision);
        if is_gone {
            self.candidates[who].watch = None;
            let input = Input::WatchEnded(id, Some(Delivery::Response(gone())));
            return self.step(who, input, Cause::Other);
        }
        watch.open = true;
        if watch.since.is_none() {
            watch.lines.extend(self.server.lease.as_ref().map(|lease| lease.line()));
        }
        self.step(who, Input::WatchOpened(id), Cause::Other);
    }

    pub(crate) fn deliver_event(&mut self, who: usize) {
        let Some(watch) = &mut self.candidates[who].watch else { return };
        let line = watch.lines.remove(0);
        let input = Input::WatchLine(watch.id, line.as_bytes().to_vec());
        self.step(who, input, Cause::Event);
    }

    /// Lets something go wrong.
    pub(crate) fn deviate(&mut self, kind: Deviation, what: usize) {
        match kind {
            Deviation::Hold => self.messages[what].held = true,
            Deviation::Copy => {
                let copy = Message { orphan: true, copy: true, ..self.messages[what].clone() };
                self.messages.insert(what + 1, copy);
            }
            Deviation::Cut => self.candidates[what].is_cut = true,
            Deviation::Freeze => self.candidates[what].mood = Mood::Frozen,
            Deviation::Starve => self.candidates[what].mood = Mood::Starved,
            Deviation::Crash => self.end(what),
            Deviation::StepDown => self.step(what, Input::StepDown, Cause::Other),
            Deviation::Stop => self.step(what, Input::Stop, Cause::Other),
            Deviation::Lag => {
                if let Some(watch) = &mut self.candidates[what].watch {
                    watch.lags = true;
                }
            }
            Deviation::Hang => {
                if let Some(process) = &mut self.candidates[what].process {
                    process.work = Work::Hung;
                }
            }
            Deviation::Drift => self.fast ^= 1 << what,
            Deviation::Delete => {
                self.is_contract_kept = false;
                if let Some(line) = self.server.delete() {
                    self.tell_watches(&line);
                }
            }
        }
    }

    /// A request reaches the server, or an answer its process.
    pub(crate) fn arrive(&mut self, index: usize) {
        let mut message = self.messages.remove(index);
        if let Some(answer) = message.answer.take() {
            return self.deliver(&message, &answer);
        }
        let answer = self.carry(&message);
        if !message.orphan {
            self.messages.insert(index, Message { answer: Some(answer), held: false, ..message });
        }
    }

    /// Requests for whose answer nobody waits, and that can change nothing any more or are too many, are lost.
    pub(crate) fn forget_the_dead(&mut self, bound: &Bound) {
        if !self.messages.iter().any(|message| message.orphan) {
            return;
        }
        let deletes = bound.kinds.contains(&Deviation::Delete) && self.deviations < bound.deviations;
        let letters: Vec<_> = self.messages.iter().map(|message| message.letter.clone()).collect();
        let mut index = 0;
        self.messages.retain(|message| {
            let at = index;
            index += 1;
            let others: Vec<_> = letters
                .iter()
                .enumerate()
                .filter(|(other, _)| *other != at)
                .map(|(_, letter)| &**letter)
                .collect();
            !message.orphan || !message.letter.is_dead(&self.server, &others, deletes)
        });
        for who in 0..bound.candidates {
            let is_orphan = |message: &Message| message.orphan && message.from == who;
            while self.messages.iter().filter(|message| is_orphan(message)).count() > bound.orphans {
                let oldest = self.messages.iter().position(is_orphan);
                self.messages.remove(oldest.expect("counted just now"));
            }
        }
    }

    /// Lets the server carry a request out.
    fn carry(&mut self, message: &Message) -> Answer {
        let before = self.server.lease.clone();
        let revision = self.server.revision;
        let answer = self.server.handle(&message.letter.method, &message.letter.body);
        if self.server.revision == revision {
            return answer;
        }
        let Some(lease) = self.server.lease.clone() else { return answer };
        self.tell_watches(&lease.line());
        if message.copy {
            self.just.note(Event::Twice);
        } else if message.orphan {
            self.just.note(Event::LateWrite);
        }
        let letter = &message.letter;
        match (letter.kind, before) {
            (Kind::Renew | Kind::Release, Some(before)) => {
                if before.holder != *letter.sender || before.transitions != letter.transitions {
                    self.violate(Rule::S6);
                }
            }
            (Kind::Acquire, Some(before)) => {
                self.note_acquisition(message, &before.holder, before.transitions)
            }
            (Kind::Create, _) => self.just.note(Event::Created),
            (Kind::Read, _) | (_, None) => {}
        }
        answer
    }

    fn note_acquisition(&mut self, message: &Message, holder: &str, transitions: Option<i64>) {
        let others = |it: &&Message| it.letter.kind == Kind::Acquire && it.from != message.from && !it.orphan;
        if self.messages.iter().filter(others).any(|other| other.answer.is_none()) {
            self.just.note(Event::Race);
        }
        if !holder.is_empty() && *holder != *message.letter.sender {
            self.just.note(Event::TakeOver);
            let tight = self.candidates.iter().any(|candidate| {
                let process = candidate.process.as_ref().filter(|process| *process.identity == *holder);
                process.and_then(|process| process.valid_until()) == Some(candidate.clock)
            });
            if tight {
                self.just.note(Event::Tight);
            }
        } else if holder.is_empty() && transitions.is_some() {
            self.just.note(Event::HandOver);
        }
        if self.candidates.iter().any(|candidate| candidate.crashed_leading) {
            self.just.note(Event::CrashTakeOver);
            self.candidates.iter_mut().for_each(|candidate| candidate.crashed_leading = false);
        }
    }

    fn tell_watches(&mut self, line: &Arc<str>) {
        for watch in self.candidates.iter_mut().filter_map(|candidate| candidate.watch.as_mut()) {
            if watch.open {
                watch.lines.push(Arc::clone(line));
            }
        }
    }
}

const SLOW: u32 = 900;
const FAST: u32 = 1_100;
