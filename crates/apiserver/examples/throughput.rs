//! How fast the store is, without sockets: renewals by JSON Patch on one core, then the same with watches that are
//! polled. `cargo run --release -p leasehold-apiserver --example throughput -- [WRITES] [WATCHES]`

#![expect(clippy::disallowed_methods, reason = "it measures")]
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::time::Instant;

use http::Request;
use jiff::{SignedDuration, Timestamp};
use leasehold_apiserver::store::{Outside, Store, Watch};

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>().ok());
    let mut number = |default| arguments.next().flatten().unwrap_or(default);
    let (writes, watches) = (number(100_000), number(1_000));
    let mut bench = Bench::new();
    bench.create();
    bench.renew("renewals", writes, &mut []);
    let watch = format!("{LEASES}?watch=true&resourceVersion={}", bench.store.revision());
    let request = Request::get(watch).body(Vec::new()).expect("a path without odd letters");
    let mut open: Vec<Watch> =
        (0..watches).map(|_| bench.store.open_watch(bench.now, &request).expect("a good request")).collect();
    bench.renew(&format!("renewals, each seen by {watches} watches"), writes / 100, &mut open);
}

struct Bench {
    store: Store,
    now: Timestamp,
    number: u64,
}

impl Bench {
    fn new() -> Self {
        let now = Timestamp::UNIX_EPOCH;
        let mut number = 0;
        let store = Store::new(&mut Outside { now, chance: &mut || next(&mut number) });
        Self { store, now, number }
    }

    fn handle(&mut self, request: &Request<Vec<u8>>) {
        let Self { store, now, number } = self;
        let response = store.handle(&mut Outside { now: *now, chance: &mut || next(number) }, request);
        assert!(response.status().is_success(), "{:?}", String::from_utf8_lossy(response.body()));
    }

    fn create(&mut self) {
        let lease = r#"{"metadata":{"name":"db"},"spec":{"holderIdentity":"a","leaseDurationSeconds":15,"leaseTransitions":0}}"#;
        let request = Request::post(LEASES).header("user-agent", "throughput").body(lease.into());
        self.handle(&request.expect("a path without odd letters"));
    }

    /// Renews as the election does, and lets each watch tell what it has after each write.
    fn renew(&mut self, what: &str, writes: u32, watches: &mut [Watch]) {
        let begun = Instant::now();
        let mut lines = 0;
        for _ in 0..writes {
            self.now += SignedDuration::from_millis(1);
            let patch = format!(
                r#"[{{"op":"test","path":"/spec/holderIdentity","value":"a"}},{{"op":"test","path":"/spec/leaseTransitions","value":0}},{{"op":"add","path":"/spec/renewTime","value":"{:.6}"}}]"#,
                self.now
            );
            let request = Request::patch(format!("{LEASES}/db"))
                .header("content-type", "application/json-patch+json")
                .header("user-agent", "throughput")
                .body(patch.into_bytes());
            self.handle(&request.expect("a path without odd letters"));
            lines +=
                watches.iter_mut().map(|watch| self.store.poll_watch(self.now, watch).len()).sum::<usize>();
        }
        let elapsed = begun.elapsed();
        let rate = f64::from(writes) / elapsed.as_secs_f64();
        println!("{what}: {writes} in {elapsed:.2?}, {rate:.0}/s, {lines} events told");
    }
}

fn next(number: &mut u64) -> u64 {
    *number += 1;
    *number
}
