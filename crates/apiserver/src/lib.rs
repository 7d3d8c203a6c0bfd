//! What stands in for an API server, and for a bad network in front of one, in tests and demonstrations.
//!
//! [`ApiServer`] is a Kubernetes API server in memory, for Leases, ConfigMaps, Endpoints, Pods, Events and Namespaces,
//! which answers as kube-apiserver 1.37 does; [`Api`] is the same on streams, by a clock and a chance that it is given, and
//! [`store::Store`] without any of these.
//! [`FaultProxy`] breaks connections. Neither shares a type with the election: JSON and bytes are the contract.

mod fault_proxy;
mod pipe;
mod serve;
pub mod store;

pub use fault_proxy::{Counters, Fault, FaultProxy};
pub use serve::{Api, ApiServer};
