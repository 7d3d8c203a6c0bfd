//! The ground that the other end-to-end tests stand on holds: servers, permissions,
//! audit log, outages, and client-go as the peer.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::time::Duration;

use http::{Method, Request};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::client::Body;
use leasehold_e2e::client_go::{ClientGoEventKind, ClientGoOptions};
use leasehold_e2e::rbac::{PodRef, create_namespace};
use leasehold_e2e::{ClientGoCandidate, ControlPlane, LeasePermission, tools};
use serde_json::{Value, json};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A candidate's account with a Pod, and a client that is that Pod.
struct Account {
    permission: LeasePermission,
    pod: PodRef,
    token: String,
    client: Client,
}

impl Account {
    async fn new(control_plane: &ControlPlane, namespace: &str) -> Self {
        let admin = control_plane.admin_client().await.unwrap();
        let permission = LeasePermission::grant(&admin, namespace, "leader").await.unwrap();
        let pod = permission.create_pod(&admin, "app-0").await.unwrap();
        let token = permission.bound_token(&admin, &pod).await.unwrap();
        let client = control_plane.client_for(&token).await.unwrap();
        Self { permission, pod, token, client }
    }
}

/// Status code and body of one request.
async fn send(client: &Client, method: Method, uri: &str, content_type: &str, body: Value) -> (u16, Value) {
    let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string().into_bytes()) };
    let request =
        Request::builder().method(method).uri(uri).header("content-type", content_type).body(body).unwrap();
    let answer = client.send(request).await.unwrap();
    let code = answer.status().as_u16();
    let bytes = answer.into_body().collect_bytes().await.unwrap();
    (code, serde_json::from_slice(&bytes).unwrap())
}

fn leases(namespace: &str) -> String {
    format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases")
}

fn lease(namespace: &str, name: &str, holder: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15},
    })
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

#[tokio::test]
async fn the_server_is_the_pinned_version_and_only_its_own_authority_vouches_for_it() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let admin = control_plane.admin_client().await.unwrap();
    let version = admin.apiserver_version().await.unwrap().git_version;
    if std::env::var_os("KUBEBUILDER_ASSETS").is_none() {
        assert_eq!(version, tools::kubernetes_version().unwrap());
    }
    assert!(control_plane.ca_pem().starts_with("-----BEGIN CERTIFICATE-----"));

    let stranger = kube::Config::new(control_plane.url().parse().unwrap());
    let error = Client::try_from(stranger).unwrap().apiserver_version().await.unwrap_err();
    assert!(format!("{error:?}").contains("UnknownIssuer"), "{error:?}");
}

#[tokio::test]
async fn one_rule_with_one_name_suffices_and_allows_nothing_else() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let Account { client, .. } = Account::new(&control_plane, "rule").await;
    let own = format!("{}/leader", leases("rule"));
    let other = format!("{}/other", leases("rule"));
    let request = async |method, uri: &str, body| send(&client, method, uri, JSON, body).await.0;

    assert_eq!(request(Method::POST, &leases("rule"), lease("rule", "leader", "a")).await, 403);
    assert_eq!(request(Method::PUT, &other, lease("rule", "other", "a")).await, 403);
    assert_eq!(request(Method::PUT, &own, lease("rule", "leader", "a")).await, 201);
    assert_eq!(request(Method::GET, &own, Value::Null).await, 200);
    assert_eq!(request(Method::GET, &leases("rule"), Value::Null).await, 403);
    let selected = format!("{}?fieldSelector=metadata.name%3Dleader", leases("rule"));
    assert_eq!(request(Method::GET, &selected, Value::Null).await, 403, "nobody lists");
    let watch = |selector: &str| format!("{}?watch=true&timeoutSeconds=1{selector}", leases("rule"));
    assert_eq!(request(Method::GET, &watch("&fieldSelector=metadata.name%3Dleader"), Value::Null).await, 200);
    assert_eq!(request(Method::GET, &watch(""), Value::Null).await, 403);
    assert_eq!(request(Method::DELETE, &own, Value::Null).await, 403);
}

#[tokio::test]
async fn a_patch_whose_test_fails_is_refused_with_empty_details() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let Account { client, .. } = Account::new(&control_plane, "patch").await;
    let own = format!("{}/leader", leases("patch"));
    let (created, _) = send(&client, Method::PUT, &own, JSON, lease("patch", "leader", "a")).await;
    assert_eq!(created, 201);

    let expecting = |holder| {
        json!([
            {"op": "test", "path": "/spec/holderIdentity", "value": holder},
            {"op": "replace", "path": "/spec/holderIdentity", "value": "b"},
        ])
    };
    let (code, status) = send(&client, Method::PATCH, &own, JSON_PATCH, expecting("nobody")).await;
    assert_eq!((code, &status["reason"]), (422, &json!("Invalid")), "{status}");
    assert_eq!(status["details"], json!({}), "a validation error would name a field");

    let (code, changed) = send(&client, Method::PATCH, &own, JSON_PATCH, expecting("a")).await;
    assert_eq!((code, &changed["spec"]["holderIdentity"]), (200, &json!("b")));
}

#[tokio::test]
async fn the_audit_log_shows_each_request_its_answer_its_body_and_its_pod() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let Account { client, permission, pod, .. } = Account::new(&control_plane, "audited").await;
    let own = format!("{}/leader", leases("audited"));
    send(&client, Method::POST, &leases("audited"), JSON, lease("audited", "leader", "a")).await;
    send(&client, Method::PUT, &own, JSON, lease("audited", "leader", "a")).await;
    send(&client, Method::GET, &own, JSON, Value::Null).await;

    let mut events = control_plane.audit_events().unwrap();
    events.retain(|event| event.is_about_lease("audited", "leader"));
    let told: Vec<_> = events.iter().map(|event| (event.verb.as_str(), event.code())).collect();
    assert_eq!(told, [("create", Some(403)), ("update", Some(201)), ("get", Some(200))]);
    for event in &events {
        assert_eq!(event.user.username, permission.username());
        assert_eq!(event.user.extra["authentication.kubernetes.io/pod-name"], [pod.name.as_str()]);
        assert_eq!(event.user.extra["authentication.kubernetes.io/pod-uid"], [pod.uid.as_str()]);
        assert!(event.request_received_timestamp <= event.stage_timestamp);
    }
    assert_eq!(events[0].response_status.as_ref().unwrap().reason.as_deref(), Some("Forbidden"));
    let written = events[1].request_object.as_ref().expect("leases are logged with their bodies");
    assert_eq!(written["spec"]["holderIdentity"], "a");
}

#[tokio::test]
async fn a_permission_is_gone_once_withdrawn_and_back_once_given_back() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let admin = control_plane.admin_client().await.unwrap();
    let Account { client, permission, .. } = Account::new(&control_plane, "withdrawn").await;
    let own = format!("{}/leader", leases("withdrawn"));
    let request = async |method, body| send(&client, method, &own, JSON, body).await.0;

    assert_eq!(request(Method::PUT, lease("withdrawn", "leader", "a")).await, 201);
    permission.withdraw(&admin).await.unwrap();
    assert_eq!(request(Method::GET, Value::Null).await, 403);
    permission.give_back(&admin).await.unwrap();
    assert_eq!(request(Method::GET, Value::Null).await, 200);
}

#[tokio::test]
async fn after_an_outage_the_same_address_serves_the_same_lease() {
    let control_plane = ControlPlane::start().await.unwrap();
    let admin = control_plane.admin_client().await.unwrap();
    create_namespace(&admin, "outage").await.unwrap();
    let api: Api<Lease> = Api::namespaced(admin, "outage");
    let created = serde_json::from_value(lease("outage", "leader", "a")).unwrap();
    let before = api.create(&PostParams::default(), &created).await.unwrap();

    control_plane.stop_api_server().unwrap();
    let error = api.get("leader").await.unwrap_err();
    assert!(!matches!(error, kube::Error::Api(_)), "somebody answered: {error}");
    control_plane.stop_api_server().unwrap_err();

    control_plane.start_api_server().await.unwrap();
    assert_eq!(api.get("leader").await.unwrap().metadata, before.metadata);
    control_plane.start_api_server().await.unwrap_err();
}

#[tokio::test]
async fn a_client_go_candidate_leads_and_hands_over() {
    let control_plane = ControlPlane::shared().await.unwrap();
    let Account { client, token, .. } = Account::new(&control_plane, "client-go").await;
    // It would create the Lease by POST, which the permission does not allow.
    let own = format!("{}/leader", leases("client-go"));
    send(&client, Method::PUT, &own, JSON, lease("client-go", "leader", "")).await;
    let kubeconfig = control_plane.kubeconfig_for(&token, &control_plane.url()).unwrap();
    let candidate = |identity| {
        ClientGoOptions::new(&kubeconfig, "client-go", "leader", identity).scaled_to(Duration::from_secs(3))
    };
    let is_started = |kind: &ClientGoEventKind| *kind == ClientGoEventKind::Started;

    let mut first = ClientGoCandidate::start(&candidate("first")).await.unwrap();
    first.wait_for(is_started, PATIENCE).await.unwrap();
    let mut second = ClientGoCandidate::start(&candidate("second")).await.unwrap();
    let sees_first =
        |kind: &ClientGoEventKind| *kind == ClientGoEventKind::NewLeader { leader: "first".into() };
    second.wait_for(sees_first, PATIENCE).await.unwrap();
    assert!(first.is_leading(PATIENCE).await.unwrap());
    assert!(!second.is_leading(PATIENCE).await.unwrap());

    first.process().terminate().unwrap();
    let is_cancelled = |kind: &ClientGoEventKind| *kind == ClientGoEventKind::Cancelled;
    let cancelled = first.wait_for(is_cancelled, PATIENCE).await.unwrap();
    let started = second.wait_for(is_started, PATIENCE).await.unwrap();
    assert!(cancelled.boottime_ns < started.boottime_ns, "two leaders: {cancelled:?} {started:?}");
    assert!(second.is_leading(PATIENCE).await.unwrap());
    second.stop(PATIENCE).await.unwrap();
}
