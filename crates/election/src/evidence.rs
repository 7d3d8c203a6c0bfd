//! Evidence: the kubelet's report that exactly the holder's process has ended.
//!
//! Each process writes its secret to its termination message, and nowhere else; the kubelet copies that into the Pod's
//! status when the process, and no other, has ended. So the secret in a *terminated* entry proves what no phase, no
//! condition and no absence can: those are also written by controllers and by kubelets that know nothing of the process.
//! An old status proves as much as a new one, since what has ended stays ended.
//!
//! In library and exec mode the work ends with the process. Where it is done by other containers of the Pod, they have to
//! have ended as well.

use jiff::Timestamp;
use serde::Deserialize;

use crate::answer::{Reason, Refusal, WatchEvent};
use crate::config::{LeaseName, Mode, is_dns_name};
use crate::identity::{Nonce, Secret};
use crate::json::Object;
use crate::record::Record;

/// First word of a termination message that reveals a secret.
const FORM: &str = "leasehold/1";

impl Secret {
    /// What a process writes to its termination message, and nowhere else, before it campaigns: the line that proves its
    /// end once the kubelet has copied it into the Pod's status.
    pub fn termination_message(&self, mode: Mode) -> String {
        format!("{FORM} {} {mode}\n", self.reveal())
    }
}

/// The process whose end is to be proved, as its lease names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    pod: String,
    uid: String,
    nonce: Nonce,
    mode: Mode,
}

impl Subject {
    /// The holder, if its end can be proved: its identity is `<POD_NAME>_<POD_UID>_<nonce>`, and the mark of its term says
    /// how its work is run.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let (name, nonce) = Nonce::split(record.holder()?)?;
        let (pod, uid) = name.split_once('_')?;
        let mode = record.mark.as_ref().filter(|_| record.is_marked())?.mode?;
        let named = is_dns_name(pod) && !uid.is_empty() && !uid.contains('_');
        named.then(|| Self { pod: pod.to_owned(), uid: uid.to_owned(), nonce, mode })
    }

    pub(crate) fn pod(&self) -> &str {
        &self.pod
    }

    pub(crate) fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Whether one version of a Pod proves that this process has ended, and with it all work of its term.
    pub(crate) fn has_ended(&self, lease: &LeaseName, pod: &Pod) -> bool {
        let metadata = &pod.metadata;
        if metadata.name != self.pod || metadata.uid != self.uid || metadata.namespace != lease.namespace() {
            return false;
        }
        let Some(own) =
            pod.status.all().find(|container| container.reports().any(|end| self.is_revealed_by(end)))
        else {
            return false;
        };
        match self.mode {
            Mode::Library | Mode::Exec => true,
            Mode::Http => pod.all_have_ended(Some(&own.name)),
            // A container that is restarted would read the file that the dead process has left.
            Mode::File => pod.all_have_ended(None) && pod.is_over(),
        }
    }

    /// Any line may tell it: other processes of the container have left theirs, and what ends may have said why.
    fn is_revealed_by(&self, end: &Terminated) -> bool {
        end.message.as_deref().unwrap_or_default().lines().any(|line| self.is_revealed_in(line))
    }

    fn is_revealed_in(&self, line: &str) -> bool {
        let mut words = line.split(' ');
        let (form, secret, mode) = (words.next(), words.next(), words.next());
        // The mode is told twice, by the mark and by the process: neither alone can make it a weaker one.
        form == Some(FORM)
            && secret.is_some_and(|secret| Nonce::of_secret(secret) == self.nonce)
            && mode.and_then(|mode| mode.parse().ok()) == Some(self.mode)
            && words.next().is_none()
    }
}

/// What one line of the watch of a Pod tells.
#[derive(Debug)]
pub(crate) enum PodEvent {
    /// A version of a Pod, be it the last.
    Pod(Box<Pod>),
    /// Nothing.
    Bookmark,
    /// The watch is over.
    Failed(Refusal),
}

impl PodEvent {
    pub(crate) fn parse(lease: &LeaseName, line: &[u8]) -> Self {
        let unexpected = |message: String| Self::Failed(Refusal::new(Reason::Unexpected, 0, message, None));
        let event: Event<'_> = match serde_json::from_slice(line) {
            Ok(Object(event)) => event,
            Err(error) => return unexpected(format!("event of a Pod: {error}")),
        };
        match event.kind.as_str() {
            "BOOKMARK" => Self::Bookmark,
            "ADDED" | "MODIFIED" | "DELETED" => match serde_json::from_str::<Object<Pod>>(event.object.get())
            {
                Ok(Object(pod)) if pod.kind.as_deref().is_none_or(|kind| kind == "Pod") => {
                    Self::Pod(Box::new(pod))
                }
                Ok(Object(pod)) => {
                    let kind = pod.kind.unwrap_or_default();
                    unexpected(format!("an object of kind {kind:?} where a Pod was expected"))
                }
                Err(error) => unexpected(format!("event of a Pod: not a Pod: {error}")),
            },
            _ => match WatchEvent::parse(lease, line) {
                WatchEvent::Failed(refusal) => Self::Failed(refusal),
                WatchEvent::Gone => unexpected("the version of a Pod is gone".to_owned()),
                WatchEvent::Lease(_) | WatchEvent::Deleted { .. } | WatchEvent::Bookmark { .. } => {
                    unexpected("no event of a Pod".to_owned())
                }
            },
        }
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a serde_json::value::RawValue,
}

/// One version of a Pod, as far as it can prove anything.
#[derive(Debug, Deserialize)]
pub(crate) struct Pod {
    kind: Option<String>,
    metadata: Metadata,
    spec: Spec,
    #[serde(default)]
    status: Status,
}

impl Pod {
    /// Whether each container of the spec that runs beside others has ended, but for `except`. Containers that ran once
    /// before the others started, as most `initContainers` do, cannot have work.
    fn all_have_ended(&self, except: Option<&str>) -> bool {
        let beside = self.spec.init_containers.iter().flatten().filter(|container| container.is_restarted());
        let containers = self.spec.containers.iter().chain(beside);
        let mut containers = containers.chain(self.spec.ephemeral_containers.iter().flatten());
        containers.all(|container| {
            Some(container.name.as_str()) == except
                || self.status.all().any(|status| status.name == container.name && status.has_ended())
        })
    }

    /// Whether nothing of this Pod is started again. A controller that sets the phase, or wants the Pod gone, knows nothing
    /// of what its node does.
    fn is_over(&self) -> bool {
        let disrupted =
            self.status.conditions.iter().flatten().any(|condition| condition.kind == "DisruptionTarget");
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed")) && !disrupted
    }
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    namespace: String,
    uid: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    containers: Vec<Container>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    restart_policy: Option<String>,
}

impl Container {
    /// Whether this init container is a sidecar (KEP-753).
    fn is_restarted(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    ephemeral_container_statuses: Option<Vec<ContainerStatus>>,
}

impl Status {
    fn all(&self) -> impl Iterator<Item = &ContainerStatus> {
        let lists =
            [&self.container_statuses, &self.init_container_statuses, &self.ephemeral_container_statuses];
        lists.into_iter().flatten().flatten()
    }
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    state: Option<State>,
    last_state: Option<State>,
}

impl ContainerStatus {
    /// Its ends that the kubelet has seen: of this instance, and of the one before.
    fn reports(&self) -> impl Iterator<Item = &Terminated> {
        let states = [&self.state, &self.last_state].into_iter().flatten();
        states.filter_map(State::end).filter(|end| end.is_seen())
    }

    /// Whether this instance has ended, and none has been started since.
    fn has_ended(&self) -> bool {
        let state = self.state.as_ref().and_then(State::end);
        state.is_some_and(Terminated::is_seen)
    }
}

#[derive(Debug, Deserialize)]
struct State {
    terminated: Option<Object<Terminated>>,
}

impl State {
    fn end(&self) -> Option<&Terminated> {
        self.terminated.as_ref().map(|Object(end)| end)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    finished_at: Option<String>,
    message: Option<String>,
}

impl Terminated {
    /// Whether the kubelet has seen this end. One that it infers (`ContainerStatusUnknown`), or that a controller writes, has
    /// no container and no time.
    fn is_seen(&self) -> bool {
        let finished = self.finished_at.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        self.container_id.as_deref().is_some_and(|id| !id.is_empty())
            && finished.is_some_and(|time| time > Timestamp::UNIX_EPOCH)
    }
}
