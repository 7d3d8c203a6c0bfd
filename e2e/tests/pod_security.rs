//! What `leasehold generate` adds fits Pod Security "restricted": judged by the real API server, which admits the Pods of
//! such a namespace or refuses them.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, ObjectMeta, PostParams};
use leasehold_e2e::ControlPlane;
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::kubectl::kubectl;
use serde_json::json;

/// Refuses Pods below the level, and warns of workloads whose Pods would be refused.
async fn restricted(namespace: &str) -> Result<Arc<ControlPlane>> {
    let control_plane = ControlPlane::shared().await?;
    let labels = json!({
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/warn": "restricted",
    });
    let object = serde_json::from_value(json!({ "metadata": { "name": namespace, "labels": labels } }))?;
    let namespaces: Api<Namespace> = Api::all(control_plane.admin_client().await?);
    namespaces.create(&PostParams::default(), &object).await?;
    Ok(control_plane)
}

/// The workload of somebody who has read the standard, or has not.
fn stateful_set(namespace: &str, security: &serde_json::Value) -> String {
    let container = json!({
        "name": "app",
        "image": "never.invalid/app",
        "command": ["my-service"],
        "securityContext": security,
    });
    let labels = json!({ "app": "my-service" });
    json!({
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": { "name": "my-service", "namespace": namespace },
        "spec": {
            "replicas": 2,
            "serviceName": "my-service",
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    })
    .to_string()
}

fn hardened() -> serde_json::Value {
    json!({
        "runAsNonRoot": true,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] },
        "seccompProfile": { "type": "RuntimeDefault" },
    })
}

fn generate(args: &[&str], manifest: &str) -> Result<String> {
    let mut child = Command::new(sibling("leasehold")?)
        .arg("generate")
        .args(args)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("asked for above")?.write_all(manifest.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// The Pod that the StatefulSet's controller would make: there is none here.
async fn create_pod(control_plane: &ControlPlane, namespace: &str, name: &str) -> Result<Pod> {
    let admin = control_plane.admin_client().await?;
    let workload: StatefulSet = Api::namespaced(admin.clone(), namespace).get("my-service").await?;
    let template = workload.spec.template;
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..template.metadata.unwrap_or_default() };
    let pod = Pod { metadata, spec: template.spec, status: None };
    Ok(Api::<Pod>::namespaced(admin, namespace).create(&PostParams::default(), &pod).await?)
}

/// kubectl's stderr, where warnings are told, has to be empty: the helper sees to that.
#[tokio::test(flavor = "multi_thread")]
async fn pods_of_generated_workloads_are_admitted_to_a_restricted_namespace_without_a_warning() -> Result<()>
{
    let namespace = "restricted";
    let control_plane = restricted(namespace).await?;
    let cases: [(&str, &[&str]); 5] = [
        ("file", &["sidecar"]),
        ("http", &["sidecar", "--file=off"]),
        ("classic", &["sidecar", "--classic"]),
        ("events", &["sidecar", "--events"]),
        ("exec", &["exec"]),
    ];
    for (name, args) in cases {
        let generated = generate(args, &stateful_set(namespace, &hardened()))?;
        kubectl(&control_plane, &["apply", "--validate=strict", "-f", "-"], &generated)
            .with_context(|| format!("{args:?}"))?;
        let pod = create_pod(&control_plane, namespace, name).await.with_context(|| format!("{args:?}"))?;
        let spec = pod.spec.unwrap();
        let all = spec.init_containers.iter().flatten().chain(&spec.containers);
        let images = all.filter_map(|container| container.image.as_deref());
        let added = images.filter(|image| image.starts_with("leader-elector:")).count();
        assert_eq!(added, 1, "{args:?}: what was generated is in the Pod");
        kubectl(&control_plane, &["delete", "statefulset", "my-service", "-n", namespace], "")?;
    }
    Ok(())
}

/// So the other test can fail: the standard is enforced here, and nothing of the service is hardened unasked.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_not_hardened_is_refused_with_and_without_the_elector_and_only_it_is_named()
-> Result<()> {
    let namespace = "restricted-refused";
    let control_plane = restricted(namespace).await?;
    let generated = generate(&["sidecar"], &stateful_set(namespace, &json!({})))?;
    let warned = kubectl(&control_plane, &["apply", "--validate=strict", "-f", "-"], &generated);
    let warned = warned.unwrap_err().to_string();
    assert!(warned.contains("would violate PodSecurity"), "{warned}");
    let refused = create_pod(&control_plane, namespace, "app").await.unwrap_err().to_string();
    assert!(refused.contains("violates PodSecurity \"restricted:latest\""), "{refused}");
    assert!(refused.contains("container \"app\""), "{refused}");
    assert!(!refused.contains("leader-elector"), "{refused}");
    Ok(())
}
