//! The sidecar on the real API server with the least-privilege Role: what a service, a kubelet and a person see of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use leasehold_e2e::sidecar::{Sidecar, SidecarSettings};
use leasehold_e2e::{ControlPlane, LeasePermission};
use serde_json::{Value, json};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

struct Ground {
    control_plane: std::sync::Arc<ControlPlane>,
    admin: kube::Client,
    permission: LeasePermission,
}

impl Ground {
    /// A namespace with the least-privilege Role and a pre-created Lease.
    async fn new(namespace: &str) -> Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        let admin = control_plane.admin_client().await?;
        let permission = LeasePermission::grant(&admin, namespace, "leader").await?;
        let ground = Self { control_plane, admin, permission };
        let lease = serde_json::from_value(json!({ "metadata": { "name": "leader" }, "spec": {} }))?;
        ground.leases().create(&PostParams::default(), &lease).await?;
        Ok(ground)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.admin.clone(), self.permission.namespace())
    }

    async fn settings(&self, pod: &str) -> Result<SidecarSettings> {
        SidecarSettings::new(&self.control_plane, &self.permission, pod).await
    }

    async fn sidecars(&self, count: usize) -> Result<Vec<Sidecar>> {
        let mut sidecars = Vec::new();
        for index in 0..count {
            sidecars.push(self.settings(&format!("app-{index}")).await?.start()?);
        }
        Ok(sidecars)
    }
}

/// Waits until the file of one sidecar says that it leads, and tells which.
async fn leader(sidecars: &[Sidecar]) -> Result<usize> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for (index, sidecar) in sidecars.iter().enumerate() {
            if sidecar.content()?.is_some_and(|content| content.leads_now()) {
                return Ok(index);
            }
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("nobody leads after {PATIENCE:?}")
}

fn identity(sidecar: &Sidecar) -> String {
    let pod = &sidecar.settings().pod;
    format!("{}_{}", pod.name, pod.uid)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_leads_and_all_ways_of_asking_agree_on_which() -> Result<()> {
    let ground = Ground::new("asked").await?;
    let sidecars = ground.sidecars(3).await?;
    let leading = leader(&sidecars).await?;
    let name = identity(&sidecars[leading]);
    let knows = |status: &Value| status["holder"].as_str().unwrap_or_default().starts_with(&name);
    let mut masters = 0.0;
    for (index, sidecar) in sidecars.iter().enumerate() {
        let leads = index == leading;
        let status = sidecar.until_status("knowing the leader", PATIENCE, knows).await?;
        assert_eq!(status["state"], if leads { "leader" } else { "standby" }, "{status}");
        assert_eq!(status["last_error"], Value::Null);
        assert_eq!(sidecar.get("/").await?.json()?["name"], name.as_str());
        let code = if leads { 200 } else { 503 };
        assert_eq!(sidecar.get("/leader").await?.code, code);
        assert_eq!(sidecar.probe("/leader").await?.code, code);
        assert_eq!(sidecar.probe("/livez").await?.code, 200);
        assert_eq!(sidecar.probe("/readyz").await?.code, 200, "a standby is as ready as a leader");
        assert_eq!(sidecar.settings().file.exists(), leads);
        assert_eq!(sidecar.check().await?, if leads { 0 } else { 1 });
        let master = sidecar.metric("leader_election_master_status{name=\"leader\"} ").await?;
        assert_eq!(master, Some(if leads { 1.0 } else { 0.0 }));
        masters += master.unwrap();
    }
    assert!((masters - 1.0).abs() < f64::EPSILON, "{masters} leaders by the metrics");
    Ok(())
}
