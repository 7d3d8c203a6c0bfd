//! What strikes an electorate, drawn from a seed. Pure: nothing is done here.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use leasehold_apiserver::Fault as Network;

/// What happens to candidates, to what lies between them and the API server, to the servers, or to the Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Bytes are taken and go nowhere; what was sent is lost, and the connection is dead for ever.
    Hang,
    /// Bytes are taken and held, and arrive late, when the fault is over.
    HalfOpen,
    /// Connections that are open are dead without a sign; new ones pass.
    Forgotten,
    /// Requests are carried out, their answers are swallowed; then the connection is reset.
    AnswersLost,
    /// Requests are carried out at once, their answers arrive late.
    AnswersLate,
    /// Each way takes its time.
    Slow,
    /// Bytes trickle.
    Drip,
    /// Connections are reset once; new ones pass.
    Reset,
    /// Connections are reset, and new ones refused.
    Cut,
    /// What candidates send is held, and arrives late.
    CutToServer,
    /// What the server sends is held, and arrives late.
    CutToClient,
    /// SIGKILL; another process takes its place.
    Killed,
    /// SIGSTOP, and SIGCONT later.
    Paused,
    /// SIGTERM in the middle of a fault of the network.
    StoppedWhileCut,
    /// Somebody writes a label ten times a second.
    LabelEdits,
    /// The right to use the Lease is withdrawn, and given back.
    PermissionWithdrawn,
    /// SIGSTOP of etcd, and SIGCONT later.
    EtcdPaused,
    /// SIGKILL of etcd, which comes back with its data.
    EtcdKilled,
    /// SIGSTOP of the API server, and SIGCONT later.
    ApiServerPaused,
    /// SIGKILL of the API server, which comes back on the same port.
    ApiServerKilled,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Hang,
        Self::HalfOpen,
        Self::Forgotten,
        Self::AnswersLost,
        Self::AnswersLate,
        Self::Slow,
        Self::Drip,
        Self::Reset,
        Self::Cut,
        Self::CutToServer,
        Self::CutToClient,
        Self::Killed,
        Self::Paused,
        Self::StoppedWhileCut,
        Self::LabelEdits,
        Self::PermissionWithdrawn,
        Self::EtcdPaused,
        Self::EtcdKilled,
        Self::ApiServerPaused,
        Self::ApiServerKilled,
    ];

    /// Whether it strikes every electorate of the control plane at once.
    pub fn is_of_servers(self) -> bool {
        matches!(self, Self::EtcdPaused | Self::EtcdKilled | Self::ApiServerPaused | Self::ApiServerKilled)
    }

    fn is_of_all(self) -> bool {
        self.is_of_servers() || matches!(self, Self::LabelEdits | Self::PermissionWithdrawn)
    }

    /// What the proxy of a victim does; `None` where the network is whole.
    fn network(self, rng: &mut Rng) -> Option<Network> {
        Some(match self {
            Self::Hang => Network::Hang,
            Self::HalfOpen => Network::HalfOpen,
            Self::Forgotten => Network::Forget,
            Self::AnswersLost => Network::LoseAnswers { reset_after: millis(rng, 0..=2_000) },
            Self::AnswersLate => {
                Network::Delay { to_server: Duration::ZERO, to_client: millis(rng, 100..=4_000) }
            }
            Self::Slow => {
                Network::Delay { to_server: millis(rng, 20..=1_500), to_client: millis(rng, 20..=1_500) }
            }
            Self::Drip => Network::Drip { bytes_per_second: rng.u32(20..=20_000) },
            Self::Reset | Self::Cut => Network::Cut,
            Self::CutToServer => Network::HoldToServer,
            Self::CutToClient => Network::HoldToClient,
            Self::StoppedWhileCut => {
                *rng.choice(&[Network::Hang, Network::HalfOpen, Network::Cut, Network::HoldToClient])?
            }
            Self::Killed
            | Self::Paused
            | Self::LabelEdits
            | Self::PermissionWithdrawn
            | Self::EtcdPaused
            | Self::EtcdKilled
            | Self::ApiServerPaused
            | Self::ApiServerKilled => return None,
        })
    }

    /// How long it lasts. Half of the faults of the network are shorter than a renew deadline, half are longer.
    fn lasts(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Reset => millis(rng, 50..=100),
            Self::Killed => millis(rng, 0..=3_000),
            Self::Paused => millis(rng, 200..=7_000),
            Self::StoppedWhileCut => millis(rng, 500..=4_000),
            Self::LabelEdits => millis(rng, 2_000..=4_000),
            Self::EtcdKilled | Self::ApiServerKilled => millis(rng, 0..=3_000),
            Self::EtcdPaused | Self::ApiServerPaused => millis(rng, 500..=6_000),
            _ if rng.bool() => millis(rng, 100..=1_500),
            _ => millis(rng, 1_500..=6_000),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hang => "hang",
            Self::HalfOpen => "half open",
            Self::Forgotten => "connections forgotten",
            Self::AnswersLost => "answers lost",
            Self::AnswersLate => "answers late",
            Self::Slow => "slow",
            Self::Drip => "drip",
            Self::Reset => "reset",
            Self::Cut => "cut",
            Self::CutToServer => "cut to server",
            Self::CutToClient => "cut to client",
            Self::Killed => "killed",
            Self::Paused => "paused",
            Self::StoppedWhileCut => "stopped while cut",
            Self::LabelEdits => "label edits",
            Self::PermissionWithdrawn => "permission withdrawn",
            Self::EtcdPaused => "etcd paused",
            Self::EtcdKilled => "etcd killed",
            Self::ApiServerPaused => "API server paused",
            Self::ApiServerKilled => "API server killed",
        })
    }
}

/// Whom it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Victims {
    /// The leader of the moment.
    Leader,
    /// One of the others.
    Standby,
    /// All but the leader.
    Standbys,
    /// Everybody.
    All,
}

impl fmt::Display for Victims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "the leader",
            Self::Standby => "a standby",
            Self::Standbys => "all standbys",
            Self::All => "all",
        })
    }
}

/// One fault, at its moment, for its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// It all follows from this.
    pub seed: u64,
    /// What happens.
    pub fault: Fault,
    /// To whom.
    pub victims: Victims,
    /// What the proxies of the victims do meanwhile.
    pub network: Option<Network>,
    /// From a renewal to the fault: any moment between two renewals.
    pub after: Duration,
    /// How long it lasts.
    pub lasts: Duration,
}

impl Strike {
    /// The strike of this seed. The kinds take turns, so that a row of seeds has them all; the rest is chance.
    pub fn drawn(seed: u64) -> Self {
        let kinds = u64::try_from(Fault::ALL.len()).expect("twenty");
        let fault = Fault::ALL[usize::try_from(seed % kinds).expect("below twenty")];
        let mut rng = Rng::with_seed(seed);
        let victims = match rng.u32(0..10) {
            _ if fault.is_of_all() => Victims::All,
            0..=4 => Victims::Leader,
            5 => Victims::Standby,
            6 | 7 => Victims::Standbys,
            _ => Victims::All,
        };
        let network = fault.network(&mut rng);
        Self {
            seed,
            fault,
            victims,
            network,
            after: millis(&mut rng, 0..=1_000),
            lasts: fault.lasts(&mut rng),
        }
    }

    /// The command that strikes again.
    pub fn command(&self) -> String {
        format!(
            "LEASEHOLD_SEED={} cargo test -p leasehold-e2e --test faults no_fault -- --nocapture",
            self.seed
        )
    }
}

impl fmt::Display for Strike {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, fault, victims, network, after, lasts } = self;
        write!(f, "seed {seed}: {fault} of {victims} for {lasts:?}, {after:?} after a renewal")?;
        match network {
            Some(network) => write!(f, " ({network:?})"),
            None => Ok(()),
        }
    }
}

fn millis(rng: &mut Rng, range: std::ops::RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_strike_and_a_row_of_seeds_has_every_fault() {
        assert_eq!(Strike::drawn(7), Strike::drawn(7));
        let kinds: std::collections::BTreeSet<Fault> =
            (30..50).map(|seed| Strike::drawn(seed).fault).collect();
        assert_eq!(kinds.len(), Fault::ALL.len());
    }

    #[test]
    fn faults_of_the_network_strike_everybody_they_can_shortly_and_long() {
        let cuts: Vec<Strike> = (0..50).map(|round| Strike::drawn(8 + round * 20)).collect();
        for victims in [Victims::Leader, Victims::Standby, Victims::Standbys, Victims::All] {
            assert!(cuts.iter().any(|strike| strike.victims == victims), "nobody cuts off {victims}");
        }
        let renew_deadline = Duration::from_secs(2);
        assert!(cuts.iter().any(|strike| strike.lasts < renew_deadline));
        assert!(cuts.iter().any(|strike| strike.lasts > renew_deadline));
    }
}
