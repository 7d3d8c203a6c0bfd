//! Whatever happens, in whatever order: what must hold after each input.

use std::cell::Cell;
use std::time::Duration;

use http::{Request, Response};
use jiff::SignedDuration;
use leasehold_corpus::Foreign;
use leasehold_election::{
    Config, Delivery, Effect, Effects, Elector, Health, Identity, Input, KILL_MARGIN, LeaseName, RequestId,
    Secret, Timing, WatchId,
};
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::clocks::Clocks;
use crate::health::{HealthRules, caring};
use crate::hostile;
use crate::rules::{Reached, Rules};
use crate::server::{Server, status};

#[test]
fn nothing_that_happens_breaks_a_rule() {
    let config = ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() };
    let (reached, failed) = (Cell::new(Reached::default()), Cell::new(0));
    let played =
        runner(config).run(&(any::<u8>(), prop::collection::vec(step(), 1..200)), |(care, steps)| {
            let mut world = World::new(care);
            world.input(Input::Start);
            steps.into_iter().for_each(|step| world.play(step));
            reached.set(reached.get().plus(world.rules.reached));
            failed.set(failed.get() + world.health.failed);
            Ok(())
        });
    played.unwrap_or_else(|failure| panic!("{failure}"));
    let reached = reached.into_inner();
    println!("{reached:?}");
    // A run without traffic shows nothing.
    let least = u64::from(cases() / 4);
    let all =
        [reached.terms, reached.renewals, reached.lost, reached.planned, reached.kills, reached.releases];
    assert!(all.iter().all(|&times| times >= least), "{reached:?}");
    println!("{} terms ended for want of health", failed.get());
    assert!(failed.get() >= least / 3, "{} terms ended for want of health", failed.get());
}

/// Not only what a network and an API server can do, but whatever bytes can say.
#[test]
fn no_input_in_any_order_breaks_a_rule() {
    let reached = Cell::new(Reached::default());
    leasehold_corpus::check(2_000, prop::collection::vec(any::<u8>(), 0..400).prop_map(Foreign), |program| {
        reached.set(reached.get().plus(hostile::play(&program.0)));
    });
    let reached = reached.into_inner();
    println!("{reached:?}");
    let all = [reached.terms, reached.renewals, reached.lost, reached.kills, reached.releases];
    assert!(all.iter().all(|&times| times >= 500), "{reached:?}");
}

/// The same worlds in each run of the gate, and new ones in a full run.
fn runner(config: ProptestConfig) -> TestRunner {
    if is_full() {
        return TestRunner::new(config);
    }
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, rng)
}

fn is_full() -> bool {
    std::env::var_os("LEASEHOLD_FULL").is_some()
}

fn cases() -> u32 {
    if is_full() { 100_000 } else { 1_000 }
}

/// One thing that happens.
#[derive(Clone, Copy, Debug)]
enum Step {
    Sleep,
    Advance(u64),
    Suspend(u64),
    SetWall(i64),
    /// `Apply` and `Deliver`.
    Answer,
    Apply,
    Deliver,
    Lose,
    Refuse(usize),
    Open,
    Event,
    StaleEvent,
    Noise,
    Gone,
    EndWatch,
    Rival,
    Release,
    Clear,
    Label,
    Shorten,
    Delete,
    HandOver,
    Stop,
    WorkEnded,
    Healthy(bool),
    Heartbeat,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => Just(Step::Sleep),
        6 => (0..3_000_u64).prop_map(Step::Advance),
        1 => (0..30_000_u64).prop_map(Step::Advance),
        1 => (0..30_000_u64).prop_map(Step::Suspend),
        1 => (-60_000..60_000_i64).prop_map(Step::SetWall),
        40 => Just(Step::Answer),
        5 => Just(Step::Apply),
        5 => Just(Step::Deliver),
        3 => Just(Step::Lose),
        3 => (0..REFUSALS.len()).prop_map(Step::Refuse),
        8 => Just(Step::Open),
        20 => Just(Step::Event),
        1 => Just(Step::StaleEvent),
        1 => Just(Step::Noise),
        1 => Just(Step::Gone),
        2 => Just(Step::EndWatch),
        1 => Just(Step::Rival),
        3 => Just(Step::Release),
        1 => Just(Step::Clear),
        2 => Just(Step::Label),
        1 => Just(Step::Shorten),
        1 => Just(Step::Delete),
        4 => Just(Step::HandOver),
        1 => Just(Step::Stop),
        6 => Just(Step::WorkEnded),
        4 => Just(Step::Healthy(true)),
        3 => Just(Step::Healthy(false)),
        6 => Just(Step::Heartbeat),
    ]
}

struct World {
    elector: Elector,
    clocks: Clocks,
    server: Server,
    flight: Option<Flight>,
    watch: Option<Watch>,
    wake_after: Option<Duration>,
    seen: Vec<Vec<u8>>,
    rivals: i32,
    rules: Rules,
    health: HealthRules,
}

struct Watch {
    id: WatchId,
    open: bool,
}

struct Flight {
    id: RequestId,
    request: Request<Vec<u8>>,
    sent: Duration,
    answer: Option<Response<Vec<u8>>>,
}

impl World {
    fn new(care: u8) -> Self {
        let clocks = Clocks::new();
        let identity = Identity::of_process("me", None, &Secret::from_random([1; 16]));
        let config = Config::new(LeaseName::new("prod", "db").unwrap(), identity, Timing::default());
        let mut server = Server::new();
        server.edit(&[]);
        Self {
            elector: Elector::new(caring(config, care), clocks.now()),
            clocks,
            server,
            flight: None,
            watch: None,
            wake_after: None,
            seen: Vec::new(),
            rivals: 0,
            rules: Rules::default(),
            health: HealthRules::new(clocks.now()),
        }
    }

    fn play(&mut self, step: Step) {
        match step {
            Step::Sleep => {
                self.clocks.advance(self.wake_after.unwrap_or(Duration::from_secs(60)));
                self.input(Input::Wake);
            }
            Step::Advance(millis) => self.clocks.advance(Duration::from_millis(millis)),
            Step::Suspend(millis) => {
                let asleep = Duration::from_millis(millis);
                self.clocks.advance_each(Duration::ZERO, asleep, SignedDuration::ZERO);
            }
            Step::SetWall(millis) => {
                self.clocks.advance_each(Duration::ZERO, Duration::ZERO, SignedDuration::from_millis(millis));
            }
            Step::Answer => {
                self.answer(Step::Apply);
                self.answer(Step::Deliver);
            }
            Step::Apply | Step::Deliver | Step::Lose | Step::Refuse(_) => self.answer(step),
            Step::Open | Step::Event | Step::StaleEvent | Step::Noise | Step::Gone | Step::EndWatch => {
                self.watch(step)
            }
            Step::Rival | Step::Release | Step::Clear | Step::Label | Step::Shorten | Step::Delete => {
                self.edit(step)
            }
            Step::HandOver => self.input(Input::StepDown),
            Step::Stop => self.input(Input::Stop),
            Step::WorkEnded if self.rules.works => {
                self.rules.works = false;
                self.input(Input::WorkEnded);
            }
            Step::WorkEnded => {}
            Step::Healthy(true) => self.input(Input::Health(Health::Healthy)),
            Step::Healthy(false) => self.input(Input::Health(Health::unhealthy("unwell"))),
            Step::Heartbeat => self.input(Input::Heartbeat(self.clocks.now())),
        }
    }

    fn answer(&mut self, step: Step) {
        let Some(flight) = &mut self.flight else { return };
        let delivery = match step {
            Step::Apply => {
                if flight.answer.is_none() {
                    let answer = self.server.handle(&flight.request);
                    if answer.status().is_success() && is_write(&flight.request) {
                        self.rules.applied = self.rules.applied.max(Some(flight.sent));
                    }
                    flight.answer = Some(answer);
                }
                return;
            }
            Step::Deliver => match flight.answer.take() {
                Some(answer) => Delivery::Response(answer),
                None => return,
            },
            Step::Refuse(index) => {
                let (code, reason, message) = REFUSALS[index];
                Delivery::Response(status(code, reason, message, &json!({})))
            }
            _ => Delivery::Lost("connection reset".to_owned()),
        };
        let id = flight.id;
        self.flight = None;
        self.input(Input::Answer(id, delivery));
    }

    fn watch(&mut self, step: Step) {
        let Some(watch) = &mut self.watch else { return };
        let id = watch.id;
        if watch.open == matches!(step, Step::Open) {
            return;
        }
        match step {
            Step::Open => {
                watch.open = true;
                self.input(Input::WatchOpened(id));
            }
            Step::Event => {
                let line = self.server.event();
                self.seen.push(line.clone());
                self.input(Input::WatchLine(id, line));
            }
            Step::StaleEvent => {
                if let Some(line) = self.seen.first().cloned() {
                    self.input(Input::WatchLine(id, line));
                }
            }
            Step::Noise => {
                self.input(Input::WatchLine(id, b"{\"type\":\"MODIFIED\",\"object\":{}}".to_vec()))
            }
            Step::Gone => {
                let gone = json!({ "type": "ERROR", "object": { "code": 410, "reason": "Expired" } });
                self.input(Input::WatchLine(id, gone.to_string().into_bytes()));
            }
            _ => {
                self.watch = None;
                self.input(Input::WatchEnded(id, None));
            }
        }
    }

    /// What other writers do, well behaved or not.
    fn edit(&mut self, step: Step) {
        let text = |millis: i32| format!("2026-01-01T01:00:00.{millis:06}Z");
        self.rivals += 1;
        let now = json!(text(self.rivals));
        let lease = self.server.lease();
        let held = lease
            .is_some_and(|lease| lease["spec"]["holderIdentity"].as_str().is_some_and(|h| !h.is_empty()));
        match step {
            Step::Rival => self.server.edit(&[
                ("/spec/holderIdentity", json!("rival")),
                ("/spec/leaseTransitions", json!(100 + self.rivals)),
                ("/spec/acquireTime", now.clone()),
                ("/spec/renewTime", now),
                ("/spec/leaseDurationSeconds", json!(15)),
            ]),
            Step::Release if held => {
                self.server.edit(&[("/spec/holderIdentity", json!("")), ("/spec/renewTime", now)]);
            }
            Step::Clear => self.server.edit(&[("/spec/holderIdentity", Value::Null)]),
            Step::Label => self.server.edit(&[("/metadata/labels", json!({ "n": now }))]),
            Step::Shorten => self.server.edit(&[("/spec/leaseDurationSeconds", json!(6))]),
            Step::Delete => self.server.delete(),
            _ => {}
        }
    }

    fn input(&mut self, input: Input) {
        let foreign = self.shows_another_holder(&input);
        let before = self.rules.leads;
        self.health.note(&input, self.clocks.now());
        let effects = self.elector.handle(self.clocks.now(), 500, input);
        self.health.check(&effects, self.clocks.now(), self.elector.config());
        self.wake_after = effects.wake_after;
        for effect in &effects.list {
            self.check_effect(effect);
        }
        self.check_limits(&effects, before);
        assert!(!(foreign && self.rules.leads), "another holder was seen, and it leads on");
    }

    fn check_effect(&mut self, effect: &Effect) {
        assert!(!self.rules.finished, "nothing follows the end: {effect:?}");
        match effect {
            Effect::Send { id, request, .. } => {
                assert!(self.flight.is_none(), "one request at a time: {request:?}");
                self.rules.check_request(request);
                let sent = self.clocks.now().raw;
                self.flight = Some(Flight { id: *id, request: request.clone(), sent, answer: None });
            }
            Effect::Abandon(_) => self.give_up(),
            Effect::OpenWatch(id, _) => self.watch = Some(Watch { id: *id, open: false }),
            Effect::CloseWatch(_) => self.watch = None,
            Effect::StartWork { token, .. } => {
                assert!(!self.rules.works, "the work of the last term has not ended");
                assert!(token.get() > self.rules.token, "tokens grow");
                self.rules.token = token.get();
                self.rules.works = true;
                self.rules.leads = true;
                self.rules.reached.terms += 1;
            }
            Effect::StopWork(reason) if reason.is_planned() => self.rules.reached.planned += 1,
            Effect::StopWork(_) => self.rules.reached.lost += 1,
            Effect::KillWork(_) => self.rules.reached.kills += 1,
            Effect::Finish(result) => {
                assert!(!self.rules.works && result.is_ok(), "it finishes when its work has ended");
                self.rules.finished = true;
            }
            _ => {}
        }
    }

    /// What is given up may still reach the server, now or never.
    fn give_up(&mut self) {
        let Some(flight) = self.flight.take() else { return };
        if flight.answer.is_none() && self.rivals % 2 == 0 {
            let answer = self.server.handle(&flight.request);
            if answer.status().is_success() && is_write(&flight.request) {
                self.rules.applied = self.rules.applied.max(Some(flight.sent));
            }
        }
    }

    fn check_limits(&mut self, effects: &Effects, before: bool) {
        let limits = effects.limits;
        let starts = effects.list.iter().any(|effect| matches!(effect, Effect::StartWork { .. }));
        self.rules.leads = limits.lead_for.is_some();
        assert!(!self.rules.leads || before || starts, "the end of a term is final");
        assert!(!self.rules.leads || self.rules.works, "it leads without work");
        let timing = self.elector.config().timing.clone();
        if let (Some(lead_for), Some(valid_for)) = (limits.lead_for, limits.valid_for) {
            let applied = self.rules.applied.expect("it leads, so the server applied a write");
            let end = applied + timing.renew_deadline();
            assert!(
                self.clocks.now().raw + lead_for <= end,
                "validity counts from the sending of an applied write"
            );
            assert!(
                lead_for.is_zero() || lead_for + timing.stop_budget() <= valid_for,
                "the work keeps its budget"
            );
        }
        if let (Some(kill_in), Some(valid_for)) = (limits.kill_in, limits.valid_for) {
            assert!(kill_in.is_zero() || kill_in + KILL_MARGIN <= valid_for, "the kill comes in time");
        }
    }

    fn shows_another_holder(&self, input: &Input) -> bool {
        let Input::WatchLine(_, line) = input else { return false };
        let is_news = self.seen.last() == Some(line) && line == &self.server.event();
        is_news && self.server.lease().is_some_and(|lease| lease["spec"]["holderIdentity"] == "rival")
    }
}

fn is_write(request: &Request<Vec<u8>>) -> bool {
    let release = r#"{"op":"add","path":"/spec/holderIdentity","value":""}"#;
    request.method() != http::Method::GET && !String::from_utf8_lossy(request.body()).contains(release)
}

const REFUSALS: [(u16, &str, &str); 8] = [
    (401, "Unauthorized", "Unauthorized"),
    (403, "Forbidden", "User cannot do this"),
    (404, "", "404 page not found"),
    (409, "Conflict", "the object has been modified"),
    (422, "Invalid", "the server rejected our request due to an error in our request"),
    (429, "TooManyRequests", "too many requests"),
    (500, "InternalError", "etcdserver: request timed out"),
    (504, "Timeout", "gateway timeout"),
];
