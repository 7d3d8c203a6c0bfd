//! What there is to choose from: `--scenario list` and the like.

use std::fmt::Write as _;

use leasehold_sim::{FaultKind, Scenario, Variant};

use crate::screen::{self, HEADING};
use crate::sim::args::{Choice, SimArgs, broken_variants, described};

/// The lists that were asked for; `None` if none was.
pub(crate) fn asked(args: &SimArgs) -> Option<String> {
    let faults = args.faults.iter().flatten().any(|choice| *choice == Choice::List);
    let mut text = String::new();
    if args.scenario == Some(Choice::List) {
        text += &list(Scenario::ALL.iter().map(|scenario| (scenario.name(), scenario.sentence())));
    }
    if args.elector == Some(Choice::List) {
        let all = std::iter::once(Variant::Shipped).chain(broken_variants());
        text += &list(all.map(described));
    }
    if faults {
        text += &list(FaultKind::ALL.iter().map(|kind| (kind.name(), kind.sentence())));
    }
    (!text.is_empty()).then_some(text)
}

fn list(rows: impl Iterator<Item = (&'static str, &'static str)>) -> String {
    let rows: Vec<_> = rows.collect();
    let longest = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, sentence) in rows {
        let indent = " ".repeat(longest + 2);
        let room = screen::width().saturating_sub(indent.len()).max(20);
        let sentence = textwrap::wrap(sentence, room).join(&format!("\n{indent}"));
        let _ = writeln!(text, "{HEADING}{name:longest$}{HEADING:#}  {sentence}");
    }
    text
}
