//! Stories over real HTTP, with a client that only knows bytes: what a candidate and its standbys live through.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use leasehold_apiserver::ApiServer;
use serde_json::{Value, json};
use tokio::net::TcpStream;

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
const DB: &str = "/apis/coordination.k8s.io/v1/namespaces/default/leases/db";

async fn server() -> ApiServer {
    ApiServer::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap()
}

async fn send(server: &ApiServer, request: http::request::Builder, body: &Value) -> Response<Incoming> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = request.header(header::HOST, "localhost").header(header::USER_AGENT, "story/1");
    sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap()
}

async fn exchange(server: &ApiServer, request: http::request::Builder, body: Value) -> (u16, Value) {
    let response = send(server, request, &body).await;
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap())
}

async fn create(server: &ApiServer, holder: &str) -> Value {
    let lease =
        json!({"metadata": {"name": "db"}, "spec": {"holderIdentity": holder, "leaseTransitions": 0}});
    let (code, lease) = exchange(server, Request::post(LEASES), lease).await;
    assert_eq!(code, 201, "{lease}");
    lease
}

/// Renews as a candidate does: by a patch that expects to hold the lease.
async fn renew(server: &ApiServer, holder: &str, time: &str) -> (u16, Value) {
    let patch = json!([
        {"op": "test", "path": "/spec/holderIdentity", "value": holder},
        {"op": "add", "path": "/spec/renewTime", "value": time},
    ]);
    let request = Request::patch(DB).header(header::CONTENT_TYPE, "application/json-patch+json");
    exchange(server, request, patch).await
}

struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    async fn open(server: &ApiServer, query: &str) -> Self {
        let path = format!("{LEASES}?watch=true&{query}");
        let response = send(server, Request::get(path), &Value::Null).await;
        assert_eq!(response.status(), 200);
        Self { body: response.into_body(), buffer: Vec::new() }
    }

    /// The next event, or none when the server ended the watch.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let frame = self.body.frame().await?.unwrap();
            self.buffer.extend_from_slice(&frame.into_data().unwrap());
        }
    }

    async fn expect(&mut self, kind: &str) -> Value {
        let event = self.next().await.unwrap();
        assert_eq!(event["type"], kind, "{event}");
        event["object"].clone()
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_lease_is_created_once_renewed_by_its_holder_and_by_nobody_else() {
    let server = server().await;
    let created = create(&server, "a").await;
    let again = json!({"metadata": {"name": "db"}, "spec": {"holderIdentity": "b"}});
    let (code, refusal) = exchange(&server, Request::post(LEASES), again).await;
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("AlreadyExists")));

    let (code, renewed) = renew(&server, "a", "2026-01-02T03:04:05.000006Z").await;
    assert_eq!((code, &renewed["spec"]["renewTime"]), (200, &json!("2026-01-02T03:04:05.000006Z")));
    assert!(version(&renewed) > version(&created));
    assert_eq!(renewed["metadata"]["managedFields"][0]["manager"], "story");

    let (code, refusal) = renew(&server, "b", "2026-01-02T03:04:06.000006Z").await;
    assert_eq!((code, refusal["reason"].as_str()), (422, Some("Invalid")));
    assert_eq!(refusal["details"], json!({}));
    let (_, after) = exchange(&server, Request::get(DB), Value::Null).await;
    assert_eq!(after, renewed);
}

#[tokio::test]
async fn a_write_that_changes_nothing_keeps_the_version_and_is_no_event() {
    let server = server().await;
    let created = create(&server, "a").await;
    let mut events = Events::open(&server, &format!("resourceVersion={}", version(&created))).await;
    let (_, first) = renew(&server, "a", "2026-01-02T03:04:05.000006Z").await;
    let (code, same) = renew(&server, "a", "2026-01-02T03:04:05.000006Z").await;
    assert_eq!((code, version(&same)), (200, version(&first)));
    let (_, second) = renew(&server, "a", "2026-01-02T03:04:06.000006Z").await;
    assert_eq!(events.expect("MODIFIED").await, first);
    assert_eq!(events.expect("MODIFIED").await, second);
}

#[tokio::test]
async fn a_put_with_an_old_version_conflicts_and_re_creates_a_lease_that_is_gone_unless_it_names_its_uid() {
    let server = server().await;
    let created = create(&server, "a").await;
    renew(&server, "a", "2026-01-02T03:04:05.000006Z").await;
    let (code, refusal) = exchange(&server, Request::put(DB), created.clone()).await;
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    let (code, _) = exchange(&server, Request::delete(DB), Value::Null).await;
    assert_eq!(code, 200);
    let (code, refusal) = exchange(&server, Request::put(DB), created.clone()).await;
    assert_eq!((code, refusal["reason"].as_str()), (409, Some("Conflict")));
    let mut without_uid = created.clone();
    without_uid["metadata"].as_object_mut().unwrap().remove("uid");
    let (code, second) = exchange(&server, Request::put(DB), without_uid).await;
    assert_eq!(code, 201);
    assert_ne!(second["metadata"]["uid"], created["metadata"]["uid"]);
}

#[tokio::test]
async fn of_candidates_that_race_for_a_free_lease_exactly_one_wins() {
    let server = server().await;
    create(&server, "").await;
    let acquire = |name: String| {
        let patch = json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": ""},
            {"op": "replace", "path": "/spec/holderIdentity", "value": name},
        ]);
        let request = Request::patch(DB).header(header::CONTENT_TYPE, "application/json-patch+json");
        exchange(&server, request, patch)
    };
    let (a, b, c) = tokio::join!(acquire("a".into()), acquire("b".into()), acquire("c".into()));
    let mut codes = [a.0, b.0, c.0];
    codes.sort_unstable();
    assert_eq!(codes, [200, 422, 422]);
}

#[tokio::test]
async fn a_watch_from_now_on_tells_what_is_there_then_each_change_once_and_in_order() {
    let server = server().await;
    create(&server, "a").await;
    let mut events = Events::open(&server, "fieldSelector=metadata.name%3Ddb").await;
    let other = json!({"metadata": {"name": "other"}});
    exchange(&server, Request::post(LEASES), other).await;
    for second in 10..20 {
        renew(&server, "a", &format!("2026-01-02T03:04:{second}.000006Z")).await;
    }
    exchange(&server, Request::delete(DB), Value::Null).await;
    let mut newest = version(&events.expect("ADDED").await);
    for second in 10..20 {
        let lease = events.expect("MODIFIED").await;
        assert_eq!(lease["spec"]["renewTime"], format!("2026-01-02T03:04:{second}.000006Z"));
        assert!(version(&lease) > newest);
        newest = version(&lease);
    }
    assert!(version(&events.expect("DELETED").await) > newest);
}

#[tokio::test]
async fn an_object_that_stops_matching_is_deleted_for_a_watch_by_label() {
    let server = server().await;
    let label = |value: &str| {
        let patch = json!({"metadata": {"labels": {"app": value}}});
        let request = Request::patch(DB).header(header::CONTENT_TYPE, "application/merge-patch+json");
        exchange(&server, request, patch)
    };
    create(&server, "a").await;
    let mut events = Events::open(&server, "labelSelector=app+in+(web)").await;
    label("web").await;
    label("db").await;
    events.expect("ADDED").await;
    events.expect("DELETED").await;
}

#[tokio::test]
async fn a_version_that_is_no_longer_kept_is_answered_by_410_and_the_watch_ends() {
    let server = server().await;
    let created = create(&server, "a").await;
    renew(&server, "a", "2026-01-02T03:04:05.000006Z").await;
    server.compact(server.revision());
    let mut events = Events::open(&server, &format!("resourceVersion={}", version(&created))).await;
    let status = events.expect("ERROR").await;
    assert_eq!((&status["code"], &status["reason"]), (&json!(410), &json!("Expired")));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn every_answer_carries_the_servers_date() {
    let server = server().await;
    let response = send(&server, Request::get(DB), &Value::Null).await;
    assert_eq!(response.status(), 404);
    assert!(response.headers().contains_key(header::DATE));
}

#[tokio::test]
async fn a_dropped_server_ends_its_connections() {
    let server = server().await;
    let mut events = Events::open(&server, "").await;
    let address = server.address();
    drop(server);
    // Cut in the middle of a body: an end, or an error, but no event.
    let ended = events.body.frame().await;
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    assert!(TcpStream::connect(address).await.is_err());
}
