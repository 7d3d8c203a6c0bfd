//! The gate before the register of a world: the shipped one, or one that lacks what makes it hold.

use std::collections::BTreeMap;

use leasehold_election::{FencingToken, Gate};
use serde::Serialize;

use crate::fault::FaultKind as F;
use crate::plan::Settings;
use crate::scenario::Scenario;

/// A gate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GateKind {
    /// The gate as shipped, which goes on with the newest token that its storage has kept.
    #[default]
    Shipped,
    /// The newest term and the one before it are let in.
    AdmitsPrevious,
    /// Each token is let in once: the second write of a term is refused.
    AdmitsOnce,
    /// Transitions are compared in place of tokens.
    ComparesTransitions,
    /// After a restart the gate begins anew, without the newest token.
    ForgetsAtRestart,
}

impl GateKind {
    /// Those that are broken.
    pub const BROKEN: &[Self] =
        &[Self::AdmitsPrevious, Self::AdmitsOnce, Self::ComparesTransitions, Self::ForgetsAtRestart];

    /// The name in reports and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shipped => "Shipped",
            Self::AdmitsPrevious => "AdmitsPrevious",
            Self::AdmitsOnce => "AdmitsOnce",
            Self::ComparesTransitions => "ComparesTransitions",
            Self::ForgetsAtRestart => "ForgetsAtRestart",
        }
    }

    /// What it is, in a sentence.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Shipped => {
                "The gate as shipped, which goes on with the newest token that its storage has kept."
            }
            Self::AdmitsPrevious => "The newest term and the one before it are let in.",
            Self::AdmitsOnce => "Each token is let in once: the second write of a term is refused.",
            Self::ComparesTransitions => "Transitions are compared in place of tokens.",
            Self::ForgetsAtRestart => "After a restart the gate begins anew, without the newest token.",
        }
    }

    /// Worlds without clocks in which what it lacks matters.
    pub fn settings(self) -> Settings {
        let mut settings = Settings { gate: self, ..Scenario::GateWithoutClocks.settings() };
        if self == Self::ComparesTransitions {
            // Transitions begin again where a Lease was deleted.
            settings.faults.push(F::LeaseDeleted);
        }
        settings
    }
}

/// A gate in use.
#[derive(Debug, Default)]
pub(crate) struct Door {
    kind: GateKind,
    gate: Gate,
    previous: u64,
    /// Of each token the transitions of its term, where those are asked for.
    transitions: BTreeMap<u64, u64>,
}

impl Door {
    pub(crate) fn new(kind: GateKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// A term began.
    pub(crate) fn learn(&mut self, token: u64, transitions: impl FnOnce() -> Option<i32>) {
        if self.kind == GateKind::ComparesTransitions {
            let transitions = transitions().and_then(|transitions| u64::try_from(transitions).ok());
            self.transitions.insert(token, transitions.unwrap_or(0));
        }
    }

    /// Whether a write with this token is let in.
    pub(crate) fn admits(&mut self, token: u64) -> bool {
        let newest = self.gate.newest().get();
        let shown = match self.kind {
            GateKind::Shipped | GateKind::ForgetsAtRestart => token,
            GateKind::ComparesTransitions => self.transitions.get(&token).copied().unwrap_or(0),
            GateKind::AdmitsOnce if token == newest => return false,
            GateKind::AdmitsPrevious if token == self.previous => return true,
            GateKind::AdmitsOnce | GateKind::AdmitsPrevious => token,
        };
        let admitted = self.gate.admit(FencingToken::new(shown)).is_ok();
        if shown > newest {
            self.previous = newest;
        }
        admitted
    }

    /// The storage restarts; what it has kept is the newest token.
    pub(crate) fn restart(&mut self) {
        self.gate = match self.kind {
            GateKind::ForgetsAtRestart => Gate::new(),
            _ => Gate::with_newest(self.gate.newest()),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each gate says to the newest token, an older one, and both again after a restart.
    fn answers(kind: GateKind) -> [bool; 5] {
        let mut door = Door::new(kind);
        door.learn(5, || Some(1));
        door.learn(9, || Some(0));
        assert!(door.admits(5) && (door.admits(9) || kind == GateKind::ComparesTransitions));
        let before = [door.admits(9), door.admits(5), door.admits(3)];
        door.restart();
        [before[0], before[1], before[2], door.admits(5), door.admits(9)]
    }

    #[test]
    fn each_broken_gate_is_wrong_where_the_shipped_one_is_right() {
        let right = [true, false, false, false, true];
        assert_eq!(answers(GateKind::Shipped), right);
        for &kind in GateKind::BROKEN {
            assert_ne!(answers(kind), right, "{}", kind.name());
        }
    }
}
