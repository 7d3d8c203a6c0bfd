//! Mutants that are safe, and lead too seldom or ask too much.

use std::collections::BTreeMap;

use http::Request;
use leasehold_election::{Effect, Effects, Elector, Input, Note, Operation, Reading, RequestId};

use super::Mutant;
use super::lease::{is_unknown, joined};

/// Sends a request that failed again at once, until its time is over.
#[derive(Debug, Default)]
pub(super) struct RetriesAtOnce {
    sent: BTreeMap<RequestId, Request<Vec<u8>>>,
}

impl Mutant for RetriesAtOnce {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let failed = match &input {
            Input::Answer(id, delivery) if is_unknown(delivery) => self.sent.get_key_value(id),
            _ => None,
        };
        let failed = failed.map(|(id, request)| (*id, request.clone()));
        let input = if failed.is_some() { Input::Wake } else { input };
        let mut effects = elector.handle(reading, chance, input);
        for effect in &effects.list {
            match effect {
                Effect::Send { id, request, .. } => drop(self.sent.insert(*id, request.clone())),
                Effect::Abandon(id) => drop(self.sent.remove(id)),
                _ => {}
            }
        }
        if let Some((id, request)) = failed.filter(|(id, _)| self.sent.contains_key(id)) {
            effects.list.push(Effect::Send { id, request, fresh: false });
        }
        effects
    }
}

/// Steps down when a renewal fails.
#[derive(Debug)]
pub(super) struct FirstFailureEndsTerm;

impl Mutant for FirstFailureEndsTerm {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let effects = elector.handle(reading, chance, input);
        let failed = effects.list.iter().any(|effect| {
            matches!(effect, Effect::Note(Note::Answered { operation: Operation::Renew, result: Err(_), .. }))
        });
        if !failed {
            return effects;
        }
        let more = elector.handle(reading, chance, Input::StepDown);
        joined(effects, more)
    }
}

/// Hears of no release by its watch.
#[derive(Debug)]
pub(super) struct ReleaseUnheard;

impl Mutant for ReleaseUnheard {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = match input {
            Input::WatchLine(_, line)
                if String::from_utf8_lossy(&line).contains(r#""holderIdentity":"""#) =>
            {
                Input::Wake
            }
            input => input,
        };
        elector.handle(reading, chance, input)
    }
}

/// Never hears that its watch has opened.
#[derive(Debug)]
pub(super) struct WatchDistrusted;

impl Mutant for WatchDistrusted {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = if matches!(input, Input::WatchOpened(_)) { Input::Wake } else { input };
        elector.handle(reading, chance, input)
    }
}
