//! What an election costs while nothing happens: requests, writes, memory, CPU time, and how long a renewal takes.
//!
//! Both electors run at the same time beside the same API server, and nobody asks them anything. The API server's
//! audit log counts, by the Pod that a token is bound to; a watch on the Lease counts what etcd has stored.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, WatchEvent, WatchParams};
use leasehold_e2e::{AuditEvent, Elector};
use tokio::task::JoinHandle;

use crate::arena::{Arena, CANDIDATES, Ground, Wiring, elector_name};
use crate::figures::{Measure, Pair, Unit};
use crate::progress;
use crate::usage;

/// Everything about a steady election, in the order in which it is shown.
struct Measures {
    requests_all: Measure,
    requests_leader: Measure,
    requests_standby: Measure,
    writes: Measure,
    renewal: Measure,
    memory_leader: Measure,
    memory_standby: Measure,
    cpu_leader: Measure,
    cpu_standby: Measure,
}

/// What is known when the watching begins.
struct Begun {
    leader: String,
    /// By the position of the member.
    cpu_times: Vec<Duration>,
    /// When each write arrived on a watch.
    stored: JoinHandle<Result<Vec<Timestamp>>>,
}

/// One leader and its standbys for so long.
pub(crate) async fn steady(ground: &Ground, length: Duration) -> Result<Vec<Measure>> {
    let mut arenas = Pair {
        leasehold: Arena::open(ground, "steady", Elector::Ours, CANDIDATES, Wiring::Direct).await?,
        client_go: Arena::open(ground, "steady", Elector::ClientGo, CANDIDATES, Wiring::Direct).await?,
    };
    let leaders =
        [arenas.leasehold.next_begin(0, None).await?.name, arenas.client_go.next_begin(0, None).await?.name];
    // What a start costs is over by then.
    tokio::time::sleep(ground.timing.lease_duration()).await;
    progress(&format!("steady: watching for {length:?}"));

    let mut begun = Vec::new();
    for (elector, leader) in ELECTORS.into_iter().zip(leaders) {
        begun.push(arenas.of_mut(elector).begin_steady(leader, length).await?);
    }
    let (first, started) = (Timestamp::now(), Instant::now());
    tokio::time::sleep(length).await;
    let (last, elapsed) = (Timestamp::now(), started.elapsed());

    let mut measures = Measures::new();
    for (elector, begun) in ELECTORS.into_iter().zip(begun) {
        let arena = arenas.of_mut(elector);
        measures.add_processes(arena, &begun, elapsed)?;
        let requests = arena.requests(first, last)?;
        measures.add_requests(arena, &begun.leader, &requests, elapsed);
        let renewals: Vec<&AuditEvent> =
            requests.iter().filter(|event| is_renewal(event, &begun.leader)).collect();
        let stored = begun.stored.await.context("counting what was stored")??;
        measures.add_renewals(elector, &renewals, &stored, ground.timing.retry_period() / 2)?;
    }
    Ok(measures.into_vec())
}

impl Measures {
    fn new() -> Self {
        let requests = |name, title| Measure::new(name, title, Unit::RequestsPerHour);
        Self {
            requests_all: requests("requests", "requests of three candidates"),
            requests_leader: requests("requests-leader", "requests of the leader"),
            requests_standby: requests("requests-standby", "requests of a standby"),
            writes: Measure::new("writes", "etcd writes per renewal", Unit::Writes),
            renewal: Measure::new("renewal", "renewal, time in the API server", Unit::Seconds),
            memory_leader: Measure::new("rss-leader", "resident memory of the leader", Unit::Bytes),
            memory_standby: Measure::new("rss-standby", "resident memory of a standby", Unit::Bytes),
            cpu_leader: Measure::new("cpu-leader", "CPU time of the leader", Unit::SecondsPerHour),
            cpu_standby: Measure::new("cpu-standby", "CPU time of a standby", Unit::SecondsPerHour),
        }
    }

    fn add_processes(&mut self, arena: &mut Arena<'_>, begun: &Begun, elapsed: Duration) -> Result<()> {
        for (member, cpu_before) in arena.electorate.members.iter_mut().zip(&begun.cpu_times) {
            let id = member.process().id();
            let cpu = usage::cpu_time(id)?.saturating_sub(*cpu_before);
            let leads = member.name == begun.leader;
            let (memory, cpu_time) = if leads {
                (&mut self.memory_leader, &mut self.cpu_leader)
            } else {
                (&mut self.memory_standby, &mut self.cpu_standby)
            };
            memory.add(arena.elector, usage::resident_bytes(id)?);
            cpu_time.add(arena.elector, per_hour(cpu.as_secs_f64(), elapsed));
        }
        Ok(())
    }

    fn add_requests(&mut self, arena: &Arena<'_>, leader: &str, requests: &[AuditEvent], elapsed: Duration) {
        let elector = arena.elector;
        let rate = |count: usize| per_hour(number(count), elapsed);
        let of = |name: &str| requests.iter().filter(|event| is_by(event, name)).count();
        self.requests_all.add(elector, rate(requests.len()));
        self.requests_leader.add(elector, rate(of(leader)));
        for standby in arena.electorate.members.iter().filter(|member| member.name != leader) {
            self.requests_standby.add(elector, rate(of(&standby.name)));
        }
    }

    /// `tolerance`: how late a write may arrive on the watch; shorter than the time between two renewals.
    fn add_renewals(
        &mut self,
        elector: Elector,
        renewals: &[&AuditEvent],
        stored: &[Timestamp],
        tolerance: Duration,
    ) -> Result<()> {
        let first = renewals.iter().map(|event| event.request_received_timestamp).min();
        let last = renewals.iter().map(|event| event.stage_timestamp).max();
        let (Some(first), Some(last)) = (first, last) else {
            bail!("the leader of {} did not renew: watch for longer", elector_name(elector));
        };
        let writes =
            stored.iter().filter(|&&arrived| first <= arrived && arrived <= last + tolerance).count();
        self.writes.add(elector, number(writes) / number(renewals.len()));
        for renewal in renewals {
            let taken = renewal.stage_timestamp.duration_since(renewal.request_received_timestamp);
            self.renewal.add(elector, taken.as_secs_f64());
        }
        Ok(())
    }

    fn into_vec(self) -> Vec<Measure> {
        vec![
            self.requests_all,
            self.requests_leader,
            self.requests_standby,
            self.writes,
            self.renewal,
            self.memory_leader,
            self.memory_standby,
            self.cpu_leader,
            self.cpu_standby,
        ]
    }
}

impl Arena<'_> {
    async fn begin_steady(&mut self, leader: String, length: Duration) -> Result<Begun> {
        let cpu_times: Result<Vec<Duration>> =
            self.electorate.members.iter_mut().map(|member| usage::cpu_time(member.process().id())).collect();
        let version = self.leases.get(self.permission.lease()).await?.metadata.resource_version;
        let version = version.context("a Lease without a version")?;
        let stored = tokio::spawn(note_stored(self.leases.clone(), version, length + WATCH_MARGIN));
        Ok(Begun { leader, cpu_times: cpu_times?, stored })
    }

    /// All that its candidates asked between these moments, whatever it was about, also what is not answered yet.
    fn requests(&mut self, first: Timestamp, last: Timestamp) -> Result<Vec<AuditEvent>> {
        let username = self.permission.username();
        let mut events = self.audit_events()?;
        let mut seen = BTreeSet::new();
        // The last stage of a request is the last line about it.
        events.reverse();
        events.retain(|event| {
            event.user.username == username
                && (first..last).contains(&event.request_received_timestamp)
                && seen.insert(event.audit_id.clone())
        });
        self.electorate.listen()?;
        let terms = self.electorate.members.iter().flat_map(|member| &member.said);
        let terms = terms.filter(|said| self.is_begin(said)).count();
        ensure!(
            terms == 1,
            "{} changed its leader meanwhile: that is not steady",
            elector_name(self.elector)
        );
        Ok(events)
    }
}

/// Each event of a watch on one object is one write that etcd has stored.
async fn note_stored(leases: Api<Lease>, version: String, length: Duration) -> Result<Vec<Timestamp>> {
    let end = tokio::time::Instant::now() + length;
    let events = leases.watch(&WatchParams::default(), &version).await.context("watching a Lease")?;
    let mut events = std::pin::pin!(events);
    let mut stored = Vec::new();
    while let Ok(event) = tokio::time::timeout_at(end, events.try_next()).await {
        match event.context("watching a Lease")?.context("the watch of a Lease has ended")? {
            WatchEvent::Added(_) | WatchEvent::Modified(_) | WatchEvent::Deleted(_) => {
                stored.push(Timestamp::now());
            }
            WatchEvent::Bookmark(_) => {}
            WatchEvent::Error(status) => return Err(kube::Error::Api(status)).context("watching a Lease"),
        }
    }
    Ok(stored)
}

fn is_by(event: &AuditEvent, pod: &str) -> bool {
    event.user.extra.get(POD_NAME_KEY).is_some_and(|names| names.iter().any(|name| name == pod))
}

fn is_renewal(event: &AuditEvent, leader: &str) -> bool {
    matches!(event.verb.as_str(), "patch" | "update") && event.code() == Some(200) && is_by(event, leader)
}

fn number(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}

fn per_hour(amount: f64, elapsed: Duration) -> f64 {
    amount * HOUR.as_secs_f64() / elapsed.as_secs_f64()
}

const ELECTORS: [Elector; 2] = [Elector::Ours, Elector::ClientGo];
/// The last write of the time that is measured still has to arrive.
const WATCH_MARGIN: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const POD_NAME_KEY: &str = "authentication.kubernetes.io/pod-name";
