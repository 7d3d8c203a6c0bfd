//! `leader-elector`: see the library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use leasehold_sidecar::{Cli, Command, Config, ExitStatus, InstallArgs};

fn main() -> ExitCode {
    if let Some(code) = leasehold_sidecar::part() {
        return code;
    }
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Check(args)) => leasehold_sidecar::check_as_asked(&args),
        Some(Command::Install(args)) => install(&args),
        None => match Config::try_from(cli.args).and_then(|config| leasehold_sidecar::run(&config)) {
            Ok(status) => status.into(),
            Err(error) => {
                say(&format!("error: {error:#}\n\nhint: see leader-elector --help"));
                ExitStatus::of(&error).into()
            }
        },
    }
}

/// 0: the program is there. 2: it could not be written.
fn install(args: &InstallArgs) -> ExitCode {
    match leasehold_sidecar::install(&args.path) {
        Ok(path) => {
            say(&format!("installed {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// A line on stderr; if nobody reads it, the exit code still tells.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
