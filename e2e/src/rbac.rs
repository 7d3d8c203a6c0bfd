//! The least permission that a candidate needs, and tokens that carry a Pod's name and uid.
//!
//! One rule with one name suffices: the API server authorises a PUT that creates the
//! Lease with the Lease's name, so that nobody needs an unlimited `create`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

/// A service account that may use one Lease and nothing else.
///
/// Service account, Role and RoleBinding bear the name of the Lease.
#[derive(Debug, Clone)]
pub struct LeasePermission {
    namespace: String,
    lease: String,
}

/// A Pod object, as evidence and bound tokens name it. No kubelet runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodRef {
    /// Its name.
    pub name: String,
    /// Its uid: another Pod of the same name has another one.
    pub uid: String,
}

impl LeasePermission {
    /// Makes the namespace where it is missing, the service account and the permission,
    /// which is in force when this returns.
    ///
    /// # Errors
    /// When the API server refuses, for example because the account exists already.
    pub async fn grant(admin: &Client, namespace: &str, lease: &str) -> Result<Self> {
        let permission = Self { namespace: namespace.to_owned(), lease: lease.to_owned() };
        create_namespace(admin, namespace).await?;
        permission
            .create(admin, ServiceAccount { metadata: permission.meta(), ..Default::default() })
            .await?;
        permission.create(admin, permission.role()).await?;
        permission.give_back(admin).await?;
        Ok(permission)
    }

    /// The namespace of the Lease.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name of the Lease, and of the service account.
    pub fn lease(&self) -> &str {
        &self.lease
    }

    /// The name under which the API server knows the service account.
    pub fn username(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.lease)
    }

    /// Takes the permission away: every request answers 403 when this returns.
    ///
    /// # Errors
    /// When there is none, or the API server refuses.
    pub async fn withdraw(&self, admin: &Client) -> Result<()> {
        let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), &self.namespace);
        bindings
            .delete(&self.lease, &DeleteParams::default())
            .await
            .with_context(|| format!("deleting role binding {}/{}", self.namespace, self.lease))?;
        self.wait_until_allowed(admin, false).await
    }

    /// Gives the permission back after [`withdraw`](Self::withdraw): in force when this returns.
    ///
    /// # Errors
    /// When it was not withdrawn, or the API server refuses.
    pub async fn give_back(&self, admin: &Client) -> Result<()> {
        self.create(admin, self.role_binding()).await?;
        self.wait_until_allowed(admin, true).await
    }

    /// Creates a Pod object that runs as the service account.
    ///
    /// # Errors
    /// When the API server refuses, for example because the Pod exists already.
    pub async fn create_pod(&self, admin: &Client, name: &str) -> Result<PodRef> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "serviceAccountName": self.lease,
                "automountServiceAccountToken": false,
                "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "candidate", "image": "never.invalid/pulled"}],
            },
        }))?;
        let created = self.create(admin, pod).await?;
        let uid = created.metadata.uid.context("a created pod without a uid")?;
        Ok(PodRef { name: name.to_owned(), uid })
    }

    /// A token such as a kubelet would mount into this Pod. It dies with the Pod.
    ///
    /// # Errors
    /// When the API server refuses, for example because the Pod is gone.
    pub async fn bound_token(&self, admin: &Client, pod: &PodRef) -> Result<String> {
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFETIME_SECONDS),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Pod".to_owned()),
                    name: Some(pod.name.clone()),
                    uid: Some(pod.uid.clone()),
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), &self.namespace);
        let answer = accounts
            .create_token_request(&self.lease, &PostParams::default(), &request)
            .await
            .with_context(|| format!("requesting a token for pod {}/{}", self.namespace, pod.name))?;
        answer.status.and_then(|status| status.token).context("a token request was answered without a token")
    }

    /// The authorizer learns of changes by its own watches, some milliseconds later.
    async fn wait_until_allowed(&self, admin: &Client, wanted: bool) -> Result<()> {
        let reviews: Api<SubjectAccessReview> = Api::all(admin.clone());
        let deadline = Instant::now() + AUTHORIZER_TIMEOUT;
        loop {
            let answer = reviews
                .create(&PostParams::default(), &self.review())
                .await
                .with_context(|| format!("asking what {} may do", self.username()))?;
            if answer.status.context("a review without an answer")?.allowed == wanted {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "the permission of {} did not become {wanted} within {AUTHORIZER_TIMEOUT:?}",
                self.username()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn create<K>(&self, admin: &Client, object: K) -> Result<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Serialize
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let name = object.meta().name.clone().unwrap_or_default();
        Api::namespaced(admin.clone(), &self.namespace)
            .create(&PostParams::default(), &object)
            .await
            .with_context(|| format!("creating {} {}/{name}", K::kind(&()), self.namespace))
    }

    fn role(&self) -> Role {
        let rule = PolicyRule {
            api_groups: Some(vec![LEASE_GROUP.to_owned()]),
            resources: Some(vec![LEASE_RESOURCE.to_owned()]),
            resource_names: Some(vec![self.lease.clone()]),
            verbs: LEASE_VERBS.map(str::to_owned).to_vec(),
            ..Default::default()
        };
        Role { metadata: self.meta(), rules: Some(vec![rule]) }
    }

    fn role_binding(&self) -> RoleBinding {
        RoleBinding {
            metadata: self.meta(),
            role_ref: RoleRef {
                api_group: Some("rbac.authorization.k8s.io".to_owned()),
                kind: "Role".to_owned(),
                name: self.lease.clone(),
            },
            subjects: Some(vec![Subject {
                kind: "ServiceAccount".to_owned(),
                name: self.lease.clone(),
                namespace: Some(self.namespace.clone()),
                ..Default::default()
            }]),
        }
    }

    fn review(&self) -> SubjectAccessReview {
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                user: Some(self.username()),
                resource_attributes: Some(ResourceAttributes {
                    group: Some(LEASE_GROUP.to_owned()),
                    resource: Some(LEASE_RESOURCE.to_owned()),
                    namespace: Some(self.namespace.clone()),
                    name: Some(self.lease.clone()),
                    verb: Some("update".to_owned()),
                    ..Default::default()
                }),
                ..Default::default()
            },
            ..Default::default()
        }
    }

    fn meta(&self) -> ObjectMeta {
        ObjectMeta {
            name: Some(self.lease.clone()),
            namespace: Some(self.namespace.clone()),
            ..Default::default()
        }
    }
}

/// Makes a namespace, unless it is there.
///
/// # Errors
/// When the API server refuses.
pub async fn create_namespace(admin: &Client, name: &str) -> Result<()> {
    let namespace = Namespace {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..Default::default() },
        ..Default::default()
    };
    match Api::all(admin.clone()).create(&PostParams::default(), &namespace).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        answer => answer.map(|_: Namespace| ()).with_context(|| format!("creating namespace {name}")),
    }
}

const LEASE_GROUP: &str = "coordination.k8s.io";
const LEASE_RESOURCE: &str = "leases";
const LEASE_VERBS: [&str; 5] = ["get", "watch", "create", "update", "patch"];
const TOKEN_LIFETIME_SECONDS: i64 = 3600;
const AUTHORIZER_TIMEOUT: Duration = Duration::from_secs(10);
