//! One leader goes, another comes: as planned, by a crash, and cut off from the API server.

use anyhow::Result;
use leasehold_e2e::{Elector, boottime_ns};

use crate::arena::{Arena, CANDIDATES, Ground, Wiring, elector_name, seconds};
use crate::figures::{Measure, Pair, Unit, order};
use crate::progress;

/// How a leader goes.
#[derive(Clone, Copy)]
enum Departure {
    /// SIGTERM: it stops its work and releases.
    Planned,
    /// SIGKILL: it stops at once, and nobody is told.
    Crash,
}

/// From SIGTERM to the leader until another candidate's work begins.
pub(crate) async fn graceful(ground: &Ground, rounds: u32) -> Result<Vec<Measure>> {
    let measure = Measure::new("graceful", "graceful hand-over", Unit::Seconds);
    Ok(vec![hand_overs(ground, Departure::Planned, rounds, measure).await?])
}

/// From a kill of the leader until another candidate's work begins.
pub(crate) async fn crash(ground: &Ground, rounds: u32) -> Result<Vec<Measure>> {
    let measure = Measure::new("crash", "crash of the process", Unit::Seconds);
    Ok(vec![hand_overs(ground, Departure::Crash, rounds, measure).await?])
}

async fn hand_overs(
    ground: &Ground,
    departure: Departure,
    rounds: u32,
    mut measure: Measure,
) -> Result<Measure> {
    let mut arenas = Pair {
        leasehold: Arena::open(ground, measure.name, Elector::Ours, CANDIDATES, Wiring::Direct).await?,
        client_go: Arena::open(ground, measure.name, Elector::ClientGo, CANDIDATES, Wiring::Direct).await?,
    };
    let mut leaders = Pair {
        leasehold: arenas.leasehold.next_begin(0, None).await?,
        client_go: arenas.client_go.next_begin(0, None).await?,
    };
    for round in 0..rounds {
        ground.pause(round).await;
        for elector in order(round) {
            let (arena, leader) = (arenas.of_mut(elector), leaders.of_mut(elector));
            let gone = leader.name.clone();
            let signalled_ns = boottime_ns();
            arena.dismiss(&gone, departure)?;
            *leader = arena.next_begin(signalled_ns, Some(&gone)).await?;
            let taken = seconds(signalled_ns, leader.at_ns);
            measure.add(elector, taken);
            progress(&format!(
                "{} {}/{rounds}: {} {taken:.3} s",
                measure.name,
                round + 1,
                elector_name(elector)
            ));
            arena.restart(&gone).await?;
        }
    }
    Ok(measure)
}

impl Arena<'_> {
    fn dismiss(&mut self, name: &str, departure: Departure) -> Result<()> {
        let position = self.position(name)?;
        let member = &mut self.electorate.members[position];
        match departure {
            Departure::Planned => member.process().terminate(),
            Departure::Crash => member.kill(),
        }
    }
}
