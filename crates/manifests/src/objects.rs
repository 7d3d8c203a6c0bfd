//! The Lease, and the least that its candidates may do.

use std::collections::BTreeMap;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::node::Node;
use crate::settings::Election;
use crate::yaml::Document;

/// The Lease with labels only.
pub fn lease(election: &Election) -> Document {
    let object = Lease { metadata: meta(election, election.lease.name()), spec: Some(LeaseSpec::default()) };
    Document::new(
        &[
            "The Lease. Its spec is empty and stays so: the candidates write it, and applying this again, by whatever",
            "means, takes nothing from the one that holds it.",
        ],
        Node::of(&object),
    )
}

/// Service account, Role and RoleBinding; with evidence and with Events, one more pair for each.
pub fn rbac(election: &Election, with_account: bool) -> Vec<Document> {
    let mut documents = Vec::new();
    if with_account {
        documents.push(service_account(election));
    }
    let name = format!("{}-candidate", election.lease.name());
    documents.push(Document::new(CANDIDATE, role(election, &name, &lease_rule(election), LEASE_GRANTS)));
    documents.push(binding(election, &name));
    if let Some(pods) = &election.evidence {
        let name = format!("{}-evidence", election.lease.name());
        let comment = if pods.is_empty() { EVIDENCE_ANY } else { EVIDENCE_NAMED };
        documents.push(Document::new(comment, role(election, &name, &pods_rule(pods), POD_GRANTS)));
        documents.push(binding(election, &name));
    }
    if election.events {
        let name = format!("{}-events", election.lease.name());
        documents.push(Document::new(EVENTS, role(election, &name, &events_rule(), EVENT_GRANTS)));
        documents.push(binding(election, &name));
    }
    documents
}

pub(crate) fn service_account(election: &Election) -> Document {
    let object = ServiceAccount { metadata: meta(election, election.account()), ..Default::default() };
    let comment =
        "What the Pods run as. Nothing else should: whoever is bound to the Role below may take the Lease.";
    Document::new(&[comment], Node::of(&object))
}

/// At most one Pod is drained at a time, so that a standby is there to take over.
pub(crate) fn disruption_budget(election: &Election, name: &str, selector: LabelSelector) -> Document {
    let spec = PodDisruptionBudgetSpec {
        max_unavailable: Some(IntOrString::Int(1)),
        selector: Some(selector),
        ..Default::default()
    };
    let object =
        PodDisruptionBudget { metadata: meta(election, name), spec: Some(spec), ..Default::default() };
    let comment = "One Pod at a time is drained: a standby is there to take over. Two budgets for one Pod block drains.";
    Document::new(&[comment], Node::of(&object))
}

fn lease_rule(election: &Election) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec!["coordination.k8s.io".to_owned()]),
        resources: Some(vec!["leases".to_owned()]),
        resource_names: Some(vec![election.lease.name().to_owned()]),
        ..Default::default()
    }
}

/// An Event's name is not known before, and the object that it is about is no part of the permission.
fn events_rule() -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["events".to_owned()]),
        ..Default::default()
    }
}

fn pods_rule(pods: &[String]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["pods".to_owned()]),
        resource_names: (!pods.is_empty()).then(|| pods.to_vec()),
        ..Default::default()
    }
}

/// One rule, each verb with the reason for it.
fn role(election: &Election, name: &str, rule: &PolicyRule, grants: &[(&str, &'static str)]) -> Node {
    let mut object = Node::of(&Role { metadata: meta(election, name), rules: None });
    let mut rule = Node::of(rule);
    let verbs = grants.iter().map(|(verb, why)| Node::Explained((*verb).to_owned(), why));
    *rule.entry("verbs") = Node::List(verbs.collect());
    *object.entry("rules") = Node::List(vec![rule]);
    object
}

fn binding(election: &Election, role: &str) -> Document {
    let object = RoleBinding {
        metadata: meta(election, role),
        role_ref: RoleRef {
            api_group: Some("rbac.authorization.k8s.io".to_owned()),
            kind: "Role".to_owned(),
            name: role.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: election.account().to_owned(),
            namespace: Some(election.lease.namespace().to_owned()),
            ..Default::default()
        }]),
    };
    Document::new(&[], Node::of(&object))
}

fn meta(election: &Election, name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some(election.lease.namespace().to_owned()),
        labels: Some(labels(election)),
        ..Default::default()
    }
}

fn labels(election: &Election) -> BTreeMap<String, String> {
    let labels = [(APP, election.app.as_str()), ("app.kubernetes.io/component", "leader-election")];
    labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// The Pods of an app that is only known by name.
pub(crate) fn selector(app: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(BTreeMap::from([(APP.to_owned(), app.to_owned())])),
        ..Default::default()
    }
}

const APP: &str = "app.kubernetes.io/name";

const CANDIDATE: &[&str] = &[
    "The least that a candidate may do: one rule, one Lease by its name. Not list, which no candidate does; not delete,",
    "which would end a term. Whoever may patch the Lease may also take it away from its holder.",
];
const LEASE_GRANTS: &[(&str, &str)] = &[
    ("get", "who holds it"),
    ("watch", "hear of each change at once, with no request while all is well"),
    ("create", "a Lease that is missing, by PUT: RBAC limits that by name, as it cannot limit a POST"),
    ("update", "the same PUT needs both"),
    ("patch", "acquire, renew, release, each with its condition"),
];

const EVIDENCE_NAMED: &[&str] = &[
    "Optional, for --evidence: a standby takes over as soon as the kubelet reports that the leader's process has died, and",
    "need not wait for its lease to expire. These are the Pods of the StatefulSet; with more replicas, add their names, or",
    "generate this again. Without it, --evidence=off spares a line in the log.",
];
const EVIDENCE_ANY: &[&str] = &[
    "Optional, for --evidence: a standby takes over as soon as the kubelet reports that the leader's process has died, and",
    "need not wait for its lease to expire. The names of the Pods are not known before, so this shows all Pods of the",
    "namespace, their environment included. Without it, --evidence=off spares a line in the log.",
];
const POD_GRANTS: &[(&str, &str)] =
    &[("watch", "the Pod of the holder, by its name: how its containers have ended")];

const EVENTS: &[&str] = &[
    "Optional, for --events: tells on the Lease who became leader and who stopped leading. RBAC cannot limit it to Events",
    "about this Lease.",
];
const EVENT_GRANTS: &[(&str, &str)] = &[("create", "one Event for each begin and end of a term")];
