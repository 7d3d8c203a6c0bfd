//! The sidecar `leader-elector`: elects on a Lease for a service that cannot be changed.
//!
//! The service learns whether it leads from a file or by HTTP, and must honour `lead_until` itself; or it is a command
//! that runs only while this process leads. Everything about the election is the library's; here are flags, the file,
//! HTTP, and the command.

mod args;
mod config;
mod done;
mod exec;
mod file;
mod health;
mod http;
mod install;
mod kubeconfig;
mod run;

pub use args::{Args, CheckArgs, Cli, Command, InstallArgs, LogFormat, OnLost, duration};
pub use config::Config;
pub use done::AppDone;
pub use exec::part;
pub use file::{Content, NotLeader, check, check_as_asked};
pub use health::{HealthArgs, HealthWhile};
pub use install::install;
pub use run::{ExitStatus, run};
