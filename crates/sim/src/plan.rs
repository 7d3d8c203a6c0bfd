//! What a seed says about its world: who plays, with which clocks and timings, and what may go wrong how often.

use std::time::Duration;

use leasehold_election::{Mode, OnMissing, Timing, TimingSettings};
use serde::Serialize;

use crate::chance::Chance;
use crate::controls::ControlKind;
use crate::fault::{FaultKind, Target};
use crate::gates::GateKind;
use crate::script::Stroke;

/// What of the promise is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Ours with ours, the contract kept: everything.
    A,
    /// Ours with other electors: ours is never the cause.
    B,
    /// The contract broken: step-down and the gate.
    C,
}

/// A world before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) class: Class,
    pub(crate) length: Duration,
    /// The faults end; from here on a leader must appear.
    pub(crate) heal_at: Duration,
    pub(crate) candidates: Vec<CandidatePlan>,
    /// Whether candidates run in Pods that the API server shows.
    pub(crate) pods: bool,
    pub(crate) servers: usize,
    pub(crate) latency: (Duration, Duration),
    pub(crate) faults: Vec<FaultPlan>,
    pub(crate) single: Option<SingleFault>,
    pub(crate) pre_created: bool,
    pub(crate) script: Vec<Stroke>,
    pub(crate) writes: Writes,
    pub(crate) gate: GateKind,
    /// Mean time between two restarts of the storage behind the gate.
    pub(crate) gate_restart_every: Option<Duration>,
}

/// The only fault of a world, shorter than what a leader has to live through.
#[derive(Clone, Debug)]
pub(crate) struct SingleFault {
    pub(crate) kind: FaultKind,
    pub(crate) at: Duration,
    pub(crate) lasts: Duration,
}

/// One machine with its candidate.
#[derive(Clone, Debug)]
pub(crate) struct CandidatePlan {
    pub(crate) timing: Timing,
    pub(crate) rate_error_ppm: i64,
    pub(crate) raw_ppm: i64,
    pub(crate) boottime_ppm: i64,
    pub(crate) wall_offset: Duration,
    pub(crate) uptime: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) mode: Mode,
    pub(crate) on_missing: OnMissing,
    pub(crate) priority: u8,
    pub(crate) peers: bool,
    /// Shared with another candidate where somebody configured it so.
    pub(crate) identity: Option<String>,
    /// Another election on the same Lease; `None` for ours.
    pub(crate) peer: Option<ControlKind>,
    pub(crate) work: WorkPlan,
    pub(crate) heartbeat_deadline: Option<Duration>,
    pub(crate) lead_unhealthy_after: Option<Duration>,
    /// At its start it is not known yet whether it is healthy.
    pub(crate) checks_first: bool,
}

/// How the work of a candidate behaves.
#[derive(Clone, Debug)]
pub(crate) struct WorkPlan {
    pub(crate) act_every: (Duration, Duration),
    /// Time that it takes to stop when asked.
    pub(crate) stops_within: Duration,
    /// Of a thousand terms, in how many it does not stop at all.
    pub(crate) stubborn_permille: u64,
}

/// One kind of fault that is switched on.
#[derive(Clone, Debug)]
pub(crate) struct FaultPlan {
    pub(crate) kind: FaultKind,
    /// Mean time between two.
    pub(crate) every: Duration,
}

/// What is drawn within which bounds; the seed draws the rest.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Simulated time of each world.
    pub length: Duration,
    /// The least and the most candidates.
    pub candidates: (usize, usize),
    /// Kinds that may be switched on.
    pub faults: Vec<FaultKind>,
    /// Of a thousand, how likely each is switched on.
    pub fault_permille: u64,
    /// The shortest and the longest mean time between two faults of one kind.
    pub fault_every: (Duration, Duration),
    /// Lease timings to draw from.
    pub timings: Vec<TimingSettings>,
    /// Whether candidates of one world may have different timings.
    pub mixed_timings: bool,
    /// Of a thousand worlds, in how many the contract may be broken.
    pub broken_permille: u64,
    /// Whether everything is judged although the contract is broken.
    pub strict: bool,
    /// Of a thousand candidates, how many care for their health and that of their work.
    pub caring_permille: u64,
    /// Of a thousand worlds, in how many two candidates are configured with one identity.
    pub twins_permille: u64,
    /// Other elections on the same Lease.
    pub mixed: Mixed,
    /// What surely becomes of requests; the first stroke that fits.
    pub script: Vec<Stroke>,
    /// Of a thousand worlds that are not mixed, in how many candidates run in Pods, so that there is evidence.
    pub pods_permille: u64,
    /// How work writes.
    pub writes: Writes,
    /// The gate before the register.
    pub gate: GateKind,
    /// Mean time between two restarts of the storage behind the gate; `None` for none.
    pub gate_restart_every: Option<Duration>,
    /// Whether one fault strikes once, for less time than a leader has to live through, and nothing else happens.
    pub single_fault: bool,
}

/// Worlds in which ours share the Lease with other elections.
#[derive(Clone, Debug)]
pub struct Mixed {
    /// Of a thousand worlds, how many are mixed.
    pub permille: u64,
    /// The least and the most of ours in such a world.
    pub ours: (usize, usize),
    /// The least and the most others.
    pub peers: (usize, usize),
    /// What these are.
    pub kinds: Vec<ControlKind>,
    /// Their timings.
    pub timings: Vec<TimingSettings>,
}

impl Default for Mixed {
    /// A sixth of the worlds, with few of ours, so that the others lead, too.
    fn default() -> Self {
        Self {
            permille: 170,
            ours: (1, 3),
            peers: (1, 3),
            kinds: ControlKind::PEERS.to_vec(),
            timings: vec![
                TimingSettings::default(),
                TimingSettings::default(),
                TimingSettings::from_lease_duration(Duration::from_secs(30)),
                TimingSettings::from_lease_duration(Duration::from_secs(6)),
            ],
        }
    }
}

impl Mixed {
    /// No world is mixed.
    pub(crate) fn none() -> Self {
        Self { permille: 0, ..Self::default() }
    }
}

/// How work writes to the fenced register.
#[derive(Clone, Copy, Debug)]
pub struct Writes {
    /// Writes of one act of the work, each on a way of its own.
    pub at_once: u32,
    /// Of a thousand writes, how many are held on the way although no fault is on.
    pub held_permille: u64,
    /// The longest that a write is held.
    pub held_most: Duration,
}

impl Default for Writes {
    fn default() -> Self {
        Self { at_once: 1, held_permille: 0, held_most: Duration::from_secs(60) }
    }
}

impl Default for Settings {
    /// An hour of swarm.
    fn default() -> Self {
        Self {
            length: Duration::from_secs(3_600),
            candidates: (3, 7),
            faults: FaultKind::ALL.to_vec(),
            fault_permille: 300,
            fault_every: (Duration::from_secs(30), Duration::from_secs(1_800)),
            timings: timings(),
            mixed_timings: true,
            broken_permille: 250,
            strict: false,
            caring_permille: 700,
            twins_permille: 50,
            mixed: Mixed::default(),
            script: Vec::new(),
            pods_permille: 400,
            writes: Writes::default(),
            gate: GateKind::default(),
            gate_restart_every: None,
            single_fault: false,
        }
    }
}

impl Plan {
    pub(crate) fn draw(seed: u64, settings: &Settings) -> Self {
        let mut chance = Chance::new(seed);
        let broken = chance.happens(settings.broken_permille);
        let mut faults = draw_faults(&mut chance, settings, broken, false);
        let keeps = faults.iter().all(|fault| fault.kind.keeps_contract());
        // What is mixed is drawn apart: a world that is not is the same, whatever is set of mixed ones.
        let mut apart = Chance::new(seed ^ 0x9ee5_0a9a);
        let mixed = apart.happens(settings.mixed.permille);
        let (least, most) = if mixed { settings.mixed.ours } else { settings.candidates };
        let count = least + chance.index(most - least + 1);
        let shared = chance.pick(&settings_index(settings));
        let one_timing = !settings.mixed_timings || chance.happens(600);
        let peers = chance.happens(300);
        let twins = chance.happens(settings.twins_permille) && !mixed;
        let timings: Vec<&TimingSettings> = (0..count)
            .map(|_| if one_timing { shared } else { chance.pick(&settings_index(settings)) })
            .map(|index| &settings.timings[index])
            .collect();
        // The promise is about clocks that err by no more than every candidate allows for.
        let error = timings.iter().map(|timing| timing.clock_rate_error_ppm).min().unwrap_or(0);
        let mut candidates: Vec<CandidatePlan> = timings
            .into_iter()
            .enumerate()
            .map(|(index, timing)| {
                let mut plan = CandidatePlan::draw(&mut chance, timing, error.into(), peers);
                if index == 0 {
                    // Somebody must be willing to create the Lease.
                    plan.on_missing = OnMissing::Create;
                }
                plan.identity = (twins && index < 2).then(|| "db".to_owned());
                plan
            })
            .collect();
        if mixed {
            candidates.iter_mut().for_each(|ours| ours.peers = true);
            let (least, most) = settings.mixed.peers;
            let peers = least + apart.index(most - least + 1);
            candidates
                .extend((0..peers).map(|_| CandidatePlan::draw_peer(&mut apart, &settings.mixed, error)));
        }
        let mut care = Chance::new(seed ^ 0x0c4a_12e5);
        candidates.iter_mut().for_each(|candidate| candidate.add_care(&mut care, settings));
        let judged = match (keeps || settings.strict, mixed) {
            (false, _) => Class::C,
            (true, true) => Class::B,
            (true, false) => Class::A,
        };
        // As what is mixed, drawn apart.
        let mut of_pods = Chance::new(seed ^ 0x0b0d_5eed);
        let pods = of_pods.happens(settings.pods_permille) && !mixed;
        if pods {
            faults.extend(draw_faults(&mut of_pods, settings, broken, true));
            let modes = [Mode::Library, Mode::Exec, Mode::Http, Mode::File];
            candidates.iter_mut().for_each(|candidate| candidate.mode = of_pods.pick(&modes));
        }
        let base = chance.pick(&[(200, 2_000), (500, 5_000), (5_000, 60_000)]);
        let plan = Self {
            seed,
            class: judged,
            length: settings.length,
            heal_at: settings.length * 9 / 10,
            candidates,
            pods,
            servers: 1 + chance.index(3),
            latency: (Duration::from_micros(base.0), Duration::from_micros(base.1)),
            faults,
            single: None,
            pre_created: chance.happens(700),
            script: settings.script.clone(),
            writes: settings.writes,
            gate: settings.gate,
            gate_restart_every: settings.gate_restart_every,
        };
        if settings.single_fault { plan.with_single_fault(&mut chance, &settings.faults) } else { plan }
    }

    /// One fault at a random instant, after somebody leads, as long as a leader must live through it: less than renew
    /// deadline - renew interval - attempt timeout, by clocks that err, over a network that takes its time.
    fn with_single_fault(self, chance: &mut Chance, kinds: &[FaultKind]) -> Self {
        let longest = |part: fn(&CandidatePlan) -> Duration| self.candidates.iter().map(part).max();
        let lease_duration = longest(|candidate| candidate.timing.lease_duration()).unwrap_or_default();
        let slack = self.candidates.iter().map(|candidate| candidate.slack()).min().unwrap_or_default();
        let most = slack.saturating_sub(self.latency.1 * 2 + Duration::from_millis(20));
        let begin = lease_duration * 3 + Duration::from_secs(10);
        let at = chance.within(begin, begin + lease_duration * 2);
        let lasts = if chance.happens(500) { most } else { chance.within(Duration::from_millis(50), most) };
        let single = SingleFault { kind: chance.pick(kinds), at, lasts };
        let length = (at + lease_duration * 4) * 10 / 9;
        Self { length, heal_at: at + lease_duration * 4, faults: Vec::new(), single: Some(single), ..self }
    }

    /// How long a fault lasts: as drawn, unless it is the only one.
    pub(crate) fn lasting(&self, drawn: Duration) -> Duration {
        self.single.as_ref().map_or(drawn, |single| single.lasts)
    }

    /// Whether a fault of one of these kinds may strike.
    pub(crate) fn has_any(&self, kinds: &[FaultKind]) -> bool {
        let all =
            self.faults.iter().map(|fault| fault.kind).chain(self.single.as_ref().map(|single| single.kind));
        all.into_iter().any(|kind| kinds.contains(&kind))
    }
}

impl CandidatePlan {
    /// The least true time that passes while the clocks of this candidate count `counted`.
    pub(crate) fn at_least(&self, counted: Duration) -> Duration {
        let error = u32::try_from(self.rate_error_ppm).unwrap_or(0);
        counted * 1_000_000 / (1_000_000 + error)
    }

    /// The most true time that passes while the clocks of this candidate count `counted`.
    pub(crate) fn at_most(&self, counted: Duration) -> Duration {
        let error = u32::try_from(self.rate_error_ppm).unwrap_or(0);
        counted * 1_000_000 / (1_000_000 - error)
    }

    /// Whether its Pod can be found by its identity.
    pub(crate) fn has_pod(&self) -> bool {
        self.identity.is_none() && self.peer.is_none()
    }

    /// For how long, in true time, nothing may reach a leader of this timing without its term ending.
    fn slack(&self) -> Duration {
        let timing = &self.timing;
        let slack =
            timing.renew_deadline().saturating_sub(timing.renew_interval() + timing.attempt_timeout());
        // A timer on a slow clock may be late by twice the error of what a fast one counts.
        let error = timing.renew_deadline() * u32::try_from(self.rate_error_ppm).unwrap_or(0) / 1_000_000 * 2;
        slack.saturating_sub(error)
    }

    fn draw(chance: &mut Chance, timing: &TimingSettings, error: i64, peers: bool) -> Self {
        let timing_built = timing.clone().build().expect("the timings to draw from hold");
        let bound = if chance.happens(300) { error.min(50) } else { error };
        let budget = timing_built.lost_stop_timeout();
        Self {
            timing: timing_built,
            rate_error_ppm: error,
            raw_ppm: chance.either_way(bound),
            boottime_ppm: chance.either_way(bound),
            wall_offset: chance.within(Duration::ZERO, Duration::from_secs(7_200)),
            uptime: chance.within(Duration::ZERO, Duration::from_secs(90_000)),
            stop_timeout: chance.millis(500, 30_000),
            mode: chance.pick(&[Mode::Library, Mode::Exec]),
            on_missing: if chance.happens(900) { OnMissing::Create } else { OnMissing::Wait },
            priority: if chance.happens(200) { 1 } else { 0 },
            peers,
            identity: None,
            peer: None,
            work: WorkPlan {
                act_every: chance.pick(&[
                    (Duration::from_millis(50), Duration::from_millis(500)),
                    (Duration::from_millis(500), Duration::from_secs(5)),
                ]),
                stops_within: if chance.happens(700) { budget / 2 } else { budget * 3 },
                stubborn_permille: if chance.happens(150) { 200 } else { 0 },
            },
            heartbeat_deadline: None,
            lead_unhealthy_after: None,
            checks_first: false,
        }
    }

    /// How it cares for its health. Its work gives a sign of life every five seconds at least, and is silent no longer while a
    /// fault lasts that a leader has to live through.
    fn add_care(&mut self, chance: &mut Chance, settings: &Settings) {
        let seconds = Duration::from_secs;
        let cares = chance.happens(settings.caring_permille);
        let waits_for_signs = chance.happens(700).then(|| chance.within(seconds(15), seconds(60)));
        let leads_in_need = chance.happens(600).then(|| chance.pick(&[seconds(5), seconds(20), seconds(60)]));
        let checks_first = chance.happens(400);
        if !cares {
            return;
        }
        self.heartbeat_deadline = waits_for_signs;
        self.lead_unhealthy_after = leads_in_need;
        self.checks_first = checks_first;
    }

    fn draw_peer(chance: &mut Chance, mixed: &Mixed, error: u32) -> Self {
        let timing = &mixed.timings[chance.index(mixed.timings.len())];
        let peer = Some(chance.pick(&mixed.kinds));
        Self { peer, ..Self::draw(chance, timing, error.into(), true) }
    }
}

fn draw_faults(chance: &mut Chance, settings: &Settings, broken: bool, of_pods: bool) -> Vec<FaultPlan> {
    let (least, most) = settings.fault_every;
    let mut faults = Vec::new();
    for &kind in settings.faults.iter().filter(|kind| (kind.target() == Target::Pod) == of_pods) {
        let on = chance.happens(settings.fault_permille);
        let every = chance.spread(least, most);
        if on && (broken || kind.keeps_contract()) {
            faults.push(FaultPlan { kind, every });
        }
    }
    faults
}

fn settings_index(settings: &Settings) -> Vec<usize> {
    (0..settings.timings.len()).collect()
}

/// The timings that worlds draw from: the defaults, short and long leases, clocks that err by a tenth, and leaders that
/// use nearly all of their lease.
pub(crate) fn timings() -> Vec<TimingSettings> {
    let seconds = Duration::from_secs;
    let default = TimingSettings::default();
    vec![
        default.clone(),
        TimingSettings::from_lease_duration(seconds(3)),
        TimingSettings::from_lease_duration(seconds(6)),
        TimingSettings::from_lease_duration(seconds(30)),
        TimingSettings { clock_rate_error_ppm: 100_000, ..default.clone() },
        tight(15, 10_000),
        tight(6, 10_000),
        tight(8, 100_000),
    ]
}

/// Leads to the last possible moment and leaves the work a tenth of a second.
pub(crate) fn tight(seconds: u64, ppm: u32) -> TimingSettings {
    let lease_duration = Duration::from_secs(seconds);
    let validity = lease_duration * (1_000_000 - ppm) / (1_000_000 + ppm);
    let budget = Duration::from_millis(100);
    let lead = validity - leasehold_election::KILL_MARGIN - budget - Duration::from_millis(1);
    TimingSettings {
        lease_duration,
        renew_deadline: lead,
        retry_period: lease_duration / 8,
        lost_stop_timeout: Some(budget),
        clock_rate_error_ppm: ppm,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_timings_that_worlds_draw_from_hold() {
        for timing in timings() {
            timing.clone().build().unwrap_or_else(|error| panic!("{timing:?}: {error}"));
        }
    }

    #[test]
    fn equal_seeds_draw_equal_plans() {
        let settings = Settings::default();
        assert_eq!(format!("{:?}", Plan::draw(7, &settings)), format!("{:?}", Plan::draw(7, &settings)));
        assert_ne!(format!("{:?}", Plan::draw(7, &settings)), format!("{:?}", Plan::draw(8, &settings)));
    }
}
