//! Kubernetes manifests for elections: typed inputs in, objects out, without IO.
//!
//! [`lease`] and [`rbac`] make objects of ours. [`sidecar`] and [`exec`] change a workload of the user: what they do not
//! know of it stays as it is, and doing it twice changes nothing.

mod elector;
mod error;
mod exec;
mod kustomize;
mod merge;
mod node;
mod objects;
mod settings;
mod sidecar;
mod workload;
mod yaml;

pub use error::InputError;
pub use exec::{Exec, exec};
pub use kustomize::{File, kustomize};
pub use node::Node;
pub use objects::{lease, rbac};
pub use settings::{Asked, Election, Elector, Probes};
pub use sidecar::{Sidecar, sidecar};
pub use workload::{Kind, Workload, WorkloadName};
pub use yaml::{Document, read, template_line, write, write_json};

/// What was generated, and what a person should know about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// Objects in the order in which they should be applied.
    pub documents: Vec<Document>,
    /// Those of them that are written here: all but the workload and what came in with it.
    pub companions: Vec<Document>,
    /// The change of the workload alone, as a strategic merge patch.
    pub patch: Document,
    /// What was dropped, what was changed that may surprise, what could not be known.
    pub notes: Vec<String>,
}
