//! The way to the server and back, the server, and its watches.

use std::time::Duration;

use http::{Method, Request};
use leasehold_election::{Delivery, Input, WatchId};
use serde_json::Value;

use super::{Event, From, Watcher, World};

impl World {
    pub(super) fn send(&mut self, from: From, request: Request<Vec<u8>>) {
        self.seen.requests += 1;
        if self.nodes[from.life.0].cut_until > self.now || (self.faults.loss && self.chance.one_in(12)) {
            return;
        }
        if self.faults.doubles && self.chance.one_in(20) {
            let late = Duration::from_millis(self.chance.below(40_000));
            self.at(late, Event::Apply { from, request: request.clone() });
        }
        let mut delay = self.chance.network(self.faults.slow);
        if self.faults.late && self.chance.one_in(10) {
            delay += Duration::from_millis(self.chance.below(40_000));
        }
        self.at(delay, Event::Apply { from, request });
    }

    pub(super) fn apply(&mut self, from: From, request: &Request<Vec<u8>>) {
        let before = self.server.event();
        let answer = self.server.handle(request);
        let (node, _) = from.life;
        if request.method() != Method::GET && answer.status().is_success() {
            self.check_write(node, from, request);
        }
        if self.server.event() != before {
            self.publish_change();
        }
        let cut = self.nodes[node].cut_until > self.now;
        if cut || (self.faults.loss && self.chance.one_in(12)) {
            return;
        }
        let mut delay = self.chance.network(self.faults.slow);
        if self.faults.late && self.chance.one_in(10) {
            delay += Duration::from_millis(self.chance.below(12_000));
        }
        let input = Input::Answer(from.id, Delivery::Response(answer));
        self.at(delay, Event::Arrive { to: from.life, input });
    }

    /// A write was carried out: whose, and who works meanwhile?
    fn check_write(&mut self, node: usize, from: From, request: &Request<Vec<u8>>) {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        let holder = match body.as_array() {
            None => body["spec"]["holderIdentity"].as_str(),
            Some(operations) => {
                let adds = operations.iter().find(|operation| {
                    operation["op"] == "add" && operation["path"] == "/spec/holderIdentity"
                });
                adds.and_then(|operation| operation["value"].as_str())
            }
        };
        let Some(holder) = holder else { return };
        let seed = self.seed;
        for (index, other) in self.nodes.iter().enumerate() {
            let same = index == node && other.life == from.life.1;
            let own_acquisition = same && !holder.is_empty();
            let works = other.work.is_some() && !other.paused && !own_acquisition;
            assert!(!works, "seed {seed}: {index} works while {node} writes {holder:?} at {:?}", self.now);
        }
        self.seen.releases += u64::from(holder.is_empty());
    }

    pub(super) fn publish_change(&mut self) {
        let line = self.server.event();
        let version = self
            .server
            .lease()
            .map_or(0, |lease| lease["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap());
        self.history.push((version, line.clone()));
        for index in 0..self.watchers.len() {
            self.tell_watcher(index, line.clone());
        }
    }

    fn tell_watcher(&mut self, index: usize, line: Vec<u8>) {
        let mut delay = self.chance.network(self.faults.slow);
        if self.faults.late && self.chance.one_in(10) {
            delay += Duration::from_millis(self.chance.below(20_000));
        }
        let watcher = &mut self.watchers[index];
        if self.nodes[watcher.to.0].cut_until > self.now || (self.faults.silence && self.chance.one_in(30)) {
            watcher.silent = true;
        }
        if watcher.silent {
            return;
        }
        watcher.last_due = watcher.last_due.max(self.now + delay);
        let (after, to, id) = (watcher.last_due - self.now, watcher.to, watcher.id);
        self.at(after, Event::Arrive { to, input: Input::WatchLine(id, line) });
    }

    pub(super) fn open_watch(&mut self, to: (usize, u64), id: WatchId, since: Option<u64>) {
        if self.nodes[to.0].cut_until > self.now {
            return;
        }
        self.watchers.push(Watcher { to, id, last_due: self.now, silent: false });
        let index = self.watchers.len() - 1;
        self.at(Duration::ZERO, Event::Arrive { to, input: Input::WatchOpened(id) });
        let lines: Vec<Vec<u8>> = match since {
            Some(since) => {
                let later = self.history.iter().filter(|(version, _)| *version > since);
                later.map(|(_, line)| line.clone()).collect()
            }
            None => self.server.lease().map(|_| self.server.event()).into_iter().collect(),
        };
        lines.into_iter().for_each(|line| self.tell_watcher(index, line));
    }
}
