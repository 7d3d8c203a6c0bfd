//! The flags of `leasehold`, and nothing else.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::demo::{DemoArgs, naive::NaiveArgs};
use crate::generate::GenerateArgs;
use crate::sim::args::SimArgs;

/// Leader election that keeps its promise: never two leaders, hardly ever none.
#[derive(Debug, Parser)]
#[command(name = "leasehold", version, max_term_width = 110, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the leader leave in four ways, and see who led when; needs no cluster
    Demo(DemoArgs),
    /// Play worlds in virtual time, with everything that can go wrong, and judge them; needs no cluster
    Sim(SimArgs),
    /// Elect a leader on a Lease, with the flags of leader-elector
    Elect(Box<ElectArgs>),
    /// Serve the Kubernetes API from memory, for trying things out
    Apiserver(ApiserverArgs),
    /// Print hardened manifests: the Lease, its Role, and workloads that take part in the election
    Generate(Box<GenerateArgs>),
    /// A candidate of the demo with a ConfigMap lock as people write it by hand
    #[command(hide = true)]
    DemoNaiveCandidate(NaiveArgs),
}

/// Flags of `elect`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ElectArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ElectCommand>,
    /// Those of the sidecar
    #[command(flatten)]
    pub(crate) args: leasehold_sidecar::Args,
    /// End when this process, the parent, has ended
    #[arg(long, hide = true, value_name = "PID")]
    pub(crate) parent: Option<u32>,
}

/// What to do instead of electing.
#[derive(Debug, Subcommand)]
pub(crate) enum ElectCommand {
    /// Exit with 0 only while the is-leader file says that this Pod leads; 1 if not, 2 if it cannot be told
    Check(leasehold_sidecar::CheckArgs),
}

/// Flags of `apiserver`.
#[derive(Debug, Args)]
#[command(after_help = APISERVER_EXAMPLES)]
pub(crate) struct ApiserverArgs {
    /// Where to listen; port 0 takes a free one
    #[arg(long, env = "LEASEHOLD_LISTEN", default_value = "127.0.0.1:8001", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// Write a kubeconfig for this server there
    #[arg(long, env = "LEASEHOLD_KUBECONFIG_OUT", value_name = "PATH")]
    pub(crate) kubeconfig_out: Option<PathBuf>,
}

const EXAMPLES: &str = "Examples:
  leasehold demo                                    # under a minute
  leasehold demo --rounds 8 --lock lease -o json
  leasehold sim --seeds 2000                        # an hour each, in virtual time
  leasehold elect --namespace production --lease my-service-leader
  leasehold apiserver --kubeconfig-out /tmp/kubeconfig
  kubectl get sts my-service -o yaml | leasehold generate sidecar -f - | kubectl apply -f -";

const APISERVER_EXAMPLES: &str = "Examples:
  leasehold apiserver --kubeconfig-out /tmp/kubeconfig &
  export KUBECONFIG=/tmp/kubeconfig
  leasehold elect --namespace default --lease my-service-leader &
  kubectl get leases -A -w";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_help_is_what_users_read() {
        let mut command = Cli::command();
        command.build();
        insta::assert_snapshot!("help", command.render_long_help().to_string());
        for verb in ["demo", "sim", "apiserver"] {
            let help = command.find_subcommand_mut(verb).unwrap().render_long_help().to_string();
            insta::assert_snapshot!(format!("help-{verb}"), help);
        }
    }

    #[test]
    fn electing_takes_the_flags_of_the_sidecar() {
        let cli =
            Cli::try_parse_from(["leasehold", "elect", "--lease", "db", "--ttl", "3s", "--file", "off"]);
        let Command::Elect(elect) = cli.unwrap().command else { panic!("another verb") };
        assert_eq!((elect.args.lease.as_deref(), elect.args.file.as_deref()), (Some("db"), Some("off")));
        let cli = Cli::try_parse_from(["leasehold", "elect", "check", "--file", "/run/leader/is-leader"]);
        let Command::Elect(elect) = cli.unwrap().command else { panic!("another verb") };
        assert!(matches!(elect.command, Some(ElectCommand::Check(args)) if args.file.ends_with("is-leader")));
    }
}
