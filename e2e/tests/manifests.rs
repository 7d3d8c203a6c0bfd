//! What `leasehold generate` prints is what the real API server takes, and is all that a candidate needs.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::api::{Api, ObjectMeta, PostParams};
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::kubectl::{kubectl, kubectl_as};
use leasehold_e2e::rbac::{PodRef, create_namespace};
use leasehold_e2e::sidecar::{Sidecar, SidecarSettings, leader_elector};
use leasehold_e2e::stamps::Stamps;
use leasehold_e2e::{ControlPlane, PipedProcess};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const LEASE: &str = "my-service-leader";
const POD: &str = "my-service-0";

/// A namespace of one test, with what was generated for a StatefulSet in it.
struct Town {
    control_plane: Arc<ControlPlane>,
    namespace: &'static str,
    generated: String,
}

impl Town {
    /// Generates with these arguments, and applies the result.
    async fn build(namespace: &'static str, args: &[&str], command: &[String]) -> Result<Self> {
        let control_plane = ControlPlane::shared().await?;
        create_namespace(&control_plane.admin_client().await?, namespace).await?;
        let generated = generate(args, &stateful_set(namespace, command))?;
        let town = Self { control_plane, namespace, generated };
        town.apply(&["--validate=strict"], &town.generated)?;
        Ok(town)
    }

    fn apply(&self, flags: &[&str], manifest: &str) -> Result<String> {
        kubectl(&self.control_plane, &[&["apply"], flags, &["-f", "-"]].concat(), manifest)
    }

    /// The Pod that the StatefulSet's controller would make: there is none here.
    async fn pod(&self) -> Result<(PodRef, PodSpec)> {
        let admin = self.control_plane.admin_client().await?;
        let workload: StatefulSet = Api::namespaced(admin.clone(), self.namespace).get("my-service").await?;
        let spec = workload.spec.template.spec.context("a template")?;
        let metadata = ObjectMeta { name: Some(POD.to_owned()), ..ObjectMeta::default() };
        let pod = Pod { metadata, spec: Some(spec.clone()), status: None };
        let pods: Api<Pod> = Api::namespaced(admin, self.namespace);
        let uid = pods.create(&PostParams::default(), &pod).await?.metadata.uid.context("a uid")?;
        Ok((PodRef { name: POD.to_owned(), uid }, spec))
    }

    /// A kubeconfig with the token that a kubelet would mount.
    fn kubeconfig(&self, pod: &PodRef, spec: &PodSpec) -> Result<PathBuf> {
        let account = spec.service_account_name.as_deref().context("a service account")?;
        let bound = ["--bound-object-kind=Pod", "--bound-object-name", POD, "--bound-object-uid", &pod.uid];
        let create = ["create", "token", account, "--namespace", self.namespace];
        let token = kubectl(&self.control_plane, &[&create[..], &bound].concat(), "")?;
        self.control_plane.kubeconfig_for(token.trim(), &self.control_plane.url())
    }

    /// The elector as a kubelet would start it beside the service, its folder in a folder of this machine.
    async fn sidecar(&self) -> Result<Sidecar> {
        let (pod, spec) = self.pod().await?;
        let kubeconfig = self.kubeconfig(&pod, &spec)?;
        let all = || spec.init_containers.iter().flatten().chain(&spec.containers);
        let container = all().find(|found| found.name == "leader-elector").context("an elector")?;
        let is_native = container.restart_policy.as_deref() == Some("Always");
        assert_ne!(is_native, spec.containers.contains(container), "the server knows native sidecars");
        let env = self.environment(container, &pod);
        let mut settings = SidecarSettings::bare(pod, kubeconfig)?;
        let folder = settings.folder().display().to_string();
        settings.args =
            container.args.iter().flatten().map(|arg| arg.replace("/run/leader", &folder)).collect();
        settings.env = env;
        settings.start()
    }

    fn environment(&self, container: &Container, pod: &PodRef) -> Vec<(String, String)> {
        let field = |path: &str| match path {
            "metadata.name" => pod.name.clone(),
            "metadata.uid" => pod.uid.clone(),
            "metadata.namespace" => self.namespace.to_owned(),
            other => panic!("{other} is not resolved here"),
        };
        let variables = container.env.iter().flatten().filter_map(|variable| {
            let source = variable.value_from.as_ref()?.field_ref.as_ref()?;
            Some((variable.name.clone(), field(&source.field_path)))
        });
        variables.collect()
    }

    async fn lease(&self) -> Result<LeaseSpec> {
        let leases: Api<k8s_openapi::api::coordination::v1::Lease> =
            Api::namespaced(self.control_plane.admin_client().await?, self.namespace);
        leases.get(LEASE).await?.spec.context("a spec")
    }
}

impl Town {
    /// Its sidecar leads, and the service's container has what it had.
    async fn leads(&self) -> Result<()> {
        let sidecar = self.sidecar().await?;
        sidecar.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
        assert_eq!(sidecar.check().await?, 0);
        let field = |path: &str| {
            let output = format!("jsonpath={path}");
            let get = ["get", "statefulset", "my-service", "--namespace", self.namespace, "-o", &output];
            kubectl(&self.control_plane, &get, "")
        };
        let app = "{.spec.template.spec.containers[?(@.name==\"app\")]";
        assert_eq!(field(&format!("{app}.image}}"))?, "never.invalid/app");
        assert_eq!(field(&format!("{app}.volumeMounts[*].mountPath}}"))?, "/run/leader");
        assert_eq!(field("{.spec.replicas}")?, "2");
        Ok(())
    }
}

/// `leasehold generate`, with a manifest on its standard input.
fn generate(args: &[&str], manifest: &str) -> Result<String> {
    let mut child = Command::new(sibling("leasehold")?)
        .arg("generate")
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().context("asked for above")?, manifest.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// A StatefulSet of somebody, before the election.
fn stateful_set(namespace: &str, command: &[String]) -> String {
    let command = serde_json::to_string(command).unwrap();
    format!(
        "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {{name: my-service, namespace: {namespace}}}\nspec:\n  \
         replicas: 2\n  serviceName: my-service\n  selector: {{matchLabels: {{app: my-service}}}}\n  template:\n    \
         metadata: {{labels: {{app: my-service}}}}\n    spec:\n      containers:\n      - name: app\n        \
         image: never.invalid/app\n        command: {command}\n        livenessProbe: {{exec: {{command: [ping]}}}}\n"
    )
}

fn serves() -> Vec<String> {
    vec!["my-service".to_owned()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_with_what_was_generated_leads_and_applying_it_again_takes_nothing_away() -> Result<()> {
    let town = Town::build("generated-file", &["sidecar", "-f", "-", "--ttl=3s"], &serves()).await?;
    let sidecar = town.sidecar().await?;
    let leading = sidecar.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    assert_eq!(sidecar.check().await?, 0);
    let term = town.lease().await?;
    let transitions = sidecar.metric("leasehold_transitions_total").await?;

    let again = town.apply(&["--validate=strict"], &town.generated)?;
    assert!(again.contains(&format!("lease.coordination.k8s.io/{LEASE} unchanged")), "{again}");
    for manager in ["--field-manager=kubectl", "--field-manager=argocd", "--field-manager=argocd"] {
        let flags = ["--server-side", "--force-conflicts", manager];
        town.apply(&flags, &town.generated)?;
    }
    let now = town.lease().await?;
    assert_eq!((now.holder_identity, now.lease_transitions), (term.holder_identity, term.lease_transitions));
    assert_eq!(now.acquire_time, term.acquire_time);
    let renewed = |status: &serde_json::Value| {
        status["state"] == "leader" && status["lead_until"].as_str() > leading["lead_until"].as_str()
    };
    let status = sidecar.until_status("renewing", PATIENCE, renewed).await?;
    assert_eq!(status["token"], leading["token"], "the same term");
    assert_eq!(
        sidecar.metric("leasehold_transitions_total").await?,
        transitions,
        "nobody has seen another holder"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_asks_http_has_a_leader_and_events_are_allowed_by_a_role_of_their_own() -> Result<()> {
    let args = ["sidecar", "-f", "-", "--ttl=3s", "--file=off", "--events"];
    let town = Town::build("generated-http", &args, &serves()).await?;
    let mut sidecar = town.sidecar().await?;
    sidecar.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    assert_eq!(sidecar.get("/leader").await?.code, 200);
    let deadline = Instant::now() + PATIENCE;
    let get = ["get", "events", "--namespace", town.namespace, "-o", "jsonpath={.items[*].message}"];
    while !kubectl(&town.control_plane, &get, "")?.contains("became leader") {
        assert!(Instant::now() < deadline, "{}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sidecar.process().terminate()?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(0));
    assert_eq!(town.lease().await?.holder_identity.as_deref(), Some(""), "released when it was asked to end");
    Ok(())
}

/// As for servers before 1.29: both are asked to end at once, and the service says when it has done.
#[tokio::test(flavor = "multi_thread")]
async fn a_plain_container_gives_the_lease_back_when_the_service_says_that_it_has_done() -> Result<()> {
    let args = ["sidecar", "-f", "-", "--ttl=3s", "--classic", "--flag=--app-done=file:/run/leader/done"];
    let town = Town::build("generated-classic", &args, &serves()).await?;
    let mut sidecar = town.sidecar().await?;
    let leading = sidecar.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    sidecar.process().terminate()?;
    sidecar.until_status("stopping", PATIENCE, |status| status["state"] == "stopping").await?;
    assert_eq!(town.lease().await?.holder_identity.as_deref(), leading["identity"].as_str(), "not yet");
    std::fs::write(sidecar.settings().folder().join("done"), "")?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(0));
    assert_eq!(town.lease().await?.holder_identity.as_deref(), Some(""), "released");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_made_from_the_name_alone_is_patched_into_the_workload() -> Result<()> {
    for (namespace, form) in [("generated-patch", None), ("generated-patch-classic", Some("--classic"))] {
        let control_plane = ControlPlane::shared().await?;
        create_namespace(&control_plane.admin_client().await?, namespace).await?;
        let by_name = ["sidecar", "sts/my-service", "--container=app", "--ttl=3s", "-n", namespace];
        let only =
            |part| generate(&by_name.into_iter().chain(form).chain(["--only", part]).collect::<Vec<_>>(), "");
        let town = Town { control_plane, namespace, generated: only("election")? };
        let before = stateful_set(namespace, &serves());
        town.apply(&["--validate=strict"], &before)?;
        town.apply(&["--validate=strict"], &town.generated)?;
        let patch = ["patch", "sts", "my-service", "--namespace", namespace, "--patch-file", "/dev/stdin"];
        kubectl(&town.control_plane, &patch, &only("workload")?)?;
        let again = kubectl(&town.control_plane, &patch, &only("workload")?)?;
        assert!(again.contains("(no change)"), "{again}");
        town.leads().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_for_kustomize_gives_a_workload_that_leads() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = "generated-kustomize";
    create_namespace(&control_plane.admin_client().await?, namespace).await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("elected").display().to_string();
    generate(&["sidecar", "-f", "-", "--ttl=3s", "--kustomize", &path], &stateful_set(namespace, &serves()))?;
    let generated = kubectl(&control_plane, &["kustomize", &path], "")?;
    let town = Town { control_plane, namespace, generated };
    town.apply(&["--validate=strict"], &town.generated)?;
    town.leads().await
}

/// The program comes out of the init container, and runs the command with what the container's spec says.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_is_run_by_the_program_that_the_init_container_has_brought() -> Result<()> {
    let stamps = Stamps::new()?;
    let stamper = sibling("leasehold-stamper")?.display().to_string();
    let command = [stamper, format!("--stamps={}", stamps.folder().display())];
    let town = Town::build("generated-exec", &["exec", "-f", "-", "--ttl=3s"], &command).await?;
    let (pod, spec) = town.pod().await?;
    let kubeconfig = town.kubeconfig(&pod, &spec)?;
    let container = &spec.containers[0];
    assert!(
        container.liveness_probe.as_ref().is_some_and(|probe| probe.exec.is_none()),
        "it would kill a standby"
    );
    let settings = SidecarSettings::bare(pod.clone(), kubeconfig.clone())?;
    // Each container sees the volume where it mounts it.
    let folder = format!("{}/", settings.folder().display());
    let here = |word: &String| word.replace("/leader-elector/", &folder);

    let install = &spec.init_containers.as_ref().unwrap()[0];
    let words = install.args.iter().flatten().map(|word| word.replace("/install/", &folder));
    assert!(leader_elector()?.args(words).status()?.success());
    let words: Vec<String> = container.command.iter().flatten().map(here).collect();
    let mut elector = Command::new(&words[0]);
    elector
        .args(&words[1..])
        .envs(town.environment(container, &pod))
        .env("LEADER_ELECTOR_KUBECONFIG", &kubeconfig)
        .env("LEADER_ELECTOR_HTTP", settings.control.flag())
        .env("LEADER_ELECTOR_PROBE_ADDR", settings.probes.flag());
    let mut elector = PipedProcess::spawn(elector)?;
    let deadline = Instant::now() + PATIENCE;
    while stamps.terms()?.is_empty() {
        assert!(Instant::now() < deadline, "{}", elector.errors());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    town.apply(&["--validate=strict"], &town.generated)?;
    elector.terminate()?;
    assert_eq!(elector.finish(PATIENCE).await?.code(), Some(0), "{}", elector.errors());
    assert_eq!(stamps.terms()?.len(), 1, "one term, applied twice");
    Ok(())
}

/// All that the account may do beside what any account may, as each is told itself.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_may_do_is_what_is_listed_here() -> Result<()> {
    let town = Town::build("generated-rights", &["sidecar", "-f", "-"], &serves()).await?;
    kubectl(&town.control_plane, &["create", "serviceaccount", "nobody", "-n", town.namespace], "")?;
    let rights = |account: &str| {
        let create = ["create", "token", account, "-n", town.namespace];
        let token = kubectl(&town.control_plane, &create, "")?;
        let kubeconfig = town.control_plane.kubeconfig_for(token.trim(), &town.control_plane.url())?;
        let list = ["auth", "can-i", "--list", "--no-headers", "-n", town.namespace];
        let listed = kubectl_as(&kubeconfig, &town.control_plane, &list, "")?;
        let line = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        anyhow::Ok(listed.lines().map(line).collect::<BTreeSet<_>>())
    };
    let (candidate, nobody) = (rights("my-service")?, rights("nobody")?);
    assert!(nobody.len() > 3 && candidate.is_superset(&nobody), "{candidate:?} {nobody:?}");
    let own: Vec<_> = candidate.difference(&nobody).collect();
    assert_eq!(own, ["leases.coordination.k8s.io [] [my-service-leader] [get watch create update patch]"]);
    Ok(())
}

/// The Lease that articles show, with the fields that candidates write: it works, until it is applied again.
#[tokio::test(flavor = "multi_thread")]
async fn the_lease_of_articles_works_and_applied_again_it_takes_leadership_away_or_is_refused() -> Result<()>
{
    let town = Town::build("generated-article", &["sidecar", "-f", "-", "--ttl=3s"], &serves()).await?;
    kubectl(&town.control_plane, &["delete", "lease", LEASE, "--namespace", town.namespace], "")?;
    let article = format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata:\n  name: {LEASE}\n  namespace: {}\nspec:\n  \
         holderIdentity: \"\"\n  leaseDurationSeconds: 3\n  acquireTime: null\n  renewTime: null\n",
        town.namespace
    );
    town.apply(&["--validate=strict"], &article)?;
    let sidecar = town.sidecar().await?;
    let leads = |status: &serde_json::Value| status["state"] == "leader";
    let first = sidecar.until_status("leading", PATIENCE, leads).await?;

    let refused = town.apply(&["--server-side", "--field-manager=argocd"], &article).unwrap_err().to_string();
    assert!(refused.contains("conflict") && refused.contains(".spec.holderIdentity"), "{refused}");
    assert_eq!(sidecar.status().await?["token"], first["token"], "what is refused takes nothing away");

    let mut token = first["token"].as_u64();
    for (flags, transitions) in [
        (&["--validate=strict"][..], 2),
        (&["--server-side", "--field-manager=argocd", "--force-conflicts"], 3),
    ] {
        town.apply(flags, &article)?;
        let next = |status: &serde_json::Value| leads(status) && status["token"].as_u64() > token;
        let status = sidecar.until_status("another term", PATIENCE, next).await?;
        assert!(town.lease().await?.lease_transitions >= Some(transitions), "{flags:?}");
        token = status["token"].as_u64();
    }
    Ok(())
}
