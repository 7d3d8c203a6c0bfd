//! One round: the leader is made to leave, another comes, and what was broken is healed.

use std::time::{Duration, Instant};

use anyhow::Result;
use leasehold_history::{Nanos, Span};
use rustix::process::Signal;

use crate::demo::arena::Arena;
use crate::demo::args::{Fault, Lock};
use crate::demo::process::boottime;
use crate::millis::Millis;

/// What happened in a round, as far as it is not for the meter to say.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) number: u32,
    pub(crate) fault: Fault,
    /// Who led.
    pub(crate) old: String,
    /// Who leads then, if anyone does.
    pub(crate) new: Option<String>,
    /// The token of the new term.
    pub(crate) token: Option<u64>,
    /// From just before the fault to the end of the round.
    pub(crate) span: Span,
    /// The person who had to act, if one had to.
    pub(crate) person: Option<Person>,
}

/// A person who found that nobody leads, looked at the lock, and deleted it.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) at: Nanos,
    /// What the lock said: who holds it.
    pub(crate) holder: String,
    /// And how long ago that was written.
    pub(crate) age: Millis,
}

/// Who came after.
struct Succession {
    new: Option<usize>,
    person: Option<Person>,
}

/// Plays a round.
///
/// # Errors
/// If candidates do not get ready for it, or end by themselves.
pub(crate) async fn play(arena: &mut Arena, number: u32, fault: Fault) -> Result<Round> {
    let old = arena.settle().await?;
    let began = boottime();
    inject(arena, old, fault)?;
    let lives = arena.candidates[old].lives.len();
    let Succession { new, person } = succession(arena, old, lives).await?;
    let life = new.and_then(|new| arena.candidates[new].life());
    let token = life.and_then(|life| life.leads()).and_then(|leads| leads.token);
    heal(arena, old, fault).await?;
    let name = |index: usize| arena.candidates[index].name.clone();
    Ok(Round {
        number,
        fault,
        old: name(old),
        new: new.map(name),
        token,
        span: Span::new(began, arena.known_until().max(began))?,
        person,
    })
}

fn inject(arena: &mut Arena, old: usize, fault: Fault) -> Result<()> {
    let leader = &mut arena.candidates[old];
    match fault {
        Fault::Graceful => leader.end(Signal::TERM),
        Fault::Kill => leader.end(Signal::KILL),
        Fault::Pause => leader.pause(),
        Fault::Cut => {
            leader.cut();
            Ok(())
        }
    }
}

/// Waits until another process leads than the one that had to leave: the same candidate may, started again.
async fn succession(arena: &mut Arena, old: usize, lives: usize) -> Result<Succession> {
    let new = move |arena: &Arena| {
        let is_new = |index: &usize| *index != old || arena.candidates[old].lives.len() > lives;
        arena.leaders().into_iter().find(is_new)
    };
    let mut person = None;
    let deadline = Instant::now() + PATIENCE;
    let mut nobody_since = Instant::now();
    while Instant::now() < deadline {
        if arena.until(TICK, |arena| new(arena).is_some()).await? {
            return Ok(Succession { new: new(arena), person });
        }
        if !arena.leaders().is_empty() {
            nobody_since = Instant::now();
        }
        if arena.lock == Lock::Naive && person.is_none() && nobody_since.elapsed() >= PERSON_AFTER {
            person = Some(arena.delete_config_map().await?);
        }
    }
    Ok(Succession { new: None, person })
}

/// Lets the new leader lead for a while, ends the fault, and waits until the old one has been heard again.
async fn heal(arena: &mut Arena, old: usize, fault: Fault) -> Result<()> {
    let healed = match fault {
        Fault::Graceful | Fault::Kill => return arena.wait(AFTERMATH).await,
        Fault::Pause => {
            arena.wait(BESIDE).await?;
            let now = boottime();
            arena.candidates[old].resume()?;
            now
        }
        Fault::Cut => {
            arena.wait(BESIDE * 2).await?;
            arena.candidates[old].heal()?;
            boottime()
        }
    };
    let heard = |arena: &Arena| {
        let life = arena.candidates[old].life();
        life.is_some_and(|life| life.has_answered_since(healed)) && arena.leaders().len() == 1
    };
    // If it is not: the next round says so when it does not settle, and the judge counts what is wrong.
    arena.until(PATIENCE, heard).await?;
    arena.wait(AFTERMATH).await
}

/// For how long nobody must have led before a person deletes the naive lock: twice the time after which a lock with a
/// timestamp should have helped itself.
pub(crate) const PERSON_AFTER: Duration = Duration::from_secs(6);
/// For how long the new leader leads while the old one is still paused; twice that while it is cut off.
const BESIDE: Duration = Duration::from_secs(1);
/// What is still seen of a round after its end.
const AFTERMATH: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(15);
const TICK: Duration = Duration::from_millis(5);
