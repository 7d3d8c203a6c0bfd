//! Conformance: one body of cases that runs against the embedded API server and the real kube-apiserver.
//!
//! A *case* is a script: requests as data ([`script`]), whose values may refer to earlier answers ([`memory`]). Both
//! servers get it in a namespace of their own; their answers are brought into one form ([`normal`]) and compared
//! value by value ([`compare`]). The real server is the truth. Cases are written down ([`cases`]) or made from a seed
//! ([`random`]); watches are judged by etcd's guarantees ([`watching`]). What may differ, and why, is in [`differences`].

pub mod cases;
pub mod compare;
pub mod differences;
pub mod memory;
pub mod normal;
#[cfg(test)]
mod page;
pub mod races;
pub mod random;
pub mod script;
pub mod server;
pub mod watching;

pub use compare::{Comparison, Deviation, Pair};
pub use script::{Case, Step};
pub use server::Server;
