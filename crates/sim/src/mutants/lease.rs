//! Mutants that write the Lease without care, or take answers for what they are not.

use std::collections::BTreeSet;
use std::time::Duration;

use http::{Method, Request, Response};
use leasehold_election::{Config, Delivery, Effect, Effects, Elector, Input, Reading, RequestId, WatchId};
use serde_json::Value;

use super::Mutant;

/// Strips the tests of the holder and the term from the releases.
#[derive(Debug)]
pub(super) struct ReleaseByMemory;

impl Mutant for ReleaseByMemory {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        strip_tests(elector.handle(reading, chance, input), is_release)
    }
}

/// Strips them from the renewals.
#[derive(Debug)]
pub(super) struct TermNotTested;

impl Mutant for TermNotTested {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        strip_tests(elector.handle(reading, chance, input), is_renewal)
    }
}

/// Lets a lease duration pass at once when the Lease is missing.
#[derive(Debug, Default)]
pub(super) struct MissingIsFree {
    ahead: Duration,
}

impl Mutant for MissingIsFree {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let missing = match &input {
            Input::Answer(_, Delivery::Response(response)) => response.status() == 404,
            Input::WatchLine(_, line) => line.starts_with(br#"{"type":"DELETED""#),
            _ => false,
        };
        let effects = elector.handle(set_ahead(reading, self.ahead), chance, input);
        if !missing || effects.limits.valid_for.is_some() {
            return effects;
        }
        self.ahead += elector.config().timing.lease_duration();
        let more = elector.handle(set_ahead(reading, self.ahead), chance, Input::Wake);
        joined(effects, more)
    }
}

/// Takes a renewal whose answer was lost, or was a 5xx, as refused.
#[derive(Debug, Default)]
pub(super) struct UnknownIsFailure {
    renewals: BTreeSet<RequestId>,
}

impl Mutant for UnknownIsFailure {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        let input = match input {
            Input::Answer(id, delivery) if self.renewals.contains(&id) && is_unknown(&delivery) => {
                let refusal = Response::builder().status(403).body(Vec::new()).expect("a valid answer");
                Input::Answer(id, Delivery::Response(refusal))
            }
            input => input,
        };
        let effects = elector.handle(reading, chance, input);
        for effect in &effects.list {
            if let Effect::Send { id, request, .. } = effect
                && is_renewal(request)
            {
                self.renewals.insert(*id);
            }
        }
        effects
    }
}

/// Goes on after an etcd restore as if a person had accepted it.
#[derive(Debug)]
pub(super) struct RestoreIgnored;

impl Mutant for RestoreIgnored {
    fn config(&self, config: Config) -> Config {
        Config { accept_restore: true, ..config }
    }
}

/// Never sees a Retry-After.
#[derive(Debug)]
pub(super) struct RetryAfterIgnored;

impl Mutant for RetryAfterIgnored {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, mut input: Input) -> Effects {
        if let Input::Answer(_, Delivery::Response(response)) = &mut input {
            response.headers_mut().remove(http::header::RETRY_AFTER);
        }
        elector.handle(reading, chance, input)
    }
}

/// Sends no read while a watch is open.
#[derive(Debug, Default)]
pub(super) struct WatchTrusted {
    open: Option<WatchId>,
}

impl Mutant for WatchTrusted {
    fn handle(&mut self, elector: &mut Elector, reading: Reading, chance: u64, input: Input) -> Effects {
        match &input {
            Input::WatchOpened(id) => self.open = Some(*id),
            Input::WatchEnded(..) => self.open = None,
            _ => {}
        }
        let mut effects = elector.handle(reading, chance, input);
        let opens = effects.list.iter().any(|effect| matches!(effect, Effect::CloseWatch(_)));
        self.open = self.open.filter(|_| !opens);
        let trusts = self.open.is_some();
        effects.list.retain(|effect| {
            let read = matches!(effect, Effect::Send { request, .. } if request.method() == Method::GET);
            // A watch whose read was due stays as it is.
            !(trusts && read)
        });
        effects
    }
}

pub(super) fn is_unknown(delivery: &Delivery) -> bool {
    match delivery {
        Delivery::Lost(_) => true,
        Delivery::Response(response) => response.status().is_server_error(),
    }
}

fn is_release(request: &Request<Vec<u8>>) -> bool {
    let body = String::from_utf8_lossy(request.body());
    request.method() == Method::PATCH
        && body.contains(r#"{"op":"add","path":"/spec/holderIdentity","value":""}"#)
}

pub(super) fn is_renewal(request: &Request<Vec<u8>>) -> bool {
    let body = String::from_utf8_lossy(request.body());
    request.method() == Method::PATCH && !body.contains(r#""op":"add","path":"/spec/holderIdentity""#)
}

fn strip_tests(mut effects: Effects, wanted: fn(&Request<Vec<u8>>) -> bool) -> Effects {
    for effect in &mut effects.list {
        if let Effect::Send { request, .. } = effect
            && wanted(request)
        {
            let operations: Vec<Value> =
                serde_json::from_slice(request.body()).expect("a patch is a list of operations");
            let kept: Vec<Value> = operations
                .into_iter()
                .filter(|operation| operation["op"] != "test" || operation["path"] == "/metadata/uid")
                .collect();
            *request.body_mut() = Value::from(kept).to_string().into_bytes();
        }
    }
    effects
}

/// What two calls came to.
pub(super) fn joined(mut first: Effects, second: Effects) -> Effects {
    first.list.extend(second.list);
    Effects { list: first.list, wake_after: second.wake_after, limits: second.limits }
}

fn set_ahead(reading: Reading, by: Duration) -> Reading {
    Reading { raw: reading.raw + by, boottime: reading.boottime + by, ..reading }
}
