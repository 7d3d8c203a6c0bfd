//! The IO half: plain HTTP on a socket, clocks, chance. Decisions are made in [`crate::store`].

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use crate::store::{Outside, Store, Watch};

/// A running API server in this process; dropping it ends it and its connections.
///
/// It speaks plain HTTP and knows no users: whoever reaches the socket may do everything, as `system:admin` may.
#[derive(Debug)]
pub struct ApiServer {
    address: SocketAddr,
    api: Api,
    accepting: JoinHandle<()>,
}

/// The server without its socket: it answers on streams that it is given. Clones answer from the same store.
#[derive(Clone, Debug)]
pub struct Api {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    /// Told of each change: watches wait for it, and are woken in the order in which they began to wait.
    changed: Notify,
    now: fn() -> Timestamp,
    chance: fn() -> u64,
}

impl Api {
    /// A store with the namespaces that every cluster has, by a wall clock and a source of chance.
    pub fn new(now: fn() -> Timestamp, mut chance: fn() -> u64) -> Self {
        let store = Store::new(&mut Outside { now: now(), chance: &mut chance });
        Self { shared: Arc::new(Shared { store: Mutex::new(store), changed: Notify::new(), now, chance }) }
    }

    /// Answers a request at once, as on a connection. It must not be a watch.
    pub fn handle(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        self.shared.handle(request)
    }

    /// Serves one connection until its end, on a tokio runtime.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let shared = &self.shared;
        // Watches of this connection end with it.
        let watches = Arc::new(Mutex::new(JoinSet::new()));
        let service = service_fn(move |request| {
            let (shared, watches) = (Arc::clone(shared), Arc::clone(&watches));
            async move { Ok::<_, Infallible>(answer(request, &shared, &watches).await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).half_close(false);
        // A connection that breaks is the client's to notice.
        http.serve_connection(TokioIo::new(stream), service).await.ok();
    }
}

impl ApiServer {
    /// Listens, with the namespaces that every cluster has. Port 0 takes any free port.
    ///
    /// # Errors
    ///
    /// If the address cannot be listened on, or there are no random numbers.
    pub async fn start(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        random()?;
        let api = Api::new(now, chance);
        let accepting = tokio::spawn(accept(listener, api.clone()));
        Ok(Self { address, api, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As `http://127.0.0.1:8001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The revision of the newest change.
    pub fn revision(&self) -> u64 {
        self.api.shared.lock().revision()
    }

    /// Forgets the changes up to a revision: older watches get 410, as after a compaction of etcd.
    pub fn compact(&self, revision: u64) {
        self.api.shared.lock().compact(revision);
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Shared {
    /// The store is whole even if a holder of the lock panicked: requests change it at their very end.
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, request: &Request<Vec<u8>>) -> Response<Vec<u8>> {
        let mut store = self.lock();
        let mut chance = self.chance;
        let before = store.revision();
        let response = store.handle(&mut Outside { now: (self.now)(), chance: &mut chance }, request);
        let is_changed = store.revision() != before;
        drop(store);
        if is_changed {
            self.changed.notify_waiters();
        }
        response
    }
}

async fn accept(listener: TcpListener, api: Api) {
    // Dropped with this task, and with it all connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // Out of file handles, or a client that went at once: the next one may do better.
                let Ok((stream, _)) = accepted else { tokio::task::yield_now().await; continue };
                connections.spawn(connection(stream, api.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, api: Api) {
    // Events are small and must not wait for an acknowledgement.
    if stream.set_nodelay(true).is_ok() {
        api.serve(stream).await;
    }
}

type Watches = Arc<Mutex<JoinSet<()>>>;

async fn answer(request: Request<Incoming>, shared: &Arc<Shared>, watches: &Watches) -> Response<Answer> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BODY_BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes().to_vec(),
        Err(error) => {
            let mut response = Response::new(Answer::whole(error.to_string().into_bytes()));
            *response.status_mut() = http::StatusCode::PAYLOAD_TOO_LARGE;
            return response;
        }
    };
    let request = Request::from_parts(head, body);
    let response = if Store::is_watch(&request) {
        open_watch(&request, shared, watches)
    } else {
        shared.handle(&request).map(Answer::whole)
    };
    finish(response)
}

fn open_watch(request: &Request<Vec<u8>>, shared: &Arc<Shared>, watches: &Watches) -> Response<Answer> {
    let opened = shared.lock().open_watch((shared.now)(), request);
    let watch = match opened {
        Ok(watch) => watch,
        Err(refusal) => return refusal.map(Answer::whole),
    };
    let (sender, lines) = mpsc::channel(LINES_MAX);
    let mut watches = watches.lock().unwrap_or_else(PoisonError::into_inner);
    // What has ended is forgotten, so that a connection that watches for ever does not grow.
    while watches.try_join_next().is_some() {}
    watches.spawn(feed(watch, Arc::clone(shared), sender));
    let mut response = Response::new(Answer::Lines(lines));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Hands a watch's events on until its time is over, it falls too far behind, or its client goes.
async fn feed(mut watch: Watch, shared: Arc<Shared>, sender: mpsc::Sender<Bytes>) {
    let timeout = watch.timeout_seconds().map_or(WATCH_DURATION, Duration::from_secs);
    let end = Instant::now() + timeout;
    // As the real server does: a last word shortly before the end, so that the next watch can begin there.
    let farewell = end - BOOKMARK_BEFORE_END.min(timeout);
    let mut said_farewell = timeout <= BOOKMARK_BEFORE_END;
    let mut bookmarks = interval(BOOKMARK_INTERVAL);
    bookmarks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    bookmarks.reset();
    loop {
        // Before the look: a change that comes after it is not missed.
        let mut changed = pin!(shared.changed.notified());
        changed.as_mut().enable();
        let lines = shared.lock().poll_watch((shared.now)(), &mut watch);
        if !lines.is_empty() && sender.send(lines.concat().into()).await.is_err() || watch.is_ended() {
            return;
        }
        tokio::select! {
            biased;
            () = sender.closed() => return,
            () = sleep_until(end) => return,
            () = sleep_until(farewell), if !said_farewell => {
                said_farewell = true;
                let line = shared.lock().bookmark(&watch);
                if let Some(line) = line && sender.send(line).await.is_err() {
                    return;
                }
            }
            () = changed => {}
            _ = bookmarks.tick() => {
                let line = shared.lock().bookmark(&watch);
                if let Some(line) = line && sender.send(line).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn finish(mut response: Response<Answer>) -> Response<Answer> {
    let headers = response.headers_mut();
    let uncached = HeaderValue::from_static("no-cache, private");
    headers.entry(header::CACHE_CONTROL).or_insert(uncached);
    response
}

/// A body: whole, or line by line.
#[derive(Debug)]
enum Answer {
    Whole(Full<Bytes>),
    Lines(mpsc::Receiver<Bytes>),
}

impl Answer {
    fn whole(body: Vec<u8>) -> Self {
        Self::Whole(Full::new(body.into()))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(context),
            Self::Lines(lines) => lines.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line)))),
        }
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Lines(_) => hyper::body::SizeHint::default(),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Lines(_) => false,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place where the server's clock is read")]
fn now() -> Timestamp {
    Timestamp::now()
}

#[expect(clippy::disallowed_methods, reason = "the one place where chance comes from")]
fn random() -> io::Result<u64> {
    getrandom::u64().map_err(|error| io::Error::other(format!("no random numbers: {error}")))
}

fn chance() -> u64 {
    random().expect("random numbers were had at the start, and the system's source does not end")
}

/// As `--max-request-bytes` of the real server: 3 MiB.
const BODY_BYTES_MAX: usize = 3 << 20;
/// Groups of events that wait for a slow client before the watch waits.
const LINES_MAX: usize = 64;
/// The real server ends watches after 30 to 60 minutes.
const WATCH_DURATION: Duration = Duration::from_secs(45 * 60);
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
const BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);
