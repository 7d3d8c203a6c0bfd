//! Taking over on the kubelet's report, on the real API server with the Role that `leasehold generate` prints. The kubelet is
//! this test: it copies the termination message of a container that has ended into the Pod's status.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use leasehold_e2e::ControlPlane;
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::kubectl::kubectl;
use leasehold_e2e::rbac::{LeasePermission, create_namespace};
use leasehold_e2e::sidecar::{Sidecar, SidecarSettings};
use serde_json::{Value, json};

/// Longer than anything that works ever takes, and shorter than the leases here: nobody takes over by expiry.
const PATIENCE: Duration = Duration::from_secs(30);
const TTL: &str = "--ttl=60s";

/// Two Pods of one StatefulSet, each with an elector in exec mode that is process 1 of its container's namespace.
struct Town {
    control_plane: Arc<ControlPlane>,
    namespace: &'static str,
    folder: tempfile::TempDir,
}

impl Town {
    async fn build(namespace: &'static str) -> Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        create_namespace(&control_plane.admin_client().await?, namespace).await?;
        let town = Self { control_plane, namespace, folder: tempfile::tempdir()? };
        let pods = ["--pod=db-0", "--pod=db-1"];
        let rbac = generate(&[&["rbac", "db-leader", "-n", namespace], &pods[..]].concat())?;
        let lease = generate(&["lease", "db-leader", "-n", namespace])?;
        kubectl(&town.control_plane, &["apply", "-f", "-"], &format!("{rbac}---\n{lease}"))?;
        Ok(town)
    }

    /// The file that a kubelet would mount at `/dev/termination-log`.
    fn message(&self, pod: &str) -> PathBuf {
        self.folder.path().join(pod)
    }

    fn start(&self, pod: &str) -> Result<Sidecar> {
        let spec = json!({ "serviceAccountName": "db", "containers": [{ "name": "app", "image": "never.invalid/app" }] });
        let object = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": pod, "namespace": self.namespace }, "spec": spec });
        let uid = ["create", "-f", "-", "-o", "jsonpath={.metadata.uid}"];
        let uid = kubectl(&self.control_plane, &uid, &object.to_string())?;
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", pod, "--bound-object-uid", &uid];
        let token = ["create", "token", "db", "--namespace", self.namespace];
        let token = kubectl(&self.control_plane, &[&token[..], &bound].concat(), "")?;
        let kubeconfig = self.control_plane.kubeconfig_for(token.trim(), &self.control_plane.url())?;
        let downward = [("POD_NAME", pod), ("POD_UID", &uid), ("POD_NAMESPACE", self.namespace)];
        let pod = leasehold_e2e::rbac::PodRef { name: pod.to_owned(), uid: uid.clone() };
        let message = self.message(&pod.name);
        fs::write(&message, "")?;
        let mut settings = SidecarSettings::bare(pod, kubeconfig)?;
        settings.env = downward.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        settings.wrapper = ["unshare", "--pid", "--fork", "--kill-child=KILL"].map(str::to_owned).to_vec();
        let message = format!("--termination-log={}", message.display());
        let args = ["--lease=db-leader", TTL, "--file=off", &message, "--", "sleep", "1000"];
        settings.args = args.map(str::to_owned).to_vec();
        settings.start()
    }

    /// Writes the status of a Pod whose container has ended and said this.
    fn report(&self, pod: &str, said: &str) -> Result<()> {
        let terminated = json!({
            "exitCode": 137, "reason": "Error", "containerID": "containerd://a",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z", "message": said,
        });
        let container = json!({
            "name": "app", "image": "never.invalid/app", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "terminated": terminated },
        });
        let status =
            json!({ "status": { "phase": "Running", "containerStatuses": [container] } }).to_string();
        let patch = [
            "patch",
            "pod",
            pod,
            "-n",
            self.namespace,
            "--subresource=status",
            "--type=merge",
            "-p",
            &status,
        ];
        kubectl(&self.control_plane, &patch, "").map(drop)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_killed_leader_makes_the_next_one_and_no_other_report_does() -> Result<()> {
    let town = Town::build("evidence").await?;
    let mut first = town.start("db-0")?;
    first.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    let second = town.start("db-1")?;
    let sees_the_first =
        |status: &Value| status["holder"].as_str().is_some_and(|holder| holder.starts_with("db-0_"));
    let seen = second.until_status("watching", PATIENCE, sees_the_first).await?;

    // What everybody may read, and the end of another process, prove nothing of a leader that works.
    let nonce = seen["holder"].as_str().unwrap().rsplit('_').next().unwrap().to_owned();
    town.report("db-0", &format!("leasehold/1 {nonce} exec\n"))?;
    town.report("db-0", &fs::read_to_string(town.message("db-1"))?)?;

    let said = fs::read_to_string(town.message("db-0"))?;
    assert!(said.starts_with("leasehold/1 ") && said.ends_with(" exec\n"), "{said:?}");
    first.process().kill()?;
    let leads = second.status().await?;
    assert_eq!(leads["state"], "standby", "the lease of the dead leader lasts a minute: {leads}");
    town.report("db-0", &said)?;
    second.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    assert_eq!(second.metric("leasehold_evidence_take_overs_total").await?, Some(1.0));
    let log = second.log();
    assert!(log.contains("took over on the kubelet's report that the holder's process has ended"), "{log}");
    let secret = said.split(' ').nth(1).unwrap();
    assert!(!log.contains(secret) && !first.log().contains(secret), "nobody logs a secret");
    Ok(())
}

/// The Role of those who have no evidence: they say so, once, and elect as ever.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_right_to_watch_pods_one_line_says_so() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let permission =
        LeasePermission::grant(&control_plane.admin_client().await?, "no-evidence", "db").await?;
    let first = SidecarSettings::new(&control_plane, &permission, "db-0").await?.start()?;
    first.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    let mut second = SidecarSettings::new(&control_plane, &permission, "db-1").await?.start()?;
    let lacks = "may not watch pods in namespace no-evidence";
    let deadline = std::time::Instant::now() + PATIENCE;
    while !second.log().contains(lacks) {
        assert!(std::time::Instant::now() < deadline, "{}", second.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(first);
    second.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    assert_eq!(second.log().matches(lacks).count(), 1, "{}", second.log());
    assert_eq!(second.metric("leasehold_evidence_take_overs_total").await?, Some(0.0));
    second.process().terminate()?;
    Ok(())
}

fn generate(args: &[&str]) -> Result<String> {
    let output =
        Command::new(sibling("leasehold")?).arg("generate").args(args).stdin(Stdio::null()).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}
