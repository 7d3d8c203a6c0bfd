//! The same as a folder for kustomize: what came in as a base, and the change as a patch upon it.

use crate::Generated;
use crate::elector::key;
use crate::node::Node;
use crate::workload::Workload;
use crate::yaml::{Document, write};

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the folder.
    pub path: &'static str,
    /// What it says.
    pub text: String,
}

/// The files of a folder that `kubectl kustomize` turns into what was generated. `None` if only the workload's name is
/// known: a base is its manifest.
pub fn kustomize(workload: &Workload, generated: &Generated) -> Option<Vec<File>> {
    workload.object()?;
    let ours =
        |object: &&Node| generated.companions.iter().any(|document| key(&document.object) == key(object));
    let base = workload.documents.iter().filter(|object| !ours(object));
    let base: Vec<Document> = base.map(|object| Document::new(&[], object.clone())).collect();
    Some(vec![
        File { path: "kustomization.yaml", text: kustomization(&["base", "election.yaml"], true) },
        File { path: "election.yaml", text: write(&generated.companions) },
        File { path: "patch.yaml", text: write(std::slice::from_ref(&generated.patch)) },
        File { path: "base/kustomization.yaml", text: kustomization(&["workload.yaml"], false) },
        File { path: "base/workload.yaml", text: write(&base) },
    ])
}

fn kustomization(resources: &[&str], patched: bool) -> String {
    let mut object = Node::Map(Vec::new());
    *object.entry("apiVersion") = "kustomize.config.k8s.io/v1beta1".into();
    *object.entry("kind") = "Kustomization".into();
    *object.entry("resources") = Node::List(resources.iter().map(|&name| name.into()).collect());
    if patched {
        let mut patch = Node::Map(Vec::new());
        *patch.entry("path") = "patch.yaml".into();
        *object.entry("patches") = Node::List(vec![patch]);
    }
    write(&[Document::new(&["Written by leasehold generate, which writes it anew."], object)])
}
