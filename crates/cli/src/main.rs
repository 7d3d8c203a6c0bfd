//! `leasehold`: the verbs for people who run elections.

mod apiserver;
mod args;
mod demo;
mod generate;
mod lifeline;
mod millis;
mod problem;
mod screen;
mod signals;
mod sim;

use std::process::ExitCode;

use clap::Parser as _;
use leasehold_sidecar::{Config, ExitStatus};

use crate::args::{Cli, Command, ElectArgs, ElectCommand};
use crate::problem::{Outcome, Problem};

fn main() -> ExitCode {
    if let Some(code) = leasehold_sidecar::part() {
        return code;
    }
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Elect(args) => elect(*args),
        Command::Apiserver(args) => apiserver::run(&args),
        Command::Generate(args) => generate::run(&args),
        Command::DemoNaiveCandidate(args) => demo::naive::run(&args),
    };
    outcome.unwrap_or_else(|problem| problem.report())
}

/// The sidecar's code, so that one binary can play every part.
fn elect(args: ElectArgs) -> Outcome {
    if let Some(ElectCommand::Check(args)) = &args.command {
        return Ok(leasehold_sidecar::check_as_asked(args));
    }
    lifeline::tie_to(args.parent)?;
    let elected = Config::try_from(args.args).and_then(|config| leasehold_sidecar::run(&config));
    elected.map(ExitCode::from).map_err(|error| {
        let code = ExitStatus::of(&error);
        Problem::new(error, "see leasehold elect --help").with_code(code)
    })
}
