//! etcd's guarantees for watches, held against one server while several writers are at work.
//!
//! The acknowledged writes are what must be seen. A *log* is the events of one watch that was open all the time; once
//! it is shown to hold exactly the acknowledged writes, every other watch must show its part of the log.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use fastrand::Rng;
use http::{Method, header};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::super::server::{Answer, Server};
use super::{Event, LAST, Watch, version_of};

/// Several writers and watchers of the same Leases in one namespace of one server.
#[derive(Clone)]
pub struct Trial {
    server: Server,
    leases: String,
}

/// A write that was acknowledged.
#[derive(Clone, Debug)]
struct Written {
    kind: &'static str,
    /// The object as answered; a Status for a deletion.
    answer: Value,
}

impl Trial {
    /// A trial in a new namespace.
    ///
    /// # Errors
    /// When the namespace cannot be made.
    pub async fn new(server: &Server, namespace: &str) -> Result<Self> {
        server.create_namespace(namespace, false).await?;
        let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases");
        Ok(Self { server: server.clone(), leases })
    }

    /// Ordered, unique, atomic, reliable and resumable, also for selections and for watches that begin late.
    ///
    /// # Errors
    /// When a guarantee is broken: which, and what was seen.
    pub async fn events_are_exactly_the_writes(&self, seed: u64) -> Result<usize> {
        let start = self.list_version().await?;
        let steady = self.spawn(start, "", usize::MAX, seed);
        let selecting = self.spawn(start, SELECTION, usize::MAX, seed);
        let resuming: Vec<_> =
            (1..=3).map(|number| self.spawn(start, "", RESUME_AFTER_MAX, seed + number)).collect();
        let (written, late) = self.write(seed).await?;
        let log = steady.await??;
        are_the_writes(&log, &written).context("a watch that was open all the time")?;
        for watch in resuming {
            let seen = watch.await??;
            same(&seen, &log).context("a watch that is resumed from the last version seen")?;
        }
        for (from, watch) in late {
            let tail: Vec<Event> = log.iter().filter(|event| event.version() > from).cloned().collect();
            same(&watch.await??, &tail).with_context(|| format!("a watch from version {from}"))?;
        }
        let outline = |events: &[Event]| -> Vec<(String, String, u64)> {
            let line = |event: &Event| (event.kind.clone(), name_of(&event.object), event.version());
            events.iter().map(line).collect()
        };
        let (seen, expected) = (outline(&selecting.await??), outline(&selection(&log)));
        ensure!(seen == expected, "a watch of a selection saw {seen:?}, but the writes make {expected:?}");
        Ok(log.len())
    }

    /// A bookmark says that everything up to its version was shown: nothing is missing or shown twice when a new
    /// watch begins there.
    ///
    /// # Errors
    /// When the guarantee is broken, or no bookmark comes.
    pub async fn bookmarks_can_be_resumed_from(&self) -> Result<()> {
        let start = self.list_version().await?;
        let path = self.path(start, "&allowWatchBookmarks=true&timeoutSeconds=4");
        let mut watch = Watch::open(&self.server, &path, JSON).await?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let writer = self.clone();
        let writer = tokio::spawn(async move { writer.write_until(&stopped).await });
        let mut seen = watch.until(|event| event.kind == "BOOKMARK").await?;
        let bookmark = seen.pop().context("the bookmark was not read")?.version();
        ensure!(seen.iter().all(|event| event.version() <= bookmark), "the bookmark {bookmark} is behind");
        let mut resumed = Watch::open(&self.server, &self.path(bookmark, ""), JSON).await?;
        stop.send(true)?;
        seen.extend(resumed.until(Event::is_last).await?);
        are_the_writes(&seen, &writer.await??).context("a watch resumed from a bookmark")
    }

    fn path(&self, version: u64, more: &str) -> String {
        format!("{}?watch=true&resourceVersion={version}{more}", self.leases)
    }

    /// Follows all changes from `start` on, on a new watch after a few events each time.
    fn spawn(
        &self,
        start: u64,
        more: &'static str,
        resume_after_max: usize,
        seed: u64,
    ) -> tokio::task::JoinHandle<Result<Vec<Event>>> {
        let trial = self.clone();
        tokio::spawn(async move {
            let mut chance = Rng::with_seed(seed);
            let mut seen: Vec<Event> = Vec::new();
            loop {
                let from = seen.last().map_or(start, Event::version);
                let mut watch = Watch::open(&trial.server, &trial.path(from, more), JSON).await?;
                for _ in 0..chance.usize(1..=resume_after_max) {
                    let event = watch.next().await?.context("the watch ended by itself")?;
                    ensure!(event.kind != "ERROR", "{}", event.object);
                    let last = event.is_last();
                    seen.push(event);
                    if last {
                        return Ok(seen);
                    }
                }
            }
        })
    }

    /// Lets all writers write, opens more watches meanwhile, and writes the last event.
    async fn write(
        &self,
        seed: u64,
    ) -> Result<(Vec<Written>, Vec<(u64, tokio::task::JoinHandle<Result<Vec<Event>>>)>)> {
        let mut writers = JoinSet::new();
        for number in 0..WRITERS {
            let trial = self.clone();
            writers.spawn(async move { trial.write_some(number, seed).await });
        }
        let mut late = Vec::new();
        for _ in 0..LATE_WATCHES {
            tokio::time::sleep(LATE_INTERVAL).await;
            let version = self.list_version().await?;
            late.push((version, self.spawn(version, "", usize::MAX, seed)));
        }
        let mut written = Vec::new();
        while let Some(some) = writers.join_next().await {
            written.extend(some??);
        }
        written.extend(self.send(Method::PUT, "last", &last_lease()).await?);
        Ok((written, late))
    }

    async fn write_some(&self, writer: u64, seed: u64) -> Result<Vec<Written>> {
        let mut chance = Rng::with_seed(seed.wrapping_mul(31).wrapping_add(writer));
        let mut written = Vec::new();
        for turn in 0..WRITES_EACH {
            let name = NAMES[chance.usize(0..NAMES.len())];
            // Every write is a change: no two write the same holder.
            let lease = lease(name, &format!("{writer}-{turn}"), if chance.bool() { "db" } else { "web" });
            let method = match chance.u8(0..10) {
                0 => Method::DELETE,
                1 | 2 => Method::POST,
                3 => Method::PUT,
                _ => Method::PATCH,
            };
            written.extend(self.send(method, name, &lease).await?);
        }
        Ok(written)
    }

    async fn write_until(&self, stopped: &tokio::sync::watch::Receiver<bool>) -> Result<Vec<Written>> {
        let mut written = Vec::new();
        for turn in 0.. {
            if *stopped.borrow() {
                break;
            }
            written.extend(self.send(Method::POST, "a", &lease("a", "new", "db")).await?);
            written.extend(self.send(Method::PATCH, "a", &lease("a", &turn.to_string(), "db")).await?);
            if turn % 5 == 0 {
                written.extend(self.send(Method::DELETE, "a", &Value::Null).await?);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        written.extend(self.send(Method::PUT, "last", &last_lease()).await?);
        Ok(written)
    }

    /// One write; `None` if it was refused.
    async fn send(&self, method: Method, name: &str, body: &Value) -> Result<Option<Written>> {
        let path =
            if method == Method::POST { self.leases.clone() } else { format!("{}/{name}", self.leases) };
        let (content_type, body) = match method {
            Method::PATCH => ("application/merge-patch+json", body.to_string().into_bytes()),
            Method::DELETE => (JSON, Vec::new()),
            _ => (JSON, body.to_string().into_bytes()),
        };
        let request = http::Request::builder()
            .method(method.clone())
            .uri(path)
            .header(header::CONTENT_TYPE, content_type)
            .body(body)?;
        let answer = self.server.send(request).await?;
        Ok(written(&method, &answer))
    }

    async fn list_version(&self) -> Result<u64> {
        let answer = self.server.send(http::Request::get(&self.leases).body(Vec::new())?).await?;
        Ok(version_of(&answer.json().context("a list that is not JSON")?))
    }
}

fn written(method: &Method, answer: &Answer) -> Option<Written> {
    let kind = match (method, answer.status) {
        (_, 201) => "ADDED",
        (&Method::DELETE, 200) => "DELETED",
        (_, 200) => "MODIFIED",
        _ => return None,
    };
    Some(Written { kind, answer: answer.json()? })
}

/// Ordered, unique, atomic, reliable: the events are the acknowledged writes, each once, whole, by version.
fn are_the_writes(events: &[Event], written: &[Written]) -> Result<()> {
    for pair in events.windows(2) {
        ensure!(pair[0].version() < pair[1].version(), "not ordered, or not unique: {pair:?}");
    }
    let mut deleted: BTreeMap<&str, usize> = BTreeMap::new();
    let mut versions: BTreeMap<u64, &Written> = BTreeMap::new();
    for write in written {
        match write.answer["details"]["uid"].as_str() {
            Some(uid) if write.kind == "DELETED" => *deleted.entry(uid).or_default() += 1,
            _ => drop(versions.insert(version_of(&write.answer), write)),
        }
    }
    for event in events {
        if event.kind == "DELETED" {
            let uid = event.object["metadata"]["uid"].as_str().unwrap_or_default();
            ensure!(deleted.remove(uid) == Some(1), "a deletion that was not acknowledged once: {event:?}");
            continue;
        }
        let write = versions.remove(&event.version());
        let write = write.with_context(|| format!("an event that nobody wrote: {event:?}"))?;
        ensure!(write.kind == event.kind, "{} was seen as {event:?}", write.kind);
        ensure!(write.answer == event.object, "not the object that was answered: {event:?} {write:?}");
    }
    ensure!(versions.is_empty() && deleted.is_empty(), "never seen: {versions:?} {deleted:?}");
    Ok(())
}

fn same(seen: &[Event], log: &[Event]) -> Result<()> {
    let differing = seen.iter().zip(log).position(|(a, b)| a != b);
    if let Some(index) = differing {
        anyhow::bail!("event {index} is {:?} and not {:?}", seen[index], log[index]);
    }
    ensure!(seen.len() == log.len(), "{} events and not {}", seen.len(), log.len());
    Ok(())
}

/// What a watch of the selection must show of the log.
fn selection(log: &[Event]) -> Vec<Event> {
    let mut inside: BTreeMap<String, bool> = BTreeMap::new();
    let mut events = Vec::new();
    for event in log {
        let selected = event.object["metadata"]["labels"]["app"] == "db";
        let was = inside.insert(name_of(&event.object), selected && event.kind != "DELETED").unwrap_or(false);
        let kind = match (event.kind.as_str(), was, selected) {
            ("DELETED", true, _) | (_, true, false) => "DELETED",
            ("DELETED", false, _) | (_, false, false) => continue,
            (_, false, true) => "ADDED",
            (_, true, true) => "MODIFIED",
        };
        events.push(Event { kind: kind.to_owned(), object: event.object.clone() });
    }
    events
}

fn name_of(object: &Value) -> String {
    object["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn lease(name: &str, holder: &str, app: &str) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": app}}, "spec": {"holderIdentity": holder}})
}

fn last_lease() -> Value {
    let mut last = lease("last", "nobody", "db");
    last["metadata"]["annotations"] = json!({LAST: "yes"});
    last
}

const JSON: &str = "application/json";
const SELECTION: &str = "&labelSelector=app%3Ddb";
const NAMES: [&str; 3] = ["a", "b", "c"];
const WRITERS: u64 = 4;
const WRITES_EACH: u32 = 100;
const RESUME_AFTER_MAX: usize = 8;
const LATE_WATCHES: u32 = 3;
const LATE_INTERVAL: Duration = Duration::from_millis(30);

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, version: u64, app: &str) -> Event {
        let object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": version.to_string(),
            "labels": {"app": app}}});
        Event { kind: kind.to_owned(), object }
    }

    fn write(kind: &'static str, version: u64) -> Written {
        Written { kind, answer: event(kind, version, "db").object }
    }

    fn deletion() -> Written {
        Written { kind: "DELETED", answer: json!({"details": {"uid": "u"}}) }
    }

    #[test]
    fn a_lost_a_repeated_a_swapped_an_invented_and_a_torn_event_are_seen() {
        let written = [write("ADDED", 1), write("MODIFIED", 2), deletion()];
        let right = [event("ADDED", 1, "db"), event("MODIFIED", 2, "db"), event("DELETED", 3, "db")];
        are_the_writes(&right, &written).unwrap();
        let broken = |events: &[&Event]| {
            let events: Vec<Event> = events.iter().map(|event| (*event).clone()).collect();
            assert!(are_the_writes(&events, &written).is_err(), "{events:?}");
        };
        let [first, second, third] = &right;
        broken(&[first, third]);
        broken(&[first, second]);
        broken(&[first, second, second, third]);
        broken(&[second, first, third]);
        broken(&[first, second, third, &event("ADDED", 4, "db")]);
        broken(&[first, &event("MODIFIED", 2, "torn"), third]);
        broken(&[first, &event("ADDED", 2, "db"), third]);
    }

    #[test]
    fn a_selection_shows_entering_changing_and_leaving() {
        let log = [
            event("ADDED", 1, "web"),
            event("MODIFIED", 2, "db"),
            event("MODIFIED", 3, "db"),
            event("MODIFIED", 4, "web"),
            event("MODIFIED", 5, "db"),
            event("DELETED", 6, "db"),
            event("ADDED", 7, "web"),
            event("DELETED", 8, "web"),
        ];
        let kinds: Vec<(String, u64)> =
            selection(&log).into_iter().map(|event| (event.kind.clone(), event.version())).collect();
        let expected = [("ADDED", 2), ("MODIFIED", 3), ("DELETED", 4), ("ADDED", 5), ("DELETED", 6)];
        assert_eq!(kinds, expected.map(|(kind, version)| (kind.to_owned(), version)));
    }
}
