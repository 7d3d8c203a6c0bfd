//! Rules that are seen broken at the very moment.

use std::time::Duration;

use leasehold_election::{Delivery, Limits, Operation};

use super::World;
use super::log::Applied;
use super::shown::Reader;
use crate::candidate::{Happening, Told};
use crate::clocks::after;
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

    /// L2: nobody loses a term to its own writes.
    pub(super) fn check_duplicate(&mut self, process: usize) {
        let twins = self.plan.candidates.iter().any(|candidate| candidate.identity.is_some());
        let edited = self.log.matrix.keys().any(|(kind, _)| kind.target() == Target::Lease);
        if !twins && !edited {
            self.violate("L2", format!("#{process} took its own renewal for another's"));
        }
    }

    /// L4: a standby that was asked to wait before it reads again waits.
    pub(super) fn note_throttling(&mut self, process: usize, operation: Operation, delivery: &Delivery) {
        let Delivery::Response(response) = delivery else { return };
        let header = response.headers().get(http::header::RETRY_AFTER);
        let Some(seconds) = header.and_then(|value| value.to_str().ok()?.parse().ok()) else { return };
        // An answer that comes after its request was given up is not heard, and nobody can wait by such clocks.
        let excused = [FaultKind::RateBeyondBound, FaultKind::DriverStarved, FaultKind::Frozen];
        if operation == Operation::Read && !self.plans_any(&excused) {
            // An hour asked for must not cost an hour without a leader.
            let timing = &self.plan.candidates[self.processes[process].machine].timing;
            let longest = (timing.retry_period() * 15).min(timing.lease_duration() * 5 / 6);
            let wait = Duration::from_secs(seconds).min(longest) * 8 / 10;
            self.processes[process].quiet_until = after(self.now, wait);
        }
    }

    pub(super) fn check_quiet(&mut self, process: usize, operation: Operation) {
        match operation {
            Operation::Read if self.now < self.processes[process].quiet_until => {
                self.violate("L4", format!("#{process} reads sooner than Retry-After allows"));
            }
            // After a write there is something new to learn.
            Operation::Acquire => self.processes[process].quiet_until = self.now,
            Operation::Read | Operation::Watch | Operation::Renew | Operation::Release => {}
        }
    }

    /// Notes since when a process knows that there is no Lease, and that something else was heard than a throttling.
    pub(super) fn note_sight(&mut self, process: usize, happening: &Happening) {
        let Some(sight) = Sight::of(&mut self.reader, happening) else { return };
        let running = &mut self.processes[process];
        // What is older than what was seen before is no sight: an answer may come after the event of the deletion.
        let version = sight.version.unwrap_or(running.newest_sight);
        if version < running.newest_sight {
            return;
        }
        running.newest_sight = version;
        running.missing_since = if sight.missing { running.missing_since.or(Some(self.now)) } else { None };
    }

    fn plans_any(&self, kinds: &[FaultKind]) -> bool {
        self.plan.faults.iter().any(|fault| kinds.contains(&fault.kind))
    }

    /// S7: whoever creates the Lease has known for its own lease duration that there is none. That another Lease may have
    /// come and gone unseen is a known limit: somebody deleted a Lease whose holder may live.
    pub(super) fn check_creation(&mut self, process: usize) {
        // What is older than what is known is no sight of a Lease, nor is what comes after its request was given up, and
        // nobody can wait by such clocks.
        let excused = [FaultKind::StoreRestored, FaultKind::RateBeyondBound, FaultKind::DriverStarved];
        if self.plans_any(&excused) {
            return;
        }
        let plan = &self.plan.candidates[self.processes[process].machine];
        let million = 1_000_000_u128;
        let error = u128::try_from(plan.rate_error_ppm).unwrap_or(0);
        let wait = plan.timing.lease_duration().as_nanos() * million / (million + error);
        let since = self.processes[process].missing_since;
        let waited = since.map_or(0, |since| u128::from(self.now.since(since).0));
        if waited < wait {
            self.violate("S7", format!("#{process} creates the Lease without having waited"));
        }
    }
}

/// What an event or an answer tells of whether there is a Lease.
struct Sight {
    missing: bool,
    /// Of the Lease, or of its deletion; a 404 shows none.
    version: Option<u64>,
}

impl Sight {
    fn of(reader: &mut Reader, happening: &Happening) -> Option<Self> {
        match happening {
            Happening::WatchLine(_, line) => {
                let line = reader.line(line)?;
                let missing = line.kind == "DELETED";
                let tells = missing || matches!(line.kind.as_str(), "ADDED" | "MODIFIED");
                let lease = line.lease.as_ref().filter(|_| tells)?;
                Some(Self { missing, version: Some(lease.version) })
            }
            Happening::Answer(_, Delivery::Response(response)) => match response.status().as_u16() {
                404 if String::from_utf8_lossy(response.body()).contains(r#""kind":"leases""#) => {
                    Some(Self { missing: true, version: None })
                }
                200 | 201 => {
                    let lease = reader.body(response.body())?;
                    Some(Self { missing: false, version: Some(lease.version) })
                }
                _ => None,
            },
            _ => None,
        }
    }
}
