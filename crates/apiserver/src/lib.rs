//! What stands in for an API server, and for a bad network in front of one, in tests and demonstrations.
//!
//! For now: [`FaultProxy`]. It shares no type with the election: bytes are the contract.

mod fault_proxy;
mod pipe;

pub use fault_proxy::{Counters, Fault, FaultProxy};
