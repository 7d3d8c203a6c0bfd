//! Watches: each a stream of lines from the cache of one API server to one process.

use std::time::Duration;

use http::Request;
use leasehold_apiserver::store::Watch;
use leasehold_election::{Delivery, Operation};
use leasehold_history::Nanos;

use super::servers::wall;
use super::{Event, World, words};
use crate::candidate::Happening;
use crate::clocks::after;
use crate::fault::FaultKind;

/// One watch.
#[derive(Debug)]
pub(super) struct Stream {
    watch: Option<Watch>,
    process: usize,
    id: u64,
    of_pod: bool,
    server: usize,
    pub(super) open: bool,
    /// It says nothing more, and nobody notices.
    pub(super) silent: bool,
    pub(super) bookmarks_only: bool,
    pump_planned: bool,
    /// Lines arrive in order.
    last_arrival: Nanos,
    /// An early line, to be repeated out of place.
    pub(super) old_line: Option<Vec<u8>>,
}

impl World {
    pub(super) fn open_watch(&mut self, process: usize, id: u64, request: &Request<Vec<u8>>) {
        let of_pod = is_of_pod(request);
        self.drop_watch(process, of_pod);
        self.note_sent(process, Operation::Watch);
        let machine = self.processes[process].machine;
        let server = self.machines[machine].server;
        let stream = self.streams.len();
        let unreachable = self.is_cut_off(process) || !self.servers.is_up(server, self.now);
        let refused =
            self.strikes(process, if of_pod { FaultKind::PodWatchRefused } else { FaultKind::WatchRefused });
        let opened = self.servers.store.open_watch(wall(self.now), request);
        self.streams.push(Stream {
            watch: None,
            process,
            id,
            of_pod,
            server,
            open: true,
            silent: unreachable,
            bookmarks_only: false,
            pump_planned: false,
            last_arrival: self.now,
            old_line: None,
        });
        *self.slot(process, of_pod) = Some((id, stream));
        self.trace.note(self.now, process, "opens watch", stream as u64);
        if unreachable {
            return;
        }
        let refusal = match opened {
            Ok(watch) if !refused => {
                self.streams[stream].watch = Some(watch);
                self.plan_line(stream, OPENED.to_vec());
                return self.plan_pump(stream);
            }
            Ok(_) => {
                super::network::status(403, "Forbidden", "User cannot watch", None, &serde_json::json!({}))
            }
            Err(response) => *response,
        };
        self.streams[stream].open = false;
        *self.slot(process, of_pod) = None;
        self.send_input_later(process, Happening::WatchEnded(id, Some(Delivery::Response(refusal))));
    }

    /// The refusal of a watch: it comes when the driver next looks.
    fn send_input_later(&mut self, process: usize, happening: Happening) {
        self.processes[process].push_input(happening);
        let at = after(self.now, Duration::from_millis(2));
        self.queue.plan(at, Event::Driver(process));
    }

    /// The watch of the Lease, or of the holder's Pod.
    pub(super) fn watch_of(&self, process: usize, of_pod: bool) -> Option<(u64, usize)> {
        let running = &self.processes[process];
        if of_pod { running.pod_watch } else { running.watch }
    }

    fn slot(&mut self, process: usize, of_pod: bool) -> &mut Option<(u64, usize)> {
        let running = &mut self.processes[process];
        if of_pod { &mut running.pod_watch } else { &mut running.watch }
    }

    pub(super) fn drop_watch(&mut self, process: usize, of_pod: bool) {
        if let Some((_, stream)) = self.slot(process, of_pod).take() {
            self.streams[stream].open = false;
            self.streams[stream].watch = None;
        }
    }

    /// The store has changed: each server's cache will see it.
    pub(super) fn plan_pumps(&mut self) {
        for process in 0..self.processes.len() {
            let watches = [self.processes[process].watch, self.processes[process].pod_watch];
            watches.into_iter().flatten().for_each(|(_, stream)| self.plan_pump(stream));
        }
    }

    fn plan_pump(&mut self, stream: usize) {
        let server = self.streams[stream].server;
        if std::mem::replace(&mut self.streams[stream].pump_planned, true) {
            return;
        }
        let lag = self.lag_of(server);
        self.queue.plan(after(self.now, lag), Event::Pump(stream));
    }

    pub(super) fn pump(&mut self, stream: usize) {
        self.streams[stream].pump_planned = false;
        let now = wall(self.now);
        let Stream { watch: Some(watch), open: true, silent, bookmarks_only, process, .. } =
            &mut self.streams[stream]
        else {
            return;
        };
        let (silent, bookmarks_only, process) = (*silent, *bookmarks_only, *process);
        let lines = self.servers.store.poll_watch(now, watch);
        let ended = watch.is_ended();
        let bookmark = bookmarks_only.then(|| self.servers.store.bookmark(watch)).flatten();
        if silent || self.is_cut_off(process) {
            return;
        }
        if bookmarks_only {
            if let Some(bookmark) = bookmark {
                self.plan_line(stream, bookmark.to_vec());
            }
            return;
        }
        for line in lines {
            let mut line = Vec::from(line);
            line.pop_if(|last| *last == b'\n');
            self.streams[stream].old_line.get_or_insert_with(|| line.clone());
            self.plan_line(stream, line);
        }
        if ended {
            let at = self.streams[stream].last_arrival.max(self.now);
            self.queue.plan(at, Event::StreamEnds(stream));
        }
    }

    pub(super) fn plan_line(&mut self, stream: usize, line: Vec<u8>) {
        let way = self.latency();
        let at = after(self.now, way).max(self.streams[stream].last_arrival);
        self.streams[stream].last_arrival = at;
        self.queue.plan(at, Event::Line(stream, line));
    }

    pub(super) fn deliver_line(&mut self, stream: usize, line: Vec<u8>) {
        let Stream { open: true, process, id, .. } = self.streams[stream] else { return };
        self.trace.note(self.now, process, "hears from watch", stream as u64);
        let happening = if line == OPENED {
            self.trace.explain(|| "open".to_owned());
            Happening::WatchOpened(id)
        } else {
            self.trace.explain(|| words::of_line(&line));
            Happening::WatchLine(id, line)
        };
        self.send_input(process, happening);
    }

    /// Whether a change of the Lease reaches this process by its watch as fast as the network is.
    pub(super) fn hears_at_once(&self, process: usize) -> bool {
        let Some((_, stream)) = self.processes[process].watch else { return false };
        let Stream { watch, silent, bookmarks_only, server, pump_planned, .. } = &self.streams[stream];
        let speaks = watch.is_some() && !silent && !bookmarks_only && !pump_planned;
        speaks && !self.is_cut_off(process) && !self.lags(*server)
    }

    /// The server, or the way to it, ends a watch.
    pub(super) fn end_stream(&mut self, stream: usize) {
        let Stream { open: true, process, id, of_pod, .. } = self.streams[stream] else { return };
        self.trace.note(self.now, process, "loses watch", stream as u64);
        self.drop_watch(process, of_pod);
        self.send_input(process, Happening::WatchEnded(id, None));
    }

    pub(super) fn streams_of_server(&self, server: Option<usize>) -> Vec<usize> {
        let open = self.processes.iter().flat_map(|process| [process.watch, process.pod_watch]).flatten();
        open.map(|(_, stream)| stream)
            .filter(|&stream| server.is_none_or(|server| self.streams[stream].server == server))
            .collect()
    }
}

pub(super) fn is_of_pod(request: &Request<Vec<u8>>) -> bool {
    request.uri().path().ends_with("/pods")
}

/// Stands for the head of the answer, which comes before all lines.
const OPENED: &[u8] = b"200 OK";
