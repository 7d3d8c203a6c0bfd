//! What surely becomes of the requests of one machine, where a world is to take one certain course.

use std::time::Duration;

use leasehold_election::Operation;

/// The requests of one machine in a stretch of time, and what becomes of each.
#[derive(Clone, Debug)]
pub struct Stroke {
    /// The machine, by its number: ours come first.
    pub machine: usize,
    /// Requests sent from here on.
    pub from: Duration,
    /// Requests sent before this.
    pub until: Duration,
    /// Which of them.
    pub struck: Struck,
    /// What becomes of them.
    pub outcome: StrokeOutcome,
}

/// Which requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// All.
    All,
    /// Only reads.
    Reads,
    /// Only writes.
    Writes,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrokeOutcome {
    /// It never arrives, and nobody is told.
    Lost,
    /// It is carried out after this time.
    RequestHeld(Duration),
    /// It is carried out at once, and answered after this time.
    AnswerHeld(Duration),
}

impl Stroke {
    pub(crate) fn strikes(&self, machine: usize, elapsed: Duration, operation: Operation) -> bool {
        let struck = match self.struck {
            Struck::All => true,
            Struck::Reads => operation == Operation::Read,
            Struck::Writes => operation != Operation::Read,
        };
        struck && self.machine == machine && self.from <= elapsed && elapsed < self.until
    }
}
