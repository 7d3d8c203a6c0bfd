//! `leader-elector`: see the library.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use leasehold_sidecar::{CheckArgs, Cli, Command, Config, ExitStatus, InstallArgs};

fn main() -> ExitCode {
    if let Some(code) = leasehold_sidecar::part() {
        return code;
    }
    let cli = Cli::parse();
    match cli.command {
        Some(Command::Check(args)) => check(&args),
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

/// 0: leads. 1: does not. 2: cannot be told, which a service must take for 1.
fn check(args: &CheckArgs) -> ExitCode {
    let (code, message) = match leasehold_sidecar::check(&args.file) {
        Ok(Ok(content)) => (
            0,
            format!(
                "leads lease {} with token {} until {}",
                content.lease, content.token, content.lead_until
            ),
        ),
        Ok(Err(not_leader)) => (1, not_leader.to_string()),
        Err(error) => (2, format!("error: {} cannot be read: {error}", args.file.display())),
    };
    if !args.quiet {
        say(&message);
    }
    ExitCode::from(code)
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
