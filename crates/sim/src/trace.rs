//! What happened in a world, as a hash always and as text on demand.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use leasehold_history::Nanos;
use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::world::TermLog;

/// One thing that happened in a world.
#[derive(Clone, Debug, Serialize)]
pub struct Happened {
    /// When, in true time since the world began.
    #[serde(rename = "at_ns")]
    pub at: Nanos,
    /// To whom.
    pub who: Who,
    /// What, in words.
    pub what: String,
    /// The verb that `what` begins with: things of one kind share it.
    #[serde(skip)]
    pub(crate) verb: &'static str,
    /// The words alone that explain the verb.
    #[serde(skip)]
    pub(crate) words: String,
    /// The number of the request that it is about.
    #[serde(skip)]
    pub(crate) request: Option<u64>,
}

/// Whom something happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// A process, by its number in the world, on the machine of this number.
    Process(usize, usize),
    /// A machine, with whatever runs on it.
    Machine(usize),
    /// The API servers, the Lease, or everybody.
    All,
}

impl Who {
    /// The machine that it is, or runs on.
    pub(crate) fn machine(self) -> Option<usize> {
        match self {
            Self::Process(_, machine) | Self::Machine(machine) => Some(machine),
            Self::All => None,
        }
    }

    pub(crate) fn process(self) -> Option<usize> {
        match self {
            Self::Process(process, _) => Some(process),
            Self::Machine(_) | Self::All => None,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process(process, machine) => f.pad(&format!("#{process} {}", machine_name(*machine))),
            Self::Machine(machine) => f.pad(&machine_name(*machine)),
            Self::All => f.pad("all"),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Happened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, who, what, .. } = self;
        write!(f, "T+{at} {who} {what}")
    }
}

/// A running hash of all that happened, in order: equal worlds have equal hashes.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    lines: Option<Vec<Line>>,
}

#[derive(Debug)]
struct Line {
    at: Nanos,
    about: About,
    number: usize,
    verb: &'static str,
    detail: u64,
    words: String,
}

/// What the number of a line names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Process,
    Request,
    Machine,
    All,
}

impl Trace {
    pub(crate) fn new(with_text: bool) -> Self {
        Self { hash: Sha256::new(), lines: with_text.then(Vec::new) }
    }

    /// Notes that something happened to a process, with a number that tells it from others of its kind.
    pub(crate) fn note(&mut self, at: Nanos, process: usize, verb: &'static str, detail: u64) {
        self.add(About::Process, at, process, verb, detail);
    }

    /// Notes what became of a request of a process.
    pub(crate) fn note_request(&mut self, at: Nanos, process: usize, verb: &'static str, request: u64) {
        self.add(About::Request, at, process, verb, request);
    }

    /// Notes what happened to a machine.
    pub(crate) fn note_machine(&mut self, at: Nanos, machine: usize, verb: &'static str) {
        self.add(About::Machine, at, machine, verb, 0);
    }

    /// Notes what happened to everybody.
    pub(crate) fn note_all(&mut self, at: Nanos, verb: &'static str) {
        self.add(About::All, at, 0, verb, 0);
    }

    fn add(&mut self, about: About, at: Nanos, number: usize, verb: &'static str, detail: u64) {
        self.hash.update(at.0.to_le_bytes());
        self.hash.update((number as u64).to_le_bytes());
        self.hash.update(verb.as_bytes());
        self.hash.update(detail.to_le_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(Line { at, about, number, verb, detail, words: String::new() });
        }
    }

    /// Adds words to the last line, where there is text at all.
    pub(crate) fn explain(&mut self, words: impl FnOnce() -> String) {
        if let Some(line) = self.lines.as_mut().and_then(|lines| lines.last_mut()) {
            if !line.words.is_empty() {
                line.words.push_str(", ");
            }
            line.words.push_str(&words());
        }
    }

    /// The hash, and what happened: processes with their machine, and with their number in place of their identity.
    pub(crate) fn finish(self, processes: &[Named], terms: &[TermLog]) -> (String, Vec<Happened>) {
        let digest = self.hash.finalize();
        let hash = digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String succeeds");
            text
        });
        let Some(lines) = self.lines else { return (hash, Vec::new()) };
        let names = names(processes);
        // The end of a term is an event of the clocks: nothing happens at that moment but that a check would say no.
        let ends = terms.iter().map(Line::of_end);
        let mut told: Vec<Happened> =
            lines.into_iter().chain(ends).map(|line| line.told(processes, &names)).collect();
        told.sort_by_key(|happened| happened.at);
        (hash, told)
    }
}

/// A process as a trace names it.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) machine: usize,
    pub(crate) identity: String,
}

impl Line {
    fn of_end(term: &TermLog) -> Self {
        let TermLog { process: number, token: detail, end: at, .. } = *term;
        Self { at, about: About::Process, number, verb: LEADS_NO_MORE, detail, words: String::new() }
    }

    fn told(self, processes: &[Named], names: &BTreeMap<String, String>) -> Happened {
        let Self { at, about, number, verb, detail, words } = self;
        let words = names.iter().fold(words, |words, (identity, name)| words.replace(identity, name));
        let who = match about {
            About::Process | About::Request => Who::Process(number, processes[number].machine),
            About::Machine => Who::Machine(number),
            About::All => Who::All,
        };
        let request = (about == About::Request).then_some(detail);
        let subject = match (about, COUNTED.contains(&verb)) {
            (About::Request, _) | (About::Process, true) => format!(" {detail}"),
            (About::Process | About::Machine | About::All, _) => String::new(),
        };
        let colon = if words.is_empty() { "" } else { ": " };
        Happened { at, who, what: format!("{verb}{subject}{colon}{words}"), verb, words, request }
    }
}

/// What stands for each identity that only one process has.
fn names(processes: &[Named]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (number, Named { identity, .. }) in processes.iter().enumerate() {
        let alone = processes.iter().filter(|other| other.identity == *identity).count() == 1;
        if alone {
            names.insert(format!("{identity:?}"), format!("#{number}"));
        }
    }
    names
}

/// As its Pod is called.
pub(crate) fn machine_name(machine: usize) -> String {
    format!("db-{machine}")
}

pub(crate) const LEADS: &str = "leads with token";
pub(crate) const LEADS_NO_MORE: &str = "leads no more with token";
/// Verbs whose number means something to a reader.
const COUNTED: [&str; 4] = [LEADS, LEADS_NO_MORE, "writes with token", "is refused with token"];

#[cfg(test)]
mod tests {
    use super::*;

    fn named(machine: usize, identity: &str) -> Named {
        Named { machine, identity: identity.to_owned() }
    }

    #[test]
    fn a_line_names_the_process_and_its_machine_and_whom_it_speaks_of() {
        let mut trace = Trace::new(true);
        trace.note_request(Nanos(1_500_000_000), 1, "is answered", 7);
        trace.explain(|| "200".to_owned());
        trace.explain(|| "held by \"db-4_ab\"".to_owned());
        trace.note_machine(Nanos(2_000_000_000), 4, "suffers");
        let (_, told) = trace.finish(&[named(4, "db-4_ab"), named(2, "db-2_cd")], &[]);
        let lines: Vec<String> = told.iter().map(Happened::to_string).collect();
        assert_eq!(lines, ["T+1.500s #1 db-2 is answered 7: 200, held by #0", "T+2.000s db-4 suffers"]);
    }

    #[test]
    fn an_identity_that_two_processes_share_stays_as_it_is() {
        let mut trace = Trace::new(true);
        trace.note(Nanos(0), 0, "hears", 0);
        trace.explain(|| "\"db\"".to_owned());
        let (_, told) = trace.finish(&[named(0, "db"), named(1, "db")], &[]);
        assert_eq!(told[0].what, "hears: \"db\"");
    }
}
