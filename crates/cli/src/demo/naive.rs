//! A candidate with a ConfigMap lock as people write it by hand. Nobody should use it.
//!
//! Two data keys of a ConfigMap are a lock, so the thought goes: who holds it, and when it last said so. The loop
//! reads it, and writes it when it holds it or when the timestamp is old. Every step looks right, and none holds:
//!
//! - `is_leader` is a variable that the loop sets. While the loop waits for an API server that does not answer, or while
//!   the process is paused, it stays as it was.
//! - A failed write, such as a 409 because another was faster, is "tried again next time": nobody is told.
//! - The timestamp is compared with the wall clock of another machine.
//! - Leadership begins when the lock is *taken*. A process that was restarted finds its own name in the lock and keeps
//!   it fresh, and never begins to lead: a fresh timestamp, and nobody works, until a person deletes the ConfigMap.
//! - A process that is asked to stop ends, and leaves its name in the lock.
//!
//! Forms of it are found in public repositories in many languages; reports of what it leads to are
//! spring-cloud-kubernetes #2032 and #666 (two leaders after a swallowed 409) and client-go #595 (none).

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use clap::Args;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::UnixListener;

use crate::demo::process::boottime;
use crate::lifeline;
use crate::problem::{Outcome, PASS};

/// Flags of the hidden verb.
#[derive(Clone, Debug, Args)]
pub(crate) struct NaiveArgs {
    #[arg(long)]
    name: String,
    #[arg(long)]
    namespace: String,
    #[arg(long)]
    config_map: String,
    /// Age in seconds beyond which the timestamp counts for nothing
    #[arg(long)]
    expiry_seconds: u32,
    #[arg(long)]
    socket: PathBuf,
    #[arg(long)]
    kubeconfig: PathBuf,
    #[arg(long)]
    parent: Option<u32>,
}

/// Runs until a signal ends the process: there is nothing to clean up, or so it seems.
pub(crate) fn run(args: &NaiveArgs) -> Outcome {
    lifeline::tie_to(args.parent)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(campaign(args))?;
    Ok(ExitCode::from(PASS))
}

async fn campaign(args: &NaiveArgs) -> Result<()> {
    let lock = Lock::new(args).await?;
    let listener = UnixListener::bind(&args.socket).context("listening")?;
    let router = Router::new().route("/v1/status", get(status)).with_state(Arc::clone(&lock.is_leader));
    tokio::spawn(async move { axum::serve(listener, router).await });
    loop {
        lock.look().await;
        tokio::time::sleep(lock.expiry / 3).await;
    }
}

struct Lock {
    api: Api<ConfigMap>,
    config_map: String,
    me: String,
    expiry: Duration,
    is_leader: Arc<AtomicBool>,
}

impl Lock {
    async fn new(args: &NaiveArgs) -> Result<Self> {
        let kubeconfig = Kubeconfig::read_from(&args.kubeconfig).context("reading the kubeconfig")?;
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await?;
        Ok(Self {
            api: Api::namespaced(kube::Client::try_from(config)?, &args.namespace),
            config_map: args.config_map.clone(),
            me: args.name.clone(),
            expiry: Duration::from_secs(args.expiry_seconds.into()),
            is_leader: Arc::default(),
        })
    }

    async fn look(&self) {
        // The API server is away, or so: next time.
        let Ok(found) = self.api.get_opt(&self.config_map).await else { return };
        match found {
            None => {
                if self.api.create(&PostParams::default(), &self.mine(None)).await.is_ok() {
                    self.is_leader.store(true, Ordering::SeqCst);
                }
            }
            Some(lock) if holder(&lock) == self.me => {
                self.write(lock).await.ok();
            }
            Some(lock) if self.is_old(&lock) => {
                if self.write(lock).await.is_ok() {
                    self.is_leader.store(true, Ordering::SeqCst);
                }
            }
            Some(_) => self.is_leader.store(false, Ordering::SeqCst),
        }
    }

    async fn write(&self, lock: ConfigMap) -> Result<(), kube::Error> {
        let lock = self.mine(lock.metadata.resource_version);
        self.api.replace(&self.config_map, &PostParams::default(), &lock).await.map(drop)
    }

    fn mine(&self, resource_version: Option<String>) -> ConfigMap {
        let name = Some(self.config_map.clone());
        let now = Timestamp::now().to_string();
        let data = [("holder".to_owned(), self.me.clone()), ("timestamp".to_owned(), now)];
        ConfigMap {
            metadata: ObjectMeta { name, resource_version, ..ObjectMeta::default() },
            data: Some(BTreeMap::from(data)),
            ..ConfigMap::default()
        }
    }

    fn is_old(&self, lock: &ConfigMap) -> bool {
        age(lock).is_none_or(|age| age > self.expiry)
    }
}

/// How long ago the lock was written, by the wall clock of whoever asks.
pub(crate) fn age(lock: &ConfigMap) -> Option<Duration> {
    let written: Timestamp = lock.data.as_ref()?.get("timestamp")?.parse().ok()?;
    Some(Timestamp::now().duration_since(written).try_into().unwrap_or(Duration::ZERO))
}

/// Whose name is in the lock.
pub(crate) fn holder(lock: &ConfigMap) -> &str {
    lock.data.as_ref().and_then(|data| data.get("holder")).map_or("", String::as_str)
}

/// The part of the sidecar's `/v1/status` that the meter reads.
async fn status(State(is_leader): State<Arc<AtomicBool>>) -> Json<Value> {
    let before = boottime();
    let state = if is_leader.load(Ordering::SeqCst) { "leader" } else { "standby" };
    let after = boottime();
    Json(json!({ "state": state, "token": null, "boottime_ns_before": before, "boottime_ns": after }))
}
