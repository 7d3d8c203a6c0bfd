//! Many rounds on one control plane, several electorates side by side.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures_util::future::{join_all, try_join_all};
use tokio::sync::watch;

use super::arena::Arena;
use super::report::Report;
use super::round::until_answers;
use super::strike::{Fault, Strike};
use super::verdict::Outcome;
use crate::control_plane::{ControlPlane, Server};
use crate::electorate::Elector;
use crate::process::boottime_ns;

/// Plays these rounds on a control plane of its own: faults of candidates strike one electorate each, side by side; faults
/// of servers strike all of them, one after the other.
///
/// # Errors
/// When the control plane or a candidate cannot be started. What the rounds have shown is in the report.
pub async fn play(strikes: &[Strike], electorates: usize, size: usize) -> Result<Report> {
    let control_plane = Arc::new(ControlPlane::start().await?);
    let mut arenas = Vec::new();
    for index in 0..electorates {
        let name = format!("electorate-{index}");
        arenas.push(Arena::start(Arc::clone(&control_plane), &name, (Elector::Ours, size), &[]).await?);
    }
    let mut report = Report::default();
    let (of_servers, of_candidates): (Vec<Strike>, Vec<Strike>) =
        strikes.iter().partition(|strike| strike.fault.is_of_servers());
    let queue = Mutex::new(VecDeque::from(of_candidates));
    for (outcomes, error) in join_all(arenas.iter_mut().map(|arena| play_from(arena, &queue))).await {
        for outcome in outcomes {
            report.add(vec![outcome]);
        }
        error.iter().for_each(|error| report.add_error(error));
    }
    for strike in &of_servers {
        match play_on_servers(&control_plane, &mut arenas, strike).await {
            Ok(outcomes) => report.add(outcomes),
            Err(error) => report.add_error(&error.context(format!("{strike}; again: {}", strike.command()))),
        }
    }
    for arena in &arenas {
        // Over all rounds: tokens and terms that no single round shows whole.
        if let Err(error) = arena.electorate.judged() {
            report.add_error(&error.context(format!("all rounds of {}", arena.name())));
        }
    }
    Ok(report)
}

/// Plays rounds until there are no more, or one could not be played to its end: the others play the rest.
async fn play_from(
    arena: &mut Arena,
    queue: &Mutex<VecDeque<Strike>>,
) -> (Vec<Outcome>, Option<anyhow::Error>) {
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let mut outcomes = Vec::new();
    while let Some(strike) = next() {
        match arena.play(&strike).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                let error = error.context(format!("{strike}; again: {}", strike.command()));
                return (outcomes, Some(error));
            }
        }
    }
    (outcomes, None)
}

async fn play_on_servers(
    control_plane: &ControlPlane,
    arenas: &mut [Arena],
    strike: &Strike,
) -> Result<Vec<Outcome>> {
    let mut rounds = try_join_all(arenas.iter_mut().map(|arena| arena.begin(strike))).await?;
    let struck = boottime_ns();
    for round in &mut rounds {
        round.struck = struck;
    }
    let (over, healed) = watch::channel(None);
    let fault = async {
        let result = strike_servers(control_plane, strike).await;
        over.send_replace(Some(boottime_ns()));
        result
    };
    let endured = join_all(arenas.iter_mut().map(|arena| arena.endure(healed.clone())));
    let (fault, endured) = tokio::join!(fault, endured);
    fault?;
    endured.into_iter().collect::<Result<Vec<()>>>()?;
    let healed = healed.borrow().context("the fault is over")?;
    let rounds = arenas.iter_mut().zip(rounds).map(|(arena, round)| arena.conclude(round, healed));
    try_join_all(rounds).await
}

/// Strikes, waits, undoes it. It is over when the API server reads from the store again: its own start is not the
/// candidates' time.
async fn strike_servers(control_plane: &ControlPlane, strike: &Strike) -> Result<()> {
    let (server, is_killed) = match strike.fault {
        Fault::EtcdPaused => (Server::Etcd, false),
        Fault::EtcdKilled => (Server::Etcd, true),
        Fault::ApiServerPaused => (Server::ApiServer, false),
        _ => (Server::ApiServer, true),
    };
    if is_killed {
        control_plane.stop(server)?;
        tokio::time::sleep(strike.lasts).await;
        control_plane.start_again(server).await?;
    } else {
        control_plane.pause(server)?;
        tokio::time::sleep(strike.lasts).await;
        control_plane.resume(server).await?;
    }
    let admin = control_plane.admin_client().await?;
    tokio::time::timeout(READ_MAX, until_answers(&admin)).await.context("no read from the store")?
}

const READ_MAX: Duration = Duration::from_secs(60);
