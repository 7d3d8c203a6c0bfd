//! The tables of flags and timings in docs/sidecar.md are what the program knows. `LEASEHOLD_RECORD=1` writes them anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use leasehold::TimingSettings;
use leasehold_sidecar::Cli;

#[test]
fn the_flags_and_timings_in_the_docs_are_those_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sidecar.md");
    let text = fs::read_to_string(&path).unwrap();
    let command = Cli::command();
    let check = command.find_subcommand("check").unwrap();
    let written = replace(&text, "flags", &table(&command));
    let written = replace(&written, "flags of check", &table(check));
    let written = replace(&written, "timings", &timings());
    if env::var_os("LEASEHOLD_RECORD").is_some() {
        fs::write(&path, &written).unwrap();
        return;
    }
    let differs = text.lines().zip(written.lines()).find(|(found, wanted)| found != wanted);
    assert!(
        text == written,
        "docs/sidecar.md differs from the program, first in {differs:?}; LEASEHOLD_RECORD=1 cargo test -p \
         leasehold-sidecar --test reference writes it anew"
    );
}

/// `text` with another table between the markers `name`.
fn replace(text: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- begin {name} -->\n"), format!("<!-- end {name} -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{begin} is not in the page"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is not in the page"));
    format!("{head}{begin}{table}{end}{tail}")
}

fn table(command: &Command) -> String {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    format!(
        "| flag | environment | default | meaning |\n|---|---|---|---|\n{}",
        shown.map(row).collect::<String>()
    )
}

fn row(arg: &Arg) -> String {
    let environment = arg.get_env().map_or(String::new(), |name| format!("`{}`", name.to_str().unwrap()));
    format!("| {} | {environment} | {} | {} |\n", names(arg), default(arg), meaning(arg))
}

/// All names of a flag, the value behind the first one.
fn names(arg: &Arg) -> String {
    let value = arg.get_value_names().and_then(|names| names.first()).filter(|_| takes_value(arg));
    let value = value.map_or(String::new(), |value| format!(" {value}"));
    let long = match arg.get_long() {
        Some(long) => format!("`--{long}{value}`"),
        None => format!("`--{value} ...`"),
    };
    let short = arg.get_short().map(|short| format!("`-{short}`"));
    let aliases = arg.get_visible_aliases().unwrap_or_default();
    let aliases = aliases.into_iter().map(|alias| format!("`--{alias}`"));
    std::iter::once(long).chain(short).chain(aliases).collect::<Vec<_>>().join(", ")
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

fn default(arg: &Arg) -> String {
    let value = arg.get_default_values().first().filter(|_| takes_value(arg));
    value.map_or(String::new(), |value| format!("`{}`", value.to_str().unwrap()))
}

fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().unwrap().to_string().replace('|', "\\|");
    let values = arg.get_possible_values();
    let explained = values.iter().filter_map(|value| {
        let help = value.get_help()?.to_string();
        Some(format!("`{}`: {}{}", value.get_name(), help[..1].to_lowercase(), &help[1..]))
    });
    let explained: Vec<String> = explained.collect();
    if explained.is_empty() { help } else { format!("{help}. {}", explained.join(", ")) }
}

fn timings() -> String {
    let row = |seconds: &u64| {
        let timing = TimingSettings::from_lease_duration(Duration::from_secs(*seconds)).build().unwrap();
        let derived = [
            timing.renew_deadline(),
            timing.retry_period(),
            timing.renew_interval(),
            timing.attempt_timeout(),
            timing.lost_stop_timeout(),
        ];
        let derived = derived.map(|time| format!(" {} |", shown(time)));
        format!("| {} |{}\n", shown(timing.lease_duration()), derived.concat())
    };
    let head = "| `--ttl` | renew deadline | retry period | renew interval | attempt timeout | lost-stop timeout |\n\
                |---|---|---|---|---|---|\n";
    format!("{head}{}", [3, 6, 15, 30, 60].iter().map(row).collect::<String>())
}

/// In seconds, with no more digits than it takes.
fn shown(time: Duration) -> String {
    let text = format!("{:.2}", time.as_secs_f64());
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}
