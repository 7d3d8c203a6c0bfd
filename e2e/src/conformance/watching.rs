//! Watches: stories that both servers must tell alike, and etcd's guarantees, held against each server by itself.
//!
//! The guarantees are those of etcd's documentation ("API guarantees", watch): ordered, unique, atomic, reliable,
//! resumable, bookmarkable.

use std::collections::VecDeque;

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::BodyExt as _;
use kube::client::Body;
use serde_json::{Value, json};

use super::server::{PATIENCE, Server};

pub mod expired;
pub mod guarantees;
pub mod stories;

/// An open watch.
pub struct Watch {
    server: &'static str,
    path: String,
    body: Body,
    buffer: Vec<u8>,
    lines: VecDeque<Vec<u8>>,
}

/// An event of a watch.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `ADDED`, `MODIFIED`, `DELETED`, `BOOKMARK` or `ERROR`.
    pub kind: String,
    /// The object, or a Status.
    pub object: Value,
}

impl Watch {
    /// Opens a watch.
    ///
    /// # Errors
    /// When there is no answer, or a refusal.
    pub async fn open(server: &Server, path: &str, accept: &str) -> Result<Self> {
        let (status, body) = server.open(path, accept).await?;
        if status != 200 {
            let text = body.collect().await?.to_bytes();
            bail!(
                "the {} server answered {status} to {path}: {}",
                server.name(),
                String::from_utf8_lossy(&text)
            );
        }
        let path = path.to_owned();
        Ok(Self { server: server.name(), path, body, buffer: Vec::new(), lines: VecDeque::new() })
    }

    /// The next event; `None` when the server has ended the watch.
    ///
    /// # Errors
    /// When nothing comes in time, or something that is no event.
    pub async fn next(&mut self) -> Result<Option<Event>> {
        let line = tokio::time::timeout(PATIENCE, self.line()).await.with_context(|| {
            format!("the {} server is silent on {} for {PATIENCE:?}", self.server, self.path)
        })??;
        let Some(line) = line else { return Ok(None) };
        let event: Value = serde_json::from_slice(&line)
            .with_context(|| format!("no event on {}: {}", self.path, String::from_utf8_lossy(&line)))?;
        let kind = event["type"].as_str().context("an event without a type")?.to_owned();
        Ok(Some(Event { kind, object: event["object"].clone() }))
    }

    /// All events up to and including the first for which `last` holds.
    ///
    /// # Errors
    /// As [`next`](Self::next), and when the watch ends before.
    pub async fn until(&mut self, last: impl Fn(&Event) -> bool) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await?;
            let event = event.with_context(|| format!("{} ended after {events:?}", self.path))?;
            ensure!(event.kind != "ERROR", "an error on {} after {events:?}: {}", self.path, event.object);
            let done = last(&event);
            events.push(event);
            if done {
                return Ok(events);
            }
        }
    }

    async fn line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Some(line));
            }
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let Ok(data) = frame?.into_data() else { continue };
            self.buffer.extend_from_slice(&data);
            while let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let rest = self.buffer.split_off(end + 1);
                self.lines.push_back(std::mem::replace(&mut self.buffer, rest));
            }
        }
    }
}

impl Event {
    /// The version of its object, or of the list for a bookmark.
    pub fn version(&self) -> u64 {
        version_of(&self.object)
    }

    /// Whether it is the bookmark behind the initial events.
    pub fn ends_initial_events(&self) -> bool {
        self.object["metadata"]["annotations"]["k8s.io/initial-events-end"] == "true"
    }

    /// Whether it carries the annotation that ends a story.
    pub fn is_last(&self) -> bool {
        let object = self.object["rows"].get(0).map_or(&self.object, |row| &row["object"]);
        self.kind != "BOOKMARK" && !object["metadata"]["annotations"][LAST].is_null()
    }
}

/// The annotation of the write that ends a story.
pub const LAST: &str = "last";

/// A patch that carries it.
fn last_patch() -> Value {
    json!({"metadata": {"annotations": {LAST: "yes"}}})
}

fn version_of(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default()
}
