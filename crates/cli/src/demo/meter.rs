//! The meter: asks a candidate all the time whether it leads, and keeps every answer.
//!
//! Each process is asked by a thread of its own, so that one that is paused does not keep the others from being asked,
//! and a busy runtime keeps nobody. What counts as time is what the candidate says: CLOCK_BOOTTIME read before and after
//! it looked. How late the answer is read here does not matter.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use leasehold_history::{Nanos, Sample, Span};
use serde::Deserialize;
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// Asks one process until it is dropped.
#[derive(Debug)]
pub(crate) struct Probe {
    kept: Arc<Mutex<Kept>>,
    /// Closed when this is dropped, which ends the thread even while it waits for an answer.
    _asking: oneshot::Sender<()>,
}

/// What a process has answered.
#[derive(Clone, Debug, Default)]
struct Kept {
    samples: Vec<Sample>,
    state: String,
    failure: Option<String>,
}

impl Kept {
    fn keep(&mut self, sample: Sample, state: String) {
        self.samples.push(sample);
        self.state = state;
        self.failure = None;
    }
}

/// The part of `/v1/status` that is judged.
#[derive(Debug, Deserialize)]
struct Answer {
    state: String,
    token: Option<u64>,
    boottime_ns_before: u64,
    boottime_ns: u64,
}

impl Probe {
    /// Begins to ask at a socket that need not be there yet.
    ///
    /// # Errors
    /// If no thread can be had.
    pub(crate) fn start(socket: PathBuf) -> Result<Self> {
        let kept = Arc::<Mutex<Kept>>::default();
        let (asking, dropped) = oneshot::channel();
        let runtime =
            Builder::new_current_thread().enable_all().build().context("no runtime for the meter")?;
        let answers = Arc::clone(&kept);
        let ask = async move {
            tokio::select! {
                () = ask_for_ever(&socket, &answers) => {}
                _ = dropped => {}
            }
        };
        thread::Builder::new().name("meter".to_owned()).spawn(move || runtime.block_on(ask))?;
        Ok(Self { kept, _asking: asking })
    }

    /// The latest answer.
    pub(crate) fn latest(&self) -> Option<Sample> {
        lock(&self.kept).samples.last().copied()
    }

    /// Whether the latest answer was that it is a standby: it knows of the lease, and waits.
    pub(crate) fn is_standby(&self) -> bool {
        lock(&self.kept).state == "standby"
    }

    /// All answers so far.
    pub(crate) fn samples(&self) -> Vec<Sample> {
        lock(&self.kept).samples.clone()
    }

    /// Why the latest question was not answered, if it was not.
    pub(crate) fn failure(&self) -> Option<String> {
        lock(&self.kept).failure.clone()
    }
}

async fn ask_for_ever(socket: &Path, kept: &Mutex<Kept>) {
    loop {
        // Not answering is no error of the meter: a process that starts or ends does not answer.
        if let Err(error) = ask_until_failure(socket, kept).await {
            lock(kept).failure = Some(format!("{error:#}"));
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }
}

async fn ask_until_failure(socket: &Path, kept: &Mutex<Kept>) -> Result<()> {
    let stream = UnixStream::connect(socket).await.context("connecting")?;
    let (mut connection, io) = handshake(TokioIo::new(stream)).await.context("connecting")?;
    let ask = async {
        let mut due = Instant::now();
        loop {
            let answer = ask(&mut connection).await?;
            lock(kept).keep(answer.sample()?, answer.state);
            // Who is behind asks at once, and catches up on nothing. The thread has nothing else to do, and the
            // runtime's timer would round up to whole milliseconds.
            due = (due + QUESTION_INTERVAL).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
    };
    tokio::select! {
        failure = ask => failure,
        ended = io => ended.context("the connection ended").and_then(|()| bail!("the connection was closed")),
    }
}

async fn ask(connection: &mut SendRequest<Empty<Bytes>>) -> Result<Answer> {
    let request = Request::get("/v1/status").header("host", "localhost").body(Empty::new())?;
    connection.ready().await.context("asking")?;
    let response = connection.send_request(request).await.context("asking")?;
    ensure!(response.status().is_success(), "/v1/status was answered {}", response.status());
    let body = response.into_body().collect().await.context("reading the answer")?.to_bytes();
    serde_json::from_slice(&body).context("/v1/status was answered with another document")
}

impl Answer {
    fn sample(&self) -> Result<Sample> {
        let taken = Span::new(Nanos(self.boottime_ns_before), Nanos(self.boottime_ns))?;
        let leading = self.state == "leader";
        Ok(Sample { taken, leading, token: self.token.filter(|_| leading) })
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From a question to the next.
const QUESTION_INTERVAL: Duration = Duration::from_millis(2);
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);
