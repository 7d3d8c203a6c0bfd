//! Rules that are seen broken at the very moment.

use std::rc::Rc;
use std::time::Duration;

use leasehold_election::{Delivery, Limits, Operation};

use leasehold_history::Nanos;

use super::World;
use super::log::{Applied, Lease, Sent};
use super::shown::Reader;
use crate::candidate::{Happening, Told};
use crate::clocks::{after, nanos};
use crate::fault::{FaultKind, Target};

impl World {
    /// Whether this leader is about to see that the Lease is another's (S10).
    pub(super) fn shows_another_holder(&mut self, process: usize, happening: &Happening) -> bool {
        let running = &self.processes[process];
        let Some(term) = running.term.as_ref().filter(|term| !term.over) else { return false };
        let shown = match happening {
            // What a watch that was closed still says is not looked at.
            Happening::WatchLine(id, line) if running.watch.is_some_and(|(open, _)| open == *id) => {
                let line =
                    self.reader.line(line).filter(|line| matches!(line.kind.as_str(), "ADDED" | "MODIFIED"));
                line.and_then(|line| line.lease.clone())
            }
            Happening::Answer(_, Delivery::Response(response)) if response.status().is_success() => {
                self.reader.body(response.body())
            }
            _ => None,
        };
        let Some(shown) = shown else { return false };
        let newest = running.newest_seen.max(term.token);
        let foreign = !shown.holder.is_empty() && shown.holder != running.identity;
        if shown.version < newest {
            return false;
        }
        self.processes[process].newest_seen = shown.version;
        foreign
    }

    pub(super) fn check_step(
        &mut self,
        process: usize,
        limits: Limits,
        says_leader: bool,
        saw_another_holder: bool,
    ) {
        let leads = limits.lead_for.is_some();
        if saw_another_holder && leads {
            self.violate("S10", format!("#{process} saw another holder, and leads on"));
        }
        if says_leader && !leads {
            self.violate("S11", format!("#{process} says leader without leading"));
        }
        let told = self.log.processes[process].told.last();
        if leads && matches!(told, Some(Told::Stopping | Told::Stopped) | None) {
            self.violate("S9", format!("#{process} leads outside of a term"));
        }
    }

    /// S6: what a write that was carried out found there.
    pub(super) fn check_applied(&mut self, applied: &Applied) {
        let Applied { process, operation, before, after, .. } = applied;
        let identity = self.processes[*process].identity.clone();
        match (operation, before) {
            (Operation::Renew | Operation::Release, Some(before)) => {
                let own = before.holder == identity && before.transitions == after.transitions;
                if !own {
                    let what = format!("{operation} of #{process} changed the record of {:?}", before.holder);
                    self.violate("S6", what);
                }
            }
            (_, None) | (Operation::Acquire | Operation::Read | Operation::Watch, Some(_)) => {}
        }
    }

    pub(super) fn note_sent(&mut self, process: usize, operation: Operation) {
        self.log.sent.push(Sent { at: self.now, process, operation });
    }

    /// L5: nobody loses a term to its own writes.
    pub(super) fn check_duplicate(&mut self, process: usize) {
        let twins = self.plan.candidates.iter().any(|candidate| candidate.identity.is_some());
        let edited = self.log.matrix.keys().any(|(kind, _)| kind.target() == Target::Lease);
        if !twins && !edited {
            self.violate("L5", format!("#{process} took its own renewal for another's"));
        }
    }

    /// The answer to the request under way, if this is one.
    pub(super) fn answer_to(&mut self, process: usize, happening: &Happening) -> Option<(u64, Heard)> {
        let Happening::Answer(id, Delivery::Response(response)) = happening else { return None };
        let (_, operation) = self.processes[process].asking.take_if(|(asking, _)| asking == id)?;
        let header = response.headers().get(http::header::RETRY_AFTER);
        let seconds = header.and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = seconds.map(Duration::from_secs);
        Some((*id, Heard { operation, success: response.status().is_success(), retry_after }))
    }

    /// Takes down until when the server wants no more, or that it has carried something out since.
    pub(super) fn note_answer(&mut self, process: usize, heard: Heard) {
        let Heard { operation, success, retry_after } = heard;
        if success {
            self.processes[process].quiet = None;
            return;
        }
        self.log.refusals.push(self.now);
        let Some(retry_after) = retry_after else { return };
        let plan = &self.plan.candidates[self.processes[process].machine];
        // An hour asked for must not cost an hour without a leader.
        let longest = (plan.timing.retry_period() * 15).min(plan.timing.lease_duration() * 5 / 6);
        let until = after(self.now, plan.at_least(retry_after.min(longest)));
        let waits_until = after(self.now, longest * 2);
        let before = self.processes[process].quiet.take();
        let releases_again = if operation == Operation::Release { until } else { Nanos(0) };
        let until = before.map_or(until, |before| before.until.max(until));
        self.processes[process].quiet = Some(Quiet { until, waits_until, releases_again, operation });
    }

    /// L4: what was refused with Retry-After is followed by nothing sooner, but for what a term needs before its end: a
    /// last attempt to renew it, with the look that this may need, and a first attempt to release it (DESIGN 4).
    pub(super) fn check_quiet(&mut self, process: usize, operation: Operation) {
        let Some(quiet) = self.processes[process].quiet.filter(|quiet| self.now < quiet.until) else {
            return;
        };
        let excused = match operation {
            Operation::Watch => true,
            Operation::Release => self.now >= quiet.releases_again,
            Operation::Read | Operation::Renew => self.has_one_attempt_left(process),
            Operation::Acquire => false,
        };
        if !excused {
            let asked = quiet.operation;
            let what = format!("{operation} of #{process} sooner than Retry-After of its {asked} allows");
            self.violate("L4", what);
        }
    }

    /// Whether the term of this process would end if its next attempt came later than now.
    fn has_one_attempt_left(&self, process: usize) -> bool {
        let running = &self.processes[process];
        let Some(term) = &running.term else { return false };
        let now = self.reading(process);
        let plan = &self.plan.candidates[running.machine];
        let left = match (term.limits.lead_for, term.limits.valid_for) {
            (Some(lead_for), _) => lead_for.saturating_sub(now.elapsed_for_leading(&term.from)),
            (None, Some(valid_for)) => valid_for
                .saturating_sub(now.elapsed_for_stopping(&term.from))
                .saturating_sub(plan.timing.stop_budget()),
            (None, None) => return false,
        };
        left <= plan.timing.attempt_timeout() + TIMER_SLACK
    }

    /// What this tells a process of whether there is a Lease, unless it comes from a watch that was closed, or too late.
    pub(super) fn sight_of(&mut self, process: usize, happening: &Happening) -> Option<Sight> {
        let running = &self.processes[process];
        match happening {
            Happening::WatchLine(id, _) if running.listening != Some(*id) => None,
            Happening::Answer(id, _) if running.asking.is_none_or(|(asking, _)| asking != *id) => None,
            happening => Sight::of(&mut self.reader, happening),
        }
    }

    /// Notes since when a process knows that there is no Lease.
    pub(super) fn note_sight(&mut self, process: usize, sight: &Sight) {
        let is_standby = self.is_standby(process);
        let running = &mut self.processes[process];
        // What is older than what was seen before is no sight: an answer may come after the event of the deletion.
        let version = sight.version.unwrap_or(running.newest_sight);
        if version < running.newest_sight {
            return;
        }
        running.newest_sight = version;
        if self.healed && is_standby {
            self.log.shown.push((self.now, version));
        }
        running.missing_since = if sight.missing { running.missing_since.or(Some(self.now)) } else { None };
        self.note_holder(process, sight);
    }

    /// S7: whoever creates the Lease has known for its own lease duration that there is none. That another Lease may have
    /// come and gone unseen is a known limit: somebody deleted a Lease whose holder may live.
    pub(super) fn check_creation(&mut self, process: usize) {
        // What is older than what is known is no sight of a Lease, nor is what comes after its request was given up, and
        // nobody can wait by such clocks.
        let excused = [FaultKind::StoreRestored, FaultKind::RateBeyondBound, FaultKind::DriverStarved];
        if self.plan.has_any(&excused) {
            return;
        }
        let plan = &self.plan.candidates[self.processes[process].machine];
        let wait = plan.at_least(plan.timing.lease_duration());
        let since = self.processes[process].missing_since;
        let waited = since.map_or(Nanos(0), |since| self.now.since(since));
        if waited < Nanos(nanos(wait)) {
            self.violate("S7", format!("#{process} creates the Lease without having waited"));
        }
    }
}

/// An answer that a candidate has heard.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    operation: Operation,
    success: bool,
    retry_after: Option<Duration>,
}

/// A server wants no requests for a while.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quiet {
    until: Nanos,
    /// By then the candidate has waited enough by any clock, though it may have stood still for a while.
    waits_until: Nanos,
    /// A refused release is not sent again before.
    releases_again: Nanos,
    /// What it has refused so.
    operation: Operation,
}

impl Quiet {
    pub(super) fn waits_until(self) -> Nanos {
        self.waits_until
    }
}

/// A term's limits are told rounded, and timers are late.
const TIMER_SLACK: Duration = Duration::from_millis(150);

/// What an event or an answer tells of whether there is a Lease.
pub(super) struct Sight {
    missing: bool,
    /// The request that this answers.
    pub(super) answers: Option<u64>,
    /// Of the Lease, or of its deletion; a 404 shows none.
    version: Option<u64>,
    lease: Option<Rc<Lease>>,
}

impl Sight {
    /// The Lease that it shows.
    pub(super) fn lease(&self) -> Option<&Lease> {
        self.lease.as_deref()
    }

    fn of(reader: &mut Reader, happening: &Happening) -> Option<Self> {
        match happening {
            Happening::WatchLine(_, line) => {
                let line = reader.line(line)?;
                let missing = line.kind == "DELETED";
                let tells = missing || matches!(line.kind.as_str(), "ADDED" | "MODIFIED");
                let lease = line.lease.as_ref().filter(|_| tells)?;
                let shown = (!missing).then(|| Rc::clone(lease));
                Some(Self { missing, answers: None, version: Some(lease.version), lease: shown })
            }
            Happening::Answer(id, Delivery::Response(response)) => match response.status().as_u16() {
                404 if String::from_utf8_lossy(response.body()).contains(r#""kind":"leases""#) => {
                    Some(Self { missing: true, answers: Some(*id), version: None, lease: None })
                }
                200 | 201 => {
                    let lease = reader.body(response.body())?;
                    Some(Self {
                        missing: false,
                        answers: Some(*id),
                        version: Some(lease.version),
                        lease: Some(lease),
                    })
                }
                _ => None,
            },
            _ => None,
        }
    }
}
