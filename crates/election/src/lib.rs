//! The election of one candidate for one Kubernetes Lease, without IO.
//!
//! No clock, no randomness, no environment, no network: readings of the clocks, random numbers and answers come
//! in as arguments, requests go out as bytes. The same inputs give the same effects, so that the shipped rules
//! run unchanged in the driver, in simulation and in scenario files.
//!
//! The rules themselves stand where they are enforced: [`Timing`] (what timings can hold), `view` (from when on
//! a lease is free), `elector::term` (until when a term holds), `request` (what is written, and under which
//! condition).

mod answer;
mod clocks;
mod config;
mod effect;
mod elector;
mod evidence;
mod fencing;
mod health;
mod identity;
mod json;
mod record;
mod request;
mod timing;
mod view;

pub use answer::{Reason, Refusal};
pub use clocks::Reading;
pub use config::{Config, LeaseName, LeaseNameError, Mode, OnMissing, UnknownWord};
pub use effect::{
    Change, Delivery, Effect, Effects, Failure, Input, Limits, Note, Operation, RequestId, State, StopReason,
    WatchId,
};
pub use elector::Elector;
pub use fencing::{FencingToken, Gate, Stale};
pub use health::Health;
pub use identity::{Identity, IdentityError, Nonce, Secret};
pub use record::{MARK, Mark, Record, RecordError};
pub use timing::{KILL_MARGIN, Timing, TimingError, TimingSettings};
