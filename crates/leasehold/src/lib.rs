//! Leader election that keeps its promise, for stateful services on Kubernetes.
//!
//! **Work that does not end in time after leadership was lost is ended by aborting the process**, unless
//! [`CandidateBuilder::hard_stop`] says otherwise.
//!
//! A [`Candidate`] campaigns for a Lease and runs work only while it leads:
//!
//! ```no_run
//! use leasehold::{Candidate, Leadership, Timing};
//!
//! async fn serve(leadership: Leadership) {
//!     while leadership.check().is_ok() {
//!         // Each write carries `leadership.token()`; a `Gate` at the storage refuses an older one.
//!         # tokio::time::sleep(std::time::Duration::from_millis(100)).await;
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let candidate = Candidate::builder("production", "my-service-leader").timing(Timing::default()).build()?;
//! let handle = candidate.handle();
//! // On SIGTERM: `handle.stop()` ends the work, releases the lease, and then `run` returns.
//! # drop(handle);
//! candidate.run(serve).await?;
//! # Ok(())
//! # }
//! ```
//!
//! The promise: at no instant do two candidates of this library both believe that they lead, for any delay, loss,
//! pause, crash or clock offset, and any clock rate error up to the stated bound. `is_leader()` is never a flag: it
//! reads the clocks. The limits of the promise are in the repository's README.
//!
//! This crate needs a version feature of `k8s-openapi`, to be chosen by the binary that uses it.

mod candidate;
mod checks;
pub mod clock;
mod driver;
mod events;
mod evidence;
mod handle;
mod hint;
pub mod kubeconfig;
mod leadership;
mod lines;
mod machine;
mod metrics;
mod transport;
mod watchdog;

pub use candidate::{BuildError, Candidate, CandidateBuilder, RunError};
pub use handle::{Handle, Status};
pub use kube;
pub use leadership::{Deadline, Leadership, NotLeader, Renewals};
pub use leasehold_election::{
    Change, Failure, FencingToken, Gate, Health, IdentityError, KILL_MARGIN, LeaseNameError, Mode, OnMissing,
    Stale, State, StopReason, Timing, TimingError, TimingSettings, UnknownWord,
};
pub use metrics::HealthCheck;
pub use watchdog::HardStop;
