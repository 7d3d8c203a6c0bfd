//! What led to a violation, in few enough lines to be understood: each request is one line with all that became of it,
//! what goes well again and again is told once, and who has nothing to do with it is left out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use leasehold_history::Nanos;

use crate::clocks::after;
use crate::trace::{Happened, LEADS, LEADS_NO_MORE, Who};
use crate::world::Violation;

/// The part of a trace that explains a violation.
#[derive(Clone, Debug)]
pub struct Story {
    /// The lines, in order.
    pub lines: Vec<StoryLine>,
    /// How many lines of the same processes and times were left out before these.
    pub left_out: usize,
}

/// One line of it.
#[derive(Clone, Debug)]
pub struct StoryLine {
    /// When, in true time since the world began.
    pub at: Nanos,
    /// To whom.
    pub who: Who,
    /// What happened.
    pub what: String,
    /// What it is to a reader.
    pub tone: Tone,
    /// Lines that follow each other and have this in common are one.
    fold: Option<String>,
}

/// What a line is to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// What happens in any world.
    Plain,
    /// A fault strikes, or a request meets one.
    Fault,
    /// Somebody begins or ceases to lead.
    Leads,
    /// The violation.
    Broken,
}

impl Story {
    pub(crate) fn of(trace: &[Happened], violation: &Violation, lease_duration: Duration) -> Self {
        let from = Nanos(violation.at.0.saturating_sub(after(Nanos(0), BEFORE + lease_duration * 2).0));
        let to = after(violation.at, AFTER);
        let cast = Cast::of(trace, violation);
        let ours: Vec<&Happened> = trace
            .iter()
            .filter(|happened| from <= happened.at && happened.at <= to && cast.knows(happened))
            .collect();
        let mut lines = told(&ours);
        lines.extend(begins(trace, from, &cast.processes));
        if violation.at > Nanos(0) {
            lines.push(StoryLine::of_violation(violation));
        }
        lines.sort_by_key(|line| line.at);
        let lines = folded(lines);
        let left_out = lines.len().saturating_sub(LINES_MAX);
        Self { lines: shortened(lines, violation.at, left_out), left_out }
    }
}

/// Who plays a part.
struct Cast {
    processes: BTreeSet<usize>,
    machines: BTreeSet<usize>,
}

impl Cast {
    /// Those that the violation names; if it names nobody, everybody.
    fn of(trace: &[Happened], violation: &Violation) -> Self {
        let named = violation.processes();
        let plays = |process: &usize| named.is_empty() || named.contains(process);
        let seen = trace.iter().map(|happened| happened.who);
        let seen: BTreeSet<Who> =
            seen.filter(|who| who.process().is_some_and(|process| plays(&process))).collect();
        Self {
            processes: seen.iter().filter_map(|who| who.process()).collect(),
            machines: seen.iter().filter_map(|who| who.machine()).collect(),
        }
    }

    fn knows(&self, happened: &Happened) -> bool {
        match happened.who {
            Who::Process(process, _) => self.processes.contains(&process),
            Who::Machine(machine) => self.machines.contains(&machine),
            Who::All => happened.verb != "VIOLATION",
        }
    }
}

/// What became of a request.
#[derive(Default)]
struct Fate {
    met: Vec<String>,
    carried_out: Vec<(Nanos, String)>,
    heard: Option<Nanos>,
    given_up: Option<Nanos>,
}

/// The lines of what happened: what belongs to a request stands where it was sent.
fn told(ours: &[&Happened]) -> Vec<StoryLine> {
    let mut fates: BTreeMap<u64, Fate> = BTreeMap::new();
    for happened in ours {
        let Some(request) = happened.request else { continue };
        let fate = fates.entry(request).or_default();
        match happened.verb {
            "meets" => fate.met.push(happened.words.clone()),
            "is answered" => fate.carried_out.push((happened.at, happened.words.clone())),
            "hears answer" => fate.heard = Some(happened.at),
            "gives up" => fate.given_up = Some(happened.at),
            _ => {}
        }
    }
    let mut lines = Vec::new();
    let mut sent = BTreeMap::new();
    for happened in ours {
        match (happened.request, happened.verb.strip_prefix("sends ")) {
            (Some(request), Some(name)) => {
                sent.insert(request, (happened.at, name));
                lines.push(StoryLine::of_request(happened, name, &fates[&request]));
            }
            (Some(request), None) => {
                lines.extend(late(happened, request, sent.get(&request), &fates[&request]));
            }
            (None, _) => lines.extend(StoryLine::of_event(happened)),
        }
    }
    lines
}

/// What happens to a request long after it was sent is told where it happens, too: once, where both happen together.
fn late(happened: &Happened, request: u64, sent: Option<&(Nanos, &str)>, fate: &Fate) -> Option<StoryLine> {
    let &(sent, name) = sent?;
    let took = happened.at.since(sent);
    let what = match happened.verb {
        "is answered" => format!("its {name} {request} is carried out, sent {took} before"),
        "hears answer" if fate.waited(happened.at) >= LATE => {
            format!("hears the answer to its {name} {request}, sent {took} before")
        }
        _ => return None,
    };
    (took >= LATE).then(|| StoryLine::plain(happened, what))
}

impl Fate {
    /// How long an answer took from the server.
    fn waited(&self, heard: Nanos) -> Nanos {
        self.carried_out.first().map_or(heard, |(at, _)| heard.since(*at))
    }
}

impl StoryLine {
    fn plain(happened: &Happened, what: String) -> Self {
        Self { at: happened.at, who: happened.who, what, tone: Tone::Plain, fold: None }
    }

    fn of_violation(violation: &Violation) -> Self {
        let what = format!("{} is broken: {}", violation.rule, violation.what);
        Self { at: violation.at, who: Who::All, what, tone: Tone::Broken, fold: None }
    }

    fn of_request(happened: &Happened, name: &str, fate: &Fate) -> Self {
        let request = happened.request.unwrap_or_default();
        let after = |at: Nanos| at.since(happened.at);
        let mut parts: Vec<String> = fate.met.iter().map(|fault| format!("meets {fault}")).collect();
        parts.extend(fate.carried_out.iter().map(|(at, words)| match after(*at) {
            soon if soon < SOON => words.clone(),
            took => format!("at the server +{took}: {words}"),
        }));
        match (fate.heard, fate.given_up) {
            (Some(at), _) if fate.waited(at) < SOON => {}
            (Some(at), _) => parts.push(format!("answer heard +{}", after(at))),
            (None, Some(at)) => parts.push(format!("given up +{}", after(at))),
            (None, None) => parts.push("no answer".to_owned()),
        }
        let at_once = fate.heard.is_some_and(|at| after(at) < LATE);
        let well = fate.met.is_empty()
            && at_once
            && matches!(&fate.carried_out[..], [(_, words)] if words.starts_with("version"));
        Self {
            tone: if fate.met.is_empty() { Tone::Plain } else { Tone::Fault },
            fold: well.then(|| name.to_owned()),
            ..Self::plain(happened, format!("{name} {request}: {}", parts.join("; ")))
        }
    }

    /// What is no request; writes of the work that are let in are left out, and what a leader's watch says of its own.
    fn of_event(happened: &Happened) -> Option<Self> {
        let line = Self::plain(happened, happened.what.clone());
        Some(match happened.verb {
            "writes with token" | "says started" => return None,
            "hears from watch" if happened.tells_of_itself() => return None,
            "suffers" => Self { tone: Tone::Fault, ..line },
            LEADS | LEADS_NO_MORE => Self { tone: Tone::Leads, ..line },
            verb @ ("hears from watch" | "is refused with token" | "opens watch" | "loses watch") => {
                Self { fold: Some(verb.to_owned()), ..line }
            }
            _ => line,
        })
    }
}

impl Happened {
    /// Whether its words show a Lease that is held by whom it happened to.
    fn tells_of_itself(&self) -> bool {
        self.who.process().is_some_and(|process| self.words.contains(&format!("held by #{process},")))
    }
}

/// Where the story begins within a term, when that had begun.
fn begins(trace: &[Happened], from: Nanos, processes: &BTreeSet<usize>) -> Vec<StoryLine> {
    let mut leads = BTreeMap::new();
    let past = trace.iter().take_while(|happened| happened.at < from);
    for happened in past {
        let Some(process) = happened.who.process().filter(|process| processes.contains(process)) else {
            continue;
        };
        match happened.verb {
            LEADS => drop(leads.insert(process, happened)),
            LEADS_NO_MORE => drop(leads.remove(&process)),
            _ => {}
        }
    }
    leads.into_values().filter_map(StoryLine::of_event).collect()
}

/// Lines of one process that say the same kind of thing in a row become the last of them.
fn folded(lines: Vec<StoryLine>) -> Vec<StoryLine> {
    let mut times: BTreeMap<Who, (String, usize, usize)> = BTreeMap::new();
    let mut kept: Vec<Option<StoryLine>> = Vec::new();
    for mut line in lines {
        let before = times.remove(&line.who);
        if let Some(fold) = &line.fold {
            let count = match before {
                Some((last, count, index)) if last == *fold => {
                    kept[index] = None;
                    count + 1
                }
                _ => 1,
            };
            times.insert(line.who, (fold.clone(), count, kept.len()));
            if count > 1 {
                line.what = format!("{} ({count} in a row)", line.what);
            }
        }
        kept.push(Some(line));
    }
    kept.into_iter().flatten().collect()
}

/// Leaves out the oldest, but never who leads, nor what comes after the violation.
fn shortened(lines: Vec<StoryLine>, at: Nanos, mut too_many: usize) -> Vec<StoryLine> {
    let mut keep = |line: &StoryLine| {
        let spare = too_many > 0 && line.at < at && line.tone != Tone::Leads;
        too_many -= usize::from(spare);
        !spare
    };
    let mut lines: Vec<StoryLine> = lines.into_iter().filter(|line| keep(line)).collect();
    lines.truncate(LINES_MAX);
    lines
}

/// Besides two lease durations.
const BEFORE: Duration = Duration::from_secs(10);
const AFTER: Duration = Duration::from_secs(3);
/// What comes so long after its request is told by itself.
const LATE: Nanos = Nanos(1_000_000_000);
/// What comes so soon after its cause needs no time of its own.
const SOON: Nanos = Nanos(100_000_000);
const LINES_MAX: usize = 28;
