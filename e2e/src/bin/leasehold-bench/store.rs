//! How fast the API server in memory is, without sockets, on one core: a renewal as the election makes it, and what it
//! takes to tell many watches of it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use http::Request;
use jiff::{SignedDuration, Timestamp};
use leasehold_apiserver::store::{Outside, Store, Watch};
use leasehold_e2e::Elector;

use crate::figures::{Measure, Unit};
use crate::progress;

/// Renewals alone, then each told to a thousand watches.
pub(crate) async fn store() -> Result<Vec<Measure>> {
    tokio::task::spawn_blocking(measure).await.context("measuring the store")?
}

fn measure() -> Result<Vec<Measure>> {
    let mut bench = Bench::new();
    bench.handle(&Request::post(LEASES).body(LEASE.into())?)?;
    let mut write = Measure::new("store-write", "API server in memory: a renewal, in process", Unit::Seconds);
    let begun = Instant::now();
    for _ in 0..WRITES {
        write.add(Elector::Ours, bench.renew()?.as_secs_f64());
    }
    let rate = f64::from(WRITES) / begun.elapsed().as_secs_f64();
    progress(&format!("store: {rate:.0} renewals a second on one core"));

    let mut told =
        Measure::new("store-watches", "API server in memory: 1,000 watches told of one", Unit::Seconds);
    let mut watches = bench.watches()?;
    for _ in 0..WRITES / WATCHES {
        bench.renew()?;
        let begun = Instant::now();
        let lines: usize =
            watches.iter_mut().map(|watch| bench.store.poll_watch(bench.now, watch).len()).sum();
        told.add(Elector::Ours, begun.elapsed().as_secs_f64());
        ensure!(lines == watches.len(), "{lines} events for {} watches", watches.len());
    }
    Ok(vec![write, told])
}

struct Bench {
    store: Store,
    now: Timestamp,
    number: u64,
}

impl Bench {
    fn new() -> Self {
        let (now, mut number) = (Timestamp::UNIX_EPOCH, 0);
        let store = Store::new(&mut Outside { now, chance: &mut || next(&mut number) });
        Self { store, now, number }
    }

    fn handle(&mut self, request: &Request<Vec<u8>>) -> Result<()> {
        let Self { store, now, number } = self;
        let response = store.handle(&mut Outside { now: *now, chance: &mut || next(number) }, request);
        ensure!(response.status().is_success(), "{}", String::from_utf8_lossy(response.body()));
        Ok(())
    }

    fn renew(&mut self) -> Result<Duration> {
        self.now += SignedDuration::from_millis(1);
        let patch = serde_json::json!([
            { "op": "test", "path": "/spec/holderIdentity", "value": "a" },
            { "op": "test", "path": "/spec/leaseTransitions", "value": 0 },
            { "op": "add", "path": "/spec/renewTime", "value": format!("{:.6}", self.now) },
        ]);
        let request = Request::patch(format!("{LEASES}/db"))
            .header("content-type", "application/json-patch+json")
            .header("user-agent", "bench")
            .body(patch.to_string().into_bytes())?;
        let begun = Instant::now();
        self.handle(&request)?;
        Ok(begun.elapsed())
    }

    fn watches(&mut self) -> Result<Vec<Watch>> {
        let path = format!("{LEASES}?watch=true&resourceVersion={}", self.store.revision());
        let request = Request::get(path).body(Vec::new())?;
        let open = |_| self.store.open_watch(self.now, &request).ok();
        (0..WATCHES).map(open).collect::<Option<_>>().context("a watch was refused")
    }
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

const WRITES: u32 = 100_000;
const WATCHES: u32 = 1_000;
const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const LEASE: &str = r#"{"metadata":{"name":"db"},"spec":{"holderIdentity":"a","leaseDurationSeconds":15,"leaseTransitions":0}}"#;
