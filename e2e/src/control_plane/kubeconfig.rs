//! Kubeconfigs and clients: always verifying the server, never retrying on their own.

use std::path::Path;

use anyhow::{Context as _, Result};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

/// A kubeconfig as text. It is JSON, which every reader of YAML reads.
pub(super) fn text(server_url: &str, ca_file: &Path, token: &str) -> String {
    json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "clusters": [{"name": "e2e", "cluster": {"server": server_url, "certificate-authority": ca_file}}],
        "users": [{"name": "e2e", "user": {"token": token}}],
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "e2e"}}],
    })
    .to_string()
}

/// A client that sends each request once: a test wants to see every answer.
pub(super) async fn client(path: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(path).with_context(|| format!("reading {}", path.display()))?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("using {}", path.display()))?;
    config.default_retry = false;
    Client::try_from(config).context("making a client")
}
