//! The fenced register that work reads and writes, behind a gate, and what a leader remembers of it.

use std::time::Duration;

use leasehold_history::Nanos;

use super::log::{ActKind, RegisterAct, RegisterCounts};
use super::{Event, World};
use crate::clocks::after;
use crate::gates::{Door, GateKind};
use crate::plan::Class;

/// State that only the leader may write, behind a gate.
#[derive(Debug, Default)]
pub(super) struct Register {
    gate: Door,
    /// The largest token that was let in, kept apart from the gate that is judged.
    newest: u64,
    /// Values given out: each write has its own.
    values: u64,
    value: u64,
    /// How many writes were carried out.
    version: u64,
    counts: RegisterCounts,
}

/// What a leader remembers of the register: it may answer reads from it while it leads and nothing of its own is under way.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Acts whose answers have not been heard.
    under_way: u64,
    /// Answers on their way.
    answers: Vec<Answer>,
    /// The value of the newest version that an answer has shown.
    known: Option<(u64, u64)>,
    refused: bool,
}

#[derive(Debug)]
struct Answer {
    at: Nanos,
    /// Version and value, unless the gate refused.
    shown: Option<(u64, u64)>,
}

/// An act that reaches the register.
#[derive(Debug)]
pub(super) struct Reached {
    process: usize,
    /// Of which work.
    number: u64,
    token: u64,
    kind: ActKind,
    /// Its number in the log, where that is judged.
    act: Option<usize>,
}

impl Register {
    pub(super) fn behind(kind: GateKind) -> Self {
        Self { gate: Door::new(kind), ..Self::default() }
    }

    /// A term began.
    pub(super) fn learn(&mut self, token: u64, transitions: impl FnOnce() -> Option<i32>) {
        self.gate.learn(token, transitions);
    }

    pub(super) fn counts(&self) -> RegisterCounts {
        self.counts
    }

    /// Takes down what the gate decided; true if that was wrong (S4: no act of an older term is let in, and none of the
    /// newest is refused; unconditional).
    fn note(&mut self, token: u64, admitted: bool) -> bool {
        let stale = token < self.newest;
        match (stale, admitted) {
            (true, false) => self.counts.stale_refused += 1,
            (true, true) => self.counts.stale_passed += 1,
            (false, false) => self.counts.good_refused += 1,
            (false, true) => self.newest = token,
        }
        stale == admitted
    }

    /// Carries an act out.
    fn carry_out(&mut self, kind: ActKind) -> ActKind {
        match kind {
            ActKind::Write(value) => {
                self.value = value;
                self.version += 1;
                kind
            }
            ActKind::Load(_) | ActKind::Recall(_) => ActKind::Load(self.value),
        }
    }
}

impl Memory {
    /// What it shows, if that is sure to be the newest.
    fn sure(&mut self, now: Nanos) -> Option<u64> {
        for answer in self.answers.extract_if(.., |answer| answer.at <= now) {
            self.under_way -= 1;
            match answer.shown {
                Some(shown) => self.known = self.known.max(Some(shown)),
                None => self.refused = true,
            }
        }
        let (_, value) = self.known?;
        (self.under_way == 0 && !self.refused).then_some(value)
    }
}

impl World {
    /// A term begins by a read at the register: from then on its gate refuses what older terms have left under way.
    pub(super) fn load_register(&mut self, process: usize) {
        let way = self.chance.millis(0, 20);
        self.begin_act(process, ActKind::Load(0), way);
    }

    pub(super) fn begin_write(&mut self, process: usize, way: Duration) {
        self.register.values += 1;
        let value = self.register.values;
        self.begin_act(process, ActKind::Write(value), way);
    }

    fn begin_act(&mut self, process: usize, kind: ActKind, way: Duration) {
        let Some(work) = &mut self.processes[process].work else { return };
        work.memory.under_way += 1;
        let (number, token) = (work.number, work.token);
        // Only where all keep the contract is there one history to judge.
        let act = (self.plan.class == Class::A).then_some(self.log.acts.len());
        if act.is_some() {
            let begin = self.now;
            self.log.acts.push(RegisterAct {
                process,
                kind,
                begin,
                end: None,
                applied: None,
                accepted: false,
            });
        }
        let reached = Reached { process, number, token, kind, act };
        self.queue.plan(after(self.now, way), Event::Register(reached));
    }

    /// A leader that still leads answers a read from what it remembers.
    pub(super) fn recall_register(&mut self, process: usize) {
        let now = self.now;
        if self.plan.class != Class::A {
            return;
        }
        let Some(work) = &mut self.processes[process].work else { return };
        let Some(value) = work.memory.sure(now) else { return };
        let kind = ActKind::Recall(value);
        let applied = Some(now);
        self.log.acts.push(RegisterAct { process, kind, begin: now, end: applied, applied, accepted: true });
    }

    /// An act reaches the register.
    pub(super) fn reach_register(&mut self, reached: &Reached) {
        let &Reached { process, token, kind, .. } = reached;
        let admitted = self.register.gate.admits(token);
        let wrong = self.register.note(token, admitted);
        let word = match (kind, admitted) {
            (ActKind::Write(_), true) => "writes with token",
            (ActKind::Load(_) | ActKind::Recall(_), true) => "reads with token",
            (_, false) => "is refused with token",
        };
        self.trace.note(self.now, process, word, token);
        if let ActKind::Write(value) = kind {
            self.register.counts.tried += 1;
            self.trace.explain(|| format!("value {value}"));
        }
        if wrong {
            let what = format!("token {token} was {}", if admitted { "let in" } else { "refused" });
            self.violate("S4", what);
        }
        let carried_out = admitted.then(|| self.register.carry_out(kind));
        if let Some(act) = reached.act {
            self.answer_act(reached, act, carried_out);
        }
    }

    fn answer_act(&mut self, reached: &Reached, act: usize, carried_out: Option<ActKind>) {
        if let Some(kind) = carried_out {
            self.log.acts[act].kind = kind;
            self.log.acts[act].applied = Some(self.now);
        }
        if self.chance.happens(ANSWERS_LOST_PERMILLE) {
            return;
        }
        let at = after(self.now, self.chance.millis(0, 20));
        self.log.acts[act].end = Some(at);
        self.log.acts[act].accepted = carried_out.is_some();
        let shown = carried_out.map(|_| (self.register.version, self.register.value));
        let work = self.processes[reached.process].work.as_mut().filter(|work| work.number == reached.number);
        if let Some(work) = work {
            work.memory.answers.push(Answer { at, shown });
        }
    }

    /// The storage behind the gate restarts, and will again.
    pub(super) fn restart_gate(&mut self) {
        self.register.gate.restart();
        self.plan_gate_restart();
    }

    pub(super) fn plan_gate_restart(&mut self) {
        if let Some(every) = self.plan.gate_restart_every {
            let pause = self.chance.within(Duration::ZERO, every * 2);
            self.queue.plan(after(self.now, pause), Event::GateRestarts);
        }
    }
}

/// Of a thousand answers of the register, how many are lost: nobody knows then whether the write happened.
const ANSWERS_LOST_PERMILLE: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_lets_an_old_term_in_or_keeps_the_newest_out_is_noticed() {
        let mut register = Register::default();
        assert!(!register.note(7, true));
        assert!(!register.note(5, false));
        assert!(register.note(5, true), "an old term was let in");
        assert!(register.note(7, false), "the newest term was refused");
        assert_eq!((register.counts.stale_passed, register.counts.good_refused), (1, 1));
    }

    #[test]
    fn a_leader_remembers_the_newest_of_its_writes_once_all_are_answered() {
        let mut memory = Memory { under_way: 2, ..Memory::default() };
        memory.answers.push(Answer { at: Nanos(5), shown: Some((2, 22)) });
        assert_eq!(memory.sure(Nanos(9)), None, "one of its own is under way");
        memory.answers.push(Answer { at: Nanos(7), shown: Some((1, 11)) });
        assert_eq!(memory.sure(Nanos(9)), Some(22));
        memory.under_way = 1;
        memory.answers.push(Answer { at: Nanos(9), shown: None });
        assert_eq!(memory.sure(Nanos(9)), None, "another term has come");
    }
}
