//! What a round has shown, judged by `history`.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use leasehold_history::{Nanos, Report, Span, Vacuum};

use super::arena::Arena;
use super::round::Round;
use super::strike::{Fault, Strike, Victims};
use crate::electorate::{Elector, Electorate, Member, Said};
use crate::process::boottime_ns;

/// One electorate's view of one strike.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What struck.
    pub strike: Strike,
    /// Whom: the namespace.
    pub electorate: String,
    /// Why it proves nothing but what it shows; overlap counts all the same.
    pub void: Option<String>,
    /// What was promised and not kept.
    pub violations: Vec<String>,
    /// Time in which two surely led, whoever they are.
    pub overlap: Duration,
    /// The longest time without a leader.
    pub vacuum: Duration,
    /// From the end of the fault until somebody leads for good.
    pub recovery: Duration,
    /// Terms that began.
    pub hand_overs: usize,
    /// Processes that the library ended after a pause, because their work had no time left.
    pub hard_stops: usize,
    /// Answers that the judgement rests on.
    pub answers: usize,
    /// All that was said and done in the round.
    pub timeline: String,
}

impl Outcome {
    /// Everything that a person needs to look into a round that went wrong.
    pub fn explanation(&self) -> String {
        let violations = self.violations.join("\n");
        format!(
            "{} ({})\n{violations}\nagain: {}\n{}",
            self.strike,
            self.electorate,
            self.strike.command(),
            self.timeline
        )
    }
}

impl Arena {
    pub(super) fn judge_round(&self, mut round: Round, unsettled: Option<anyhow::Error>) -> Result<Outcome> {
        let window = Span::new(Nanos(round.begun), Nanos(boottime_ns()))?;
        let report = self.electorate.history()?.judge_within(window);
        let void = self.why_void(&round, &report);
        let recovery = recovery(&report, round.healed);
        let mut violations = std::mem::take(&mut round.violations);
        violations.extend(self.broken_safety(&report));
        let allowed = recovery_max(&round.strike);
        if recovery > allowed && void.is_none() {
            violations.push(format!("a leader {recovery:?} after the fault, {allowed:?} are allowed"));
        }
        violations.extend(unsettled.map(|error| format!("{error:#}")));
        Ok(Outcome {
            strike: round.strike,
            electorate: self.name().to_owned(),
            void,
            overlap: duration(
                [&report.ours, &report.mixed, &report.peers]
                    .iter()
                    .fold(Nanos(0), |sum, class| sum.plus(class.overlap_proven)),
            ),
            vacuum: duration(report.longest_vacuum()),
            recovery,
            hand_overs: self.hand_overs(round.begun),
            hard_stops: round.hard_stops,
            answers: report.answers,
            timeline: self.timeline(&round),
            violations,
        })
    }

    fn broken_safety(&self, report: &Report) -> Vec<String> {
        let overlaps = report.ours.overlaps.iter().filter(|overlap| overlap.proven.is_some());
        let overlaps = overlaps.map(|overlap| format!("two of ours led: {overlap:?}"));
        let tokens = report.token_faults.iter().map(|fault| format!("a token did not grow: {fault:?}"));
        let ours = self.electorate.members.iter().filter(|member| member.elector == Elector::Ours);
        let foreign = ours.filter_map(|member| member.check_no_lead_after_foreign_holder().err());
        overlaps.chain(tokens).chain(foreign.map(|error| error.to_string())).collect()
    }

    /// A candidate that ran and was not asked, or did not answer, for too long could have done anything meanwhile.
    fn why_void(&self, round: &Round, report: &Report) -> Option<String> {
        if report.is_void() {
            return Some("nobody led".to_owned());
        }
        if let Some(name) = &round.starved {
            return Some(format!("the work of {name} was given no time to stop, and ended by force"));
        }
        let stands_still =
            matches!(round.strike.fault, Fault::Killed | Fault::Paused | Fault::StoppedWhileCut);
        let watched = (0..self.seats.len()).filter(|seat| !(stands_still && round.victims.contains(seat)));
        watched.map(|seat| self.member(seat)).find_map(|member| {
            let silence = longest_silence(member, round.begun, report.window.latest.0);
            (silence > SILENCE_MAX).then(|| format!("{} was silent for {silence:?}", member.name))
        })
    }

    fn hand_overs(&self, since: u64) -> usize {
        let said = self.electorate.members.iter().flat_map(|member| &member.said);
        said.filter(|said| said.event == "started" && said.boottime_ns > since).count()
    }

    /// What was done and said, in order, in seconds from the strike.
    fn timeline(&self, round: &Round) -> String {
        let names = |members: &[usize]| -> String {
            let names = members.iter().map(|&member| self.electorate.members[member].name.clone());
            names.collect::<Vec<_>>().join(", ")
        };
        let victims: Vec<usize> = round.victims.iter().map(|&seat| round.members[seat]).collect();
        let struck = format!("*** {} of {}", round.strike.fault, names(&victims));
        let mut lines = vec![(round.struck, struck), (round.healed, "*** over".to_owned())];
        let since = round.begun.saturating_sub(BEFORE_NS);
        for member in &self.electorate.members {
            let mut leading = None;
            for said in member.said.iter().filter(|said| said.boottime_ns > since) {
                let news = said.event != "sample" || said.leading != leading;
                if said.event == "sample" {
                    leading = said.leading;
                }
                if news {
                    lines.push((said.boottime_ns, format!("{}: {}", member.name, words(said))));
                }
            }
        }
        lines.sort();
        let mut text = String::new();
        for (at, line) in lines {
            let seconds = (i128::from(at) - i128::from(round.struck)) as f64 / 1e9;
            let _ = writeln!(text, "{seconds:+9.3} s  {line}");
        }
        text + &self.electorate.describe()
    }
}

fn words(said: &Said) -> String {
    let mut words = said.event.clone();
    if let Some(leading) = said.leading {
        words = if leading { "answers: I lead".to_owned() } else { "answers: I do not lead".to_owned() };
    }
    let token = said.token.map(|token| format!("token {token}"));
    for more in [token, said.leader.clone(), said.reason.clone(), said.error.clone()].into_iter().flatten() {
        let _ = write!(words, ", {more}");
    }
    words
}

/// From the end of the fault to the end of the last time without a leader. That nobody can be sure what came after the
/// very last answers is no such time.
fn recovery(report: &Report, healed: u64) -> Duration {
    let is_last_answer = |vacuum: &&Vacuum| {
        vacuum.possible.latest == report.window.latest && duration(vacuum.possible.length()) < SILENCE_MAX
    };
    let vacuums = report.vacuums.iter().filter(|vacuum| !is_last_answer(vacuum));
    let last = vacuums.map(|vacuum| vacuum.possible.latest).max().unwrap_or_default();
    duration(last.since(Nanos(healed)))
}

/// The promise: a lease duration and two seconds. Where nobody reached the server, the first look at the Lease may be a
/// pause away that is never longer than a lease lasts.
fn recovery_max(strike: &Strike) -> Duration {
    let pause = if strike.victims == Victims::All { Electorate::SHORT } else { Duration::ZERO };
    Electorate::SHORT + Duration::from_secs(2) + pause
}

/// The longest time between two answers of a candidate within the round, or since it was started.
fn longest_silence(member: &Member, begun: u64, end: u64) -> Duration {
    let answers = member.said.iter().filter(|said| said.event == "sample").map(|said| said.boottime_ns);
    let mut last = begun.max(member.started_ns);
    let mut longest = 0;
    for answer in answers.filter(|answer| (begun..=end).contains(answer)).chain([end]) {
        longest = longest.max(answer.saturating_sub(last));
        last = answer;
    }
    Duration::from_nanos(longest)
}

fn duration(nanos: Nanos) -> Duration {
    Duration::from_nanos(nanos.0)
}

const SILENCE_MAX: Duration = Duration::from_millis(500);
/// What happened shortly before a round helps to understand it.
const BEFORE_NS: u64 = 1_500_000_000;

#[cfg(test)]
mod tests {
    use leasehold_history::{History, Term};

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn report(terms: &[(u64, u64)]) -> Report {
        let mut history = History::new(Span::new(Nanos(0), Nanos(20 * SECOND)).unwrap());
        let candidate = history.add_candidate("app-0", leasehold_history::Elector::Ours);
        for &(begin, end) in terms {
            history.add_term(candidate, Term::exact(Nanos(begin), Nanos(end))).unwrap();
        }
        history.judge()
    }

    #[test]
    fn recovery_lasts_until_somebody_leads_for_good() {
        let blink = report(&[(0, 5 * SECOND), (11 * SECOND, 12 * SECOND), (14 * SECOND, 20 * SECOND)]);
        assert_eq!(recovery(&blink, 10 * SECOND), Duration::from_secs(4));
        let whole = report(&[(0, 20 * SECOND)]);
        assert_eq!(recovery(&whole, 10 * SECOND), Duration::ZERO);
    }

    #[test]
    fn the_time_after_the_last_answer_is_no_recovery_unless_it_is_long() {
        let answered = report(&[(0, 20 * SECOND - 20_000_000)]);
        assert_eq!(recovery(&answered, 10 * SECOND), Duration::ZERO);
        let lost = report(&[(0, 15 * SECOND)]);
        assert_eq!(recovery(&lost, 10 * SECOND), Duration::from_secs(10));
    }
}
