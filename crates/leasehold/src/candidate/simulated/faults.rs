//! What strikes a simulated network and its hosts.

use std::time::Duration;

use fastrand::Rng;
use turmoil::Sim;

use super::network::SERVER;

/// What happens between hosts, or to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What is sent either way is lost, and never sent again.
    Partition,
    /// What candidates send is lost.
    ToServerLost,
    /// What the server sends is lost.
    ToClientLost,
    /// What is sent is held, and arrives when the fault is over.
    Held,
    /// Each message takes this long.
    Slow(Duration),
    /// The process is killed; another begins when the fault is over.
    Killed,
    /// The API server is killed; it comes back with its data.
    ServerKilled,
}

/// One fault, now.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    pub(super) kind: Kind,
    pub(super) victims: Vec<String>,
    pub(super) until: Duration,
}

impl Strike {
    /// Draws what strikes whom, and until when. Half of them strike the leader.
    pub(super) fn drawn(rng: &mut Rng, now: Duration, hosts: &[String], leader: Option<&str>) -> Self {
        let kind = match rng.u32(0..7) {
            0 => Kind::Partition,
            1 => Kind::ToServerLost,
            2 => Kind::ToClientLost,
            3 => Kind::Held,
            4 => Kind::Slow(Duration::from_millis(rng.u64(50..=3_000))),
            5 => Kind::Killed,
            _ => Kind::ServerKilled,
        };
        let victims = match (rng.u32(0..4), leader) {
            (0 | 1, Some(leader)) => vec![leader.to_owned()],
            (0 | 1, None) | (2, _) => rng.choice(hosts).cloned().into_iter().collect(),
            _ => hosts.to_vec(),
        };
        let longest = if rng.bool() { 3_000 } else { 30_000 };
        let until = now + Duration::from_millis(rng.u64(20..=longest));
        Self { kind, victims, until }
    }

    pub(super) fn begin(&self, sim: &mut Sim<'_>) {
        for victim in self.victims.iter().map(String::as_str) {
            match self.kind {
                Kind::Partition => sim.partition(victim, SERVER),
                Kind::ToServerLost => sim.partition_oneway(victim, SERVER),
                Kind::ToClientLost => sim.partition_oneway(SERVER, victim),
                Kind::Held => sim.hold(victim, SERVER),
                Kind::Slow(latency) => sim.set_link_max_message_latency(victim, SERVER, latency),
                Kind::Killed => sim.crash(victim),
                Kind::ServerKilled => {}
            }
        }
        if self.kind == Kind::ServerKilled {
            sim.crash(SERVER);
        }
    }

    pub(super) fn end(&self, sim: &mut Sim<'_>) {
        for victim in self.victims.iter().map(String::as_str) {
            match self.kind {
                Kind::Partition => sim.repair(victim, SERVER),
                Kind::ToServerLost => sim.repair_oneway(victim, SERVER),
                Kind::ToClientLost => sim.repair_oneway(SERVER, victim),
                Kind::Held => sim.release(victim, SERVER),
                Kind::Slow(_) => sim.set_link_max_message_latency(victim, SERVER, LATENCY_MAX),
                Kind::Killed => sim.bounce(victim),
                Kind::ServerKilled => {}
            }
        }
        if self.kind == Kind::ServerKilled {
            sim.bounce(SERVER);
        }
    }
}

/// What a message takes at most in quiet times.
pub(super) const LATENCY_MAX: Duration = Duration::from_millis(20);
