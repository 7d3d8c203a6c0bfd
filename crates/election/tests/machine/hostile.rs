//! Any inputs in any order: answers that nobody asked for, twice, to other requests or made of any bytes, lines of any
//! watch, clocks that stand still or go back. A program is a string of bytes, so that whoever makes bytes can play.

use std::time::Duration;

use http::{Request, Response};
use jiff::SignedDuration;
use leasehold_election::{
    Change, Config, Delivery, Effect, Effects, Elector, FencingToken, Health, Identity, Input, KILL_MARGIN,
    LeaseName, Note, Reading, RequestId, Secret, Timing, WatchId,
};
use serde_json::{Value, json};

use crate::clocks::Clocks;
use crate::health::{HealthRules, caring};
use crate::rules::{Reached, Rules};
use crate::server::Server;

/// Plays a program; panics if a rule is broken, and says how often what the rules are about has happened.
pub(crate) fn play(program: &[u8]) -> Reached {
    let mut program = Program(program);
    let mut world = World::new(program.byte());
    world.input(Input::Start);
    while !program.0.is_empty() {
        world.step(&mut program);
    }
    world.rules.reached
}

/// What is left of a program; zeros follow its end.
struct Program<'a>(&'a [u8]);

impl<'a> Program<'a> {
    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        u64::from(self.byte()) << 8 | u64::from(self.byte())
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn pick<'b, T>(&mut self, of: &'b [T]) -> Option<&'b T> {
        let index = usize::from(self.byte());
        (!of.is_empty()).then(|| &of[index % of.len()])
    }
}

struct World {
    elector: Elector,
    now: Reading,
    /// What the machine was given last.
    read_last: Reading,
    /// Since the beginning, as the machine must count it for leading.
    lead_clock: Duration,
    server: Server,
    sent: Vec<(RequestId, Request<Vec<u8>>)>,
    answers: Vec<Response<Vec<u8>>>,
    watches: Vec<WatchId>,
    lines: Vec<Vec<u8>>,
    /// Numbers of requests that were not sent, or not yet.
    strange: Vec<RequestId>,
    had_work: bool,
    wrote_at: Option<Duration>,
    told: Told,
    wake_after: Option<Duration>,
    rules: Rules,
    health: HealthRules,
}

#[derive(Debug, PartialEq)]
enum Told {
    Nothing,
    Started,
    Stopping,
}

impl World {
    fn new(care: u8) -> Self {
        let now = Clocks::new().now();
        let mut server = Server::new();
        server.edit(&[]);
        Self {
            elector: elector(now, care),
            now,
            read_last: now,
            lead_clock: Duration::ZERO,
            server,
            sent: Vec::new(),
            answers: Vec::new(),
            watches: Vec::new(),
            lines: Vec::new(),
            strange: strange_requests(now),
            had_work: false,
            wrote_at: None,
            told: Told::Nothing,
            wake_after: None,
            rules: Rules::default(),
            health: HealthRules::new(now),
        }
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.byte() % 44 {
            0..=9 => self.answer_honestly(),
            10..=15 => self.answer(program),
            16..=23 => self.watch(program),
            24..=28 => self.pass_time(program),
            29..=32 => {
                let after = self.wake_after.unwrap_or(Duration::from_secs(60));
                self.advance(after, after, SignedDuration::try_from(after).unwrap());
                self.input(Input::Wake);
            }
            33 => self.input(Input::StepDown),
            34 if program.byte() < 20 => self.input(Input::Stop),
            34 | 35 => self.input(Input::WorkEnded),
            36 => self.input(Input::Start),
            37..=39 => self.edit(program),
            40 => self.input(Input::Health(Health::Healthy)),
            41 => self.input(Input::Health(Health::unhealthy("unwell"))),
            _ => {
                let mut at = self.now;
                // Before now or after, by each clock otherwise.
                at.raw = (at.raw + SIGN_OFF).saturating_sub(Duration::from_millis(program.number()));
                at.boottime =
                    (at.boottime + SIGN_OFF).saturating_sub(Duration::from_millis(program.number()));
                self.input(Input::Heartbeat(at));
            }
        }
    }

    fn answer_honestly(&mut self) {
        let Some((id, request)) = self.sent.last().cloned() else { return };
        let answer = self.server.handle(&request);
        self.answers.push(answer.clone());
        self.input(Input::Answer(id, Delivery::Response(answer)));
    }

    fn answer(&mut self, program: &mut Program<'_>) {
        let latest = self.sent.last().map(|(id, _)| *id);
        let any: Vec<_> = self.sent.iter().map(|(id, _)| *id).chain(self.strange.iter().copied()).collect();
        let of = program.byte();
        let id = if of < 128 { latest } else { program.pick(&any).copied() };
        let Some(id) = id else { return };
        let delivery = match of % 4 {
            0 => Delivery::Lost(String::from_utf8_lossy(program.take(3)).into_owned()),
            1 => match program.pick(&self.answers) {
                Some(answer) => Delivery::Response(answer.clone()),
                None => return,
            },
            2 => Delivery::Response(Response::new(self.forged(program).to_string().into_bytes())),
            _ => {
                let code = 100 + u16::try_from(program.number() % 900).unwrap();
                let body = garbled(&self.server.event(), program);
                Delivery::Response(Response::builder().status(code).body(body).unwrap())
            }
        };
        self.input(Input::Answer(id, delivery));
    }

    fn watch(&mut self, program: &mut Program<'_>) {
        let of = program.byte();
        let id = if of < 224 { self.watches.last().copied() } else { program.pick(&self.watches).copied() };
        let Some(id) = id else { return };
        let input = match of % 8 {
            0 | 1 => Input::WatchOpened(id),
            2 | 3 => {
                self.lines.push(self.server.event());
                Input::WatchLine(id, self.server.event())
            }
            4 => match program.pick(&self.lines) {
                Some(line) => Input::WatchLine(id, line.clone()),
                None => return,
            },
            5 => {
                let line = json!({ "type": "MODIFIED", "object": self.forged(program) });
                Input::WatchLine(id, line.to_string().into_bytes())
            }
            6 => Input::WatchLine(id, garbled(&self.server.event(), program)),
            _ => Input::WatchEnded(id, program.pick(&self.answers).cloned().map(Delivery::Response)),
        };
        self.input(input);
    }

    /// The Lease with one field as somebody would have it.
    fn forged(&self, program: &mut Program<'_>) -> Value {
        let bare = || json!({ "kind": "Lease", "metadata": { "name": "db", "namespace": "prod" } });
        let mut lease = self.server.lease().cloned().unwrap_or_else(bare);
        let number = program.number();
        let version = match number % 4 {
            0 => u64::MAX - number % 3,
            1 => u64::MAX >> 1,
            _ => number % 300,
        };
        let me = self.elector.config().identity.as_str();
        let changes = [
            ("/metadata/resourceVersion", json!(version.to_string())),
            ("/metadata/name", json!("cache")),
            ("/metadata/uid", json!(format!("u{}", number % 4))),
            ("/spec/holderIdentity", json!([me, "", "rival"][usize::try_from(number % 3).unwrap()])),
            (
                "/spec/leaseTransitions",
                json!([i32::MAX, i32::MIN, -1, 0, 5][usize::try_from(number % 5).unwrap()]),
            ),
            (
                "/spec/renewTime",
                json!(["", "now", "2026-01-01T00:00:00.000001Z"][usize::try_from(number % 3).unwrap()]),
            ),
            ("/spec/leaseDurationSeconds", json!([i32::MAX, -5, 0, 1][usize::try_from(number % 4).unwrap()])),
            ("/spec/strategy", json!("OldestEmulationVersion")),
        ];
        if let Some((pointer, value)) = program.pick(&changes) {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            lease["spec"].as_object_mut().is_none().then(|| lease["spec"] = json!({}));
            lease.pointer_mut(parent).unwrap()[name] = value.clone();
        }
        lease
    }

    fn pass_time(&mut self, program: &mut Program<'_>) {
        let time = Duration::from_millis(program.number());
        let signed = SignedDuration::try_from(time).unwrap();
        match program.byte() % 8 {
            0..=4 => self.advance(time, time, signed),
            5 => self.advance(time, time, -signed * 10),
            6 => self.advance(Duration::ZERO, time * 100, signed * 100),
            _ => {
                self.now.raw = self.now.raw.saturating_sub(time);
                self.now.boottime = self.now.boottime.saturating_sub(time / 2);
            }
        }
        if program.byte().is_multiple_of(2) {
            self.input(Input::Wake);
        }
    }

    fn advance(&mut self, raw: Duration, boottime: Duration, realtime: SignedDuration) {
        self.now.raw += raw;
        self.now.boottime += boottime;
        self.now.realtime = self.now.realtime.saturating_add(realtime).unwrap();
    }

    fn edit(&mut self, program: &mut Program<'_>) {
        let lease = self.forged(program);
        match program.byte() % 4 {
            0 => self.server.delete(),
            1 => self.server.restore(lease, program.number() % 64),
            _ => self.server.edit(&[("/spec", lease["spec"].clone())]),
        }
    }

    fn input(&mut self, input: Input) {
        // The machine looks at the time first, and may find that the work, which has just ended, was to be stopped.
        self.had_work = self.rules.works;
        if matches!(input, Input::WorkEnded) {
            self.rules.works = false;
        }
        self.handle(input);
        self.had_work = self.rules.works;
        for _ in 0..SETTLES_WITHIN {
            if self.wake_after != Some(Duration::ZERO) {
                return;
            }
            self.handle(Input::Wake);
        }
        panic!("it wakes again and again for nothing");
    }

    fn handle(&mut self, input: Input) {
        let before = self.rules.leads;
        self.lead_clock += self.now.elapsed_for_leading(&self.read_last);
        self.read_last = self.now;
        self.health.note(&input, self.now);
        let effects = self.elector.handle(self.now, 500, input);
        self.health.check(&effects, self.now, self.elector.config());
        self.wake_after = effects.wake_after;
        assert!(effects.list.len() <= EFFECTS_MAX, "{:?}", effects.list);
        effects.list.iter().for_each(|effect| self.check_effect(effect));
        self.check_limits(&effects, before);
        let token = self.rules.works.then_some(self.rules.token);
        assert_eq!(
            self.elector.token().map(FencingToken::get),
            token,
            "the token of the term, until its work has ended"
        );
        assert!(!self.rules.finished || self.wake_after.is_none(), "who has finished sleeps");
    }

    fn check_effect(&mut self, effect: &Effect) {
        assert!(!self.rules.finished, "nothing follows the end: {effect:?}");
        match effect {
            Effect::Send { id, request, .. } => {
                assert!(self.sent.iter().all(|(old, _)| old != id), "an answer is that of one request");
                self.rules.check_request(request);
                self.check_own(request);
                self.sent.push((*id, request.clone()));
            }
            Effect::OpenWatch(id, _) => {
                assert!(!self.watches.contains(id), "a line is that of one watch");
                self.watches.push(*id);
            }
            Effect::Note(Note::Answered { verb, .. }) => {
                let (_, request) = self.sent.last().expect("something was sent");
                assert_eq!(*verb, request.method().as_str(), "what was sent last has ended");
            }
            Effect::StartWork { token, .. } => {
                assert!(!self.rules.works, "the work of the last term has not ended");
                assert!(token.get() > self.rules.token, "token {token} after {}", self.rules.token);
                self.rules.token = token.get();
                (self.rules.works, self.rules.leads, self.had_work) = (true, true, true);
                self.rules.reached.terms += 1;
            }
            Effect::StopWork(_) | Effect::KillWork(_) => {
                assert!(self.had_work, "no work is there to end: {effect:?}");
                let reached = &mut self.rules.reached;
                let count = if matches!(effect, Effect::StopWork(_)) {
                    &mut reached.lost
                } else {
                    &mut reached.kills
                };
                *count += 1;
            }
            Effect::Tell(change) => self.check_change(change),
            Effect::Finish(_) => {
                assert!(!self.rules.works, "it finishes when its work has ended");
                self.rules.finished = true;
            }
            Effect::Abandon(_) | Effect::CloseWatch(_) | Effect::Note(_) => {}
        }
    }

    /// A renewal or a release can only touch a term of this process.
    fn check_own(&mut self, request: &Request<Vec<u8>>) {
        let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
        let of = |op: &str, path: &str| {
            let mut operations = body.as_array().into_iter().flatten();
            operations.find(|operation| operation["op"] == op && operation["path"] == path).cloned()
        };
        let written = of("add", "/spec/holderIdentity").map(|operation| operation["value"].clone());
        let me = json!(self.elector.config().identity.as_str());
        if body.is_array() && written.as_ref() != Some(&me) {
            assert_eq!(of("test", "/spec/holderIdentity").expect("it tests the holder")["value"], me);
            assert!(of("test", "/spec/leaseTransitions").expect("it tests the term")["value"].is_number());
        }
        if !body.is_null() && written != Some(json!("")) {
            self.wrote_at = Some(self.lead_clock);
        }
    }

    fn check_change(&mut self, change: &Change) {
        let next = match change {
            Change::Started { .. } => (Told::Nothing, Told::Started),
            Change::Stopping { .. } => (Told::Started, Told::Stopping),
            Change::Stopped { .. } => (Told::Stopping, Told::Nothing),
            _ => return,
        };
        assert_eq!(self.told, next.0, "{change:?}");
        self.told = next.1;
    }

    fn check_limits(&mut self, effects: &Effects, before: bool) {
        let limits = effects.limits;
        let starts = effects.list.iter().any(|effect| matches!(effect, Effect::StartWork { .. }));
        self.rules.leads = limits.lead_for.is_some();
        assert!(!self.rules.leads || before || starts, "the end of a term is final");
        assert!(!self.rules.leads || self.rules.works, "it leads without work");
        if let Some(lead_for) = limits.lead_for {
            let wrote_at = self.wrote_at.expect("it leads, so it has written");
            let end = wrote_at + self.elector.config().timing.renew_deadline();
            assert!(self.lead_clock + lead_for <= end, "validity counts from the sending of a write");
        }
        if let (Some(kill_in), Some(valid_for)) = (limits.kill_in, limits.valid_for) {
            assert!(kill_in.is_zero() || kill_in + KILL_MARGIN <= valid_for, "the kill comes in time");
        }
    }
}

/// An event, or the Lease in it, with something of it lost or changed.
fn garbled(event: &[u8], program: &mut Program<'_>) -> Vec<u8> {
    let mut bytes = event.to_vec();
    let place = usize::try_from(program.number()).unwrap() % (bytes.len() + 1);
    let with = program.byte();
    let with = program.take(usize::from(with % 16)).to_vec();
    let end = (place + with.len()).min(bytes.len());
    bytes.splice(place..end, with);
    if program.byte().is_multiple_of(2) {
        bytes.truncate(place);
    }
    bytes
}

fn elector(now: Reading, care: u8) -> Elector {
    let identity = Identity::of_process("me", None, &Secret::from_random([1; 16]));
    let config = Config::new(LeaseName::new("prod", "db").unwrap(), identity, Timing::default());
    Elector::new(caring(config, care), now)
}

/// Numbers of requests, from another machine: the numbers of requests that this one may send later, too.
fn strange_requests(mut now: Reading) -> Vec<RequestId> {
    let mut other = elector(now, 0);
    let mut ids = Vec::new();
    let mut effects = other.handle(now, 0, Input::Start);
    while ids.len() < 24 {
        ids.extend(effects.list.iter().filter_map(|effect| match effect {
            Effect::Send { id, .. } => Some(*id),
            _ => None,
        }));
        now.raw += Duration::from_secs(40);
        now.boottime += Duration::from_secs(40);
        effects = other.handle(now, 0, Input::Wake);
    }
    ids
}

/// How far in the future a sign of life is at most.
const SIGN_OFF: Duration = Duration::from_secs(5);
const EFFECTS_MAX: usize = 12;
const SETTLES_WITHIN: u32 = 4;
