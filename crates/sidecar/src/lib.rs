//! The sidecar `leader-elector`: elects on a Lease for a service that cannot be changed.
//!
//! The service learns whether it leads from a file or by HTTP. It must honour `lead_until` itself: this program cannot
//! stop it. Everything about the election is the library's; here are flags, the file, and HTTP.

mod args;
mod config;
mod file;
mod http;
mod kubeconfig;
mod run;

pub use args::{Args, CheckArgs, Cli, Command, LogFormat, OnLost};
pub use config::Config;
pub use file::{Content, NotLeader, check};
pub use run::{ExitStatus, run};
