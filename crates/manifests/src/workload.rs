//! The Deployment or StatefulSet that is changed: found among the documents, checked, cleaned of what the server wrote.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::error::InputError;
use crate::node::Node;
use crate::settings::check_name;

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
}

impl Kind {
    /// As the API names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
        }
    }
}

/// A workload by kind and name, as people write it: `statefulset/my-service`, `deploy/my-service`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadName {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.as_str(), self.name)
    }
}

impl FromStr for WorkloadName {
    type Err = InputError;

    fn from_str(text: &str) -> Result<Self, InputError> {
        let wrong = || InputError::WorkloadName { text: text.to_owned() };
        let (kind, name) = text.split_once('/').ok_or_else(wrong)?;
        let kind = match kind.to_ascii_lowercase().trim_end_matches(".apps") {
            "deployment" | "deployments" | "deploy" => Kind::Deployment,
            "statefulset" | "statefulsets" | "sts" => Kind::StatefulSet,
            _ => return Err(wrong()),
        };
        check_name("workload", name)?;
        Ok(Self { kind, name: name.to_owned() })
    }
}

/// A workload that is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub(crate) name: WorkloadName,
    /// All that came in, the workload among them; empty if it is known by name only.
    pub(crate) documents: Vec<Node>,
    index: usize,
    pub(crate) dropped: Vec<String>,
}

impl Workload {
    /// A workload of which no more is known.
    pub fn named(name: WorkloadName) -> Self {
        Self { name, documents: Vec::new(), index: 0, dropped: Vec::new() }
    }

    /// The only workload among `documents`, or the one of this name. A `List` counts as its items.
    ///
    /// # Errors
    ///
    /// Where there is none, or more than one, or it is not what the API calls one.
    pub fn find(documents: Vec<Node>, wanted: Option<&WorkloadName>) -> Result<Self, InputError> {
        let documents: Vec<Node> = documents.into_iter().flat_map(items).collect();
        if documents.is_empty() {
            return Err(InputError::Empty);
        }
        let found: Vec<_> =
            documents.iter().enumerate().filter_map(|(i, node)| Some((i, name_of(node)?))).collect();
        let shown = || found.iter().map(|(_, name)| name.to_string()).collect::<Vec<_>>().join(", ");
        let chosen: Vec<_> =
            found.iter().filter(|(_, name)| wanted.is_none_or(|wanted| wanted == name)).collect();
        let (index, name) = match (&chosen[..], wanted) {
            ([one], _) => (*one).clone(),
            ([], _) if found.is_empty() => {
                return Err(InputError::NoWorkload { found: described(&documents) });
            }
            ([], Some(wanted)) => {
                return Err(InputError::OtherWorkload { wanted: wanted.to_string(), found: shown() });
            }
            _ => return Err(InputError::ManyWorkloads { found: shown() }),
        };
        let mut workload = Self { name, documents, index, dropped: Vec::new() };
        workload.dropped = clean(&mut workload.documents[index]);
        workload.check()?;
        Ok(workload)
    }

    /// Whether no more than its name is known.
    pub(crate) fn is_named(&self) -> bool {
        self.documents.is_empty()
    }

    /// The whole object, if it is known.
    pub(crate) fn object(&self) -> Option<&Node> {
        self.documents.get(self.index)
    }

    /// Its place among the documents.
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The Pod's spec, if it is known.
    pub(crate) fn pod(&self) -> Option<&Node> {
        self.object()?.at(&["spec", "template", "spec"])
    }

    /// The namespace in the manifest.
    pub fn namespace(&self) -> Option<&str> {
        self.object()?.at(&["metadata", "namespace"])?.text()
    }

    /// The names of its Pods, as far as they are known before: those of a StatefulSet whose replicas are said.
    pub fn pods(&self) -> Vec<String> {
        let spec = self.object().and_then(|object| object.get("spec"));
        let number = |path: &[&str]| match spec.and_then(|spec| spec.at(path)) {
            Some(Node::Number(number)) => number.as_u64(),
            _ => None,
        };
        let (Kind::StatefulSet, Some(replicas)) = (self.name.kind, number(&["replicas"])) else {
            return Vec::new();
        };
        let first = number(&["ordinals", "start"]).unwrap_or_default();
        if replicas > PODS_MAX {
            return Vec::new();
        }
        (first..first + replicas).map(|ordinal| format!("{}-{ordinal}", self.name())).collect()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name.name
    }

    /// The service account in the manifest.
    pub fn service_account(&self) -> Option<&str> {
        let pod = self.pod()?;
        pod.text_at("serviceAccountName").or_else(|| pod.text_at("serviceAccount"))
    }

    /// The containers of this list, if they are known.
    pub(crate) fn containers(&self, list: &str) -> &[Node] {
        self.pod().map_or(&[], |pod| pod.items(list))
    }

    fn check(&self) -> Result<(), InputError> {
        let object = self.name.to_string();
        let wrong = |path: &str, found: Option<&Node>, wanted| InputError::WrongType {
            object: object.clone(),
            path: path.to_owned(),
            found: found.map_or("missing", Node::kind),
            wanted,
        };
        let pod = self.pod();
        if !matches!(pod, Some(Node::Map(_))) {
            return Err(wrong("spec.template.spec", pod, "an object"));
        }
        let mut names = BTreeSet::new();
        for list in ["initContainers", "containers"] {
            let path = format!("spec.template.spec.{list}");
            let there = pod.and_then(|pod| pod.get(list));
            let wanted = match there {
                None if list == "initContainers" => continue,
                Some(Node::List(items)) if !items.is_empty() || list == "initContainers" => items,
                _ => return Err(wrong(&path, there, "a list with at least one container")),
            };
            for container in wanted {
                let name = container.text_at("name");
                let name =
                    name.ok_or_else(|| wrong(&format!("{path}[].name"), container.get("name"), "a string"))?;
                if !names.insert(name) {
                    return Err(InputError::DuplicateContainer { object, container: name.to_owned() });
                }
            }
        }
        Ok(())
    }
}

/// The items of a `List`, or the object itself.
fn items(document: Node) -> Vec<Node> {
    let is_list = document.text_at("kind") == Some("List");
    match document {
        Node::Map(mut fields) if is_list => {
            let items = fields.iter().position(|(name, _)| name == "items").map(|i| fields.swap_remove(i).1);
            if let Some(Node::List(items)) = items { items } else { Vec::new() }
        }
        document => vec![document],
    }
}

fn name_of(document: &Node) -> Option<WorkloadName> {
    if document.text_at("apiVersion") != Some("apps/v1") {
        return None;
    }
    let kinds = [Kind::Deployment, Kind::StatefulSet];
    let kind = kinds.into_iter().find(|kind| document.text_at("kind") == Some(kind.as_str()))?;
    Some(WorkloadName { kind, name: document.at(&["metadata", "name"])?.text()?.to_owned() })
}

/// Kind and name of each, as far as they say it.
fn described(documents: &[Node]) -> String {
    let describe = |document: &Node| {
        let kind = document.text_at("kind").unwrap_or("an object without a kind");
        let version = document.text_at("apiVersion").unwrap_or_default();
        let name = document.at(&["metadata", "name"]).and_then(Node::text).unwrap_or_default();
        format!("{version} {kind} {name}").trim().to_owned()
    };
    documents.iter().map(describe).collect::<Vec<_>>().join(", ")
}

/// Drops what the server and its controllers wrote, and tells what that was.
fn clean(object: &mut Node) -> Vec<String> {
    let mut dropped = Vec::new();
    if object.remove("status").is_some() {
        dropped.push("status".to_owned());
    }
    let mut drop_from = |path: &str, node: &mut Node, names: &[&str]| {
        for name in names {
            if node.remove(name).is_some() {
                dropped.push(format!("{path}.{name}"));
            }
        }
    };
    if object.get("metadata").is_some() {
        let metadata = object.entry("metadata");
        drop_from("metadata", metadata, SERVER_SET);
        if metadata.get("annotations").is_some() {
            let annotations = metadata.entry("annotations");
            drop_from("metadata.annotations", annotations, CONTROLLER_SET);
            if *annotations == Node::Map(Vec::new()) {
                metadata.remove("annotations");
            }
        }
    }
    if object.at(&["spec", "template", "metadata"]).is_some() {
        let template = object.entry("spec").entry("template").entry("metadata");
        drop_from("spec.template.metadata", template, &["creationTimestamp"]);
    }
    dropped
}

const SERVER_SET: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
const CONTROLLER_SET: &[&str] =
    &["deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration"];

/// With more, no list of names is of use to anybody who reads it.
const PODS_MAX: u64 = 100;
