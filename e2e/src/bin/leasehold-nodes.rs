//! Real nodes for trying things out: `cargo xtask node build|up|down`.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use leasehold_e2e::nodes::{self, Image, Nodes, NodesState};
use leasehold_e2e::tools;

#[derive(Parser)]
#[command(about, max_term_width = 100)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build and install all that nodes need, unless that was done before
    Build,
    /// Start a control plane and nodes in the background, and print how to reach them
    Up {
        /// How many nodes
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// End them, and remove everything of them
    Down,
    /// The way from the nodes to the API server
    #[command(hide = true)]
    Forward {
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        to: SocketAddr,
        /// The folder of the nodes that this is for: by it, this process is found again
        #[arg(long)]
        nodes: PathBuf,
    },
    /// Clears away what is noted when standard input ends
    #[command(hide = true)]
    Reap,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse().command {
        Command::Build => build(),
        Command::Up { nodes } => up(nodes).await,
        Command::Down => down(),
        Command::Forward { listen, to, .. } => nodes::forward(listen, to).await,
        Command::Reap => reap(),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    // Where stderr is closed, the exit code has to say it alone.
    writeln!(io::stderr(), "error: {error:#}").ok();
    ExitCode::FAILURE
}

fn build() -> Result<()> {
    for program in nodes::build()? {
        writeln!(io::stdout(), "{}", program.display())?;
    }
    Ok(())
}

/// Only the line for the shell goes to stdout, so that `eval "$(...)"` works.
async fn up(count: u8) -> Result<()> {
    let running = match NodesState::find()? {
        Some(running) if running.is_detached() => running,
        _ => Nodes::start(count).await?.detach()?,
    };
    if running.nodes.len() != usize::from(count) {
        bail!("{} nodes are up already: end them first with `cargo xtask node down`", running.nodes.len());
    }
    let images: Vec<_> = Image::ALL.iter().map(|image| image.name).collect();
    let mut err = io::stderr();
    writeln!(err, "nodes:   {}", running.nodes.join(", "))?;
    writeln!(
        err,
        "images:  {} (there is no registry: imagePullPolicy must not be Always)",
        images.join(", ")
    )?;
    writeln!(err, "logs:    {}", running.folder.display())?;
    writeln!(err, "kubectl: {} get pods -A -o wide", tools::ensure_control_plane()?.kubectl.display())?;
    writeln!(err, "end:     cargo xtask node down")?;
    let kubeconfig = running.kubeconfig.context("the nodes have no kubeconfig: end them, and start again")?;
    writeln!(io::stdout(), "export KUBECONFIG={}", kubeconfig.display())?;
    Ok(())
}

fn down() -> Result<()> {
    let Some(noted) = NodesState::find()? else {
        writeln!(io::stderr(), "no nodes are up")?;
        return Ok(());
    };
    nodes::check_root()?;
    noted.check_unowned()?;
    for line in noted.remove()? {
        writeln!(io::stderr(), "removed {line}")?;
    }
    Ok(())
}

fn reap() -> Result<()> {
    io::stdin().read_to_end(&mut Vec::new())?;
    if let Some(noted) = NodesState::find()? {
        noted.remove()?;
    }
    Ok(())
}
