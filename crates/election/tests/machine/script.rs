//! The words of a scenario file. The story's clock is called T; `T+5s` is five seconds after its start.
//!
//! | line | what happens |
//! |---|---|
//! | `candidate [duration=15s] [deadline=10s] [retry=2s] [identity=ID] [pod-uid=UID] [peers=no] [evidence=no] [on-missing=..] [priority=N] [accept-restore] [heartbeat=20s] [lead-unhealthy-after=30s]` | who plays; defaults otherwise |
//! | `lease none`, `lease FIELD=VALUE ..` | somebody else writes the Lease: `holder seconds transitions acquired renewed mark name uid strategy label`; `-` removes |
//! | `delete` | somebody deletes the Lease |
//! | `restore NAME version=N` | the store is set back to what `keep NAME` kept |
//! | `keep NAME` | remembers the Lease as it is, for `event NAME`, `answer NAME` and `restore` |
//! | `leader` | as `first_term.txt` tells: the lease is acquired, renewed by nobody else, and watched |
//! | `standby FIELD=VALUE ..` | somebody else has written the Lease, which is read and watched |
//! | `start`, `wake`, `step-down`, `stop`, `work-ended` | inputs |
//! | `healthy`, `unhealthy WHY` | what a check of the health has found |
//! | `heartbeat`, `heartbeat 5s` | the work gave a sign of life now, or so long ago |
//! | `+5s [raw=..] [boot=..] [wall=..]` | all clocks advance, or each by its own amount; no input |
//! | `sleep` | until the machine wants to wake up, and wakes it |
//! | `apply`, `deliver`, `lose` | the latest request reaches the server; its answer arrives; its answer is lost |
//! | `again N` | request number N reaches the server once more; nobody hears of the answer |
//! | `answer` | `apply` and `deliver` in one; `answer 403`, `answer 429 retry=3`, ...: refused by somebody on the way |
//! | `open`, `event`, `bookmark VERSION`, `gone`, `end`, `refuse 403` | the watch: opened, the Lease as it is now, ... |
//! | `pod-open`, `pod-end`, `pod-refuse 403` | the watch of the holder's Pod: opened, ... |
//! | `pod FIELD=VALUE ..` | an event of that watch, with the words of `pods.rs`; `THEIRS` and `NONCE` stand for the identity and the nonce of its elector |
//! | `chance N` | the random number from now on |

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Request, Response};
use jiff::SignedDuration;
use leasehold_election::{
    Config, Delivery, Effect, Elector, Health, Identity, Input, LeaseName, Reading, RequestId, Secret,
    TimingSettings, WatchId,
};
use serde_json::{Value, json};

use crate::clocks::{Clocks, epoch};
use crate::pods;
use crate::render;
use crate::server::{Server, details, status};

type Played = Result<Vec<String>, String>;

/// A story being told.
pub(crate) struct Script {
    elector: Elector,
    clocks: Clocks,
    server: Server,
    kept: BTreeMap<String, Value>,
    chance: u64,
    requests: Vec<(RequestId, Request<Vec<u8>>)>,
    /// The answer of the latest request, on its way.
    answer: Option<Response<Vec<u8>>>,
    watch: Option<WatchId>,
    pod_watch: Option<WatchId>,
    wake_after: Option<Duration>,
}

impl Script {
    pub(crate) fn new() -> Self {
        let clocks = Clocks::new();
        Self {
            elector: Elector::new(config("").expect("the defaults hold"), clocks.now()),
            clocks,
            server: Server::new(),
            kept: BTreeMap::new(),
            chance: 0,
            requests: Vec::new(),
            answer: None,
            watch: None,
            pod_watch: None,
            wake_after: None,
        }
    }

    pub(crate) fn play(&mut self, line: &str) -> Played {
        let line = pods::named(line);
        let (word, rest) = line.split_once(' ').unwrap_or((line.as_str(), ""));
        match word {
            "candidate" => self.elector = Elector::new(config(rest)?, self.clocks.now()),
            "lease" => self.edit(rest)?,
            "delete" => self.server.delete(),
            "keep" => drop(self.kept.insert(rest.to_owned(), self.lease()?)),
            "restore" => self.restore(rest)?,
            "chance" => self.chance = number(rest)?,
            "apply" => self.apply()?,
            "again" => self.apply_again(rest)?,
            "leader" => {
                return self.begin("label=pre-created", &["start", "answer", "answer", "open", "event"]);
            }
            "standby" => return self.begin(rest, &["start", "answer", "open", "event"]),
            "start" => return self.input(Input::Start),
            "wake" => return self.input(Input::Wake),
            "step-down" => return self.input(Input::StepDown),
            "stop" => return self.input(Input::Stop),
            "work-ended" => return self.input(Input::WorkEnded),
            "healthy" => return self.input(Input::Health(Health::Healthy)),
            "unhealthy" => return self.input(Input::Health(Health::unhealthy(rest))),
            "heartbeat" => return self.heartbeat(rest),
            "sleep" => return self.sleep(),
            "answer" | "deliver" | "lose" => return self.deliver(word, rest),
            "open" | "event" | "bookmark" | "gone" | "end" | "refuse" => return self.watch(word, rest),
            "pod" | "pod-open" | "pod-end" | "pod-refuse" => return self.pod(word, rest),
            word if word.starts_with('+') => self.advance(word, rest)?,
            _ => return Err("no such word".to_owned()),
        }
        Ok(Vec::new())
    }

    /// Plays a beginning that many stories share, and shows what it comes to.
    fn begin(&mut self, lease: &str, lines: &[&str]) -> Played {
        self.edit(lease)?;
        let mut last = None;
        for line in lines {
            last = self.play(line)?.pop();
        }
        Ok(last.into_iter().collect())
    }

    fn input(&mut self, input: Input) -> Played {
        let effects = self.elector.handle(self.clocks.now(), self.chance, input);
        let lines = render::effects(&effects, &self.elector, self.requests.len(), self.pod_watch);
        for effect in effects.list {
            match effect {
                Effect::Send { id, request, .. } => {
                    self.requests.push((id, request));
                    self.answer = None;
                }
                Effect::OpenWatch(id, request) if request.uri().path().ends_with("/pods") => {
                    self.pod_watch = Some(id);
                }
                Effect::OpenWatch(id, _) => self.watch = Some(id),
                _ => {}
            }
        }
        self.wake_after = effects.wake_after;
        Ok(lines)
    }

    fn heartbeat(&mut self, ago: &str) -> Played {
        let ago = if ago.is_empty() { Duration::ZERO } else { span(ago)? };
        let now = self.clocks.now();
        let before = |clock: Duration| clock.checked_sub(ago).ok_or("the story had not begun");
        let at = Reading { raw: before(now.raw)?, boottime: before(now.boottime)?, ..now };
        self.input(Input::Heartbeat(at))
    }

    fn sleep(&mut self) -> Played {
        self.clocks.advance(self.wake_after.ok_or("it sleeps for ever")?);
        let mut lines = vec![format!("T+{:?}", self.clocks.elapsed())];
        lines.extend(self.input(Input::Wake)?);
        Ok(lines)
    }

    fn advance(&mut self, word: &str, rest: &str) -> Result<(), String> {
        let all = signed(&word[1..])?;
        let fields = fields(rest)?;
        let clock = |name: &str| fields.get(name).map_or(Ok(all), |text| signed(text));
        let forward = |name: &str| {
            Duration::try_from(clock(name)?).map_err(|_| format!("{name} does not run backwards"))
        };
        self.clocks.advance_each(forward("raw")?, forward("boot")?, clock("wall")?);
        Ok(())
    }

    fn edit(&mut self, rest: &str) -> Result<(), String> {
        if rest == "none" {
            return Ok(());
        }
        let mut changes = Vec::new();
        for (name, text) in fields(rest)? {
            let (pointer, value) = match name.as_str() {
                "holder" => ("/spec/holderIdentity", json!(text)),
                "seconds" => ("/spec/leaseDurationSeconds", json!(number(&text).ok())),
                "transitions" => ("/spec/leaseTransitions", json!(number(&text).ok())),
                "acquired" => ("/spec/acquireTime", json!(self.time(&text)?)),
                "renewed" => ("/spec/renewTime", json!(self.time(&text)?)),
                "strategy" => ("/spec/strategy", json!(text)),
                "name" => ("/metadata/name", json!(text)),
                "uid" => ("/metadata/uid", json!(text)),
                "mark" => ("/metadata/annotations/leasehold.dev~1mark", json!(text.replace('_', " "))),
                "label" => ("/metadata/labels", json!({ "note": text })),
                _ => return Err(format!("a Lease has no {name}")),
            };
            changes.push((pointer, if text == "-" { Value::Null } else { value }));
        }
        self.server.edit(&changes);
        Ok(())
    }

    fn restore(&mut self, rest: &str) -> Result<(), String> {
        let (name, version) = rest.split_once(" version=").ok_or("restore NAME version=N")?;
        let lease = self.kept.get(name).ok_or("nothing was kept under this name")?.clone();
        self.server.restore(lease, number(version)?);
        Ok(())
    }

    fn lease(&self) -> Result<Value, String> {
        self.server.lease().cloned().ok_or_else(|| "there is no Lease".to_owned())
    }

    fn apply(&mut self) -> Result<(), String> {
        let (_, request) = self.requests.last().ok_or("nothing was sent")?;
        self.answer = Some(self.server.handle(request));
        Ok(())
    }

    fn apply_again(&mut self, number_of_request: &str) -> Result<(), String> {
        let index = usize::try_from(number(number_of_request)?).map_err(|error| error.to_string())?;
        let (_, request) = self.requests.get(index).ok_or("no such request was sent")?;
        self.server.handle(request);
        Ok(())
    }

    fn deliver(&mut self, word: &str, rest: &str) -> Played {
        let (id, _) = self.requests.last().ok_or("nothing was sent")?;
        let id = *id;
        let delivery = match (word, rest) {
            ("lose", _) => Delivery::Lost("connection reset".to_owned()),
            ("answer", "") => {
                self.apply()?;
                Delivery::Response(self.answer.take().expect("applied"))
            }
            ("answer", kept) if self.kept.contains_key(kept) => {
                Delivery::Response(Response::new(self.kept[kept].to_string().into_bytes()))
            }
            ("answer", refusal) => Delivery::Response(refuse(refusal)?),
            _ => Delivery::Response(self.answer.take().ok_or("no answer is on its way")?),
        };
        self.input(Input::Answer(id, delivery))
    }

    fn watch(&mut self, word: &str, rest: &str) -> Played {
        let id = self.watch.ok_or("no watch was opened")?;
        let line = |object: Value| Input::WatchLine(id, object.to_string().into_bytes());
        let input = match word {
            "open" => Input::WatchOpened(id),
            "event" if rest.is_empty() => Input::WatchLine(id, self.server.event()),
            "event" => {
                let kept = self.kept.get(rest).ok_or("nothing was kept under this name")?;
                line(json!({ "type": "MODIFIED", "object": kept }))
            }
            "bookmark" => {
                let metadata = json!({ "resourceVersion": rest });
                line(json!({ "type": "BOOKMARK", "object": { "metadata": metadata } }))
            }
            "gone" => line(json!({ "type": "ERROR", "object": { "code": 410, "reason": "Expired" } })),
            "refuse" => Input::WatchEnded(id, Some(Delivery::Response(refuse(rest)?))),
            _ => Input::WatchEnded(id, None),
        };
        self.input(input)
    }

    fn pod(&mut self, word: &str, rest: &str) -> Played {
        let id = self.pod_watch.ok_or("no watch of a Pod was opened")?;
        self.input(match word {
            "pod-open" => Input::WatchOpened(id),
            "pod-end" => Input::WatchEnded(id, None),
            "pod-refuse" => Input::WatchEnded(id, Some(Delivery::Response(refuse(rest)?))),
            _ => Input::WatchLine(id, pods::event(&fields(rest)?)?),
        })
    }

    fn time(&self, text: &str) -> Result<String, String> {
        let after = match text.strip_prefix("T+") {
            Some(after) => signed(after)?,
            None if text == "now" => self.clocks.now().realtime.duration_since(epoch()),
            None if text == "-" => return Ok(String::new()),
            None => return Err(format!("{text:?} is no time; write T+5s or now")),
        };
        let at = epoch().saturating_add(after).map_err(|error| error.to_string())?;
        Ok(format!("{at:.6}"))
    }
}

fn config(text: &str) -> Result<Config, String> {
    let mut fields = fields(text)?;
    let mut duration = |name: &str, default: u64| match fields.remove(name) {
        Some(text) => span(&text),
        None => Ok(Duration::from_secs(default)),
    };
    let settings = TimingSettings {
        lease_duration: duration("duration", 15)?,
        renew_deadline: duration("deadline", 10)?,
        retry_period: duration("retry", 2)?,
        ..TimingSettings::default()
    };
    let stop_timeout = duration("stop-timeout", 25)?;
    let timing = settings.build().map_err(|error| error.to_string())?;
    let secret = Secret::from_random([1; 16]);
    let identity = match fields.remove("identity") {
        Some(identity) => Identity::explicit(&identity, &secret).map_err(|error| error.to_string())?,
        None => Identity::of_process("me", fields.remove("pod-uid").as_deref(), &secret),
    };
    let lease = LeaseName::new("prod", "db").expect("a valid name");
    let mut config = Config { stop_timeout, ..Config::new(lease, identity, timing) };
    for (name, text) in fields {
        match name.as_str() {
            "peers" => config.peers = text != "no",
            "evidence" => config.evidence = text != "no",
            "on-missing" => config.on_missing = text.parse().map_err(|error| format!("{error}"))?,
            "priority" => config.priority = text.parse().map_err(|_| "no number")?,
            "accept-restore" => config.accept_restore = text == "yes",
            "heartbeat" => config.heartbeat_deadline = Some(span(&text)?),
            "lead-unhealthy-after" => config.lead_unhealthy_after = Some(span(&text)?),
            _ => return Err(format!("a candidate has no {name}")),
        }
    }
    Ok(config)
}

/// A refusal as the API server, or somebody on the way to it, words it.
fn refuse(text: &str) -> Result<Response<Vec<u8>>, String> {
    let (code, rest) = text.split_once(' ').unwrap_or((text, ""));
    let nothing = json!({});
    let mut response = match code {
        "401" => status(401, "Unauthorized", "Unauthorized", &nothing),
        "403" => status(
            403,
            "Forbidden",
            "leases \"db\" is forbidden: User cannot do this",
            &details("leases", "db"),
        ),
        "404-namespace" => {
            status(404, "NotFound", "namespaces \"prod\" not found", &details("namespaces", "prod"))
        }
        "404-path" => status(404, "", "404 page not found", &nothing),
        "409" => status(409, "Conflict", "the object has been modified", &details("leases", "db")),
        "410" => status(410, "Expired", "too old resource version", &nothing),
        "429" => status(429, "TooManyRequests", "too many requests, please try again later", &nothing),
        "500" => status(500, "InternalError", "etcdserver: request timed out", &nothing),
        "504" => status(504, "Timeout", "gateway timeout", &nothing),
        "503" => status(503, "ServiceUnavailable", "apiserver is shutting down", &nothing),
        "policy" => {
            let message =
                "ValidatingAdmissionPolicy 'term-guard' with binding 'all' denied request: not expired yet";
            status(422, "Invalid", message, &json!({ "name": "db", "causes": [{ "message": message }] }))
        }
        "policy-not-ready" => status(403, "Forbidden", "not yet ready to handle request", &nothing),
        "terminating" => {
            let causes = json!([{ "reason": "NamespaceTerminating", "message": "namespace prod is being terminated" }]);
            status(
                403,
                "Forbidden",
                "unable to create new content",
                &json!({ "name": "db", "causes": causes }),
            )
        }
        _ => return Err(format!("{code:?} is no refusal that a scenario knows")),
    };
    if let Some(seconds) = rest.strip_prefix("retry=") {
        response.headers_mut().insert("retry-after", seconds.parse().map_err(|_| "no number")?);
    }
    Ok(response)
}

fn fields(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').ok_or_else(|| format!("{word:?} is not NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    text.split_whitespace().map(pair).collect()
}

fn span(text: &str) -> Result<Duration, String> {
    Duration::try_from(signed(text)?).map_err(|error| error.to_string())
}

fn signed(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|_| format!("{text:?} is no time; write 5s or 20ms"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}
