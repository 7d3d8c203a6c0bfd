//! Development tasks: `cargo xtask test` is the gate, `verify` the checks without tests, `bench` compares with
//! client-go, `control-plane` and `node` run the real servers, and real nodes, for trying things out, `image` makes container
//! images.

mod cargo;
mod image;
mod mutants;
mod rungs;
#[cfg(test)]
mod tidy;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use cargo::{Cargo, say};
use rungs::{Ladder, Rung};

#[derive(Parser)]
#[command(about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the tests: the gate, or all of them with --full
    Test {
        /// Also run what takes too long for the gate
        #[arg(long)]
        full: bool,
        /// Leave a rung out; the summary says so
        #[arg(long, value_name = "RUNG")]
        skip: Vec<Rung>,
    },
    /// Check format, lints, docs and dependencies; writes nothing
    Verify,
    /// Remove each rule of the core in turn: at least 90 % of the mutants must be caught by its tests
    Mutants {
        /// Passed on to cargo-mutants, such as `--file crates/election/src/view.rs` or `--iterate`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Compare with client-go in one run on a real API server, and print ratios
    Bench {
        /// Passed on to the bench
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build a static program, and write its container image as an OCI archive
    #[command(disable_help_flag = true)]
    Image {
        /// Passed on: `--bin`, `--tag`, `--out`, `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build, start or stop a real kube-apiserver and etcd on loopback
    ControlPlane {
        /// `build`, `up` or `down`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
    /// Build, start or stop real nodes with a control plane of their own: Pods run on them. Needs root
    Node {
        /// `build`, `up [--nodes N]` or `down`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        args: Vec<String>,
    },
}

fn main() -> Result<ExitCode> {
    match Args::parse().command {
        Command::Test { full, skip } => Ladder::new(full, skip).climb(),
        Command::Verify => rungs::verify().map(|()| ExitCode::SUCCESS),
        Command::Mutants { args } => mutants::run(&args).map(|score| {
            say(&score.to_string());
            ExitCode::SUCCESS
        }),
        Command::Bench { args } => {
            Cargo::release("build").workspace().arg("--bins").run()?;
            cargo::run_binary("release", "leasehold-bench", &args)
        }
        Command::Image { args } => image::run(&args),
        Command::ControlPlane { args } => {
            Cargo::new("build").workspace().arg("--bins").run()?;
            cargo::run_binary("debug", "leasehold-control-plane", &args)
        }
        Command::Node { args } => {
            Cargo::new("build").workspace().arg("--bins").run()?;
            cargo::run_binary("debug", "leasehold-nodes", &args)
        }
    }
}
