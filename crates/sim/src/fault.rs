//! Everything that can go wrong in a world, by name.

use serde::Serialize;

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The way between one machine and the API servers, for a while.
    Path,
    /// All API servers, or the store behind them, for a while.
    Servers,
    /// One watch, or all of one machine.
    Watch,
    /// The Lease, by somebody who is no candidate.
    Lease,
    /// One process.
    Process,
    /// One machine with its clocks.
    Machine,
    /// What the API server shows of a Pod, or the Pod itself. Only in worlds with Pods.
    Pod,
}

impl FaultKind {
    /// Edits that change nothing of a Lease that nobody holds.
    pub(crate) fn needs_holder(self) -> bool {
        matches!(
            self,
            Self::HolderCleared
                | Self::DurationLengthened
                | Self::DurationShortened
                | Self::TransitionsLowered
                | Self::RenewTimeGarbage
        )
    }

    /// Why a cell of the matrix of faults and windows has to stay empty; none if it has not.
    pub fn never_in(self, window: &str) -> Option<&'static str> {
        match (self, window) {
            (Self::KilledAtAcquire, "idle" | "renew" | "release") => {
                Some("it strikes when an acquisition was carried out, and at no other moment")
            }
            (Self::Conflict | Self::PolicyDenies | Self::PolicyNotReady, "idle") => {
                Some("it refuses writes only, and nothing is idle while a write is under way")
            }
            _ => None,
        }
    }
}

macro_rules! faults {
    ($($kind:ident, $target:ident, $contract:literal, $sentence:literal;)+) => {
        /// A kind of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum FaultKind {
            $(#[doc = $sentence] $kind,)+
        }

        impl FaultKind {
            /// All kinds, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// What happens, in a sentence.
            pub fn sentence(self) -> &'static str {
                match self {
                    $(Self::$kind => $sentence,)+
                }
            }

            /// Whether the promise still holds under this fault; if not, only step-down and the gate are judged.
            pub fn keeps_contract(self) -> bool {
                match self {
                    $(Self::$kind => $contract,)+
                }
            }

            pub(crate) fn target(self) -> Target {
                match self {
                    $(Self::$kind => Target::$target,)+
                }
            }

            /// The name in reports and documents.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => stringify!($kind),)+
                }
            }
        }
    };
}

faults! {
    Partition, Path, true, "One machine and the API servers cannot reach each other.";
    RequestsLost, Path, true, "What one machine sends never arrives; what comes back would.";
    AnswersLost, Path, true, "What one machine sends is carried out, and no answer ever comes back.";
    ResetBefore, Path, true, "A connection breaks before the request was carried out.";
    ResetAfter, Path, true, "A connection breaks after the request was carried out.";
    Slow, Path, true, "Each way takes up to three seconds.";
    HeldRequest, Path, true, "A request is held on the way and carried out up to 40 s later.";
    HeldAnswer, Path, true, "A request is carried out at once, and its answer is held up to 40 s.";
    Duplicate, Path, true, "A proxy sends a request a second time, up to 40 s later.";
    HalfOpen, Path, true, "The connection is dead without a sign: only a new one reaches the server.";
    NameFailure, Path, true, "The name of the API server cannot be resolved.";
    WrongEndpoint, Path, true, "The address leads to something else, which answers 404 without naming the Lease.";
    CutBody, Path, true, "The request is carried out, and half of the answer arrives.";
    Unauthorized, Servers, true, "401: the token is not accepted for a while.";
    Forbidden, Servers, true, "403: permissions are withdrawn for a while.";
    NamespaceMissing, Servers, true, "404: the namespace is not found.";
    NamespaceTerminating, Servers, true, "403: the namespace is being deleted.";
    Conflict, Servers, true, "409: the object has been modified.";
    PolicyDenies, Servers, true, "422: an admission policy refuses writes for a while.";
    PolicyNotReady, Servers, true, "403: admission policies are not loaded yet.";
    Throttled, Servers, true, "429 with Retry-After from 1 to 30 s.";
    InternalError, Servers, true, "500, and nothing was carried out.";
    AppliedThenError, Servers, true, "500 for a write that was carried out, or will be.";
    Unavailable, Servers, true, "503: the API server is shutting down.";
    GatewayTimeout, Servers, true, "504 for a write that is carried out up to 40 s later.";
    ServerRestart, Servers, true, "One API server restarts: its connections and watches break.";
    AllServersDown, Servers, true, "No API server answers.";
    StoreStalls, Servers, true, "The store changes its leader: requests wait for 1 to 5 s.";
    StoreRestored, Servers, false, "The store is set back to a backup: revisions repeat.";
    Compaction, Servers, true, "The store forgets its old revisions: watches that resume get 410.";
    LaggingCache, Servers, true, "The watches of one API server lag by up to 20 s.";
    WatchClosed, Watch, true, "A watch ends.";
    WatchGone, Watch, true, "A watch is told 410: its revision is gone.";
    WatchSilent, Watch, true, "A watch stays open and says nothing more.";
    WatchBookmarks, Watch, true, "A watch brings bookmarks only.";
    WatchRefused, Watch, true, "Watches are refused with 403.";
    WatchReplay, Watch, true, "A watch repeats an old event.";
    WatchNoise, Watch, true, "A watch brings a line that is no event.";
    LeaseDeleted, Lease, false, "Somebody deletes the Lease.";
    LeaseReplaced, Lease, false, "Somebody deletes the Lease and creates an empty one.";
    HolderCleared, Lease, false, "Somebody clears the holder.";
    HolderEdited, Lease, false, "Somebody writes another holder.";
    DurationLengthened, Lease, true, "Somebody lengthens the lease duration.";
    DurationShortened, Lease, false, "Somebody shortens the lease duration.";
    TransitionsLowered, Lease, false, "Somebody lowers the transitions.";
    LabelsTouched, Lease, true, "Somebody writes a label every second.";
    RenewTimeGarbage, Lease, true, "Somebody writes a renew time of another century.";
    StrategySet, Lease, true, "Somebody hands the Lease to coordinated election for a while.";
    Killed, Process, true, "A process is killed, and starts again as a new candidate.";
    KilledAtAcquire, Process, true, "A process is killed when its acquisition was carried out and not answered yet.";
    StoppedGracefully, Process, true, "A process is asked to stop, and starts again later.";
    StepDown, Process, true, "A leader is asked to hand over.";
    Frozen, Process, true, "A process is stopped by a signal for 0.1 s to 10 min.";
    DriverStarved, Process, true, "The election's thread is starved while the work runs on.";
    WorkEnds, Process, true, "The work ends by itself, or panics.";
    StubbornWork, Process, true, "The work of the next terms does not stop when asked.";
    HungWork, Process, true, "The work hangs for up to five minutes: it gives no sign of life and does not stop.";
    UnhealthyLeader, Process, true, "A candidate, mostly the leader, is unhealthy for up to five minutes.";
    FlappingHealth, Process, true, "The health of a candidate comes and goes every few seconds.";
    EverybodyUnhealthy, Process, true, "All candidates are unhealthy, each for up to five minutes.";
    SlowWrites, Process, true, "Writes of the work take up to a minute to arrive.";
    Suspend, Machine, true, "The machine is suspended: RAW stands still, BOOTTIME does not.";
    Reboot, Machine, true, "The machine restarts: its clocks begin anew.";
    WallForward, Machine, true, "The wall clock is stepped forward by up to an hour.";
    WallBack, Machine, true, "The wall clock is stepped back by up to an hour.";
    WallTo1970, Machine, true, "The wall clock is set to 1970.";
    LeapSecond, Machine, true, "The wall clock repeats a second.";
    RateChange, Machine, true, "The rates of RAW and BOOTTIME change, each within the bound.";
    RateBeyondBound, Machine, false, "The clocks run at up to twice the right rate, or hardly at all.";
    MachinePaused, Machine, false, "A virtual machine is paused: no clock counts it.";
    PodReportsLate, Pod, true, "The kubelet's reports of a Pod come up to 40 s late.";
    PodReportsLost, Pod, true, "The kubelet's reports of a Pod are lost.";
    PodStatusStale, Pod, true, "An older status of a Pod is written again.";
    PodForceDeleted, Pod, true, "A Pod is deleted by force while its processes run, and one of the same name takes its place.";
    PodEvicted, Pod, true, "A Pod is evicted: all of it ends, or is said to be over while it runs.";
    PodFailed, Pod, true, "A controller sets a Pod to Failed whose containers run.";
    PodStatusUnknown, Pod, true, "A kubelet that was restarted infers the end of containers that run.";
    PodImitated, Pod, true, "Another container of the Pod prints what is public of the elector, and ends.";
    PodWatchRefused, Pod, true, "Watches of Pods are refused with 403.";
    AppEnds, Pod, true, "The app beside the elector ends, and is started again.";
}
