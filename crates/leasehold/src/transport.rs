//! Carries requests to the API server, each with a connection that can be given up.

use std::env;

use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::KubeConfigOptions;
use leasehold_election::Delivery;
use tower::{BoxError, ServiceBuilder};

use crate::kubeconfig::{self, ReadError};
use crate::lines::{LINE_MAX, Lines};

/// How to reach the API server where the caller does not say it, or why that cannot be told.
pub(crate) async fn configuration() -> Result<kube::Config, String> {
    match env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        // Named on purpose: the service account of the Pod must not silently stand in for it.
        Some(paths) => {
            let wrong = |error: &dyn std::error::Error| {
                format!("KUBECONFIG={}: {}", paths.display(), describe(error))
            };
            let kubeconfig = kubeconfig::read(None).map_err(|error| wrong(&error))?;
            let options = KubeConfigOptions::default();
            kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| wrong(&error))
        }
        None => inferred().await,
    }
}

/// By the kubeconfig of the home folder, or else the service account of the Pod.
async fn inferred() -> Result<kube::Config, String> {
    if let Err(error @ ReadError::CutOff { .. }) = kubeconfig::read(None) {
        return Err(error.to_string());
    }
    kube::Config::infer().await.map_err(|error| {
        format!(
            "{}; in a Pod, its service account has to be mounted (automountServiceAccountToken), elsewhere \
             KUBECONFIG has to name a kubeconfig",
            describe(&error)
        )
    })
}

/// How to reach the API server.
pub(crate) struct Transport {
    server: String,
    connect: Connect,
    client: kube::Client,
}

/// Makes a client that uses none of the connections that there are.
pub(crate) type Connect = Box<dyn Fn() -> Result<kube::Client, kube::Error> + Send>;

impl Transport {
    /// A transport whose connections belong to the runtime that this is called on.
    pub(crate) fn new(mut config: kube::Config) -> Result<Self, kube::Error> {
        // Time limits and retries are decisions of the election. A retry inside the client would hide failures,
        // and a read timeout would end watches that are silent because nothing happens.
        config.default_retry = false;
        config.read_timeout = None;
        Self::with(config.cluster_url.to_string(), Box::new(move || connect(&config)))
    }

    /// A transport over clients of another make.
    pub(crate) fn with(server: String, connect: Connect) -> Result<Self, kube::Error> {
        let client = connect()?;
        Ok(Self { server, connect, client })
    }

    /// The address of the API server, as configured.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The client to send with; a new one where idle connections must not be used.
    pub(crate) fn client(&mut self, fresh: bool) -> kube::Client {
        if fresh {
            match (self.connect)() {
                Ok(client) => self.client = client,
                Err(error) => tracing::warn!(%error, "a new connection cannot be made; using the old one"),
            }
        }
        self.client.clone()
    }
}

/// As [`kube::Client::try_from`], but with TCP_NODELAY: without it, the first request of each TLS connection waits for
/// a delayed acknowledgement, some 40 ms, in every hand-over.
fn connect(config: &kube::Config) -> Result<kube::Client, kube::Error> {
    if config.proxy_url.is_some() {
        return kube::Client::try_from(config.clone());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    let tls = config.rustls_https_connector_with_connector(tcp)?;
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(tls);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(kube::Client::new(service, config.default_namespace.clone()))
}

/// Sends a request and reads the whole answer.
pub(crate) async fn send(client: kube::Client, request: Request<Vec<u8>>) -> Delivery {
    match client.send(request.map(Body::from)).await {
        Ok(response) => read(response).await,
        Err(error) => Delivery::Lost(describe(&error)),
    }
}

async fn read(response: Response<Body>) -> Delivery {
    let (head, body) = response.into_parts();
    match body.collect().await {
        Ok(body) => Delivery::Response(Response::from_parts(head, body.to_bytes().to_vec())),
        Err(error) => Delivery::Lost(describe(&error)),
    }
}

/// What a watch brings.
pub(crate) enum WatchItem {
    Opened,
    Line(Vec<u8>),
}

/// Opens a watch and hands each line on as it arrives; returns how it ended.
pub(crate) async fn watch(
    client: kube::Client,
    request: Request<Vec<u8>>,
    item: impl Fn(WatchItem),
) -> Option<Delivery> {
    let response = match client.send(request.map(Body::from)).await {
        Ok(response) if response.status().is_success() => response,
        Ok(response) => return Some(read(response).await),
        Err(error) => return Some(Delivery::Lost(describe(&error))),
    };
    item(WatchItem::Opened);
    let mut body = response.into_body();
    let mut lines = Lines::default();
    loop {
        match body.frame().await {
            None => return None,
            Some(Err(error)) => return Some(Delivery::Lost(describe(&error))),
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                if lines.push(&data, |line| item(WatchItem::Line(line))).is_err() {
                    return Some(Delivery::Lost(format!("a watch event of more than {LINE_MAX} bytes")));
                }
            }
        }
    }
}

/// An error with all its causes: the outermost alone says `client error (Connect)`.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
