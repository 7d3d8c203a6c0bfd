//! Candidates of one elector around a Lease of their own, watched without asking them anything.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, PostParams};
use leasehold::Timing;
use leasehold_apiserver::FaultProxy;
use leasehold_e2e::electorate::{Said, kubeconfig};
use leasehold_e2e::{AuditEvent, ControlPlane, Elector, Electorate, LeasePermission};

/// What all measurements stand on.
pub(crate) struct Ground {
    pub(crate) control_plane: ControlPlane,
    pub(crate) timing: Timing,
    admin: Client,
}

/// The way to the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wiring {
    Direct,
    /// Each candidate through a proxy of its own.
    Proxied,
}

/// The candidates of one elector.
pub(crate) struct Arena<'a> {
    pub(crate) elector: Elector,
    pub(crate) electorate: Electorate,
    pub(crate) permission: LeasePermission,
    pub(crate) leases: Api<Lease>,
    /// The way of each candidate, by its name.
    pub(crate) proxies: BTreeMap<String, FaultProxy>,
    kubeconfigs: BTreeMap<String, PathBuf>,
    ground: &'a Ground,
}

/// The begin of a term.
#[derive(Clone, Debug)]
pub(crate) struct Begin {
    /// Whose.
    pub(crate) name: String,
    /// When the work began, by CLOCK_BOOTTIME.
    pub(crate) at_ns: u64,
}

impl Ground {
    pub(crate) async fn prepare(timing: Timing) -> Result<Self> {
        let control_plane = ControlPlane::start().await?;
        let admin = control_plane.admin_client().await?;
        Ok(Self { control_plane, timing, admin })
    }

    /// Longer than anything that works takes: client-go's worst take-over is below two lease durations.
    pub(crate) fn patience(&self) -> Duration {
        self.timing.lease_duration() * 4 + Duration::from_secs(10)
    }

    /// Lets time pass, another time in each round, spread evenly over the time between two polls of client-go (1 to
    /// 2.2 retry periods): no moment between two polls or two renewals is preferred.
    pub(crate) async fn pause(&self, round: u32) {
        let spread = (f64::from(round) * GOLDEN_RATIO).fract();
        let retry_period = self.timing.retry_period();
        tokio::time::sleep(retry_period + retry_period.mul_f64(2.2 * spread)).await;
    }

    fn upstream(&self) -> Result<SocketAddr> {
        let url = self.control_plane.url();
        url.trim_start_matches("https://").parse().with_context(|| format!("{url} names no address"))
    }
}

impl<'a> Arena<'a> {
    /// A namespace with a Lease that is free, the least-privilege Role, and so many candidates.
    pub(crate) async fn open(
        ground: &'a Ground,
        name: &str,
        elector: Elector,
        candidates: u32,
        wiring: Wiring,
    ) -> Result<Self> {
        let namespace = format!("{name}-{}", elector_name(elector));
        let permission = LeasePermission::grant(&ground.admin, &namespace, LEASE).await?;
        let leases: Api<Lease> = Api::namespaced(ground.admin.clone(), &namespace);
        let free = serde_json::from_value(serde_json::json!({"metadata": {"name": LEASE}, "spec": {}}))?;
        leases.create(&PostParams::default(), &free).await.context("creating a free Lease")?;
        // With peers allowed, as is the default: nothing is tuned for the occasion.
        let electorate = Electorate::new(&permission, ground.timing.lease_duration(), true);
        let (proxies, kubeconfigs) = (BTreeMap::new(), BTreeMap::new());
        let mut arena = Self { elector, electorate, permission, leases, proxies, kubeconfigs, ground };
        for index in 0..candidates {
            arena.admit(&format!("candidate-{index}"), wiring).await?;
        }
        Ok(arena)
    }

    async fn admit(&mut self, name: &str, wiring: Wiring) -> Result<()> {
        let kubeconfig = self.kubeconfig(name, wiring).await?;
        self.electorate.start_with(&kubeconfig, name, self.elector).await?;
        Ok(())
    }

    /// What a candidate of this name needs to reach the API server as a Pod of its own.
    pub(crate) async fn kubeconfig(&mut self, name: &str, wiring: Wiring) -> Result<PathBuf> {
        let ground = self.ground;
        let url = match wiring {
            Wiring::Direct => ground.control_plane.url(),
            Wiring::Proxied => {
                let proxy = FaultProxy::start(ground.upstream()?).await.context("starting a proxy")?;
                let url = format!("https://{}", proxy.address());
                self.proxies.insert(name.to_owned(), proxy);
                url
            }
        };
        let kubeconfig = kubeconfig(&ground.control_plane, &self.permission, name, &url).await?;
        self.kubeconfigs.insert(name.to_owned(), kubeconfig.clone());
        Ok(kubeconfig)
    }

    /// Waits for the first term that begins after `since_ns` and is not `except`'s.
    pub(crate) async fn next_begin(&mut self, since_ns: u64, except: Option<&str>) -> Result<Begin> {
        let end = Instant::now() + self.ground.patience();
        loop {
            self.electorate.listen()?;
            if let Some(begin) = self.begin_after(since_ns, except) {
                return Ok(begin);
            }
            if Instant::now() >= end {
                bail!(
                    "no candidate of {} led within {:?}{}",
                    elector_name(self.elector),
                    self.ground.patience(),
                    self.electorate.describe()
                );
            }
            tokio::time::sleep(LISTEN_INTERVAL).await;
        }
    }

    /// The first term that began after `since_ns` and is not `except`'s, as far as was heard.
    pub(crate) fn begin_after(&self, since_ns: u64, except: Option<&str>) -> Option<Begin> {
        let others = self.electorate.members.iter().filter(|member| Some(member.name.as_str()) != except);
        let begins = others.flat_map(|member| {
            let begins = member.said.iter().filter(|said| self.is_begin(said) && said.boottime_ns > since_ns);
            begins.map(|said| Begin { name: member.name.clone(), at_ns: said.boottime_ns })
        });
        begins.min_by_key(|begin| begin.at_ns)
    }

    /// Where among the members this one is.
    pub(crate) fn position(&self, name: &str) -> Result<usize> {
        let position = self.electorate.members.iter().position(|member| member.name == name);
        position.with_context(|| format!("there is no {name}"))
    }

    /// Starts a candidate again that has ended or is about to, and waits until it has seen the holder.
    pub(crate) async fn restart(&mut self, name: &str) -> Result<()> {
        let position = self.position(name)?;
        let mut gone = self.electorate.members.remove(position);
        let patience = self.ground.patience();
        let ended = gone.process().wait(patience).await?;
        ended.with_context(|| format!("{name} has not ended within {patience:?}"))?;
        let kubeconfig = self.kubeconfigs.get(name).context("every candidate has a kubeconfig")?.clone();
        self.electorate.start_with(&kubeconfig, name, self.elector).await?;
        let position = self.position(name)?;
        let end = Instant::now() + patience;
        while !self.electorate.members[position].said.iter().any(has_seen_holder) {
            if Instant::now() >= end {
                bail!("{name} saw no holder within {patience:?}{}", self.electorate.describe());
            }
            tokio::time::sleep(LISTEN_INTERVAL).await;
            self.electorate.listen()?;
        }
        Ok(())
    }

    /// Lease duration of its candidates.
    pub(crate) fn lease_duration(&self) -> Duration {
        self.ground.timing.lease_duration()
    }

    /// Longer than anything that works takes: see [`Ground::patience`].
    pub(crate) fn patience(&self) -> Duration {
        self.ground.patience()
    }

    /// Everything in the API server's audit log.
    pub(crate) fn audit_events(&self) -> Result<Vec<AuditEvent>> {
        self.ground.control_plane.audit_events()
    }

    pub(crate) fn is_begin(&self, said: &Said) -> bool {
        said.event
            == match self.elector {
                Elector::Ours => "work_began",
                Elector::ClientGo => "started",
            }
    }
}

pub(crate) fn elector_name(elector: Elector) -> &'static str {
    match elector {
        Elector::Ours => "leasehold",
        Elector::ClientGo => "client-go",
    }
}

fn has_seen_holder(said: &Said) -> bool {
    said.event == "new_leader" && said.leader.as_deref().is_some_and(|leader| !leader.is_empty())
}

/// Seconds between two stamps; negative where `to` was before.
pub(crate) fn seconds(from_ns: u64, to_ns: u64) -> f64 {
    let length = |nanos: u64| Duration::from_nanos(nanos).as_secs_f64();
    if to_ns >= from_ns { length(to_ns - from_ns) } else { -length(from_ns - to_ns) }
}

/// A leader and two standbys: as many as survive one failure during a roll-out.
pub(crate) const CANDIDATES: u32 = 3;

const LEASE: &str = "leader";
const LISTEN_INTERVAL: Duration = Duration::from_millis(5);
/// Its multiples fill an interval evenly, however many there are.
const GOLDEN_RATIO: f64 = 0.618_033_988_749_895;
