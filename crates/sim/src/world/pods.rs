//! Pods as the API server shows them, and the kubelet that reports what has become of their containers: late, or never, or
//! written over by others that know nothing of them.
//!
//! A Pod holds the elector and an app. In file and HTTP mode the app does the work, and goes on with it when the elector is
//! dead, until the last `lead_until` that it was told.

use std::time::Duration;

use http::Request;
use leasehold_election::Mode;
use leasehold_history::Nanos;
use serde_json::{Value, json};

use super::log::WorkLog;
use super::{Event, NAMESPACE, World};
use crate::candidate::Happening;
use crate::clocks::after;
use crate::fault::FaultKind;

/// One Pod, as it really is.
#[derive(Debug, Default)]
pub(super) struct Pod {
    pub(super) uid: String,
    elector: Container,
    app: Container,
    /// Its node starts nothing of it any more.
    over: bool,
    last_report: Nanos,
    /// What was reported before, a few of it.
    reported: Vec<Value>,
    /// Work that the app goes on with though its elector is dead: of which process, until when, and where it is logged.
    orphan: Option<Orphan>,
}

#[derive(Clone, Copy, Debug)]
struct Orphan {
    process: usize,
    until: Nanos,
    log: usize,
}

#[derive(Debug, Default)]
struct Container {
    instances: u64,
    runs: bool,
    /// What it said at the end of this instance, and of the one before.
    ended: Option<End>,
    ended_before: Option<End>,
}

#[derive(Clone, Debug)]
struct End {
    message: String,
    at: Nanos,
}

/// What will happen to a Pod of a machine, unless it is another by then.
#[derive(Debug)]
pub(super) enum PodEvent {
    /// A status reaches the API server.
    Status(Value),
    /// The app runs again.
    AppStarts,
    /// The processes of a Pod that was deleted by force are found and killed.
    Killed,
}

impl Container {
    fn start(&mut self) {
        self.instances += 1;
        self.runs = true;
        if let Some(ended) = self.ended.take() {
            self.ended_before = Some(ended);
        }
    }

    fn end(&mut self, message: String, at: Nanos) {
        self.runs = false;
        self.ended = Some(End { message, at });
    }

    fn status(&self, name: &str) -> Value {
        let terminated = |end: &End, instance: u64| {
            json!({ "terminated": {
                "exitCode": 137,
                "containerID": format!("containerd://{name}-{instance}"),
                "finishedAt": format!("{:.0}", super::servers::wall(end.at)),
                "message": end.message,
            } })
        };
        let state = match (&self.ended, self.runs) {
            (Some(end), _) => terminated(end, self.instances),
            (None, true) => json!({ "running": {} }),
            (None, false) => json!({ "waiting": { "reason": "ContainerCreating" } }),
        };
        let before = self.ended_before.as_ref().map(|end| terminated(end, self.instances - 1));
        container_status(name, &state, &before.unwrap_or_else(|| json!({})))
    }
}

impl Pod {
    fn status(&self) -> Value {
        let phase = if self.over { "Failed" } else { "Running" };
        let containers = [self.elector.status(ELECTOR), self.app.status(APP)];
        json!({ "phase": phase, "conditions": [], "containerStatuses": containers })
    }
}

impl World {
    fn has_pod(&self, machine: usize) -> bool {
        self.plan.pods && self.plan.candidates[machine].has_pod()
    }

    /// The Pod in which a process is about to start.
    pub(super) fn start_in_pod(&mut self, machine: usize) -> Option<String> {
        if !self.has_pod(machine) {
            return None;
        }
        if self.machines[machine].pod.as_ref().is_none_or(|pod| pod.over) {
            self.replace_pod(machine);
        }
        let pod = self.machines[machine].pod.as_mut()?;
        pod.elector.start();
        if !pod.app.runs {
            pod.app.start();
        }
        let uid = pod.uid.clone();
        self.resume_orphan(machine);
        self.report(machine);
        Some(uid)
    }

    /// A process of this Pod has ended; `with_app` if the app has, too.
    pub(super) fn note_end_in_pod(&mut self, process: usize, with_app: bool) {
        let machine = self.processes[process].machine;
        let now = self.now;
        let work = self.processes[process].work.as_ref().map(|work| work.log);
        let believed = self.processes[process].term.as_ref().filter(|term| !term.over).map(|term| term.ends);
        let message = self.processes[process].message.clone();
        let mode = self.plan.candidates[machine].mode;
        let longest = after(now, self.plan.candidates[machine].timing.lease_duration() * 2);
        let uid = self.processes[process].pod_uid.clone();
        let Some(pod) = self.machines[machine].pod.as_mut() else { return };
        if pod.uid == uid {
            pod.elector.end(message, now);
        }
        if with_app && pod.app.runs {
            pod.app.end(String::new(), now);
        }
        let asks = matches!(mode, Mode::File | Mode::Http);
        if let (true, Some(log), Some(until)) = (asks, work, believed) {
            pod.orphan = Some(Orphan { process, until: until.min(longest), log });
        }
    }

    /// When the work of a process that has just ended is over: with the app, if that does it.
    pub(super) fn work_outlives(&self, process: usize) -> Nanos {
        let machine = self.processes[process].machine;
        let pod = self.machines[machine].pod.as_ref().filter(|pod| pod.app.runs);
        let orphan = pod.and_then(|pod| pod.orphan).filter(|orphan| orphan.process == process);
        orphan.map_or(self.now, |orphan| orphan.until.max(self.now))
    }

    /// The app has ended, and with it what it went on with.
    pub(super) fn end_app(&mut self, machine: usize, message: String) {
        let now = self.now;
        let Some(pod) = self.machines[machine].pod.as_mut().filter(|pod| pod.app.runs) else { return };
        pod.app.end(message, now);
        if let Some(orphan) = pod.orphan {
            let end = &mut self.log.works[orphan.log].end;
            *end = (*end).min(now);
        }
    }

    /// An app that starts reads the file that a dead elector has left. By HTTP nobody answers.
    fn resume_orphan(&mut self, machine: usize) {
        let now = self.now;
        let reads = self.plan.candidates[machine].mode == Mode::File;
        let Some(pod) = self.machines[machine].pod.as_mut() else { return };
        let Some(orphan) = pod.orphan.as_mut().filter(|orphan| reads && orphan.until > now) else { return };
        if self.log.works[orphan.log].end < orphan.until {
            let Orphan { process, until, .. } = *orphan;
            orphan.log = self.log.works.len();
            self.log.works.push(WorkLog { process, begin: now, end: until });
        }
    }

    /// The kubelet reports what has become of a Pod, as it is now; the report takes its time.
    pub(super) fn report(&mut self, machine: usize) {
        if self.machines[machine].pod.is_none() {
            return;
        }
        let late = self.strikes_machine(machine, FaultKind::PodReportsLate);
        let lost = self.strikes_machine(machine, FaultKind::PodReportsLost);
        let takes = if late {
            self.chance.spread(Duration::from_millis(100), Duration::from_secs(40))
        } else {
            self.chance.millis(10, 734)
        };
        let at = after(self.now, takes);
        let Some(pod) = self.machines[machine].pod.as_mut() else { return };
        pod.last_report = pod.last_report.max(at);
        let (at, status, uid) = (pod.last_report, pod.status(), pod.uid.clone());
        if !lost {
            self.queue.plan(at, Event::Pod { machine, uid, event: PodEvent::Status(status) });
        }
    }

    pub(super) fn handle_pod_event(&mut self, machine: usize, uid: &str, event: PodEvent) {
        let Some(pod) = self.machines[machine]
            .pod
            .as_mut()
            .filter(|pod| pod.uid == uid || matches!(event, PodEvent::Killed))
        else {
            return;
        };
        match event {
            PodEvent::Status(status) => {
                pod.reported.push(status.clone());
                if pod.reported.len() > REPORTED_MAX {
                    pod.reported.remove(0);
                }
                self.write_status(machine, &status);
            }
            PodEvent::AppStarts if !pod.app.runs && !pod.over => {
                pod.app.start();
                self.resume_orphan(machine);
                self.report(machine);
            }
            PodEvent::AppStarts => {}
            // Where all faults have ended nobody is killed any more.
            PodEvent::Killed => {
                let own = |process: &usize| self.processes[*process].pod_uid == uid;
                if let Some(process) = self.machines[machine].process.filter(own).filter(|_| !self.healed) {
                    self.end_process(process, "is killed");
                }
            }
        }
    }

    pub(super) fn strike_pod(&mut self, kind: FaultKind, machine: usize) {
        let leader = (0..self.processes.len()).find(|&process| self.processes[process].leads_at(self.now));
        let leader = leader.map(|process| self.processes[process].machine);
        let prefers_leader = self.chance.happens(600);
        let machine = leader.filter(|_| prefers_leader).unwrap_or(machine);
        if !self.has_pod(machine) || self.machines[machine].pod.is_none() {
            return;
        }
        self.count_now(kind, machine);
        let process = self.machines[machine].process;
        match kind {
            FaultKind::PodReportsLate | FaultKind::PodReportsLost | FaultKind::PodWatchRefused => {
                self.begin_episode(kind, Some(machine), None);
            }
            FaultKind::PodStatusStale => self.repeat_status(machine),
            FaultKind::PodForceDeleted => self.delete_by_force(machine),
            FaultKind::PodEvicted => self.evict(machine, process),
            FaultKind::PodFailed => {
                let disrupted = json!([{ "type": "DisruptionTarget", "status": "True" }]);
                let conditions = if self.chance.happens(500) { disrupted } else { json!([]) };
                self.write_status(machine, &json!({ "phase": "Failed", "conditions": conditions }));
            }
            FaultKind::PodStatusUnknown => {
                let ended = json!({ "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown" } });
                let containers = [ELECTOR, APP].map(|name| container_status(name, &ended, &json!({})));
                self.write_status(machine, &json!({ "containerStatuses": containers }));
            }
            FaultKind::PodImitated => {
                let nonce = process.and_then(|process| self.processes[process].identity.rsplit('_').next());
                let said = format!("leasehold/1 {} exec\n", nonce.unwrap_or_default());
                self.end_app(machine, said);
                self.restart_app(machine);
            }
            _ => {
                self.end_app(machine, String::new());
                self.restart_app(machine);
            }
        }
    }

    fn restart_app(&mut self, machine: usize) {
        self.report(machine);
        let Some(pod) = &self.machines[machine].pod else { return };
        let uid = pod.uid.clone();
        let at = after(self.now, self.chance.spread(Duration::from_millis(50), Duration::from_secs(20)));
        self.queue.plan(at, Event::Pod { machine, uid, event: PodEvent::AppStarts });
    }

    fn repeat_status(&mut self, machine: usize) {
        let reported = self.machines[machine].pod.as_ref().map_or(0, |pod| pod.reported.len());
        let index = self.chance.index(reported);
        let old = self.machines[machine].pod.as_ref().and_then(|pod| pod.reported.get(index)).cloned();
        if let Some(old) = old {
            self.write_status(machine, &old);
        }
    }

    /// The object goes at once, and another of the same name takes its place; the processes are found later.
    fn delete_by_force(&mut self, machine: usize) {
        let Some(pod) = &self.machines[machine].pod else { return };
        let uid = pod.uid.clone();
        let at = after(self.now, self.chance.spread(Duration::from_millis(100), Duration::from_secs(60)));
        if self.machines[machine].process.is_some() {
            self.queue.plan(at, Event::Pod { machine, uid, event: PodEvent::Killed });
        }
        let old = self.machines[machine].pod.take();
        self.replace_pod(machine);
        // What the app goes on with is as true as before.
        if let (Some(old), Some(new)) = (old, self.machines[machine].pod.as_mut()) {
            new.app.runs = old.app.runs;
            new.orphan = old.orphan;
        }
    }

    /// The kubelet ends all containers of a Pod, of which nothing is started again; or it was restarted itself meanwhile, and
    /// says that it has, while they run.
    fn evict(&mut self, machine: usize, process: Option<usize>) {
        if self.chance.happens(500) {
            if let Some(process) = process {
                self.end_process(process, "is evicted");
            }
            self.end_app(machine, String::new());
            if let Some(pod) = self.machines[machine].pod.as_mut() {
                pod.over = true;
            }
            return self.report(machine);
        }
        let conditions = json!([{ "type": "DisruptionTarget", "status": "True" }]);
        let status = json!({ "phase": "Failed", "reason": "Evicted", "conditions": conditions, "containerStatuses": [] });
        self.write_status(machine, &status);
        if let Some(process) = process {
            self.command(process, Happening::Stop);
        }
    }

    /// Makes a Pod of this machine's name, in the place of one that is there.
    fn replace_pod(&mut self, machine: usize) {
        let name = pod_name(machine);
        self.as_kubelet("DELETE", &format!("/{name}?gracePeriodSeconds=0"), &Value::Null);
        let container = |name: &str| json!({ "name": name, "image": "an-image" });
        let body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": { "containers": [container(ELECTOR), container(APP)] },
        });
        let made = self.as_kubelet("POST", "", &body);
        let uid = made["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        self.machines[machine].pod = Some(Pod { uid, ..Pod::default() });
    }

    fn write_status(&mut self, machine: usize, status: &Value) {
        let name = pod_name(machine);
        self.trace.note_machine(self.now, machine, "has its Pod's status written");
        self.trace.explain(|| status.to_string());
        self.as_kubelet("PATCH", &format!("/{name}/status"), &json!({ "status": status }));
    }

    fn as_kubelet(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let uri = format!("/api/v1/namespaces/{NAMESPACE}/pods{path}");
        let content_type =
            if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request =
            Request::builder().method(method).uri(uri).header("content-type", content_type).body(body);
        let response = self.servers.handle(self.now, &request.expect("a valid request"));
        self.plan_pumps();
        serde_json::from_slice(response.body()).unwrap_or_default()
    }
}

fn container_status(name: &str, state: &Value, last_state: &Value) -> Value {
    json!({
        "name": name, "image": "an-image", "imageID": "", "ready": false, "restartCount": 0,
        "state": state, "lastState": last_state,
    })
}

pub(super) fn pod_name(machine: usize) -> String {
    format!("db-{machine}")
}

const REPORTED_MAX: usize = 8;
const ELECTOR: &str = "elector";
const APP: &str = "app";
