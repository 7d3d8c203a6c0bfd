//! A TCP proxy on loopback that breaks connections as networks do.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::pipe::{Direction, pump};

/// What the network does to every connection, those that are open included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Bytes pass both ways.
    None,
    /// Open connections are reset, new ones as soon as they are made.
    Cut,
    /// Connections stay open and carry nothing. What was sent meanwhile is held and arrives *late*, once the fault is
    /// over: the case that hurts a lease most.
    HalfOpen,
    /// As [`Fault::HalfOpen`], but nothing is delivered late: a connection that has known the fault carries nothing ever
    /// after, and says so to nobody.
    Hang,
    /// Connections that are open when it begins carry nothing ever after, and say so to nobody, as when a middlebox has
    /// forgotten them. Newer ones pass.
    Forget,
    /// Each chunk arrives this much later, in order.
    Delay {
        /// On the way to the server.
        to_server: Duration,
        /// On the way back.
        to_client: Duration,
    },
    /// Requests reach the server and answers are swallowed; then the connection is reset.
    LoseAnswers {
        /// From the begin of the fault, or of a newer connection, to the reset.
        reset_after: Duration,
    },
    /// What is sent to the server is held until the fault is over.
    HoldToServer,
    /// What the server sends is held until the fault is over.
    HoldToClient,
    /// Both ways, at most this many bytes a second.
    Drip {
        /// At least 1.
        bytes_per_second: u32,
    },
}

/// What has passed a proxy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections accepted.
    pub connections: u64,
    /// Bytes handed to the server.
    pub to_server: u64,
    /// Bytes handed to clients.
    pub to_client: u64,
}

/// A running proxy; dropping it ends it and its connections.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl FaultProxy {
    /// Listens on a free port of 127.0.0.1 and connects each client to `upstream`.
    ///
    /// # Errors
    ///
    /// If no port can be had.
    pub async fn start(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let fault = watch::Sender::new(Fault::None);
        let counts = Arc::<Counts>::default();
        let accepting = tokio::spawn(accept(listener, upstream, fault.subscribe(), Arc::clone(&counts)));
        Ok(Self { address, fault, counts, accepting })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens to open and new connections from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// What has passed so far.
    pub fn counters(&self) -> Counters {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counters {
            connections: load(&self.counts.connections),
            to_server: load(&self.counts.to_server),
            to_client: load(&self.counts.to_client),
        }
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Counts {
    pub(crate) fn add(&self, direction: Direction, bytes: usize) {
        let count = match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        };
        count.fetch_add(bytes.try_into().unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

async fn accept(
    listener: TcpListener,
    upstream: SocketAddr,
    fault: watch::Receiver<Fault>,
    counts: Arc<Counts>,
) {
    // Dropped with this task, and with it all connections.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                counts.connections.fetch_add(1, Ordering::Relaxed);
                connections.spawn(connect(client, upstream, fault.clone(), Arc::clone(&counts)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connect(
    mut client: TcpStream,
    upstream: SocketAddr,
    mut fault: watch::Receiver<Fault>,
    counts: Arc<Counts>,
) {
    if *fault.borrow_and_update() == Fault::Cut {
        return reset(client);
    }
    // A server that cannot be reached closes the client's connection, as it would without a proxy.
    let Ok(mut server) = TcpStream::connect(upstream).await else { return reset(client) };
    // Chunks are passed on as they come: nothing may wait for an acknowledgement here.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (client_in, client_out) = client.split();
    let (server_in, server_out) = server.split();
    let to_server = pump(Direction::ToServer, client_in, server_out, fault.clone(), &counts);
    let to_client = pump(Direction::ToClient, server_in, client_out, fault.clone(), &counts);
    let both = async { tokio::join!(to_server, to_client) };
    let end = tokio::select! {
        ((), ()) = both => End::Closed,
        () = until_reset(fault.clone()) => End::Reset,
        () = until_dead(fault.clone()) => End::Dead,
    };
    if end == End::Dead {
        // Kept open, and silent, until it is broken.
        until_reset(fault).await;
    }
    if end != End::Closed {
        reset(client);
        reset(server);
    }
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Reset,
    Dead,
}

/// Waits until the fault asks for this connection, which exists now, to carry nothing ever after.
async fn until_dead(mut fault: watch::Receiver<Fault>) {
    let mut is_new = true;
    loop {
        let now = *fault.borrow_and_update();
        if now == Fault::Hang || (now == Fault::Forget && !is_new) {
            return;
        }
        is_new = false;
        if fault.changed().await.is_err() {
            return;
        }
    }
}

/// Waits until the fault asks for open connections to be broken.
async fn until_reset(mut fault: watch::Receiver<Fault>) {
    loop {
        let now = *fault.borrow_and_update();
        match now {
            Fault::Cut => return,
            Fault::LoseAnswers { reset_after } => {
                tokio::select! {
                    () = tokio::time::sleep(reset_after) => return,
                    changed = fault.changed() => if changed.is_err() { return },
                }
            }
            Fault::None
            | Fault::HalfOpen
            | Fault::Hang
            | Fault::Forget
            | Fault::Delay { .. }
            | Fault::HoldToServer
            | Fault::HoldToClient
            | Fault::Drip { .. } => {
                if fault.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

fn reset(connection: TcpStream) {
    // Without lingering, closing sends RST. If that cannot be set, the other side sees an end of file.
    connection.set_zero_linger().ok();
}
