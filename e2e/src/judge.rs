//! What an electorate's lines show, for `history` to judge.

use anyhow::{Context as _, Result, ensure};
use leasehold_history as history;
use leasehold_history::{History, Nanos, Sample, Span, Term};

use crate::electorate::{Elector, Electorate, Member, Said};

impl Electorate {
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
        let mut foreign: Option<&Said> = None;
        let own = |leader: &str| leader.is_empty() || leader.starts_with(&format!("{}_", self.name));
        for said in &self.said {
            match said.event.as_str() {
                "new_leader" if said.leader.as_deref().is_some_and(|leader| !own(leader)) => {
                    foreign = Some(said)
                }
                "started" | "work_began" => foreign = None,
                "sample" => {
                    let leads = said.leading == Some(true);
                    ensure!(
                        !(leads && foreign.is_some_and(|foreign| said.asked_ns > Some(foreign.boottime_ns))),
                        "{} said that it leads after it had seen {foreign:?}: {said:?}",
                        self.name
                    );
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn sample(said: &Said) -> Option<Result<Sample>> {
    let leading = said.leading?;
    let asked = said.asked_ns.unwrap_or(said.boottime_ns);
    let taken = Span::new(Nanos(asked), Nanos(said.boottime_ns)).map_err(anyhow::Error::from);
    Some(taken.map(|taken| Sample { taken, leading, token: said.token.filter(|_| leading) }))
}
