//! A version that is no longer kept: 410, which tells a client to read and begin anew.

use anyhow::{Context as _, Result, ensure};
use http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use super::super::server::Server;
use super::Watch;

/// What a watch of `leases` (a path) from `version` answers, in a form that can be compared: either a refusal or the
/// first event. The numbers in the message are left out: they are the servers' own.
///
/// # Errors
/// When there is no answer, or a watch that says nothing.
pub async fn answer(server: &Server, leases: &str, version: u64) -> Result<Value> {
    let path = format!("{leases}?watch=true&resourceVersion={version}&timeoutSeconds=5");
    let (status, body) = server.open(&path, "application/json").await?;
    if status != 200 {
        let text = body.collect().await?.to_bytes();
        return Ok(json!({"status": status, "object": without_numbers(serde_json::from_slice(&text)?)}));
    }
    drop(body);
    let mut watch = Watch::open(server, &path, "application/json").await?;
    let event = watch.next().await?.with_context(|| format!("nothing on {path}"))?;
    Ok(json!({"status": status, "type": event.kind, "object": without_numbers(event.object)}))
}

/// Changes one Lease so often.
///
/// # Errors
/// When a change is refused.
pub async fn push_out(server: &Server, changes: usize) -> Result<()> {
    server.create_namespace("pushed-out", false).await?;
    let lease = "/apis/coordination.k8s.io/v1/namespaces/pushed-out/leases/a";
    for change in 0..changes {
        let body = json!({"metadata": {"name": "a"}, "spec": {"leaseTransitions": change}}).to_string();
        let request = if change == 0 {
            http::Request::put(lease).header(CONTENT_TYPE, "application/json")
        } else {
            http::Request::patch(lease).header(CONTENT_TYPE, "application/merge-patch+json")
        };
        let answer = server.send(request.body(body.into_bytes())?).await?;
        ensure!(answer.status < 300, "{} after {change} changes", answer.status);
    }
    Ok(())
}

fn without_numbers(mut object: Value) -> Value {
    if let Some(message) = object["message"].as_str() {
        let words = message.split(' ').map(|word| {
            let number = word.trim_matches(['(', ')']);
            if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
                "<number>"
            } else {
                word
            }
        });
        object["message"] = json!(words.collect::<Vec<_>>().join(" "));
    }
    object
}
