//! The watch of the Lease: it speeds things up and never carries safety.

use std::time::Duration;

use super::{Elector, Phase};
use crate::answer::{Answer, Reason, Refusal, WatchEvent};
use crate::effect::{Delivery, Effect, Note, WatchId};
use crate::view::Lease;

/// The watch of one Lease. Times are on the kill clock.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch {
    state: WatchState,
    failures: u32,
    /// A read showed news that the last watch did not: a new one is believed once it has spoken.
    suspect: bool,
    /// A version that was written and must come as an event, and since when it is waited for.
    expected: Option<(u64, Duration)>,
    /// The newest version that this watch has shown.
    spoken: u64,
}

#[derive(Clone, Debug)]
enum WatchState {
    Closed { open_at: Duration },
    Opening { id: WatchId, deadline: Duration },
    Open { id: WatchId, since: Duration },
}

impl Default for WatchState {
    fn default() -> Self {
        Self::Closed { open_at: Duration::ZERO }
    }
}

impl Elector {
    pub(super) fn act_watching(&mut self) {
        let WatchState::Closed { open_at } = self.watch.state else { return };
        let known = !matches!(self.view.lease(), Lease::Unknown);
        if !known || self.now.kill < open_at || matches!(self.phase, Phase::Idle | Phase::Finished) {
            return;
        }
        let id = self.next_watch();
        let since = self.view.record().map(|_| self.view.newest()).filter(|_| !self.watch.suspect);
        let deadline = self.now.kill + OPENING_TIMEOUT;
        self.watch.state = WatchState::Opening { id, deadline };
        let request = self.requests.watch(since);
        self.effects.push(Effect::OpenWatch(id, request));
    }

    pub(super) fn handle_watch_opened(&mut self, id: WatchId) {
        let WatchState::Opening { id: opening, .. } = self.watch.state else { return };
        if opening != id {
            return;
        }
        self.watch.state = WatchState::Open { id, since: self.now.kill };
        self.watch.expected = None;
        self.watch.spoken = 0;
        self.effects.push(Effect::Note(Note::Watch { up: true, refusal: None }));
        if self.watch_is_trusted() && matches!(self.phase, Phase::Campaigning) {
            self.extend_patience();
        }
    }

    pub(super) fn handle_watch_line(&mut self, id: WatchId, line: &[u8]) {
        let WatchState::Open { id: open, .. } = self.watch.state else { return };
        if open != id {
            return;
        }
        match WatchEvent::parse(&self.config.lease, line) {
            WatchEvent::Lease(record) => {
                self.note_speech(record.resource_version);
                self.take_record(record, None);
            }
            WatchEvent::Deleted { resource_version } => {
                self.note_speech(resource_version);
                self.take_missing(Some(resource_version));
            }
            WatchEvent::Bookmark { resource_version } => self.view.note_revision(resource_version),
            // The next begins with what is there, and cannot be too old: if it is told so all the same, back off.
            WatchEvent::Gone if self.watch.suspect => {
                self.end_watch(Some(Refusal::new(Reason::Unexpected, 410, GONE_AGAIN.to_owned(), None)));
            }
            WatchEvent::Gone => {
                self.watch.suspect = true;
                self.close_watch();
                self.read_soon();
            }
            WatchEvent::Failed(refusal) => self.end_watch(Some(refusal)),
        }
    }

    pub(super) fn handle_watch_ended(&mut self, id: WatchId, delivery: Option<&Delivery>) {
        if self.watch_id() != Some(id) {
            return;
        }
        let refusal = match delivery {
            None => None,
            Some(Delivery::Lost(detail)) => Some(Refusal::of(Reason::Unreachable, detail.clone())),
            Some(Delivery::Response(response)) => match Answer::parse(&self.config.lease, response) {
                Answer::Refused(refusal) | Answer::Unknown(refusal) => Some(refusal),
                Answer::Lease(_) => None,
            },
        };
        if refusal.as_ref().is_some_and(|refusal| refusal.code == 410) {
            self.watch.suspect = true;
            self.read_soon();
        }
        self.end_watch(refusal);
    }

    /// The watch ended. One that lived goes on at once, since the server ends each after 30 to 60 minutes.
    fn end_watch(&mut self, refusal: Option<Refusal>) {
        let lived = match self.watch.state {
            WatchState::Open { since, .. } => self.now.kill.saturating_sub(since) >= BRIEF,
            WatchState::Opening { .. } => false,
            WatchState::Closed { .. } => return,
        };
        let retry_period = self.config.timing.retry_period();
        let pause = if lived && refusal.is_none() {
            self.watch.failures = 0;
            Duration::ZERO
        } else {
            self.back_off_watch()
        };
        let asked = refusal.as_ref().map_or(Duration::ZERO, |refusal| self.asked(refusal));
        let pause = pause.max(asked);
        self.effects.push(Effect::Note(Note::Watch { up: false, refusal }));
        if let Some(id) = self.watch_id() {
            self.effects.push(Effect::CloseWatch(id));
        }
        self.watch.state = WatchState::Closed { open_at: self.now.kill + pause };
        if !pause.is_zero() {
            self.read_by(self.jittered(retry_period));
        }
    }

    /// The pause after one more watch that was of no use.
    fn back_off_watch(&mut self) -> Duration {
        let doubled = self.config.timing.retry_period() * 2_u32.pow(self.watch.failures.min(10)) / 2;
        self.watch.failures = self.watch.failures.saturating_add(1);
        self.jittered(doubled.min(self.longest_pause()))
    }

    pub(super) fn close_watch(&mut self) {
        if let Some(id) = self.watch_id() {
            self.effects.push(Effect::CloseWatch(id));
            self.effects.push(Effect::Note(Note::Watch { up: false, refusal: None }));
        }
        self.watch.state = WatchState::Closed { open_at: self.now.kill };
    }

    /// Closes the watch and opens another that begins with what is there.
    pub(super) fn restart_watch(&mut self) {
        self.watch.suspect = true;
        self.close_watch();
    }

    /// A read showed what the watch had not: the watch is dead, and the next is believed once it has spoken. If that one was
    /// dead, too, the cache behind it may lag, and yet another would tell nothing sooner: back off.
    pub(super) fn doubt_watch(&mut self) {
        let pause = if self.watch.suspect { self.back_off_watch() } else { Duration::ZERO };
        self.restart_watch();
        self.watch.state = WatchState::Closed { open_at: self.now.kill + pause };
        self.read_by(self.jittered(self.config.timing.retry_period()));
    }

    /// A version written by this process must come back as an event.
    pub(super) fn expect_event(&mut self, version: u64) {
        let open = matches!(self.watch.state, WatchState::Open { .. });
        if open && self.watch.expected.is_none() && version > self.watch.spoken {
            self.watch.expected = Some((version, self.now.kill));
        }
    }

    fn note_speech(&mut self, version: u64) {
        self.watch.suspect = false;
        self.watch.failures = 0;
        self.watch.spoken = self.watch.spoken.max(version);
        if self.watch.expected.is_some_and(|(expected, _)| version >= expected) {
            self.watch.expected = None;
        }
    }

    pub(super) fn handle_watch_timeout(&mut self) {
        match self.watch.state {
            WatchState::Opening { deadline, .. } if self.now.kill >= deadline => {
                let refusal = Refusal::of(Reason::Timeout, "the watch was not answered");
                self.end_watch(Some(refusal));
            }
            WatchState::Open { .. } if self.now.kill >= self.silent_at() => self.restart_watch(),
            WatchState::Open { .. } | WatchState::Opening { .. } | WatchState::Closed { .. } => {}
        }
    }

    /// When a watch that owes an event is given up.
    fn silent_at(&self) -> Duration {
        let allowed = self.config.timing.renew_interval() * 2;
        self.watch.expected.map_or(Duration::MAX, |(_, since)| since + allowed)
    }

    /// Whether silence of the watch means that nothing happened.
    pub(super) fn watch_is_trusted(&self) -> bool {
        matches!(self.watch.state, WatchState::Open { .. }) && !self.watch.suspect
    }

    pub(super) fn watch_was_open_at(&self, time: Duration) -> bool {
        matches!(self.watch.state, WatchState::Open { since, .. } if since < time)
    }

    fn watch_id(&self) -> Option<WatchId> {
        match self.watch.state {
            WatchState::Opening { id, .. } | WatchState::Open { id, .. } => Some(id),
            WatchState::Closed { .. } => None,
        }
    }

    pub(super) fn watch_wake(&self) -> Option<Duration> {
        let until = |at: Duration| at.saturating_sub(self.now.kill);
        match self.watch.state {
            WatchState::Closed { open_at } => {
                (!matches!(self.view.lease(), Lease::Unknown)).then(|| until(open_at))
            }
            WatchState::Opening { deadline, .. } => Some(until(deadline)),
            WatchState::Open { .. } => self.watch.expected.map(|_| until(self.silent_at())),
        }
    }
}

const GONE_AGAIN: &str = "a watch from what is there was told that its version is gone";
/// A watch is answered at once; only a dead connection takes longer.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);
/// A watch that ends sooner counts as a failure.
const BRIEF: Duration = Duration::from_secs(1);
