//! Histories for the tests of the rules.

use leasehold_election::Operation;
use leasehold_history::Nanos;

use crate::plan::{Mixed, Plan, Settings};
use crate::world::{Applied, Lease, Log, ProcessLog, TermLog};

const SECOND: u64 = 1_000_000_000;

pub(super) fn at(seconds: u64) -> Nanos {
    Nanos(seconds * SECOND)
}

pub(super) fn log() -> Log {
    let processes = (0..2).map(|machine| ProcessLog { machine, ..ProcessLog::new(Nanos(0)) }).collect();
    Log { processes, ..Log::default() }
}

pub(super) fn term(process: usize, token: u64, begin: u64, end: u64) -> TermLog {
    TermLog { process, token, begin: at(begin), end: at(end) }
}

pub(super) fn plan() -> Plan {
    let mixed = Mixed { permille: 0, ..Mixed::default() };
    Plan::draw(1, &Settings { broken_permille: 0, mixed, ..Settings::default() })
}

pub(super) fn lease(version: u64) -> Lease {
    let json = format!(r#"{{"metadata":{{"uid":"u","resourceVersion":"{version}"}},"spec":{{}}}}"#);
    Lease::parse(json.as_bytes()).unwrap()
}

pub(super) fn acquisition(process: usize, seconds: u64) -> Applied {
    Applied { at: at(seconds), process, operation: Operation::Acquire, before: None, after: lease(9) }
}
