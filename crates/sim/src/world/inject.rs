//! How faults strike: when, whom, for how long, and how they end.

use std::time::Duration;

use leasehold_history::Nanos;

use super::log::{EpisodeLog, Healed, Window};
use super::{Event, World};
use crate::candidate::Happening;
use crate::clocks::after;
use crate::fault::{FaultKind, Target};

/// A fault that lasts.
#[derive(Debug)]
pub(super) struct Episode {
    id: u64,
    kind: FaultKind,
    /// `None` for all.
    machine: Option<usize>,
    server: Option<usize>,
    /// Of a thousand requests, how many it strikes.
    permille: u64,
}

/// A fault that waits for its moment.
#[derive(Debug)]
pub(super) struct Armed {
    kind: FaultKind,
    window: Window,
    until: Nanos,
}

impl Armed {
    /// Edits of a held Lease wait until an acquisition has made it one.
    fn waits_for_carrying_out(&self) -> bool {
        let acquires = matches!(self.window, Window::Acquire | Window::TakeOver);
        self.kind == FaultKind::KilledAtAcquire || (acquires && self.kind.needs_holder())
    }
}

impl World {
    pub(super) fn plan_fault(&mut self, index: usize) {
        let every = self.plan.faults[index].every;
        let pause = self.chance.within(Duration::ZERO, every * 2);
        self.queue.plan(after(self.now, pause), Event::Fault(index));
    }

    /// A fault strikes now, or waits for the next request of some kind.
    pub(super) fn draw_fault(&mut self, index: usize) {
        if self.healed {
            return;
        }
        self.plan_fault(index);
        self.aim(self.plan.faults[index].kind);
    }

    pub(super) fn aim(&mut self, kind: FaultKind) {
        let windows = [Window::Acquire, Window::Renew, Window::Release, Window::TakeOver];
        // That a backup is taken is no moment of its own; that it is put back is.
        let prepares = kind == FaultKind::StoreRestored && self.servers.backup.is_none();
        if kind == FaultKind::KilledAtAcquire || (!prepares && self.chance.happens(600)) {
            let window = self.chance.pick(&windows);
            let until = after(self.now, TRAP_LASTS);
            self.armed.push(Armed { kind, window, until });
        } else {
            self.strike(kind, None);
        }
    }

    /// A request of this kind is being sent: what has waited for it strikes.
    pub(super) fn spring_traps(&mut self, process: usize, window: Window) {
        let now = self.now;
        self.armed.retain(|armed| armed.until > now);
        let machine = self.processes[process].machine;
        while let Some(index) =
            self.armed.iter().position(|armed| armed.window == window && !armed.waits_for_carrying_out())
        {
            let armed = self.armed.swap_remove(index);
            match armed.kind.target() {
                Target::Path | Target::Servers => self.strike(armed.kind, Some(machine)),
                Target::Watch | Target::Lease | Target::Process | Target::Machine | Target::Pod => {
                    // Not inside the step that sends, but while the request is on its way.
                    let at = after(self.now, self.chance.within(Duration::ZERO, self.plan.latency.0));
                    self.queue.plan(at, Event::StrikeAt(armed.kind, machine));
                }
            }
        }
    }

    /// An acquisition was carried out, and is not answered yet: what has waited for that strikes.
    pub(super) fn spring_acquire_traps(&mut self, process: usize, window: Window) {
        let dies = |armed: &Armed| armed.kind == FaultKind::KilledAtAcquire;
        if let Some(index) = self.armed.iter().position(dies) {
            self.armed.swap_remove(index);
            self.count(FaultKind::KilledAtAcquire, window);
            self.last_strike = self.now;
            self.end_process(process, "is killed");
            return;
        }
        let edits = |armed: &Armed| armed.window == window && armed.waits_for_carrying_out();
        while let Some(index) = self.armed.iter().position(edits) {
            let armed = self.armed.swap_remove(index);
            let machine = self.processes[process].machine;
            self.queue.plan(self.now, Event::StrikeAt(armed.kind, machine));
        }
    }

    pub(super) fn strike(&mut self, kind: FaultKind, target: Option<usize>) {
        if self.healed {
            return;
        }
        self.last_strike = self.now;
        let machine = target.unwrap_or_else(|| self.chance.index(self.machines.len()));
        match kind.target() {
            Target::Servers | Target::Lease => self.trace.note_all(self.now, SUFFERS),
            Target::Path | Target::Watch | Target::Machine | Target::Process | Target::Pod => {
                self.trace.note_machine(self.now, machine, SUFFERS);
            }
        }
        self.trace.explain(|| kind.name().to_owned());
        match kind.target() {
            Target::Path => self.begin_episode(kind, Some(machine), None),
            Target::Servers => self.strike_servers(kind),
            Target::Watch => self.strike_watch(kind, machine),
            Target::Lease => self.strike_lease(kind),
            Target::Process => self.strike_process(kind, machine),
            Target::Pod => self.strike_pod(kind, machine),
            Target::Machine => {
                self.count_now(kind, machine);
                self.strike_machine(kind, machine);
            }
        }
    }

    pub(super) fn begin_episode(&mut self, kind: FaultKind, machine: Option<usize>, server: Option<usize>) {
        let id = self.next_episode;
        self.next_episode += 1;
        let permille = self.chance.pick(&[1_000, 1_000, 500, 200]);
        self.episodes.push(Episode { id, kind, machine, server, permille });
        self.log.episodes.push(EpisodeLog { id, kind, machine, permille, begin: self.now, end: None });
        if permille < 1_000 {
            self.trace.explain(|| format!("{} % of requests", permille / 10));
        }
        let lasts = self.chance.spread(Duration::from_millis(200), Duration::from_secs(120));
        let lasts = self.plan.lasting(lasts);
        self.queue.plan(after(self.now, lasts), Event::EpisodeEnds(id));
    }

    pub(super) fn end_episode(&mut self, id: u64) {
        self.episodes.retain(|episode| episode.id != id);
        self.note_episode_end(|episode| episode.id == id);
    }

    fn note_episode_end(&mut self, ends: impl Fn(&EpisodeLog) -> bool) {
        let now = self.now;
        let open = self.log.episodes.iter_mut().filter(|episode| episode.end.is_none() && ends(episode));
        open.for_each(|episode| episode.end = Some(now));
    }

    fn strike_servers(&mut self, kind: FaultKind) {
        let lasts = self.plan.lasting(self.chance.millis(500, 20_000));
        match kind {
            FaultKind::ServerRestart => {
                let server = self.chance.index(self.plan.servers);
                self.count_of_all(kind);
                self.servers.list[server].down_until = after(self.now, lasts);
                self.streams_of_server(Some(server)).into_iter().for_each(|stream| self.end_stream(stream));
            }
            FaultKind::AllServersDown => {
                self.count_of_all(kind);
                let until = after(self.now, lasts);
                self.servers.list.iter_mut().for_each(|server| server.down_until = until);
                self.streams_of_server(None).into_iter().for_each(|stream| self.end_stream(stream));
            }
            FaultKind::StoreStalls => {
                let lasts = self.plan.lasting(self.chance.millis(1_000, 5_000));
                self.servers.stalled_until = after(self.now, lasts);
            }
            FaultKind::StoreRestored => self.restore_store(),
            FaultKind::Compaction => {
                self.count_of_all(kind);
                let revision = self.servers.store.revision();
                self.servers.store.compact(revision);
            }
            FaultKind::LaggingCache => {
                let server = self.chance.index(self.plan.servers);
                self.count_of_all(kind);
                self.begin_episode(kind, None, Some(server));
            }
            kind => {
                let machine = self.chance.index(self.machines.len());
                let machine = self.chance.happens(500).then_some(machine);
                self.begin_episode(kind, machine, None);
            }
        }
    }

    fn restore_store(&mut self) {
        match self.servers.backup.take() {
            Some((store, lease)) => {
                self.trace.explain(|| "the backup is put back".to_owned());
                self.count_of_all(FaultKind::StoreRestored);
                self.servers.store = store;
                self.servers.lease = lease;
                self.streams_of_server(None).into_iter().for_each(|stream| self.end_stream(stream));
            }
            None => {
                self.trace.explain(|| "a backup is taken".to_owned());
                self.servers.backup = Some((self.servers.store.clone(), self.servers.lease.clone()));
                let at = after(self.now, self.chance.millis(1_000, 120_000));
                self.queue.plan(at, Event::Aim(FaultKind::StoreRestored));
            }
        }
    }

    fn strike_watch(&mut self, kind: FaultKind, machine: usize) {
        if kind == FaultKind::WatchRefused {
            self.count_now(kind, machine);
            return self.begin_episode(kind, Some(machine), None);
        }
        let Some(process) = self.machines[machine].process else { return };
        let Some((_, stream)) = self.processes[process].watch else { return };
        self.count_now(kind, machine);
        match kind {
            FaultKind::WatchClosed => self.end_stream(stream),
            FaultKind::WatchGone => self.plan_line(stream, GONE.to_vec()),
            FaultKind::WatchSilent => self.streams[stream].silent = true,
            FaultKind::WatchBookmarks => self.streams[stream].bookmarks_only = true,
            FaultKind::WatchReplay => {
                if let Some(line) = self.streams[stream].old_line.clone() {
                    self.plan_line(stream, line);
                }
            }
            _ => self.plan_line(stream, br#"{"type":"MODIFIED","object":{}}"#.to_vec()),
        }
    }

    fn strike_process(&mut self, kind: FaultKind, machine: usize) {
        if kind == FaultKind::SlowWrites {
            self.count_now(kind, machine);
            return self.begin_episode(kind, Some(machine), None);
        }
        if kind == FaultKind::StubbornWork {
            self.count_now(kind, machine);
            return self.harden_work(machine);
        }
        if kind == FaultKind::HungWork {
            self.count_now(kind, machine);
            return self.hang_work(machine);
        }
        // These are about leaders most of the time.
        let leader = (0..self.processes.len()).find(|&process| self.processes[process].leads_at(self.now));
        let own = self.machines[machine].process;
        let prefers_leader = self.chance.happens(600);
        let Some(process) = leader.filter(|_| prefers_leader).or(own) else { return };
        self.count_now(kind, self.processes[process].machine);
        self.trace.explain(|| format!("#{process}"));
        match kind {
            FaultKind::Killed | FaultKind::KilledAtAcquire => self.end_process(process, "is killed"),
            FaultKind::StoppedGracefully => self.command(process, Happening::Stop),
            FaultKind::StepDown => self.command(process, Happening::StepDown),
            FaultKind::UnhealthyLeader | FaultKind::FlappingHealth | FaultKind::EverybodyUnhealthy => {
                self.strike_health(kind, self.processes[process].machine);
            }
            FaultKind::Frozen => {
                let lasts = self.chance.spread(Duration::from_millis(100), Duration::from_secs(600));
                let lasts = self.plan.lasting(lasts);
                self.processes[process].frozen_by_signal = true;
                self.freeze(process);
                let machine = self.processes[process].machine;
                self.queue.plan(after(self.now, lasts), Event::Thaw { machine, process: Some(process) });
            }
            FaultKind::DriverStarved => {
                let lasts = self.chance.spread(Duration::from_millis(100), Duration::from_secs(30));
                let lasts = self.plan.lasting(lasts);
                self.processes[process].starved_until = after(self.now, lasts);
            }
            _ => {
                if let Some(number) = self.processes[process].work.as_ref().map(|work| work.number) {
                    self.end_work(process, number);
                }
            }
        }
    }

    /// All faults end, but for what is on its way and for watches that are silent.
    pub(super) fn heal(&mut self) {
        self.trace.note_all(self.now, "all faults end");
        self.healed = true;
        self.episodes.clear();
        self.note_episode_end(|_| true);
        self.armed.clear();
        self.servers.stalled_until = self.now;
        let now = self.now;
        self.servers.list.iter_mut().for_each(|server| server.down_until = now);
        self.end_strategy();
        for machine in 0..self.machines.len() {
            let plan = &self.plan.candidates[machine];
            let (raw, boottime) = (plan.raw_ppm, plan.boottime_ppm);
            self.change_clocks(machine, |clocks, now| clocks.set_rates(now, raw, boottime));
            self.machines[machine].stubborn_terms = 0;
            let process = self.machines[machine].process;
            if let Some(process) = process {
                self.processes[process].frozen_by_signal = false;
                self.processes[process].starved_until = now;
                self.queue.plan(now, Event::Driver(process));
            }
            self.queue.plan(now, Event::Thaw { machine, process: None });
            if process.is_none() {
                self.queue.plan(now, Event::StartProcess(machine));
            }
        }
        self.heal_health();
        let rest = self.all_rest_for();
        let stopping = self.processes.iter().filter(|process| process.alive && process.stopping);
        let stop_timeout = stopping.map(|process| self.plan.candidates[process.machine].stop_timeout).max();
        let standbys = (0..self.processes.len()).filter(|&process| self.is_standby(process));
        self.log.shown = standbys.map(|process| (now, self.processes[process].newest_sight)).collect();
        let lease = self.servers.lease.clone();
        self.log.healed =
            Some(Healed { at: now, lease, stop_timeout: stop_timeout.unwrap_or_default(), rest });
    }

    /// The faults of the way and of the servers that strike this request of a process.
    pub(super) fn faults_on(&mut self, process: usize) -> Vec<FaultKind> {
        let machine = self.processes[process].machine;
        let mut kinds = Vec::new();
        for index in 0..self.episodes.len() {
            let Episode { kind, machine: struck, permille, .. } = self.episodes[index];
            let about_requests = matches!(kind.target(), Target::Path | Target::Servers);
            let here = struck.is_none_or(|struck| struck == machine);
            if about_requests && here && self.chance.happens(permille) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Whether a fault of this kind is on and strikes this process now.
    pub(super) fn strikes(&mut self, process: usize, kind: FaultKind) -> bool {
        self.strikes_machine(self.processes[process].machine, kind)
    }

    pub(super) fn strikes_machine(&mut self, machine: usize, kind: FaultKind) -> bool {
        let found = self
            .episodes
            .iter()
            .find(|episode| episode.kind == kind && episode.machine.is_none_or(|struck| struck == machine));
        let Some(permille) = found.map(|episode| episode.permille) else { return false };
        self.chance.happens(permille)
    }

    pub(super) fn is_cut_off(&self, process: usize) -> bool {
        let machine = self.processes[process].machine;
        self.episodes.iter().any(|episode| {
            matches!(episode.kind, FaultKind::Partition | FaultKind::AnswersLost | FaultKind::HalfOpen)
                && episode.machine == Some(machine)
        })
    }

    pub(super) fn cure_half_open(&mut self, machine: usize) {
        self.episodes
            .retain(|episode| episode.kind != FaultKind::HalfOpen || episode.machine != Some(machine));
        self.note_episode_end(|episode| {
            episode.kind == FaultKind::HalfOpen && episode.machine == Some(machine)
        });
    }

    /// Whether a process lives whose identity is not the holder's.
    pub(super) fn is_standby(&self, process: usize) -> bool {
        let running = &self.processes[process];
        let holds = self.servers.lease.as_ref().is_some_and(|lease| lease.holder == running.identity);
        running.alive && !holds
    }

    /// Whether a fault that lasts strikes what this process sends, or its writes, now.
    pub(super) fn suffers(&self, process: usize) -> bool {
        let machine = self.processes[process].machine;
        let here = |episode: &Episode| episode.machine.is_none_or(|struck| struck == machine);
        self.episodes.iter().any(|episode| episode.server.is_none() && here(episode))
    }

    pub(super) fn lags(&self, server: usize) -> bool {
        self.episodes.iter().any(|episode| episode.server == Some(server))
    }

    pub(super) fn lag_of(&mut self, server: usize) -> Duration {
        if self.lags(server) { self.chance.millis(0, 20_000) } else { self.chance.millis(0, 3) }
    }

    pub(super) fn count(&mut self, kind: FaultKind, window: Window) {
        *self.log.matrix.entry((kind, window)).or_default() += 1;
    }

    /// Counts a fault of the servers or of the Lease by what is under way anywhere: the newest write on its way, or else a
    /// planned stop, or else the wait for a holder that is gone.
    fn window_of_all(&self) -> Window {
        let alive = self.processes.iter().filter(|process| process.alive);
        let newest =
            alive.clone().filter_map(|process| self.newest_write(process)).max_by_key(|(flight, _)| *flight);
        let stopping = || alive.clone().any(|process| process.stopping && process.work.is_some());
        match newest {
            Some((_, window)) => window,
            None if stopping() => Window::Release,
            None => self.calm_window(),
        }
    }

    pub(super) fn count_of_all(&mut self, kind: FaultKind) {
        self.count(kind, self.window_of_all());
    }

    /// Counts a fault by what its machine is doing.
    pub(super) fn count_now(&mut self, kind: FaultKind, machine: usize) {
        let stopping = self.machines[machine].process.is_some_and(|process| {
            self.processes[process].stopping && self.processes[process].work.is_some()
        });
        let window = match self.latest_operation(machine) {
            Some(window) => window,
            None if stopping => Window::Release,
            None => self.calm_window(),
        };
        self.count(kind, window);
    }
}

const GONE: &[u8] =
    br#"{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old resource version"}}"#;
const SUFFERS: &str = "suffers";
/// A trap that was not sprung is taken away.
const TRAP_LASTS: Duration = Duration::from_secs(300);
