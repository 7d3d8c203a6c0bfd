//! A real control plane for trying things out: `cargo xtask control-plane build|up|down`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use leasehold_e2e::control_plane::detached::DetachedControlPlane;
use leasehold_e2e::tools;

#[derive(Parser)]
#[command(about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build kube-apiserver, etcd, kubectl and the client-go candidate, unless that was done before
    Build,
    /// Start etcd and kube-apiserver in the background and print how to reach them
    Up,
    /// End them and remove their data
    Down,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Build => build(),
        Command::Up => up().await,
        Command::Down => down(),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Where stderr is closed, the exit code has to say it alone.
    writeln!(io::stderr(), "error: {error:#}").ok();
    ExitCode::FAILURE
}

fn build() -> Result<()> {
    let control_plane = tools::ensure_control_plane()?;
    let client_go = tools::ensure_client_go()?;
    for program in [control_plane.etcd, control_plane.kube_apiserver, control_plane.kubectl, client_go] {
        writeln!(io::stdout(), "{}", program.display())?;
    }
    Ok(())
}

/// Only the line for the shell goes to stdout, so that `eval "$(...)"` works.
async fn up() -> Result<()> {
    let running = DetachedControlPlane::start().await?;
    writeln!(
        io::stderr(),
        "kube-apiserver listens on {}, data and logs in {}",
        running.url,
        running.folder.display()
    )?;
    writeln!(io::stdout(), "export KUBECONFIG={}", running.kubeconfig.display())?;
    Ok(())
}

fn down() -> Result<()> {
    match DetachedControlPlane::find()? {
        Some(running) => running.end(),
        None => Ok(writeln!(io::stderr(), "no control plane is running")?),
    }
}
