//! A leader that is cut off: its connections stay open and carry nothing, as when a switch fails.
//!
//! Here the old leader lives on, so that two questions count: when another leads, and whether the old one has
//! stopped by then. All candidates are asked every few milliseconds whether they lead; that is how exact the
//! answers are.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_apiserver::Fault;
use leasehold_e2e::{Elector, boottime_ns};

use crate::arena::{Arena, Begin, CANDIDATES, Ground, Wiring, elector_name, seconds};
use crate::figures::{Measure, Pair, Unit, order};
use crate::progress;

/// What one cut showed.
struct Outcome {
    cut_ns: u64,
    /// When the old leader last said that it leads.
    old_last_ns: u64,
    new: Begin,
}

/// From the cut until another leads, until the old leader has stopped, and how long both led.
pub(crate) async fn cut(ground: &Ground, cuts: u32) -> Result<Vec<Measure>> {
    let mut taken = Measure::new("cut-taken", "leader cut off: another leads after", Unit::Seconds);
    let mut stopped =
        Measure::new("cut-stopped", "leader cut off: its work has stopped after", Unit::Seconds);
    let mut both = Measure::new("cut-both", "leader cut off: two leaders for", Unit::Seconds);
    let mut arenas = Pair {
        leasehold: Arena::open(ground, "cut", Elector::Ours, CANDIDATES, Wiring::Proxied).await?,
        client_go: Arena::open(ground, "cut", Elector::ClientGo, CANDIDATES, Wiring::Proxied).await?,
    };
    for round in 0..cuts {
        ground.pause(round).await;
        for elector in order(round) {
            let outcome = arenas.of_mut(elector).cut_off(ground.patience()).await?;
            taken.add(elector, seconds(outcome.cut_ns, outcome.new.at_ns));
            stopped.add(elector, seconds(outcome.cut_ns, outcome.old_last_ns));
            let overlap = seconds(outcome.new.at_ns, outcome.old_last_ns);
            both.add(elector, overlap.max(0.0));
            let (name, led) = (elector_name(elector), seconds(outcome.cut_ns, outcome.new.at_ns));
            let between = if overlap > 0.0 { "two leaders" } else { "no leader" };
            let length = overlap.abs();
            progress(&format!("cut {}/{cuts}: {name} {led:.3} s, {between} for {length:.3} s", round + 1));
        }
    }
    Ok(vec![taken, stopped, both])
}

impl Arena<'_> {
    /// Cuts the leader off until another leads and it has stopped itself, then mends the way.
    async fn cut_off(&mut self, patience: Duration) -> Result<Outcome> {
        // Asked anew: what the last cut had held back may have changed who leads.
        let position = self.electorate.leader(patience, None).await?;
        let leader = self.electorate.members[position].name.clone();
        let proxy = self.proxies.get(&leader).context("every candidate has a proxy here")?;
        let cut_ns = boottime_ns();
        proxy.set(Fault::HalfOpen);
        let end = Instant::now() + patience;
        loop {
            self.electorate.probe()?;
            let old = &self.electorate.members[position];
            if let Some(new) = self.begin_after(cut_ns, Some(&leader))
                && !old.leads()
            {
                let led = old.said.iter().rev().find(|said| said.leading == Some(true));
                // Its answer was true when it was asked; when it was written, it may have been over.
                let old_last_ns = led.map_or(cut_ns, |said| said.asked_ns.unwrap_or(said.boottime_ns));
                self.proxies[&leader].set(Fault::None);
                return Ok(Outcome { cut_ns, old_last_ns: old_last_ns.max(cut_ns), new });
            }
            if Instant::now() >= end {
                let elector = elector_name(self.elector);
                bail!(
                    "a cut off leader of {elector} and another candidate did not change places within {patience:?}{}",
                    self.electorate.describe()
                );
            }
            tokio::time::sleep(PROBE_INTERVAL).await;
        }
    }
}

const PROBE_INTERVAL: Duration = Duration::from_millis(5);
