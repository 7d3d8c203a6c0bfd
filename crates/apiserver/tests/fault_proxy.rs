//! Each fault on real sockets of loopback, in front of a server that answers what it gets.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]
#![expect(clippy::disallowed_methods, reason = "how long a fault lasts is measured here")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use leasehold_apiserver::{Fault, FaultProxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Long enough to be sure that nothing comes, where nothing must.
const SILENCE: Duration = Duration::from_millis(150);

async fn echo_server() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    address
}

async fn proxy() -> FaultProxy {
    FaultProxy::start(echo_server().await).await.unwrap()
}

async fn client(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

async fn exchange(client: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    client.write_all(text).await?;
    let mut answer = vec![0; text.len()];
    client.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn is_silent(client: &mut TcpStream) -> bool {
    tokio::time::timeout(SILENCE, client.read_u8()).await.is_err()
}

#[tokio::test]
async fn without_a_fault_bytes_pass_and_are_counted() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    assert_eq!(exchange(&mut client, b"hello").await.unwrap(), b"hello");
    let counters = proxy.counters();
    assert_eq!((counters.connections, counters.to_server, counters.to_client), (1, 5, 5));
}

#[tokio::test]
async fn a_cut_resets_open_connections_and_new_ones_until_it_is_healed() {
    let proxy = proxy().await;
    let mut open = client(&proxy).await;
    exchange(&mut open, b"a").await.unwrap();
    proxy.set(Fault::Cut);
    assert!(open.read_u8().await.is_err());
    let mut new = client(&proxy).await;
    assert!(exchange(&mut new, b"b").await.is_err());
    proxy.set(Fault::None);
    let mut healed = client(&proxy).await;
    assert_eq!(exchange(&mut healed, b"c").await.unwrap(), b"c");
}

#[tokio::test]
async fn half_open_connections_are_silent_and_deliver_late() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    proxy.set(Fault::HalfOpen);
    client.write_all(b"late").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert_eq!(proxy.counters().to_server, 0);
    proxy.set(Fault::None);
    let mut answer = [0; 4];
    client.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"late");
}

#[tokio::test]
async fn a_connection_that_has_hung_carries_nothing_when_the_fault_is_over() {
    let proxy = proxy().await;
    let mut open = client(&proxy).await;
    exchange(&mut open, b"a").await.unwrap();
    proxy.set(Fault::Hang);
    let mut new = client(&proxy).await;
    open.write_all(b"b").await.unwrap();
    new.write_all(b"c").await.unwrap();
    assert!(is_silent(&mut open).await);
    proxy.set(Fault::None);
    assert!(is_silent(&mut open).await && is_silent(&mut new).await, "neither bytes nor an end");
    assert_eq!(proxy.counters().to_server, 1);
    let mut healed = client(&proxy).await;
    assert_eq!(exchange(&mut healed, b"d").await.unwrap(), b"d");
}

#[tokio::test]
async fn forgotten_connections_are_silent_and_newer_ones_pass() {
    let proxy = proxy().await;
    let mut open = client(&proxy).await;
    exchange(&mut open, b"a").await.unwrap();
    proxy.set(Fault::Forget);
    let mut new = client(&proxy).await;
    assert_eq!(exchange(&mut new, b"b").await.unwrap(), b"b");
    open.write_all(b"c").await.unwrap();
    assert!(is_silent(&mut open).await);
    proxy.set(Fault::Cut);
    assert!(open.read_u8().await.is_err(), "what is cut is reset, however dead it is");
}

#[tokio::test]
async fn delay_adds_up_over_both_ways_and_keeps_the_order() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    let half = Duration::from_millis(40);
    proxy.set(Fault::Delay { to_server: half, to_client: half });
    let begun = Instant::now();
    assert_eq!(exchange(&mut client, b"in order").await.unwrap(), b"in order");
    assert!(begun.elapsed() >= half * 2);
}

#[tokio::test]
async fn lost_answers_leave_the_request_done() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    exchange(&mut client, b"a").await.unwrap();
    proxy.set(Fault::LoseAnswers { reset_after: SILENCE });
    client.write_all(b"done").await.unwrap();
    assert!(client.read_u8().await.is_err(), "reset, without an answer");
    let counters = proxy.counters();
    assert_eq!((counters.to_server, counters.to_client), (5, 1));
}

#[tokio::test]
async fn one_way_is_held_and_the_other_passes() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    proxy.set(Fault::HoldToClient);
    client.write_all(b"x").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert_eq!((proxy.counters().to_server, proxy.counters().to_client), (1, 0));
    proxy.set(Fault::HoldToServer);
    assert_eq!(client.read_u8().await.unwrap(), b'x');
    client.write_all(b"y").await.unwrap();
    assert!(is_silent(&mut client).await);
    assert_eq!(proxy.counters().to_server, 1);
}

#[tokio::test]
async fn a_drip_is_no_faster_than_asked() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    proxy.set(Fault::Drip { bytes_per_second: 100 });
    let begun = Instant::now();
    assert_eq!(exchange(&mut client, b"0123456789").await.unwrap(), b"0123456789");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn dropping_the_proxy_ends_its_connections() {
    let proxy = proxy().await;
    let mut client = client(&proxy).await;
    exchange(&mut client, b"a").await.unwrap();
    drop(proxy);
    assert!(!matches!(client.read(&mut [0]).await, Ok(1..)));
}
