//! What the end-to-end tests stand on: a real control plane, real permissions,
//! real processes, and client-go as the peer.
//!
//! Everything listens on loopback
//! only, lives in folders of its own and is ended by process id, also when the
//! test itself is killed.

pub mod client_go;
pub mod conformance;
pub mod container;
pub mod control_plane;
pub mod electorate;
pub mod faults;
pub mod ground;
mod judge;
pub mod kubectl;
pub mod ledger;
pub mod nodes;
pub mod piped;
pub mod process;
pub mod rbac;
pub mod sidecar;
pub mod stamps;
pub mod tools;

pub use client_go::ClientGoCandidate;
pub use control_plane::{ControlPlane, audit::AuditEvent};
pub use electorate::{Elector, Electorate};
pub use ground::Ground;
pub use piped::{Line, PipedProcess};
pub use process::{Process, boottime_ns};
pub use rbac::LeasePermission;
