//! The flags of `generate`, and nothing else.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use leasehold_manifests::WorkloadName;

/// Flags of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    #[command(subcommand)]
    pub(crate) what: What,
}

/// What to generate.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// The Lease, with labels only: applying it again never touches its holder
    Lease(LeaseArgs),
    /// Service account, Role and RoleBinding: the least that a candidate may do
    Rbac(RbacArgs),
    /// A workload with leader-elector beside the service, which asks it; and all that this needs
    Sidecar(SidecarArgs),
    /// A workload whose command leader-elector runs, only while its Pod leads; and all that this needs
    Exec(ExecArgs),
}

/// Where the result goes.
#[derive(Debug, Args)]
pub(crate) struct OutputArgs {
    /// YAML with comments, or JSON
    #[arg(long, short, value_enum, default_value_t = Format::Yaml, value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// How the result looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Documents with comments that explain each grant.
    Yaml,
    /// One object, or a List; without comments.
    Json,
}

/// Flags of `generate lease`.
#[derive(Debug, Args)]
#[command(after_help = LEASE_EXAMPLES)]
pub(crate) struct LeaseArgs {
    /// Name of the Lease
    #[arg(value_name = "NAME")]
    pub(crate) lease: String,
    /// Namespace of the Lease
    #[arg(long, short, env = "LEASEHOLD_NAMESPACE")]
    pub(crate) namespace: String,
    /// Label app.kubernetes.io/name [default: the Lease's name without -leader]
    #[arg(long)]
    pub(crate) app: Option<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Flags of `generate rbac`.
#[derive(Debug, Args)]
#[command(after_help = RBAC_EXAMPLES)]
pub(crate) struct RbacArgs {
    /// Name of the Lease
    #[arg(value_name = "NAME")]
    pub(crate) lease: String,
    /// Namespace of the Lease and of the Pods
    #[arg(long, short, env = "LEASEHOLD_NAMESPACE")]
    pub(crate) namespace: String,
    /// Label app.kubernetes.io/name, and the service account [default: the Lease's name without -leader]
    #[arg(long)]
    pub(crate) app: Option<String>,
    /// A service account that is there already, and is not generated
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<String>,
    /// Also allow Events about the Lease, by a Role of its own
    #[arg(long)]
    pub(crate) events: bool,
    /// Allow the watch of Pods, by a Role of its own, so that the death of a leader's process costs no wait
    #[arg(long, value_enum, default_value_t = Switch::On, value_name = "SWITCH")]
    pub(crate) evidence: Switch,
    /// A Pod that may be watched for that; may be repeated [default: all of the namespace]
    #[arg(long, value_name = "NAME")]
    pub(crate) pod: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What `generate sidecar` and `generate exec` have in common.
#[derive(Debug, Args)]
pub(crate) struct WorkloadArgs {
    /// Deployment or StatefulSet, such as statefulset/my-service; may be left out with -f
    #[arg(value_name = "KIND/NAME", required_unless_present = "filename")]
    pub(crate) workload: Option<WorkloadName>,
    /// Its manifest, such as `kubectl get -o yaml` prints it; - is standard input. Without it, the change alone is
    /// generated, for kubectl patch
    #[arg(long, short, value_name = "FILE")]
    pub(crate) filename: Option<PathBuf>,
    /// Namespace [default: that of the manifest]
    #[arg(long, short, env = "LEASEHOLD_NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// Name of the Lease [default: the workload's name and -leader]
    #[arg(long)]
    pub(crate) lease: Option<String>,
    /// Service account of the Pods [default: that of the manifest, or one with the workload's name is generated]
    #[arg(long, value_name = "NAME")]
    pub(crate) service_account: Option<String>,
    /// Record Events about the Lease, and allow it
    #[arg(long)]
    pub(crate) events: bool,
    /// Take over as soon as the kubelet reports the death of a leader's process, and allow the watch of Pods that this needs
    /// [default: with exec on, with sidecar off, since then all of the Pod has to end]
    #[arg(long, value_enum, value_name = "SWITCH")]
    pub(crate) evidence: Option<Switch>,
    /// Image of leader-elector
    #[arg(long, default_value = concat!("leader-elector:", env!("CARGO_PKG_VERSION")))]
    pub(crate) image: String,
    /// How long a lease lasts after a renewal; the other timings follow in the proportions of the defaults
    #[arg(long, value_parser = leasehold_sidecar::duration, default_value = "15s", value_name = "TIME")]
    pub(crate) ttl: Duration,
    /// Time that the service has to end; the Pod's grace period becomes 5 s longer than that, unless it is longer
    #[arg(long, value_parser = leasehold_sidecar::duration, default_value = "25s", value_name = "TIME")]
    pub(crate) stop_timeout: Duration,
    /// Where kubelet and Prometheus ask, or `off`
    #[arg(long, default_value = ":8081", value_name = "ADDRESS")]
    pub(crate) probe_addr: String,
    /// One more flag for leader-elector, such as --flag=--priority=1; may be repeated
    #[arg(long = "flag", value_name = "FLAG", allow_hyphen_values = true)]
    pub(crate) flags: Vec<String>,
    /// Leave something out: a PodDisruptionBudget, a topology spread constraint; may be repeated
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) without: Vec<Part>,
    /// Print a part only: what the election needs, or the workload
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with = "kustomize")]
    pub(crate) only: Option<Only>,
    /// Write a folder for kustomize instead: the manifest as a base, the change as a patch
    #[arg(long, value_name = "DIR", conflicts_with = "output", requires = "filename")]
    pub(crate) kustomize: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// What can be printed alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Only {
    /// Lease, Role, budget and the like.
    Election,
    /// The workload and what came in with it, or its change.
    Workload,
}

/// Whether something is generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// What can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// The `PodDisruptionBudget`.
    #[value(name = "budget")]
    Budget,
    /// The topology spread constraint.
    #[value(name = "spread")]
    Spread,
}

/// Flags of `generate sidecar`.
#[derive(Debug, Args)]
#[command(after_help = SIDECAR_EXAMPLES)]
pub(crate) struct SidecarArgs {
    #[command(flatten)]
    pub(crate) common: WorkloadArgs,
    /// A container that reads the file; may be repeated [default: all]
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Vec<String>,
    /// The is-leader file, as the service's containers see it; its folder is mounted for it. `off`: the service asks HTTP
    #[arg(long, default_value = "/run/leader/is-leader", value_name = "PATH")]
    pub(crate) file: String,
    /// A plain container, for servers without native sidecars (before 1.29)
    #[arg(long)]
    pub(crate) classic: bool,
}

/// Flags of `generate exec`.
#[derive(Debug, Args)]
#[command(after_help = EXEC_EXAMPLES)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) common: WorkloadArgs,
    /// The container whose command is run [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) container: Option<String>,
    /// A word of the command, where the manifest does not say it; may be repeated. The container's args follow it
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
    /// Keep the service's readiness probe, so that only the leader is ready
    #[arg(long)]
    pub(crate) keep_readiness: bool,
}

const LEASE_EXAMPLES: &str = "Examples:
  leasehold generate lease my-service-leader -n production | kubectl apply -f -";

const RBAC_EXAMPLES: &str = "Examples:
  leasehold generate rbac my-service-leader -n production | kubectl apply -f -
  leasehold generate rbac my-service-leader -n production --service-account default --events -o json";

const SIDECAR_EXAMPLES: &str = "Examples:
  kubectl get sts my-service -o yaml | leasehold generate sidecar -f - | kubectl apply -f -
  leasehold generate sidecar -f my-service.yaml --kustomize overlays/elected
  leasehold generate sidecar sts/my-service -n production --container app --only election | kubectl apply -f -
  leasehold generate sidecar sts/my-service -n production --container app --only workload |
    kubectl patch sts my-service -n production --patch-file /dev/stdin";

const EXEC_EXAMPLES: &str = "Examples:
  kubectl get sts my-service -o yaml | leasehold generate exec -f - | kubectl apply -f -
  leasehold generate exec -f my-service.yaml --command docker-entrypoint.sh --command postgres";
