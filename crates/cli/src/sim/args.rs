//! The flags of `leasehold sim`.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use leasehold_sim::{ControlKind, FaultKind, MutantKind, Scenario, Variant};

/// Play worlds of candidates in virtual time, with everything that can go wrong, and judge what happened.
///
/// A world is one Lease with its candidates, machines, clocks, networks and API servers. One seed is one world: the same
/// seed gives the same world again, to the nanosecond.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SimArgs {
    /// How many worlds [default: 100, or 1 with --seed]
    #[arg(long, env = "LEASEHOLD_SIM_SEEDS", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) seeds: Option<u64>,

    /// The seed of the first world; the others follow it [default: 0]
    #[arg(long, env = "LEASEHOLD_SIM_SEED", value_name = "SEED")]
    pub(crate) seed: Option<u64>,

    /// Worlds that look at one part of the promise [default: swarm, or those of --elector]
    #[arg(long, env = "LEASEHOLD_SIM_SCENARIO", value_name = "NAME", value_parser = scenarios())]
    pub(crate) scenario: Option<Choice<Scenario>>,

    /// What the candidates are, where not the shipped elector: a mutant of it, or another design
    #[arg(long, env = "LEASEHOLD_SIM_ELECTOR", value_name = "NAME", value_parser = electors())]
    pub(crate) elector: Option<Choice<Variant>>,

    /// Of the faults that a seed has switched on, only these; "list" shows all
    #[arg(long, env = "LEASEHOLD_SIM_FAULTS", value_name = "NAMES", value_parser = faults(), value_delimiter = ',',
        hide_possible_values = true)]
    pub(crate) faults: Option<Vec<Choice<FaultKind>>>,

    /// The simulated time of each world, such as 15m [default: as the scenario has it, mostly 1h]
    #[arg(long, env = "LEASEHOLD_SIM_LENGTH", value_name = "DURATION", value_parser = length)]
    pub(crate) length: Option<Duration>,

    /// How many worlds run at the same time [default: one for each core]
    #[arg(long, env = "LEASEHOLD_SIM_THREADS", value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1_024))]
    pub(crate) threads: Option<u16>,

    /// Tell everything that happened in one world
    #[arg(long)]
    pub(crate) trace: bool,

    /// Show how often each fault struck, by what was under way
    #[arg(long)]
    pub(crate) matrix: bool,

    /// Of the first world that fails, find a shorter one with fewer faults that fails, too
    #[arg(long)]
    pub(crate) shrink: bool,

    /// Draw who led when: in the first world that fails, or else in the first
    #[arg(long, value_name = "FILE")]
    pub(crate) svg: Option<PathBuf>,

    /// Hunt everything that is known to be broken, until each was caught
    #[arg(long, conflicts_with_all = ["seeds", "seed", "scenario", "elector", "faults", "length", "trace", "matrix",
        "shrink", "svg"])]
    pub(crate) controls: bool,

    /// What to print on stdout
    #[arg(long, short, env = "LEASEHOLD_OUTPUT", value_enum, default_value_t = Output::Table, value_name = "FORMAT")]
    pub(crate) output: Output,
}

/// One of many that have names, or the wish to see them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice<T> {
    List,
    One(T),
}

/// What is printed on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Table,
    /// One document: SimReport, with --controls SimControlsReport, with --trace SimTrace
    Json,
}

/// The name of what the candidates are, and what that is.
pub(crate) fn described(variant: Variant) -> (&'static str, &'static str) {
    match variant {
        Variant::Shipped => ("shipped", "The elector as it is shipped."),
        Variant::Mutant(kind) => (kind.name(), kind.sentence()),
        Variant::Control(kind) => (kind.name(), kind.sentence()),
    }
}

/// Everything that is known to be broken.
pub(crate) fn broken_variants() -> Vec<Variant> {
    let controls = ControlKind::ALL.iter().map(|&kind| Variant::Control(kind));
    controls.chain(MutantKind::ALL.iter().map(|&kind| Variant::Mutant(kind))).collect()
}

fn scenarios() -> impl TypedValueParser<Value = Choice<Scenario>> {
    let all: Vec<_> =
        Scenario::ALL.iter().map(|&scenario| (scenario.name(), scenario.sentence(), scenario)).collect();
    named(all)
}

fn electors() -> impl TypedValueParser<Value = Choice<Variant>> {
    let named_variant = |variant| {
        let (name, sentence) = described(variant);
        (name, sentence, variant)
    };
    let shipped = std::iter::once(Variant::Shipped);
    named(shipped.chain(broken_variants()).map(named_variant).collect())
}

fn faults() -> impl TypedValueParser<Value = Choice<FaultKind>> {
    named(FaultKind::ALL.iter().map(|&kind| (kind.name(), kind.sentence(), kind)).collect())
}

/// Reads a name of the list, or `list`; clap names near ones where it is wrong.
fn named<T: Copy + Send + Sync + 'static>(
    all: Vec<(&'static str, &'static str, T)>,
) -> impl TypedValueParser<Value = Choice<T>> {
    let values = all.iter().map(|(name, sentence, _)| PossibleValue::new(name).help(sentence));
    let list = PossibleValue::new(LIST).help("Show these and end.");
    PossibleValuesParser::new(values.chain([list]).collect::<Vec<_>>()).map(move |name| {
        all.iter().find(|(known, ..)| *known == name).map_or(Choice::List, |(.., one)| Choice::One(*one))
    })
}

fn length(text: &str) -> Result<Duration, String> {
    let length = leasehold_sidecar::duration(text)?;
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&length) {
        return Err(format!("{text:?} is no length of a world; write one from 1s to 24h"));
    }
    Ok(length)
}

const LIST: &str = "list";
const LENGTH_MIN: Duration = Duration::from_secs(1);
const LENGTH_MAX: Duration = Duration::from_secs(24 * 3_600);

const EXAMPLES: &str = "Examples:
  leasehold sim                                     # 100 worlds of an hour
  leasehold sim --seeds 2000 --matrix
  leasehold sim --seed 53 --trace | less            # one world, with all that happened in it
  leasehold sim --scenario list
  leasehold sim --elector ClientGo --seeds 20 --svg split-brain.svg
  leasehold sim --controls                          # what is broken must be caught
  leasehold sim -o json | jq .overlaps

Exit codes:
  0    no rule was broken; with --controls: everything was caught
  1    a rule was broken; with --controls: something was not caught within 2,000 worlds
  2    could not run
  3    inconclusive: too little happened in every world
  130  ended by Ctrl-C before a rule was broken; what was done so far is shown";
