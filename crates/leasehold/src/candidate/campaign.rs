//! A candidate that runs: the side that works, and the side that the driver's thread runs.

use std::future::Future;
use std::sync::Arc;

use leasehold_election::{Config, Elector};
use tokio::sync::{mpsc, oneshot};

use super::RunError;
use crate::checks::Checks;
use crate::clock;
use crate::driver::Driver;
use crate::handle::{Command, Shared};
use crate::leadership::{Leadership, Term};
use crate::transport::Transport;
use crate::watchdog::Watchdog;

/// All that the election needs, but a way to the API server.
pub(super) struct Campaign {
    pub(super) config: Config,
    pub(super) record_events: bool,
    pub(super) checks: Checks,
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::UnboundedReceiver<Command>,
}

impl Campaign {
    /// The side that works, and the side that is driven.
    pub(super) fn begin(self, watchdog: Watchdog) -> (Running, Driving) {
        let watchdog = Arc::new(watchdog);
        let (terms_sender, terms) = mpsc::unbounded_channel();
        let (finished_sender, finished) = oneshot::channel();
        let running = Running {
            terms,
            finished: Some(finished),
            shared: Arc::clone(&self.shared),
            watchdog: Arc::clone(&watchdog),
        };
        let driving = Driving { campaign: self, watchdog, terms: terms_sender, finished: finished_sender };
        (running, driving)
    }
}

/// The side of a started candidate that the driver's thread runs.
pub(super) struct Driving {
    campaign: Campaign,
    watchdog: Arc<Watchdog>,
    terms: mpsc::UnboundedSender<Leadership>,
    finished: oneshot::Sender<Result<(), RunError>>,
}

impl Driving {
    /// Runs the election to its end, on the current runtime.
    pub(super) async fn drive(self, transport: impl Future<Output = Result<Transport, RunError>>) {
        let Self { campaign, watchdog, terms, finished } = self;
        let Campaign { config, record_events, checks, shared, commands } = campaign;
        let drive = async {
            let transport = transport.await?;
            let elector = Elector::new(config, shared.machine.now());
            let (driver, events) = Driver::new(elector, shared, transport, watchdog, record_events, terms);
            match driver.run(events, commands, checks).await {
                Ok(result) => result.map_err(RunError::from),
                Err(error) => Err(RunError::Thread(error)),
            }
        };
        // Who dropped the future does not wait for this.
        let _ = finished.send(drive.await);
    }
}

/// A started candidate. Dropping it stops the candidate.
pub(super) struct Running {
    terms: mpsc::UnboundedReceiver<Leadership>,
    finished: Option<oneshot::Receiver<Result<(), RunError>>>,
    shared: Arc<Shared>,
    watchdog: Arc<Watchdog>,
}

impl Running {
    /// Works in each term, until the driver has ended.
    pub(super) async fn run<W, F>(mut self, mut work: W) -> Result<(), RunError>
    where
        W: FnMut(Leadership) -> F,
        F: Future<Output = ()>,
    {
        while let Some(leadership) = self.terms.recv().await {
            let ended = WorkEnded {
                term: Arc::clone(leadership.term()),
                shared: Arc::clone(&self.shared),
                watchdog: Arc::clone(&self.watchdog),
            };
            work(leadership).await;
            drop(ended);
        }
        self.finished.take().expect("taken once, here").await.unwrap_or(Err(RunError::DriverDied))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.send(Command::Stop);
    }
}

/// Says that the work of a term has ended, in whatever way: returned, dropped or panicked.
struct WorkEnded {
    term: Arc<Term>,
    shared: Arc<Shared>,
    watchdog: Arc<Watchdog>,
}

impl Drop for WorkEnded {
    fn drop(&mut self) {
        self.term.note_work_ended();
        self.watchdog.arm(clock::now(), None, None);
        self.shared.send(Command::WorkEnded);
    }
}
