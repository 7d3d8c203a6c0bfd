//! One electorate with a fault proxy before each candidate.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kube::Client;
use leasehold_apiserver::{Fault as Network, FaultProxy};

use super::strike::Victims;
use crate::control_plane::ControlPlane;
use crate::electorate::{Elector, Electorate, Member, Said, kubeconfig};
use crate::ground::Ground;

/// Candidates for one Lease, each behind a proxy of its own.
pub struct Arena {
    pub(super) ground: Ground,
    pub(super) electorate: Electorate,
    pub(super) seats: Vec<Seat>,
    elector: Elector,
}

/// A place for one candidate: whoever ends is followed by another process with the same kubeconfig.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) proxy: FaultProxy,
    /// The candidate of the moment, an index into the members.
    pub(super) member: usize,
    kubeconfig: PathBuf,
    name: String,
    starts: u32,
}

impl Arena {
    /// A namespace with its Lease and `size` running candidates. `client_go_flags` say how those of client-go differ.
    ///
    /// # Errors
    /// When the namespace is there already, or a candidate cannot be started.
    pub async fn start(
        control_plane: Arc<ControlPlane>,
        namespace: &str,
        (elector, size): (Elector, usize),
        client_go_flags: &[&str],
    ) -> Result<Self> {
        let ground = Ground::on(control_plane, namespace).await?;
        let upstream: SocketAddr = ground.control_plane.url().trim_start_matches("https://").parse()?;
        let electorate = Electorate::new(&ground.permission, Electorate::SHORT, false)
            .with_client_go_flags(client_go_flags);
        let mut arena = Self { ground, electorate, seats: Vec::new(), elector };
        for index in 0..size {
            let proxy = FaultProxy::start(upstream).await?;
            let name = format!("app-{index}");
            let url = format!("https://{}", proxy.address());
            let kubeconfig =
                kubeconfig(&arena.ground.control_plane, &arena.ground.permission, &name, &url).await?;
            arena.seats.push(Seat { proxy, member: 0, kubeconfig, name, starts: 0 });
            arena.seat_another(index).await?;
        }
        Ok(arena)
    }

    /// The name of its namespace.
    pub fn name(&self) -> &str {
        self.ground.permission.namespace()
    }

    pub(super) fn admin(&self) -> Client {
        self.ground.admin.clone()
    }

    /// Starts a process for a seat whose last one has ended. Its name is another one, so that the two are two candidates.
    pub(super) async fn seat_another(&mut self, index: usize) -> Result<()> {
        let seat = &mut self.seats[index];
        seat.starts += 1;
        let name = match seat.starts {
            1 => seat.name.clone(),
            start => format!("{}-{start}", seat.name),
        };
        seat.member = self.electorate.start_with(&seat.kubeconfig, &name, self.elector).await?;
        Ok(())
    }

    pub(super) fn member(&self, seat: usize) -> &Member {
        &self.electorate.members[self.seats[seat].member]
    }

    pub(super) fn member_mut(&mut self, seat: usize) -> &mut Member {
        &mut self.electorate.members[self.seats[seat].member]
    }

    pub(super) fn set(&self, victims: &[usize], fault: Network) {
        for &seat in victims {
            self.seats[seat].proxy.set(fault);
        }
    }

    /// Asks everybody once, and waits until it is time to ask again.
    pub(super) async fn tick(&mut self) -> Result<()> {
        self.electorate.probe()?;
        tokio::time::sleep(PROBE_INTERVAL).await;
        Ok(())
    }

    /// Asks everybody for this long.
    pub(super) async fn observe(&mut self, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.tick().await?;
        }
        Ok(())
    }

    /// Waits until exactly one leads and has renewed since `since`, and everybody knows the Lease. Tells its seat.
    pub(super) async fn settle(&mut self, since: u64) -> Result<usize> {
        let end = Instant::now() + PATIENCE;
        loop {
            self.tick().await?;
            let seats = 0..self.seats.len();
            let leaders: Vec<usize> = seats.clone().filter(|&seat| self.member(seat).leads()).collect();
            if let [leader] = leaders[..]
                && has_renewed(self.member(leader), since)
                && seats.clone().all(|seat| knows_the_lease(self.member(seat)))
            {
                return Ok(leader);
            }
            if Instant::now() >= end {
                bail!(
                    "no settled leader within {PATIENCE:?}, leading {leaders:?}{}",
                    self.electorate.describe()
                );
            }
        }
    }

    /// The seats that are struck; `round` chooses the standby.
    pub(super) fn victims(&self, victims: Victims, leader: usize, round: u64) -> Vec<usize> {
        let standbys = (0..self.seats.len()).filter(|&seat| seat != leader);
        match victims {
            Victims::Leader => vec![leader],
            Victims::Standby => {
                let skip = usize::try_from(round).unwrap_or(0) % (self.seats.len() - 1);
                standbys.skip(skip).take(1).collect()
            }
            Victims::Standbys => standbys.collect(),
            Victims::All => (0..self.seats.len()).collect(),
        }
    }
}

/// Whether it leads with a renewal that it sent after `since`, as far as can be told.
fn has_renewed(member: &Member, since: u64) -> bool {
    let leads = |said: &&Said| said.leading == Some(true);
    let samples = || member.said.iter().rev().filter(|said| said.event == "sample");
    let Some(last) = samples().next().filter(leads) else { return false };
    let term = || samples().take_while(|said| said.leading == Some(true) && said.token == last.token);
    let asked = |said: &Said| said.asked_ns.unwrap_or(said.boottime_ns);
    let Some(first) = term().take_while(|said| asked(said) > since).last() else { return false };
    match (first.lead_until_ns, last.lead_until_ns) {
        (Some(first), Some(last)) => last > first + MOVED_NS,
        // client-go does not tell; it renews once a retry period, and leads for a while when it cannot.
        _ => asked(last) - asked(first) > CLIENT_GO_RENEWS_NS,
    }
}

fn knows_the_lease(member: &Member) -> bool {
    member.said.iter().any(|said| said.event == "new_leader" || said.event == "started")
}

const PROBE_INTERVAL: Duration = Duration::from_millis(20);
/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);
/// A renewal moves the end of leadership by a second; readings differ by less than this.
const MOVED_NS: u64 = 100_000_000;
const CLIENT_GO_RENEWS_NS: u64 = 1_000_000_000;
