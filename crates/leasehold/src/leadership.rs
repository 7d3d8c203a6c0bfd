//! One term, as the work sees it.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use leasehold_election::{FencingToken, LeaseName, Limits, Reading, State, StopReason};
use tokio::sync::{Notify, watch};

use crate::handle::{Shared, Status};
use crate::machine::Machine;
use pulse::Pulse;

mod pulse;

/// Leadership for one term. Clones are the same term.
#[derive(Clone, Debug)]
pub struct Leadership {
    shared: Arc<Term>,
}

impl Leadership {
    pub(crate) fn new(shared: Arc<Term>) -> Self {
        Self { shared }
    }

    pub(crate) fn term(&self) -> &Arc<Term> {
        &self.shared
    }

    /// The term's fencing token, larger than that of every earlier term: send it along with each write.
    pub fn token(&self) -> FencingToken {
        self.shared.token
    }

    /// The term's `spec.leaseTransitions`.
    pub fn transitions(&self) -> i32 {
        self.shared.transitions
    }

    /// This candidate's identity.
    pub fn identity(&self) -> &str {
        &self.shared.identity
    }

    /// The Lease's namespace.
    pub fn namespace(&self) -> &str {
        self.shared.lease.namespace()
    }

    /// The Lease's name.
    pub fn lease(&self) -> &str {
        self.shared.lease.name()
    }

    /// Says whether this term still leads *now*, by reading the clocks. Call it before each act that only a leader
    /// may do. It cannot stop time between the check and the act: the fencing token covers that gap.
    ///
    /// # Errors
    ///
    /// [`NotLeader`] once the term has ended, for ever.
    pub fn check(&self) -> Result<(), NotLeader> {
        if self.shared.leads() { Ok(()) } else { Err(NotLeader { lease: self.shared.lease.to_string() }) }
    }

    /// Says that the work lives and gets on. With [`CandidateBuilder::heartbeat_deadline`], work that does not say so in time
    /// leads no more: [`Leadership::check`] fails at once, and the work is stopped as planned. The begin of the term counts
    /// as the first time. Takes no lock, and about as long as [`Leadership::check`].
    ///
    /// Call it where work is *done*, not from a timer beside it: a timer goes on though the work hangs.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn next_job() {}
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let candidate = leasehold::Candidate::builder("production", "my-service-leader")
    ///     .heartbeat_deadline(Duration::from_secs(30))
    ///     .build()?;
    /// candidate
    ///     .run(|leadership| async move {
    ///         while leadership.check().is_ok() {
    ///             next_job().await;
    ///             leadership.heartbeat();
    ///         }
    ///     })
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`CandidateBuilder::heartbeat_deadline`]: crate::CandidateBuilder::heartbeat_deadline
    pub fn heartbeat(&self) {
        self.shared.beat();
    }

    /// End of leadership as of the latest renewal.
    pub fn lead_until(&self) -> Deadline {
        self.shared.limits().lead_until()
    }

    /// When the work must be over, as of the latest renewal.
    pub fn valid_until(&self) -> Deadline {
        self.shared.limits().valid_until()
    }

    /// Time left until [`Leadership::valid_until`], read from the clocks now; zero once it is over. In a planned stop it is
    /// renewed as long as the work runs.
    pub fn valid_for(&self) -> Duration {
        self.shared.valid_for()
    }

    /// Waits until the work has to stop.
    pub async fn stopping(&self) -> StopReason {
        let mut stopping = self.shared.stopping.subscribe();
        match stopping.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(StopReason::Expired),
            Err(_) => StopReason::Expired,
        }
    }

    /// The renewals of this term from now on, none of them missed between two calls.
    pub fn renewals(&self) -> Renewals {
        Renewals { leadership: self.clone(), renewals: self.shared.renewals.subscribe() }
    }
}

/// The renewals of one term.
#[derive(Clone, Debug)]
pub struct Renewals {
    leadership: Leadership,
    renewals: watch::Receiver<()>,
}

impl Renewals {
    /// Waits until `lead_until` has moved on. `None` once the work has to stop.
    pub async fn next(&mut self) -> Option<()> {
        tokio::select! {
            biased;
            _ = self.leadership.stopping() => None,
            changed = self.renewals.changed() => changed.ok(),
        }
    }
}

/// The term is over.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not lead under lease {lease}")]
pub struct NotLeader {
    lease: String,
}

/// An instant on two clocks: BOOTTIME, which processes of one machine may compare, and the wall clock, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Nanoseconds of `CLOCK_BOOTTIME`.
    pub boottime_ns: u64,
    /// The wall clock at that instant, unless it is stepped before.
    pub realtime: Timestamp,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.realtime.fmt(f)
    }
}

/// What the driver and the work share of one term.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) token: FencingToken,
    pub(crate) transitions: i32,
    identity: String,
    lease: LeaseName,
    limits: RwLock<Published>,
    /// Once seen as over, by whomever, it is over: a clock that is set back must not revive it.
    over: AtomicBool,
    /// Wakes the driver when a check has found the term over before the driver did.
    found_over: Arc<Notify>,
    machine: Machine,
    /// The work's signs of life, if they are waited for.
    pulse: Option<Pulse>,
    work_ended: AtomicBool,
    stopping: watch::Sender<Option<StopReason>>,
    renewals: watch::Sender<()>,
}

/// Limits with the reading they count from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Published {
    pub(crate) from: Reading,
    pub(crate) limits: Limits,
}

impl Published {
    pub(crate) fn lead_until(&self) -> Deadline {
        self.deadline(self.limits.lead_for)
    }

    pub(crate) fn valid_until(&self) -> Deadline {
        self.deadline(self.limits.valid_for)
    }

    fn deadline(&self, after: Option<Duration>) -> Deadline {
        let after = after.unwrap_or_default();
        Deadline {
            boottime_ns: u64::try_from((self.from.boottime + after).as_nanos()).unwrap_or(u64::MAX),
            realtime: self.from.realtime.saturating_add(after).unwrap_or(Timestamp::MAX),
        }
    }
}

impl Term {
    pub(crate) fn new(
        token: FencingToken,
        transitions: i32,
        identity: String,
        lease: LeaseName,
        published: Published,
        heartbeat_deadline: Option<Duration>,
        candidate: &Shared,
    ) -> Self {
        Self {
            token,
            transitions,
            identity,
            lease,
            limits: RwLock::new(published),
            over: AtomicBool::new(published.limits.lead_for.is_none()),
            found_over: Arc::clone(&candidate.found_over),
            machine: candidate.machine,
            pulse: heartbeat_deadline.map(|deadline| Pulse::new(deadline, &published.from)),
            work_ended: AtomicBool::new(false),
            stopping: watch::Sender::new(None),
            renewals: watch::Sender::new(()),
        }
    }

    /// Whether the term leads at this instant.
    pub(crate) fn leads(&self) -> bool {
        if self.over.load(Ordering::SeqCst) {
            return false;
        }
        // The limits first, then the clocks: never a new limit with an old time.
        let Published { from, limits } = self.limits();
        let lead_for = limits.lead_for.unwrap_or_default();
        let now = self.machine.now();
        let alive = self.pulse.as_ref().is_none_or(|pulse| pulse.is_in_time(&now));
        let leads = alive && now.elapsed_for_leading(&from) < lead_for;
        if !leads && !self.over.swap(true, Ordering::SeqCst) {
            self.found_over.notify_one();
        }
        leads && !self.over.load(Ordering::SeqCst)
    }

    /// A sign of life of the work; one that comes too late is none.
    fn beat(&self) {
        if let Some(pulse) = self.pulse.as_ref().filter(|_| !self.is_over()) {
            pulse.beat(&self.machine.now());
        }
    }

    /// The latest sign of life, as the elector wants to know it while the term leads.
    pub(crate) fn heartbeat(&self) -> Option<Reading> {
        self.pulse.as_ref().filter(|_| !self.is_over()).map(|pulse| pulse.latest(self.limits().from))
    }

    /// Writes into a status what is true as long as this term leads.
    pub(crate) fn describe(&self, status: &mut Status) {
        let published = self.limits();
        status.state = State::Leader;
        status.holder = Some(self.identity.clone());
        status.token = Some(self.token.get());
        status.transitions = Some(self.transitions);
        status.lead_until = Some(published.lead_until());
        status.valid_until = Some(published.valid_until());
    }

    /// Time until `valid_until`, if work may still run.
    pub(crate) fn valid_for(&self) -> Duration {
        let Published { from, limits } = self.limits();
        limits.valid_for.unwrap_or_default().saturating_sub(self.machine.now().elapsed_for_stopping(&from))
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    pub(crate) fn limits(&self) -> Published {
        *self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn publish(&self, published: Published) {
        if published.limits.lead_for.is_none() {
            self.over.store(true, Ordering::SeqCst);
        }
        let mut limits = self.limits.write().unwrap_or_else(PoisonError::into_inner);
        let renewed = !self.is_over()
            && published.lead_until().boottime_ns > limits.lead_until().boottime_ns + MOVED_NS;
        *limits = published;
        drop(limits);
        if renewed {
            self.renewals.send_replace(());
        }
    }

    pub(crate) fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    pub(crate) fn stop(&self, reason: StopReason) {
        self.end();
        self.stopping.send_if_modified(|stopping| {
            let first = stopping.is_none();
            stopping.get_or_insert(reason);
            first
        });
    }

    pub(crate) fn note_work_ended(&self) {
        self.end();
        self.work_ended.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_work_ended(&self) -> bool {
        self.work_ended.load(Ordering::SeqCst)
    }
}

/// Readings differ by less than this in how they place one instant; a renewal moves it by a second or more.
const MOVED_NS: u64 = 100_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn term(lead_for: Duration) -> Term {
        term_with_heartbeats(lead_for, None)
    }

    fn term_with_heartbeats(lead_for: Duration, deadline: Option<Duration>) -> Term {
        let limits = Limits { lead_for: Some(lead_for), valid_for: Some(lead_for), kill_in: Some(lead_for) };
        let published = Published { from: Machine::HERE.now(), limits };
        let lease = LeaseName::new("prod", "db").unwrap();
        let (candidate, _commands) = Shared::new(&lease, "me", Machine::HERE);
        Term::new(FencingToken::new(7), 1, "me".to_owned(), lease, published, deadline, &candidate)
    }

    #[test]
    fn a_check_needs_no_driver_to_see_that_time_is_over() {
        assert!(term(Duration::from_secs(60)).leads());
        assert!(!term(Duration::ZERO).leads());
    }

    #[test]
    fn work_without_a_sign_of_life_leads_no_more_though_no_driver_looks() {
        let (minute, instant) = (Duration::from_secs(60), Duration::from_nanos(1));
        assert!(term_with_heartbeats(minute, Some(minute)).leads());
        let term = term_with_heartbeats(minute, Some(instant));
        assert!(!term.leads());
        term.beat();
        assert!(!term.leads(), "it came too late");
        assert_eq!(term.heartbeat(), None);
    }

    #[test]
    fn a_term_that_was_found_over_is_not_revived_by_later_limits() {
        let term = term(Duration::ZERO);
        assert!(!term.leads());
        let minute = Some(Duration::from_secs(60));
        let limits = Limits { lead_for: minute, valid_for: minute, kill_in: minute };
        term.publish(Published { from: Machine::HERE.now(), limits });
        assert!(!term.leads());
    }
}
