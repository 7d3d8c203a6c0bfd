//! What goes into the machine and what comes out.

use std::fmt;
use std::time::Duration;

use http::{Request, Response};

use crate::answer::{Reason, Refusal};
use crate::clocks::Reading;
use crate::fencing::FencingToken;
use crate::health::Health;

/// Numbers a request, so that an answer that comes after it was given up is known as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Numbers a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId(pub(crate) u64);

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Begin to campaign. Once, first.
    Start,
    /// The time named by [`Effects::wake_after`] has come, or any other reason to look at the clocks.
    Wake,
    /// A request has ended. The reading that comes with it is taken after the last byte of the answer.
    Answer(RequestId, Delivery),
    /// The watch was answered with 200.
    WatchOpened(WatchId),
    /// A whole line of the watch.
    WatchLine(WatchId, Vec<u8>),
    /// The watch has ended, was refused, or could not be opened.
    WatchEnded(WatchId, Option<Delivery>),
    /// The work of the term has ended, by itself or killed.
    WorkEnded,
    /// What a check of this candidate's health has found; also before [`Input::Start`].
    Health(Health),
    /// When the work of the present term last gave a sign of life. With a heartbeat deadline, it comes right before every
    /// other input while work leads, so that the latest is known.
    Heartbeat(Reading),
    /// Hand leadership over, and campaign again later.
    StepDown,
    /// Hand leadership over, and finish.
    Stop,
}

/// How a request ended.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// A whole answer.
    Response(Response<Vec<u8>>),
    /// No answer, or half of one: a write may have happened, or may still happen.
    Lost(String),
}

/// Something to do, in order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send at once. `fresh` asks for a new connection, since the last one may be dead.
    Send {
        /// To be given back with the answer.
        id: RequestId,
        /// The request, with a path and without an authority.
        request: Request<Vec<u8>>,
        /// Whether an idle connection must not be used.
        fresh: bool,
    },
    /// Drop this request, with its connection.
    Abandon(RequestId),
    /// Open a watch; its lines come back as they arrive.
    OpenWatch(WatchId, Request<Vec<u8>>),
    /// Drop this watch.
    CloseWatch(WatchId),
    /// Start the work of this term.
    StartWork {
        /// The term's fencing token.
        token: FencingToken,
        /// The term's transitions.
        transitions: i32,
    },
    /// The work must end by itself; [`Input::WorkEnded`] says that it has.
    StopWork(StopReason),
    /// The work must be ended now, by force.
    KillWork(StopReason),
    /// Tell the user, in order.
    Tell(Change),
    /// Count and log.
    Note(Note),
    /// The candidate has finished; nothing follows.
    Finish(Result<(), Failure>),
}

/// Effects of one input.
#[derive(Debug, Default)]
pub struct Effects {
    /// In order.
    pub list: Vec<Effect>,
    /// How long the machine may sleep if nothing else happens; `None` for ever.
    pub wake_after: Option<Duration>,
    /// Until when what holds, counted from the reading of this call. To be published before the list is carried
    /// out, so that nobody leads while a release is under way.
    pub limits: Limits,
}

/// Time that is left, each from the reading of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Until `lead_until`, on [`Reading::elapsed_for_leading`](crate::Reading::elapsed_for_leading); `None` if
    /// this candidate does not lead.
    pub lead_for: Option<Duration>,
    /// Until `valid_until`, on [`Reading::elapsed_for_stopping`](crate::Reading::elapsed_for_stopping); `None`
    /// if there is no work.
    pub valid_for: Option<Duration>,
    /// Until the work is killed, on the same; `None` if there is no work.
    pub kill_in: Option<Duration>,
}

/// A change of state, told in order and never dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// This candidate leads.
    Started {
        /// The term's fencing token.
        token: FencingToken,
        /// The term's transitions.
        transitions: i32,
    },
    /// `is_leader()` has ended; the work is ending.
    Stopping {
        /// Why.
        reason: StopReason,
    },
    /// The work of the term has ended.
    Stopped {
        /// Whether the lease was released, so that the next leader need not wait.
        released: bool,
    },
    /// Somebody else, or nobody (`""`), is seen as holder for the first time. This candidate's own terms count.
    NewLeader {
        /// The holder's identity.
        holder: String,
    },
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { token, transitions } => {
                write!(f, "started leading with token {token} (transitions {transitions})")
            }
            Self::Stopping { reason } => write!(f, "stopping: {reason}"),
            Self::Stopped { released: true } => f.write_str("stopped leading, lease released"),
            Self::Stopped { released: false } => f.write_str("stopped leading, lease not released"),
            Self::NewLeader { holder } if holder.is_empty() => f.write_str("no leader"),
            Self::NewLeader { holder } => write!(f, "new leader {holder}"),
        }
    }
}

/// Why a term ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The candidate was asked to stop.
    Requested,
    /// The candidate was asked to step down.
    StepDown,
    /// The work ended by itself.
    WorkEnded,
    /// The candidate is not fit to lead any more.
    Unhealthy {
        /// What is wrong.
        reason: String,
    },
    /// The work gave no sign of life in time.
    NoHeartbeat {
        /// How long it may be silent.
        deadline: Duration,
    },
    /// No renewal was confirmed in time.
    Expired,
    /// Another holder or term was seen.
    OtherHolder {
        /// Its identity; empty if the holder was cleared.
        holder: String,
    },
    /// The server refused the renewal, since the Lease is not what it was.
    Refused,
    /// The Lease is gone, or is another object.
    LeaseMissing,
    /// Another process writes as this identity.
    Duplicate,
    /// The store was restored from a backup.
    Restored,
}

impl StopReason {
    /// Whether the lease is still held and renewed while the work ends.
    pub fn is_planned(&self) -> bool {
        match self {
            Self::Requested
            | Self::StepDown
            | Self::WorkEnded
            | Self::Unhealthy { .. }
            | Self::NoHeartbeat { .. } => true,
            Self::Expired
            | Self::OtherHolder { .. }
            | Self::Refused
            | Self::LeaseMissing
            | Self::Duplicate
            | Self::Restored => false,
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("asked to stop"),
            Self::StepDown => f.write_str("asked to step down"),
            Self::WorkEnded => f.write_str("the work ended by itself"),
            Self::Unhealthy { reason } => write!(f, "unhealthy: {reason}"),
            Self::NoHeartbeat { deadline } => write!(f, "the work gave no sign of life for {deadline:?}"),
            Self::Expired => f.write_str("no renewal was confirmed in time"),
            Self::OtherHolder { holder } if holder.is_empty() => f.write_str("somebody cleared the holder"),
            Self::OtherHolder { holder } => write!(f, "{holder} holds the lease"),
            Self::Refused => f.write_str("the lease is not what it was at the last renewal"),
            Self::LeaseMissing => f.write_str("the lease was deleted or replaced"),
            Self::Duplicate => f.write_str("another process writes with this identity"),
            Self::Restored => f.write_str("the store of the API server went back to an older state"),
        }
    }
}

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Read the Lease.
    Read,
    /// Watch the Lease.
    Watch,
    /// Acquire the lease, or create the Lease as held.
    Acquire,
    /// Renew the lease.
    Renew,
    /// Release the lease.
    Release,
}

impl Operation {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Watch => "watch",
            Self::Acquire => "acquire",
            Self::Renew => "renew",
            Self::Release => "release",
        }
    }

    /// The RBAC verb that it needs. An absent Lease needs `update` and, by name, `create`.
    pub fn rbac_verb(self) -> &'static str {
        match self {
            Self::Read => "get",
            Self::Watch => "watch",
            Self::Acquire | Self::Renew | Self::Release => "patch",
        }
    }
}

/// Something to count and to log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A request has ended.
    Answered {
        /// What it was for.
        operation: Operation,
        /// Its HTTP method.
        verb: &'static str,
        /// How it ended.
        result: Result<(), Refusal>,
        /// How long it took.
        elapsed: Duration,
        /// Whether it counts as a failure to renew, or to obtain the Lease while no leader is known.
        counts: bool,
    },
    /// The watch speaks, or no longer does.
    Watch {
        /// Whether it is open.
        up: bool,
        /// Why it ended, unless that is as usual.
        refusal: Option<Refusal>,
    },
    /// Something that a person must look into.
    Trouble(Refusal),
    /// This candidate has become healthy or unhealthy.
    Health(Health),
    /// Nobody would lead: this candidate campaigns, or leads, although it is unhealthy.
    Degraded {
        /// Whether it leads.
        leads: bool,
        /// What is wrong with it.
        reason: String,
    },
    /// The watch of the holder's Pod speaks, or no longer does; the lease expires as ever without it.
    PodWatch {
        /// Whether it is open.
        up: bool,
        /// Why it ended, unless that is as usual.
        refusal: Option<Refusal>,
    },
    /// Take-overs by evidence are not possible for now, as is told once. It is tried again rarely.
    EvidenceOff {
        /// What was refused: the watch of the Pod, or an acquisition before the lease had expired.
        operation: Operation,
        /// Why.
        refusal: Refusal,
    },
    /// The term that begins was acquired before its lease had expired, since the kubelet has reported that this holder's
    /// process has ended.
    TakenOverByEvidence {
        /// The identity of the former holder.
        holder: String,
    },
}

/// Why a candidate ended without having been asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// `OnMissing::Fail`, and the Lease is not there.
    #[error(
        "lease {lease} does not exist; create it (an empty spec will do), or let the candidate create it with on-missing `create`"
    )]
    Missing {
        /// Namespace and name.
        lease: String,
    },
}

/// State of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Holds the lease, before `lead_until`.
    Leader,
    /// Knows the holder, or that there is none.
    Standby,
    /// Does not lead any more; its work is ending, or its release is under way.
    Stopping,
    /// Cannot tell who leads.
    Unknown,
}

impl State {
    /// The word in logs, JSON and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Standby => "standby",
            Self::Stopping => "stopping",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Refusal {
    pub(crate) fn of(reason: Reason, message: impl Into<String>) -> Self {
        Self::new(reason, 0, message.into(), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A refused request is answered with what the Role has to allow.
    #[test]
    fn each_operation_names_the_verb_that_it_needs() {
        let verbs =
            [Operation::Read, Operation::Watch, Operation::Acquire, Operation::Renew, Operation::Release]
                .map(Operation::rbac_verb);
        assert_eq!(verbs, ["get", "watch", "patch", "patch", "patch"]);
    }

    #[test]
    fn a_lease_is_renewed_during_a_planned_stop_only() {
        assert!(StopReason::Requested.is_planned() && StopReason::StepDown.is_planned());
        assert!(StopReason::WorkEnded.is_planned());
        for lost in [StopReason::Expired, StopReason::Refused, StopReason::LeaseMissing, StopReason::Restored]
        {
            assert!(!lost.is_planned(), "{lost}");
        }
    }
}
