//! What most tests begin with: a namespace, the least-privilege Role, and a Lease that nobody holds.

use std::sync::Arc;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use crate::control_plane::{ControlPlane, audit::AuditEvent};
use crate::electorate::{Elector, Electorate};
use crate::rbac::LeasePermission;

/// A namespace of one test, with a pre-created Lease named `leader`.
pub struct Ground {
    /// The servers.
    pub control_plane: Arc<ControlPlane>,
    /// A client of the administrator.
    pub admin: Client,
    /// What the candidates may do.
    pub permission: LeasePermission,
}

impl Ground {
    /// A namespace on the control plane that all tests of this process share.
    ///
    /// # Errors
    /// When the control plane cannot be had, or the namespace is there already.
    pub async fn new(namespace: &str) -> Result<Self> {
        Self::on(ControlPlane::shared().await?, namespace).await
    }

    /// A namespace on this control plane.
    ///
    /// # Errors
    /// When the namespace is there already.
    pub async fn on(control_plane: Arc<ControlPlane>, namespace: &str) -> Result<Self> {
        let admin = control_plane.admin_client().await?;
        let permission = LeasePermission::grant(&admin, namespace, LEASE).await?;
        let ground = Self { control_plane, admin, permission };
        let lease = serde_json::from_value(json!({ "metadata": { "name": LEASE }, "spec": {} }))?;
        ground.leases().create(&PostParams::default(), &lease).await?;
        Ok(ground)
    }

    /// The Leases of the namespace, as the administrator.
    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.admin.clone(), self.permission.namespace())
    }

    /// Writes the holder: what no candidate may do, and a person can.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn set_holder(&self, holder: &str) -> Result<()> {
        let taken = json!({ "spec": { "holderIdentity": holder } });
        self.leases().patch(LEASE, &PatchParams::default(), &Patch::Merge(taken)).await?;
        Ok(())
    }

    /// Candidates for the Lease, `app-0` and on, with a lease duration of [`Electorate::SHORT`].
    ///
    /// # Errors
    /// When one cannot be started.
    pub async fn electorate(&self, electors: &[Elector]) -> Result<Electorate> {
        let peers = electors.contains(&Elector::ClientGo);
        let mut electorate = Electorate::new(&self.permission, Electorate::SHORT, peers);
        for (index, &elector) in electors.iter().enumerate() {
            self.join(&mut electorate, &format!("app-{index}"), elector).await?;
        }
        Ok(electorate)
    }

    /// Starts one more candidate, and tells its index.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn join(&self, electorate: &mut Electorate, name: &str, elector: Elector) -> Result<usize> {
        electorate.start(&self.control_plane, &self.permission, name, elector).await
    }

    /// Every request of the candidates about the Lease so far.
    ///
    /// # Errors
    /// When the audit log cannot be read.
    pub fn requests(&self) -> Result<Vec<AuditEvent>> {
        let (namespace, lease) = (self.permission.namespace(), self.permission.lease());
        let mut events = self.control_plane.audit_events()?;
        events.retain(|event| {
            event.is_about_lease(namespace, lease) && event.user.username == self.permission.username()
        });
        Ok(events)
    }
}

const LEASE: &str = "leader";
