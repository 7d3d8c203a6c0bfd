//! The parts of a Pod that the elector needs, in whatever form it runs there.

use serde_json::{Value, json};

use crate::Generated;
use crate::error::InputError;
use crate::merge::merge;
use crate::node::Node;
use crate::objects::{disruption_budget, lease, rbac, selector, service_account};
use crate::settings::{Election, Elector};
use crate::workload::Workload;
use crate::yaml::Document;

/// A workload, and the election that it takes part in.
pub(crate) struct Plan<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) election: &'a Election,
    pub(crate) elector: &'a Elector,
    pub(crate) notes: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(crate) fn new(
        workload: &'a Workload,
        election: &'a Election,
        elector: &'a Elector,
    ) -> Result<Self, InputError> {
        let wanted = election.lease.namespace();
        if let Some(found) = workload.namespace().filter(|found| *found != wanted) {
            return Err(InputError::OtherNamespace {
                object: workload.name.to_string(),
                found: found.to_owned(),
                wanted: wanted.to_owned(),
            });
        }
        Ok(Self { workload, election, elector, notes: Vec::new() })
    }

    pub(crate) fn object(&self) -> String {
        self.workload.name.to_string()
    }

    /// Flags that every form needs.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![format!("--lease={}", self.election.lease.name())];
        flags.extend(self.elector.timing_flags());
        flags.extend(self.elector.probes.flag());
        if self.election.events {
            flags.push("--events".to_owned());
        }
        if self.election.evidence.is_none() {
            flags.push("--evidence=off".to_owned());
        }
        flags.extend(self.elector.flags.iter().cloned());
        flags
    }

    /// The port for kubelet and Prometheus.
    pub(crate) fn ports(&self) -> Option<Value> {
        let port = self.elector.probes.0?;
        Some(json!([{ "name": PROBE_PORT, "containerPort": port, "protocol": "TCP" }]))
    }

    /// A probe of the elector.
    pub(crate) fn probe(path: &str) -> Value {
        json!({ "httpGet": { "path": path, "port": PROBE_PORT } })
    }

    /// Fails if another container uses a port that the elector needs.
    pub(crate) fn check_ports(&self) -> Result<(), InputError> {
        let probes = self.elector.probes.0.map(|port| (port, "--probe-addr"));
        let control = self
            .elector
            .flags
            .iter()
            .all(|flag| !flag.starts_with("--http"))
            .then_some((4040, "--flag=--http=127.0.0.1:PORT"));
        for container in self.workload.containers("containers") {
            for port in container.items("ports") {
                let number = port.get("containerPort");
                let is = |wanted: u16| number == Some(&Node::Number(wanted.into()));
                let ours = port.text_at("name") == Some(PROBE_PORT);
                let taken = probes.into_iter().chain(control).find(|(wanted, _)| is(*wanted) && !ours);
                if let Some((port, flag)) = taken {
                    let container = container.text_at("name").unwrap_or_default().to_owned();
                    return Err(InputError::PortTaken { object: self.object(), container, port, flag });
                }
            }
        }
        Ok(())
    }

    /// Fails if a volume of this name is there and is no emptyDir.
    pub(crate) fn check_volume(&self, name: &str) -> Result<(), InputError> {
        let there =
            self.workload.containers("volumes").iter().find(|volume| volume.text_at("name") == Some(name));
        match there {
            Some(volume) if volume.get("emptyDir").is_none() => {
                Err(InputError::VolumeTaken { object: self.object(), volume: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// Where the Pods get no token by themselves, a volume with one for the elector's container alone.
    pub(crate) fn token(&self) -> Option<(Value, Value)> {
        let off = self.workload.pod()?.get("automountServiceAccountToken") == Some(&Node::Bool(false));
        off.then(|| {
            let volume = json!({ "name": TOKEN, "projected": { "sources": [
                { "serviceAccountToken": { "path": "token", "expirationSeconds": 3607 } },
                { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
                { "downwardAPI": { "items": [
                    { "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } },
                ] } },
            ] } });
            let mount = json!({
                "name": TOKEN,
                "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount",
                "readOnly": true,
            });
            (volume, mount)
        })
    }

    /// What the Pod's spec needs beside its containers. A longer grace period stays.
    pub(crate) fn pod(&mut self, spread: bool, grace: u64) -> Node {
        if self.workload.is_named() {
            self.tell_about_grace(grace);
        }
        let mut pod = Node::Map(Vec::new());
        *pod.entry("serviceAccountName") = self.election.account().into();
        let there = self.workload.pod().and_then(|pod| pod.get("terminationGracePeriodSeconds"));
        let longer = match there {
            Some(Node::Number(number)) => number.as_u64().unwrap_or_default(),
            _ => 0,
        };
        // What is not known may be longer, and must not become shorter.
        if !self.workload.is_named() || grace > GRACE_DEFAULT_SECONDS {
            *pod.entry("terminationGracePeriodSeconds") = Node::Number(grace.max(longer).into());
        }
        let constraints = self.workload.containers("topologySpreadConstraints");
        let ours = |constraint: &Node| constraint.plain() == self.constraint();
        if spread && (constraints.is_empty() || constraints.iter().any(ours)) {
            *pod.entry("topologySpreadConstraints") = Node::List(vec![self.constraint()]);
        }
        pod
    }

    fn tell_about_grace(&mut self, grace: u64) {
        self.notes.push(if grace > GRACE_DEFAULT_SECONDS {
            format!("terminationGracePeriodSeconds: {grace} takes the place of what is there, also of a longer one")
        } else {
            format!("terminationGracePeriodSeconds stays as it is; it has to be {grace} at least")
        });
    }

    /// Not all Pods on one node, where that can be had.
    fn constraint(&self) -> Node {
        let mut constraint = Node::from(json!({
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
        }));
        *constraint.entry("labelSelector") = self.selector();
        constraint
    }

    /// Selects the workload's Pods.
    fn selector(&self) -> Node {
        let there = self.workload.object().and_then(|object| object.at(&["spec", "selector"]));
        there.cloned().unwrap_or_else(|| Node::of(&selector(&self.election.app)))
    }

    /// All objects, in the order in which they should be applied, with the workload as `pod` changes it.
    pub(crate) fn finish(mut self, pod: Node, budget: bool, what: &str) -> Generated {
        let mut patch = Node::Map(Vec::new());
        *patch.entry("apiVersion") = "apps/v1".into();
        *patch.entry("kind") = self.workload.name.kind.as_str().into();
        *patch.entry("metadata").entry("name") = self.workload.name().into();
        *patch.entry("metadata").entry("namespace") = self.election.lease.namespace().into();
        *patch.entry("spec").entry("template").entry("spec") = pod;
        let companions = self.accompany(budget);
        let patch = self.patch(patch, what);
        let mut documents = self.workload.documents.clone();
        let Some(object) = documents.get_mut(self.workload.index()) else {
            self.notes.push("only the name is known: nothing could be checked; the change merges into the workload by kubectl patch, and not by kubectl apply, which takes away what a manifest does not name".to_owned());
            let spreads =
                patch.object.at(&["spec", "template", "spec", "topologySpreadConstraints"]).is_some();
            if budget || spreads {
                self.notes.push(format!("the Pods are taken to have the label app.kubernetes.io/name={}: leave out what selects them with --without budget --without spread, or give the manifest with -f", self.election.app));
            }
            let documents = companions.iter().chain([&patch]).cloned().collect();
            return Generated { documents, companions, patch, notes: self.notes };
        };
        merge(object, &patch.object);
        self.tell_what_is_missing();
        let documents = self.woven(documents, companions.clone(), &patch.comment);
        Generated { documents, companions, patch, notes: self.notes }
    }

    fn patch(&self, object: Node, what: &str) -> Document {
        Document { comment: vec![format!("{}, with {what}.", self.object())], object }
    }

    /// Everything but the workload. A service account that the workload had already is not ours to write.
    fn accompany(&self, budget: bool) -> Vec<Document> {
        let account = service_account(self.election);
        let had_none = self.workload.service_account().is_none_or(|name| name == "default");
        let wrote_it = self.workload.documents.contains(&account.object);
        let mut ours = rbac(self.election, had_none || wrote_it);
        ours.insert(0, lease(self.election));
        if budget {
            let selector = serde_json::to_value(self.selector()).and_then(serde_json::from_value);
            ours.push(disruption_budget(self.election, self.workload.name(), selector.unwrap_or_default()));
        }
        ours
    }

    /// What came in keeps its place; objects of ours that came in are written anew there, and the others stand first.
    fn woven(&self, documents: Vec<Node>, mut ours: Vec<Document>, comment: &[String]) -> Vec<Document> {
        let woven: Vec<Document> = documents
            .into_iter()
            .enumerate()
            .map(|(index, object)| {
                let same = ours.iter().position(|document| key(&document.object) == key(&object));
                match same {
                    _ if index == self.workload.index() => Document { comment: comment.to_vec(), object },
                    Some(same) => ours.remove(same),
                    None => Document::new(&[], object),
                }
            })
            .collect();
        ours.into_iter().chain(woven).collect()
    }

    fn tell_what_is_missing(&mut self) {
        let dropped = &self.workload.dropped;
        if !dropped.is_empty() {
            self.notes.push(format!(
                "left out what the API server and its controllers wrote: {}",
                dropped.join(", ")
            ));
        }
        let replicas = self.workload.object().and_then(|object| object.at(&["spec", "replicas"]));
        if replicas.is_none_or(|replicas| *replicas == Node::Number(1.into())) {
            self.notes.push(format!(
                "{} has one replica: nobody is there to take over; set spec.replicas",
                self.object()
            ));
        }
    }
}

/// What makes two documents the same object.
pub(crate) fn key(object: &Node) -> [Option<&str>; 4] {
    let meta = |name| object.at(&["metadata", name]).and_then(Node::text);
    let group =
        object.text_at("apiVersion").map(|version| version.rsplit_once('/').map_or("", |(group, _)| group));
    [group, object.text_at("kind"), meta("namespace"), meta("name")]
}

/// The downward API: who this Pod is.
pub(crate) fn identity() -> Value {
    let field =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    json!([
        field("POD_NAME", "metadata.name"),
        field("POD_UID", "metadata.uid"),
        field("POD_NAMESPACE", "metadata.namespace"),
    ])
}

/// As Pod Security "restricted" wants it, and no file of its own to write.
pub(crate) fn security() -> Value {
    json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "readOnlyRootFilesystem": true,
        "runAsGroup": USER,
        "runAsNonRoot": true,
        "runAsUser": USER,
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

pub(crate) fn resources() -> Value {
    json!({ "requests": { "cpu": "5m", "memory": "16Mi" }, "limits": { "memory": "64Mi" } })
}

/// The elector's container, wherever it stands.
pub(crate) const CONTAINER: &str = "leader-elector";
/// What Kubernetes takes where a Pod's spec does not say it.
const GRACE_DEFAULT_SECONDS: u64 = 30;
/// A port's name has at most 15 characters.
const PROBE_PORT: &str = "elector-probes";
const TOKEN: &str = "leader-elector-token";
/// That of the image.
const USER: u32 = 65532;
