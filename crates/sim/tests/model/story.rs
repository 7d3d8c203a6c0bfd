//! A path through a world, told so that it can be read.

use stateright::{Model as _, Path};

use crate::model::{Action, Deviation, Worlds};
use crate::network::{Kind, Message};
use crate::process::{Work, name};
use crate::server::Answer;
use crate::state::State;

/// One line for each thing that happens, with what follows from it.
pub(crate) fn tell(worlds: &Worlds, path: Path<State, Action>) -> Vec<String> {
    let steps = path.into_vec();
    let mut lines: Vec<_> = steps.first().map(|(state, _)| beginning(state)).into_iter().collect();
    for (before, action) in &steps {
        let Some(action) = action else { continue };
        let Some(after) = worlds.next_state(before, *action) else { continue };
        let consequences = consequences(before, &after);
        let what = what(before, *action);
        if matches!(action, Action::Tick) && consequences.is_empty() {
            continue;
        }
        let parts: Vec<String> = std::iter::once(what).chain(consequences).collect();
        lines.push(format!("{:>2} s  {}", after.now, parts.join("; ")));
    }
    lines
}

fn beginning(state: &State) -> String {
    let all = 0..state.candidates.len();
    let clocks = all.clone().map(|who| {
        let rate = if state.fast >> who & 1 == 1 { "fast" } else { "slow" };
        format!("the clocks of {} are {rate}", called(state, who))
    });
    let leads = all.filter(|&who| state.leads(who)).map(|who| format!("{} leads", called(state, who)));
    clocks.chain(leads).collect::<Vec<_>>().join(", ")
}

fn what(state: &State, action: Action) -> String {
    let of = |who: usize| called(state, who);
    match action {
        Action::Tick => "a second passes".to_owned(),
        Action::Wake(who) => format!("the timer of {} is due", of(who)),
        Action::WorkEnds(who) => format!("the work of {} has ended", of(who)),
        Action::Arrive(index) => {
            let message = &state.messages[index];
            let (sender, kind) = (name(message.from, message.incarnation), message.letter.kind.word());
            match &message.answer {
                Some(Answer::Lease(_) | Answer::Created(_)) => {
                    format!("{sender} hears that its {kind} was carried out")
                }
                Some(Answer::Missing) => format!("{sender} hears that there is no Lease"),
                Some(Answer::Refused | Answer::Exists) => {
                    format!("{sender} hears that its {kind} was refused")
                }
                None if message.copy => format!("the {kind} of {sender} reaches the server a second time"),
                None if message.orphan => format!("the {kind} that {sender} gave up reaches the server"),
                None => format!("the {kind} of {sender} reaches the server"),
            }
        }
        Action::WatchOpens(who) => format!("the watch of {} is answered", of(who)),
        Action::Event(who) => format!("{} is told the news by its watch", of(who)),
        Action::Resume(who) => format!("{} runs again", of(who)),
        Action::Heal(who) => format!("{} is connected again", of(who)),
        Action::Restart(who) => format!("{} is started again", of(who)),
        Action::Deviate(kind, what) => deviation(state, kind, what),
    }
}

fn deviation(state: &State, kind: Deviation, what: usize) -> String {
    let of = || called(state, what);
    let message = || {
        let message = &state.messages[what];
        let part = if message.answer.is_some() { "answer to the " } else { "" };
        format!("{part}{} of {}", message.letter.kind.word(), name(message.from, message.incarnation))
    };
    match kind {
        Deviation::Hold => format!("the {} is held on its way", message()),
        Deviation::Copy => format!("the {} will be delivered twice", message()),
        Deviation::Cut => format!("{} is cut off", of()),
        Deviation::Freeze => format!("{} is frozen", of()),
        Deviation::Starve => format!("the driver of {} is starved", of()),
        Deviation::Crash => format!("{} is killed", of()),
        Deviation::StepDown => format!("{} is asked to step down", of()),
        Deviation::Stop => format!("{} is asked to stop", of()),
        Deviation::Lag => format!("the watch of {} lags", of()),
        Deviation::Hang => format!("the work of {} does not stop", of()),
        Deviation::Drift => format!("the clocks of {} go over to the other rate", of()),
        Deviation::Delete => "the Lease is deleted".to_owned(),
    }
}

fn consequences(before: &State, after: &State) -> Vec<String> {
    let mut list = Vec::new();
    let holder = |state: &State| state.server.lease.as_ref().map(|lease| lease.holder.clone());
    match holder(after) {
        now if now == holder(before) => {}
        Some(holder) if holder.is_empty() => list.push("the Lease is free".to_owned()),
        Some(holder) => list.push(format!("the Lease is held by {}", holder.split('_').next().unwrap_or(""))),
        None => list.push("there is no Lease".to_owned()),
    }
    for who in 0..after.candidates.len() {
        let work = |state: &State| state.candidates[who].process.as_ref().map_or(Work::None, |it| it.work);
        match (before.leads(who), after.leads(who)) {
            (false, true) => list.push(format!("{} leads", called(after, who))),
            (true, false) => list.push(format!("{} leads no more", called(after, who))),
            _ => {}
        }
        if work(before).is_active() && work(after) == Work::Over {
            list.push(format!("the work of {} is killed", called(after, who)));
        }
    }
    for message in &after.messages {
        let is_new = |old: &Message| {
            (old.from, old.incarnation, old.id) != (message.from, message.incarnation, message.id)
        };
        if before.messages.iter().all(is_new) {
            let sender = name(message.from, message.incarnation);
            let kind = message.letter.kind;
            let article = if kind == Kind::Acquire { "an" } else { "a" };
            list.push(format!("{sender} sends {article} {}", kind.word()));
        }
    }
    list.extend(after.broken.map(|rule| format!("BROKEN {}", rule.sentence())));
    list
}

fn called(state: &State, who: usize) -> String {
    name(who, state.candidates[who].incarnation)
}
