//! What is served: control for the service in the same Pod, and probes for kubelet and Prometheus.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use leasehold::{Handle, Status, clock};
use serde_json::{Value, json};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};

/// Serves the service in the same Pod. `writable`: whether it may ask to step down.
pub(crate) fn control(handle: Handle, writable: bool) -> Router {
    let router = Router::new()
        .route("/", get(name))
        .route("/leader", get(leader).options(leader))
        .route("/v1/status", get(status))
        .route("/v1/watch", get(watch));
    let router = if writable { router.route("/v1/step-down", post(step_down)) } else { router };
    let paths = if writable {
        "/ /leader /v1/status /v1/watch, POST /v1/step-down"
    } else {
        "/ /leader /v1/status /v1/watch"
    };
    router.fallback(move || async move { not_found(paths) }).with_state(handle)
}

/// Serves kubelet and Prometheus; it changes nothing.
pub(crate) fn probes(handle: Handle) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/leader", get(leader).options(leader))
        .route("/metrics", get(metrics))
        .fallback(|| async { not_found("/livez /readyz /leader /metrics") })
        .with_state(handle)
}

fn not_found(paths: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "error": "no such path", "paths": paths }))).into_response()
}

/// As the old image: the holder up to its nonce, `""` when it cannot be known.
async fn name(State(handle): State<Handle>) -> Json<Value> {
    let status = handle.status();
    let holder = leader_named(&status, handle.is_leader());
    let last_update = status.last_update.map(|time| format!("{time:.6}"));
    Json(json!({ "name": without_nonce(holder), "last_update": last_update }))
}

async fn leader(State(handle): State<Handle>) -> (StatusCode, &'static str) {
    if handle.is_leader() {
        (StatusCode::OK, "leader\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not leader\n")
    }
}

async fn status(State(handle): State<Handle>) -> Json<Value> {
    Json(document(&handle))
}

/// Every change as a server-sent event, beginning with the present status.
async fn watch(State(handle): State<Handle>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ids = Arc::new(AtomicU64::new(0));
    let changes = WatchStream::new(handle.subscribe()).map(move |_| {
        let id = ids.fetch_add(1, Ordering::Relaxed).to_string();
        // The status of now, not of the change: a slow reader must not be told of a leadership that is over.
        let event = Event::default().id(id).event("status").data(document(&handle).to_string());
        Ok(event)
    });
    Sse::new(changes).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// Hands leadership over. A page in a browser cannot ask for it: its requests carry an Origin.
async fn step_down(State(handle): State<Handle>, headers: HeaderMap) -> Response {
    if headers.contains_key(header::ORIGIN) {
        let error = json!({ "error": "requests from web pages are refused" });
        return (StatusCode::FORBIDDEN, Json(error)).into_response();
    }
    if !handle.is_leader() {
        let error = json!({ "error": "this Pod does not lead" });
        return (StatusCode::CONFLICT, Json(error)).into_response();
    }
    handle.step_down();
    (StatusCode::ACCEPTED, Json(json!({ "state": "stopping" }))).into_response()
}

async fn livez(State(handle): State<Handle>) -> (StatusCode, &'static str) {
    if handle.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the election's loop does not turn\n")
    }
}

/// Ready once the API server has answered, and from then on: an API server that is away must not take the service
/// down, and neither must being a standby.
async fn readyz(State(handle): State<Handle>) -> (StatusCode, &'static str) {
    if handle.status().ready {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the API server has not answered yet\n")
    }
}

async fn metrics(State(handle): State<Handle>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], handle.metrics_text())
}

/// The document of `/v1/status`. The state was looked at between the two readings of the clock: a process that was
/// paused just there must not pass an old state off as a new one.
fn document(handle: &Handle) -> Value {
    let before_ns = boottime_ns();
    let status = handle.status();
    let boottime_ns = boottime_ns();
    let valid_for = status.valid_until.map(|until| until.boottime_ns.saturating_sub(boottime_ns) / 1_000_000);
    json!({
        "apiVersion": "leasehold.dev/v1",
        "kind": "Status",
        "state": status.state.as_str(),
        "namespace": status.namespace,
        "lease": status.lease,
        "identity": status.identity,
        "holder": status.holder,
        "token": status.token,
        "transitions": status.transitions,
        "lead_until": status.lead_until.map(|until| until.to_string()),
        "valid_for_ms": valid_for,
        "boottime_ns_before": before_ns,
        "boottime_ns": boottime_ns,
        "health": status.health.as_str(),
        "health_reason": status.health.reason(),
        "last_error": status.last_error,
    })
}

fn boottime_ns() -> u64 {
    u64::try_from(clock::boottime().as_nanos()).unwrap_or(u64::MAX)
}

/// Services of the old image lead while they find their own name here: a holder that does not lead any more must not
/// name itself, though the Lease still names it.
fn leader_named(status: &Status, leads: bool) -> &str {
    let holder = status.holder.as_deref().unwrap_or_default();
    if holder == status.identity && !leads { "" } else { holder }
}

fn without_nonce(identity: &str) -> &str {
    let is_nonce = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match identity.rsplit_once('_') {
        Some((name, nonce)) if is_nonce(nonce) => name,
        _ => identity,
    }
}

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt as _;
    use leasehold::Candidate;
    use tower::ServiceExt as _;

    use super::*;

    /// A candidate that has not started knows nothing, and must say so.
    fn handle() -> Handle {
        Candidate::builder("prod", "db").identity("db-0").build().unwrap().handle()
    }

    async fn ask(router: Router, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let code = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn who_knows_nothing_names_nobody() {
        let (code, body) = ask(control(handle(), true), "GET", "/", &[]).await;
        assert_eq!((code, body.as_str()), (200, r#"{"last_update":null,"name":""}"#));
        let (code, body) = ask(control(handle(), true), "GET", "/v1/status", &[]).await;
        let status: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((code, &status["state"], &status["holder"]), (200, &json!("unknown"), &Value::Null));
    }

    #[tokio::test]
    async fn a_status_tells_between_which_instants_it_was_looked_at() {
        let before = boottime_ns();
        let (_, body) = ask(control(handle(), true), "GET", "/v1/status", &[]).await;
        let status: Value = serde_json::from_str(&body).unwrap();
        let instants = [&status["boottime_ns_before"], &status["boottime_ns"]].map(|at| at.as_u64().unwrap());
        assert!(
            before <= instants[0] && instants[0] <= instants[1] && instants[1] <= boottime_ns(),
            "{body}"
        );
    }

    #[tokio::test]
    async fn a_standby_is_no_leader_whatever_the_method() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            assert_eq!(ask(control(handle(), true), method, "/leader", &[]).await.0, 503, "{method}");
        }
    }

    #[tokio::test]
    async fn stepping_down_is_for_the_pod_alone() {
        let page = [("origin", "http://evil.example")];
        assert_eq!(ask(control(handle(), true), "POST", "/v1/step-down", &page).await.0, 403);
        assert_eq!(ask(control(handle(), true), "POST", "/v1/step-down", &[]).await.0, 409);
        assert_eq!(ask(control(handle(), false), "POST", "/v1/step-down", &[]).await.0, 404);
    }

    #[tokio::test]
    async fn probes_do_not_ask_for_leadership() {
        assert_eq!(ask(probes(handle()), "GET", "/livez", &[]).await.0, 200);
        assert_eq!(ask(probes(handle()), "GET", "/readyz", &[]).await.0, 503);
        let (code, text) = ask(probes(handle()), "GET", "/metrics", &[]).await;
        assert!(code == 200 && text.contains("leader_election_master_status{name=\"db\"} 0"), "{text}");
    }

    #[tokio::test]
    async fn an_unknown_path_is_answered_with_those_there_are() {
        let (code, body) = ask(control(handle(), true), "GET", "/healthz", &[]).await;
        assert!(code == 404 && body.contains("/v1/status"), "{body}");
    }

    #[tokio::test]
    async fn a_watch_begins_with_the_present_status() {
        let request = Request::builder().uri("/v1/watch").body(Body::empty()).unwrap();
        let response = control(handle(), true).oneshot(request).await.unwrap();
        let frame = response.into_body().frame().await.unwrap().unwrap().into_data().unwrap();
        let text = String::from_utf8(frame.to_vec()).unwrap();
        assert!(text.contains("id: 0") && text.contains("\"state\":\"unknown\""), "{text}");
    }

    /// When the API server was away, `/` named the Pod for up to a lease duration after it had stopped leading.
    #[test]
    fn a_holder_that_does_not_lead_any_more_does_not_name_itself() {
        let status = Status { holder: Some("db-0".to_owned()), ..handle().status() };
        assert_eq!(leader_named(&status, true), "db-0");
        assert_eq!(leader_named(&status, false), "");
        let standby = Status { holder: Some("db-1".to_owned()), ..status };
        assert_eq!(leader_named(&standby, false), "db-1");
    }

    #[test]
    fn names_are_shown_up_to_the_nonce() {
        assert_eq!(without_nonce("db-0_uid_0123456789abcdef"), "db-0_uid");
        assert_eq!(without_nonce("db_0"), "db_0");
        assert_eq!(without_nonce(""), "");
    }
}
