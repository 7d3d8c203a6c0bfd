//! What an electorate's lines show, for `history` to judge.

use anyhow::{Context as _, Result, bail, ensure};
use leasehold_history as history;
use leasehold_history::{History, Nanos, Report, Sample, Span, Term};

use crate::electorate::{Elector, Electorate, Member, Said};

impl Electorate {
    /// Judges the history in its classes, and prints the report, which a test shows if it fails.
    ///
    /// # Errors
    /// When two of ours led at once, one of ours worked on when a peer led or after it saw another holder, a token did
    /// not grow, or nobody led, which proves nothing.
    #[expect(clippy::print_stdout, reason = "only what is printed is kept by the test that runs this")]
    pub fn judged(&self) -> Result<Report> {
        let report = self.history()?.judge();
        println!("{report}");
        ensure!(!report.is_void(), "nobody led");
        ensure!(report.ours.overlap_proven == Nanos(0), "two of ours led: {:#?}", report.ours.overlaps);
        ensure!(report.token_faults.is_empty(), "{:#?}", report.token_faults);
        for member in self.ours() {
            member.check_no_lead_after_foreign_holder()?;
        }
        // Whose term began first was to end it: a peer that leads on when one of ours begins is the peer's fault.
        let is_ours = |name: &str| self.ours().any(|member| member.name == name);
        let caused = report.mixed.overlaps.iter().filter(|overlap| is_ours(&overlap.first));
        let caused: Vec<_> = caused.filter(|overlap| overlap.proven.is_some()).collect();
        ensure!(caused.is_empty(), "ours led on when a peer began: {caused:#?}");
        Ok(report)
    }

    fn ours(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.elector == Elector::Ours)
    }

    /// The history of all candidates so far: samples, and the work that events tell of.
    ///
    /// # Errors
    /// When nothing was said, or what was said cannot be.
    pub fn history(&self) -> Result<History> {
        let stamps = || self.members.iter().flat_map(|member| &member.said).map(|said| said.boottime_ns);
        let (first, last) = (stamps().min(), stamps().max());
        let window =
            Span::new(Nanos(first.context("nobody said anything")?), Nanos(last.unwrap_or_default()))?;
        let mut history = History::new(window);
        for member in &self.members {
            let elector = match member.elector {
                Elector::Ours => history::Elector::Ours,
                Elector::ClientGo => history::Elector::Peer,
            };
            let candidate = history.add_candidate(&member.name, elector);
            for term in member.terms() {
                history.add_term(candidate, term)?;
            }
            for sample in member.said.iter().filter_map(sample) {
                history.add_sample(candidate, sample?)?;
            }
        }
        Ok(history)
    }
}

impl Member {
    /// The work, from its first to its last act. Work that a signal ended did so at the latest when the signal was
    /// confirmed; a paused process does nothing, so the work that a pause ends is judged by its samples alone.
    fn terms(&self) -> Vec<Term> {
        let (begin, end) = match self.elector {
            Elector::Ours => ("work_began", "work_ended"),
            Elector::ClientGo => ("started", "cancelled"),
        };
        let mut terms: Vec<Term> = Vec::new();
        for said in &self.said {
            let at = Span::at(Nanos(said.boottime_ns));
            if said.event == begin {
                terms.push(Term { begin: at, end: None, token: said.token });
            } else if said.event == end
                && let Some(term) = terms.last_mut()
            {
                term.end = Some(at);
            }
        }
        if let Some(ended) = self.ended_ns
            && let Some(term) = terms.last_mut().filter(|term| term.end.is_none())
        {
            let last_said = self.said.last().map_or(ended, |said| said.boottime_ns);
            term.end = Some(Span { earliest: Nanos(last_said.min(ended)), latest: Nanos(ended) });
        }
        if self.was_paused { Vec::new() } else { terms }
    }

    /// Checks that this candidate never said that it leads after it saw another holder, until its next term.
    ///
    /// # Errors
    /// Names the sample that says so.
    pub fn check_no_lead_after_foreign_holder(&self) -> Result<()> {
        if let Some((seen, said)) = led_after_foreign_holder(&self.name, &self.said) {
            bail!("{} led after it had seen {seen:?}: {said:?}", self.name);
        }
        Ok(())
    }
}

/// The foreign holder that a candidate saw, and its answer after that, that it leads in the same term. Terms are told
/// apart by their tokens: the first answer in a new term may come before its `started`.
fn led_after_foreign_holder<'a>(name: &str, lines: &'a [Said]) -> Option<(&'a Said, &'a Said)> {
    let own = |holder: &str| holder.is_empty() || holder.starts_with(&format!("{name}_"));
    let mut newest: Option<u64> = None;
    let mut foreign: Option<(&Said, Option<u64>)> = None;
    for said in lines {
        if said.leader.as_deref().is_some_and(|holder| !own(holder)) {
            foreign = Some((said, newest));
        }
        let leads_on = foreign.filter(|(seen, ended)| {
            // A term that begins right now may be led before its token is told.
            let old_term = said.token.is_some_and(|token| Some(token) <= *ended);
            said.leading == Some(true) && said.asked_ns > Some(seen.boottime_ns) && old_term
        });
        if let Some((seen, _)) = leads_on {
            return Some((seen, said));
        }
        newest = newest.max(said.token);
    }
    None
}

fn sample(said: &Said) -> Option<Result<Sample>> {
    let leading = said.leading?;
    let asked = said.asked_ns.unwrap_or(said.boottime_ns);
    let taken = Span::new(Nanos(asked), Nanos(said.boottime_ns)).map_err(anyhow::Error::from);
    Some(taken.map(|taken| Sample { taken, leading, token: said.token.filter(|_| leading) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Said> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn an_answer_in_the_old_term_after_another_holder_was_seen_is_found() {
        let lines = lines(
            r#"{"event":"started","boottime_ns":10,"token":7}
               {"event":"new_leader","boottime_ns":20,"leader":"app-1_1"}
               {"event":"sample","boottime_ns":30,"asked_ns":25,"leading":true,"token":7}"#,
        );
        assert_eq!(led_after_foreign_holder("app-0", &lines).unwrap().1.boottime_ns, 30);
        assert!(led_after_foreign_holder("app-1", &lines).is_none(), "it is the holder");
    }

    /// On a busy machine the answer was there before the line that says that the new term has started.
    #[test]
    fn an_answer_in_a_new_term_or_to_an_earlier_question_is_none() {
        let lines = lines(
            r#"{"event":"started","boottime_ns":10,"token":7}
               {"event":"new_leader","boottime_ns":20,"leader":"app-1_1"}
               {"event":"sample","boottime_ns":21,"asked_ns":19,"leading":true,"token":7}
               {"event":"sample","boottime_ns":30,"asked_ns":25,"leading":true,"token":9}
               {"event":"started","boottime_ns":31,"token":9}"#,
        );
        assert!(led_after_foreign_holder("app-0", &lines).is_none());
    }
}
