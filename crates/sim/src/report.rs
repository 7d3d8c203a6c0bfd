//! What many worlds came to, as a document that others can read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::fault::FaultKind;
use crate::judge;
use crate::mixed::{self, PeerFault};
use crate::plan::{Class, Plan};
use crate::runs::{RENEWALS_MIN, judged};
use crate::world::{Log, Outcome, RegisterCounts, Window};

/// The sum of many worlds. It does not depend on the order in which they ran.
#[derive(Clone, Debug, Serialize)]
pub struct SimReport {
    /// `leasehold.dev/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: &'static str,
    /// `SimReport`.
    pub kind: &'static str,
    /// How many worlds ran.
    pub worlds: u64,
    /// In how many of them too little happened to prove anything.
    pub void_worlds: u64,
    /// Simulated time of all.
    pub simulated_hours: f64,
    /// Times with two leaders of whom one at least is ours, by the class of their world.
    pub overlaps: BTreeMap<Class, u64>,
    /// Those of class b by who caused them: `ours` or `peers`.
    pub blame: BTreeMap<&'static str, u64>,
    /// What other elections on the same Lease did wrong.
    pub peer_faults: BTreeMap<PeerFault, u64>,
    /// Rules broken.
    pub violations: u64,
    /// How often each rule was broken.
    pub broken: BTreeMap<&'static str, u64>,
    /// The worlds that broke one, with the first of each, in order of their seeds.
    pub failures: BTreeMap<u64, String>,
    /// Terms.
    pub terms: u64,
    /// Terms that followed another in the same world.
    pub hand_overs: u64,
    /// Releases after which a standby that nothing hindered had to lead within a second.
    pub hand_overs_judged: u64,
    /// Terms that were acquired before the lease had expired, on the kubelet's report that the holder's process has ended.
    pub evidence_take_overs: u64,
    /// Reads and writes of the fenced register.
    pub register_acts: u64,
    /// Requests sent.
    pub requests: u64,
    /// The longest time without a leader, under all faults.
    pub vacuum_max_ms: u64,
    /// The longest time from the end of all faults to a leader, over worlds of class a.
    pub recovery_max_ms: u64,
    /// Writes of the work that were tried.
    pub writes_tried: u64,
    /// Writes of old terms that the gate refused.
    pub stale_writes_refused: u64,
    /// Writes of old terms that the gate let in.
    pub stale_writes_passed: u64,
    /// Writes of the newest term that the gate refused.
    pub good_writes_refused: u64,
    /// How often each fault struck.
    pub faults: BTreeMap<FaultKind, u64>,
    /// The same by what was under way.
    pub matrix: BTreeMap<FaultKind, BTreeMap<&'static str, u64>>,
}

impl Default for SimReport {
    /// Of no world.
    fn default() -> Self {
        let windows = || Window::ALL.map(|window| (window.name(), 0)).into();
        Self {
            api_version: "leasehold.dev/v1",
            kind: "SimReport",
            worlds: 0,
            void_worlds: 0,
            simulated_hours: 0.0,
            overlaps: [Class::A, Class::B, Class::C].map(|class| (class, 0)).into(),
            blame: [("ours", 0), ("peers", 0)].into(),
            peer_faults: PeerFault::ALL.iter().map(|&fault| (fault, 0)).collect(),
            violations: 0,
            broken: BTreeMap::new(),
            failures: BTreeMap::new(),
            terms: 0,
            hand_overs: 0,
            hand_overs_judged: 0,
            evidence_take_overs: 0,
            register_acts: 0,
            requests: 0,
            vacuum_max_ms: 0,
            recovery_max_ms: 0,
            writes_tried: 0,
            stale_writes_refused: 0,
            stale_writes_passed: 0,
            good_writes_refused: 0,
            faults: FaultKind::ALL.iter().map(|&kind| (kind, 0)).collect(),
            matrix: FaultKind::ALL.iter().map(|&kind| (kind, windows())).collect(),
        }
    }
}

impl SimReport {
    pub(crate) fn add(&mut self, outcome: &Outcome) {
        let (history, violations) = judged(outcome);
        let Outcome { plan, log, .. } = outcome;
        let history = history.judge();
        let terms = log.terms.len() as u64;
        self.worlds += 1;
        self.void_worlds += u64::from(terms == 0 || log.renewals < RENEWALS_MIN);
        self.simulated_hours += plan.length.as_secs_f64() / 3_600.0;
        let overlaps = history.ours.overlaps.iter().chain(&history.mixed.overlaps);
        let overlaps = overlaps.filter(|overlap| overlap.proven.is_some()).count();
        *self.overlaps.entry(plan.class).or_default() += overlaps as u64;
        self.add_blame(plan, log);
        self.violations += violations.len() as u64;
        violations.iter().for_each(|violation| *self.broken.entry(violation.rule).or_default() += 1);
        if let Some(first) = violations.first() {
            self.failures.insert(plan.seed, first.to_string());
        }
        self.terms += terms;
        self.hand_overs += terms.saturating_sub(1);
        self.hand_overs_judged += log.hand_overs;
        self.evidence_take_overs += log.by_evidence;
        self.register_acts += log.acts.len() as u64;
        self.requests += log.requests;
        self.vacuum_max_ms = self.vacuum_max_ms.max(history.longest_vacuum().0 / 1_000_000);
        if plan.class == Class::A
            && let Some(took) = judge::recovery(log)
        {
            self.recovery_max_ms = self.recovery_max_ms.max(took.0 / 1_000_000);
        }
        self.add_register(log.register);
        for (&(kind, window), &times) in &log.matrix {
            *self.faults.entry(kind).or_default() += times;
            *self.matrix.entry(kind).or_default().entry(window.name()).or_default() += times;
        }
    }

    fn add_blame(&mut self, plan: &Plan, log: &Log) {
        if plan.candidates.iter().all(|candidate| candidate.peer.is_none()) {
            return;
        }
        let blame = mixed::blame(plan, log);
        for fault in blame.faults {
            *self.peer_faults.entry(fault).or_default() += 1;
        }
        if plan.class == Class::B {
            *self.blame.entry("ours").or_default() += blame.ours;
            *self.blame.entry("peers").or_default() += blame.peers;
        }
    }

    fn add_register(&mut self, counts: RegisterCounts) {
        self.writes_tried += counts.tried;
        self.stale_writes_refused += counts.stale_refused;
        self.stale_writes_passed += counts.stale_passed;
        self.good_writes_refused += counts.good_refused;
    }

    /// The cells of the matrix that were struck less often than this, but for those that have to stay empty.
    pub fn thin_cells(&self, strikes_min: u64) -> Vec<(FaultKind, &'static str, u64)> {
        let cells = self
            .matrix
            .iter()
            .flat_map(|(&kind, row)| row.iter().map(move |(&window, &n)| (kind, window, n)));
        cells.filter(|(kind, window, n)| *n < strikes_min && kind.never_in(window).is_none()).collect()
    }

    /// Takes in what other worlds came to.
    pub(crate) fn merge(&mut self, other: Self) {
        self.worlds += other.worlds;
        self.void_worlds += other.void_worlds;
        self.simulated_hours += other.simulated_hours;
        other.overlaps.into_iter().for_each(|(class, n)| *self.overlaps.entry(class).or_default() += n);
        other.blame.into_iter().for_each(|(who, n)| *self.blame.entry(who).or_default() += n);
        for (fault, n) in other.peer_faults {
            *self.peer_faults.entry(fault).or_default() += n;
        }
        self.violations += other.violations;
        other.broken.into_iter().for_each(|(rule, n)| *self.broken.entry(rule).or_default() += n);
        self.failures.extend(other.failures);
        self.terms += other.terms;
        self.hand_overs += other.hand_overs;
        self.hand_overs_judged += other.hand_overs_judged;
        self.evidence_take_overs += other.evidence_take_overs;
        self.register_acts += other.register_acts;
        self.requests += other.requests;
        self.vacuum_max_ms = self.vacuum_max_ms.max(other.vacuum_max_ms);
        self.recovery_max_ms = self.recovery_max_ms.max(other.recovery_max_ms);
        self.writes_tried += other.writes_tried;
        self.stale_writes_refused += other.stale_writes_refused;
        self.stale_writes_passed += other.stale_writes_passed;
        self.good_writes_refused += other.good_writes_refused;
        other.faults.into_iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        for (kind, row) in other.matrix {
            let sum = self.matrix.entry(kind).or_default();
            row.into_iter().for_each(|(window, n)| *sum.entry(window).or_default() += n);
        }
    }
}
