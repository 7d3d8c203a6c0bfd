//! What Prometheus would see: each Pod's `leader_election_master_status`, asked all the time.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams};
use leasehold_history::{Nanos, Sample, Span};
use tokio::task::{JoinHandle, JoinSet};

use crate::process::boottime_ns;
use crate::sidecar::Endpoint;

/// All answers of all Pods, by name and uid.
pub(super) type Samples = BTreeMap<String, Vec<Sample>>;

/// Asks until it is dropped.
#[derive(Debug)]
pub struct Scraper {
    samples: Arc<Mutex<Samples>>,
    task: JoinHandle<()>,
}

impl Scraper {
    /// Begins to ask all Pods of a namespace.
    pub(super) fn start(client: Client, namespace: &str) -> Self {
        let samples = Arc::default();
        let pods = Api::namespaced(client, namespace);
        let task = tokio::spawn(scrape(pods, Arc::clone(&samples)));
        Self { samples, task }
    }

    /// The answers so far.
    pub fn samples(&self) -> Samples {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Scraper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn scrape(pods: Api<Pod>, samples: Arc<Mutex<Samples>>) {
    loop {
        // An API server that does not answer is asked again: the Pods are known by then.
        let known = pods.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        let known: Vec<_> = known.iter().filter_map(address).collect();
        for _ in 0..ROUNDS_PER_LIST {
            let mut asked = JoinSet::new();
            for (name, address) in known.clone() {
                asked.spawn(async move { Some((name, ask(address).await?)) });
            }
            for (name, sample) in asked.join_all().await.into_iter().flatten() {
                samples.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default().push(sample);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

fn address(pod: &Pod) -> Option<(String, SocketAddr)> {
    let address = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let name = format!("{}_{}", pod.metadata.name.as_ref()?, pod.metadata.uid.as_ref()?);
    Some((name, SocketAddr::new(address, PROBE_PORT)))
}

/// `None` where there is no answer: the elector does not run, or cannot be reached.
async fn ask(address: SocketAddr) -> Option<Sample> {
    let before = boottime_ns();
    let endpoint = Endpoint::Tcp(address);
    let answer =
        tokio::time::timeout(ANSWER_TIMEOUT, endpoint.ask("GET", "/metrics", "")).await.ok()?.ok()?;
    let taken = Span::new(Nanos(before), Nanos(boottime_ns())).ok()?;
    let line = answer.body.lines().find(|line| line.starts_with("leader_election_master_status{"))?;
    Some(Sample { taken, leading: line.ends_with(" 1"), token: None })
}

/// That of `leasehold generate`.
const PROBE_PORT: u16 = 8081;
const ROUNDS_PER_LIST: usize = 5;
const INTERVAL: Duration = Duration::from_millis(20);
const ANSWER_TIMEOUT: Duration = Duration::from_millis(300);
