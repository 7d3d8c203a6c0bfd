//! A server under comparison, and one request to it: sent as written, its answer taken whole.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::header;
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::ControlPlane;

/// One of the two servers that get the same requests.
#[derive(Clone)]
pub struct Server {
    name: &'static str,
    client: Client,
    mutation: Option<fn(&mut Answer)>,
}

impl Server {
    /// The real kube-apiserver, asked by its administrator.
    ///
    /// # Errors
    /// When no client can be made.
    pub async fn real(control_plane: &ControlPlane) -> Result<Self> {
        Ok(Self { name: REAL, client: control_plane.admin_client().await?, mutation: None })
    }

    /// The embedded server at `url`, which asks nobody who they are.
    ///
    /// # Errors
    /// When `url` is none, or no client can be made.
    pub fn embedded(url: &str) -> Result<Self> {
        let mut config = Config::new(url.parse().with_context(|| format!("{url:?} is no URL"))?);
        config.default_retry = false;
        Ok(Self { name: EMBEDDED, client: Client::try_from(config)?, mutation: None })
    }

    /// The same server with a fault: each answer is changed by `mutation`. It shows that a comparison can fail.
    pub fn mutant(&self, mutation: fn(&mut Answer)) -> Self {
        Self { mutation: Some(mutation), ..self.clone() }
    }

    /// `real` or `embedded`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sends one request and reads its whole answer. Nothing is retried.
    ///
    /// # Errors
    /// When there is no answer, or not in time. A refusal is an answer.
    pub async fn send(&self, request: http::Request<Vec<u8>>) -> Result<Answer> {
        let line = format!("{} {}", request.method(), request.uri());
        tokio::time::timeout(PATIENCE, self.answer(request))
            .await
            .with_context(|| format!("no answer of the {} server to {line} in {PATIENCE:?}", self.name))?
            .with_context(|| format!("asking the {} server: {line}", self.name))
    }

    async fn answer(&self, request: http::Request<Vec<u8>>) -> Result<Answer> {
        let response = self.client.send(request.map(Body::from)).await?;
        let (head, body) = response.into_parts();
        let text = |name: header::HeaderName| {
            Some(String::from_utf8_lossy(head.headers.get(name)?.as_bytes()).into_owned())
        };
        let mut answer = Answer {
            status: head.status.as_u16(),
            content_type: text(header::CONTENT_TYPE),
            warnings: head
                .headers
                .get_all(header::WARNING)
                .iter()
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect(),
            dated: head.headers.contains_key(header::DATE),
            body: body.collect().await?.to_bytes().to_vec(),
        };
        if let Some(mutation) = self.mutation {
            mutation(&mut answer);
        }
        Ok(answer)
    }

    /// Opens a stream, such as a watch, and hands out its body as it comes.
    pub(super) async fn open(&self, path: &str, accept: &str) -> Result<(u16, Body)> {
        let request = http::Request::get(path).header(header::ACCEPT, accept).body(Body::empty())?;
        let response = tokio::time::timeout(PATIENCE, self.client.send(request))
            .await
            .with_context(|| format!("no answer of the {} server to {path}", self.name))??;
        Ok((response.status().as_u16(), response.into_body()))
    }

    /// Makes a namespace, for Pods with what a controller would make on a real cluster and admission asks for.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn create_namespace(&self, namespace: &str, for_pods: bool) -> Result<()> {
        self.create("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await?;
        if for_pods && self.name == REAL {
            let accounts = format!("/api/v1/namespaces/{namespace}/serviceaccounts");
            let account = json!({"metadata": {"name": "default"}, "automountServiceAccountToken": false});
            self.create(&accounts, account).await?;
        }
        Ok(())
    }

    async fn create(&self, path: &str, object: Value) -> Result<()> {
        let request = http::Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())?;
        let answer = self.send(request).await?;
        ensure!(
            answer.status == 201,
            "the {} server answered {} to POST {path}: {}",
            self.name,
            answer.status,
            String::from_utf8_lossy(&answer.body),
        );
        Ok(())
    }
}

/// The answer to one request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// Every `Warning`, in order.
    pub warnings: Vec<String>,
    /// Whether there was a `Date`.
    pub dated: bool,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body, if it is JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Longer than any answer takes: it only ends what is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

const REAL: &str = "real";
const EMBEDDED: &str = "embedded";
