//! One direction of one connection.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::fault_proxy::{Counts, Fault};

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    ToServer,
    ToClient,
}

/// A chunk and when it arrived: delay is counted from there, so that chunks overtake nothing and queue for nothing.
struct Chunk {
    arrived: Instant,
    bytes: Vec<u8>,
}

/// What happens to a chunk now.
enum Fate {
    PassAt(Instant),
    Hold,
    Swallow,
    Drip { bytes_per_second: u32 },
}

/// Carries bytes until the sender closes or a socket breaks.
pub(crate) async fn pump(
    direction: Direction,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut fault: watch::Receiver<Fault>,
    counts: &Counts,
) {
    let (sender, mut chunks) = mpsc::channel(CHUNKS_MAX);
    let read = async move {
        let mut buffer = vec![0; CHUNK_MAX];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            let chunk = Chunk { arrived: Instant::now(), bytes: buffer[..length].to_vec() };
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    };
    let write = async {
        while let Some(chunk) = chunks.recv().await {
            if !deliver(direction, &chunk, &mut to, &mut fault, counts).await {
                return;
            }
        }
        // A half-closed side is passed on; a broken one needs no farewell.
        to.shutdown().await.ok();
    };
    tokio::join!(read, write);
}

/// Hands a chunk on as the fault of the moment says, which may change while it waits. False if nobody reads.
async fn deliver(
    direction: Direction,
    chunk: &Chunk,
    to: &mut WriteHalf<'_>,
    fault: &mut watch::Receiver<Fault>,
    counts: &Counts,
) -> bool {
    loop {
        let now = *fault.borrow_and_update();
        match fate(now, direction, chunk.arrived) {
            Fate::Swallow => return true,
            Fate::Hold => {
                if fault.changed().await.is_err() {
                    return false;
                }
            }
            Fate::PassAt(time) => {
                tokio::select! {
                    () = sleep_until(time) => {
                        counts.add(direction, chunk.bytes.len());
                        return to.write_all(&chunk.bytes).await.is_ok();
                    }
                    changed = fault.changed() => if changed.is_err() { return false },
                }
            }
            Fate::Drip { bytes_per_second } => {
                for byte in &chunk.bytes {
                    sleep(Duration::from_secs(1) / bytes_per_second.max(1)).await;
                    counts.add(direction, 1);
                    if to.write_all(std::slice::from_ref(byte)).await.is_err() {
                        return false;
                    }
                }
                return true;
            }
        }
    }
}

fn fate(fault: Fault, direction: Direction, arrived: Instant) -> Fate {
    match (fault, direction) {
        (Fault::Delay { to_server: delay, .. }, Direction::ToServer)
        | (Fault::Delay { to_client: delay, .. }, Direction::ToClient) => Fate::PassAt(arrived + delay),
        (Fault::HalfOpen | Fault::Hang | Fault::Cut, _)
        | (Fault::HoldToServer, Direction::ToServer)
        | (Fault::HoldToClient, Direction::ToClient) => Fate::Hold,
        (Fault::LoseAnswers { .. }, Direction::ToClient) => Fate::Swallow,
        (Fault::Drip { bytes_per_second }, _) => Fate::Drip { bytes_per_second },
        (Fault::None | Fault::Forget, _)
        | (Fault::LoseAnswers { .. } | Fault::HoldToClient, Direction::ToServer)
        | (Fault::HoldToServer, Direction::ToClient) => Fate::PassAt(arrived),
    }
}

const CHUNK_MAX: usize = 16 << 10;
/// How much is held before the sender's own window fills.
const CHUNKS_MAX: usize = 256;
