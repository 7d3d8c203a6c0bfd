//! What can happen next: what happens before time goes on, what may come at any time, and what may go wrong.

use crate::model::{Action, Bound, Deviation};
use crate::network::Message;
use crate::process::Work;
use crate::state::{Mood, State};

/// What happens before time goes on.
pub(crate) fn push_urgent(bound: &Bound, state: &State, actions: &mut Vec<Action>) {
    for (who, candidate) in state.candidates.iter().enumerate() {
        let Some(process) = candidate.process.as_ref().filter(|_| state.reaches(who)) else { continue };
        if process.wake_at.is_some_and(|at| candidate.clock >= at) {
            actions.push(Action::Wake(who));
        }
        if matches!(process.work, Work::Stopping | Work::Over) {
            actions.push(Action::WorkEnds(who));
        }
        if let Some(watch) = candidate.watch.as_ref().filter(|watch| !candidate.is_cut && !watch.lags) {
            if !watch.open && bound.watches {
                actions.push(Action::WatchOpens(who));
            } else if !watch.lines.is_empty() {
                actions.push(Action::Event(who));
            }
        }
    }
    let prompt = |message: &Message| !message.held && !message.orphan && can_move(state, message);
    let messages = state.messages.iter().enumerate().filter(|(_, message)| prompt(message));
    actions.extend(messages.map(|(index, _)| Action::Arrive(index)));
}

/// What may come at any time, or never.
pub(crate) fn push_late(state: &State, actions: &mut Vec<Action>) {
    let late = |message: &Message| (message.held || message.orphan) && can_move(state, message);
    let messages = state.messages.iter().enumerate().filter(|(_, message)| late(message));
    actions.extend(messages.map(|(index, _)| Action::Arrive(index)));
    for (who, candidate) in state.candidates.iter().enumerate() {
        let lags =
            candidate.watch.as_ref().is_some_and(|watch| watch.open && watch.lags && !watch.lines.is_empty());
        if lags && !candidate.is_cut && state.reaches(who) {
            actions.push(Action::Event(who));
        }
    }
}

/// What a deviation has begun ends when all that is under way has happened.
pub(crate) fn push_ends(state: &State, actions: &mut Vec<Action>) {
    for (who, candidate) in state.candidates.iter().enumerate() {
        if candidate.mood != Mood::Awake {
            actions.push(Action::Resume(who));
        }
        if candidate.is_cut {
            actions.push(Action::Heal(who));
        }
        if candidate.process.is_none() {
            actions.push(Action::Restart(who));
        }
    }
}

fn can_move(state: &State, message: &Message) -> bool {
    let candidate = &state.candidates[message.from];
    !candidate.is_cut && (message.answer.is_none() || state.reaches(message.from))
}

fn can_deviate(state: &State, kind: Deviation, what: usize) -> bool {
    let work = |who: usize| state.candidates[who].process.as_ref().map(|process| process.work);
    match kind {
        Deviation::Hold => {
            let message = &state.messages[what];
            !message.held && !message.orphan && !state.candidates[message.from].is_cut
        }
        Deviation::Copy => {
            let message = &state.messages[what];
            message.letter.kind.writes() && message.answer.is_none() && !message.orphan && !message.held
        }
        Deviation::Cut => !state.candidates[what].is_cut && state.candidates[what].process.is_some(),
        Deviation::Freeze | Deviation::Starve | Deviation::Crash => state.reaches(what),
        Deviation::StepDown => state.reaches(what) && work(what) == Some(Work::Running),
        Deviation::Stop => state.reaches(what),
        Deviation::Lag => {
            state.candidates[what].watch.as_ref().is_some_and(|watch| watch.open && !watch.lags)
        }
        Deviation::Hang => work(what) == Some(Work::Stopping),
        Deviation::Drift => true,
        Deviation::Delete => state.server.lease.is_some(),
    }
}

/// What may go wrong now.
pub(crate) fn push_deviations(bound: &Bound, state: &State, actions: &mut Vec<Action>) {
    for &kind in bound.kinds {
        let count = match kind {
            Deviation::Hold | Deviation::Copy => state.messages.len(),
            Deviation::Delete => 1,
            _ => state.candidates.len(),
        };
        let possible = (0..count).filter(|&what| can_deviate(state, kind, what));
        actions.extend(possible.map(|what| Action::Deviate(kind, what)));
    }
}
