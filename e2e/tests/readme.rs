//! What the README prints is what happens: its manifests are applied as they are, its Pod is run, its answers compared.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::api::Api;
use leasehold_e2e::ControlPlane;
use leasehold_e2e::kubectl::kubectl;
use leasehold_e2e::rbac::PodRef;
use leasehold_e2e::sidecar::{Sidecar, SidecarSettings, leader_elector};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const NAMESPACE: &str = "production";
const POD: &str = "my-service-0";

struct Readme(String);

impl Readme {
    fn read() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        Self(fs::read_to_string(path).unwrap())
    }

    /// The fenced blocks of a language, in order.
    fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("\n```{language}\n");
        let begun = self.0.split(&fence).skip(1);
        begun.map(|rest| rest.split("\n```\n").next().unwrap().to_owned() + "\n").collect()
    }

    /// The line that a console block shows below the command that begins with `start`.
    fn shown_below(&self, start: &str) -> String {
        let commands = self.blocks("console").concat();
        let mut lines = commands.lines();
        lines.find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("{start} is not in the README"));
        lines.next().unwrap().to_owned()
    }
}

fn apply(control_plane: &ControlPlane, manifest: &str) -> Result<String> {
    kubectl(control_plane, &["apply", "--validate=strict", "-f", "-"], manifest)
}

/// A part of a Pod's spec as a Pod: nothing is added but what makes it one.
fn pod_manifest(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {POD}\n  namespace: {NAMESPACE}\nspec:\n{spec}")
}

/// What a kubelet does for the container: environment by the downward API, an empty folder as its volume, a token.
fn started_as_by_a_kubelet(control_plane: &ControlPlane, pod: &Pod) -> Result<Sidecar> {
    let uid = pod.metadata.uid.clone().unwrap();
    let spec = pod.spec.as_ref().unwrap();
    let account = spec.service_account_name.as_deref().unwrap();
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", POD, "--bound-object-uid", &uid];
    let create = ["create", "token", account, "--namespace", NAMESPACE];
    let token = kubectl(control_plane, &[&create[..], &bound[..]].concat(), "")?;
    let kubeconfig = control_plane.kubeconfig_for(token.trim(), &control_plane.url())?;
    let mut settings = SidecarSettings::bare(PodRef { name: POD.to_owned(), uid }, kubeconfig)?;

    let container = &spec.containers[0];
    let mount = &container.volume_mounts.as_ref().unwrap()[0];
    let volumes = spec.volumes.as_ref().unwrap();
    assert!(volumes.iter().any(|volume| volume.name == mount.name && volume.empty_dir.is_some()));
    let folder = settings.folder().to_str().unwrap().to_owned();
    let args = container.args.iter().flatten().map(|arg| arg.replace(&mount.mount_path, &folder));
    settings.args = args.collect();
    assert!(
        settings.args.contains(&format!("--file={folder}/is-leader")),
        "the file is in the mounted folder"
    );
    settings.env = environment(container, pod);
    settings.start()
}

fn environment(container: &Container, pod: &Pod) -> Vec<(String, String)> {
    let field = |path: &str| match path {
        "metadata.name" => pod.metadata.name.clone().unwrap(),
        "metadata.namespace" => pod.metadata.namespace.clone().unwrap(),
        "metadata.uid" => pod.metadata.uid.clone().unwrap(),
        other => panic!("the README's Pod refers to {other}, which this test does not resolve"),
    };
    let resolve = |variable: &k8s_openapi::api::core::v1::EnvVar| {
        let source = variable.value_from.as_ref().and_then(|from| from.field_ref.as_ref());
        let value =
            source.map_or_else(|| variable.value.clone().unwrap(), |field_ref| field(&field_ref.field_path));
        (variable.name.clone(), value)
    };
    container.env.iter().flatten().map(resolve).collect()
}

/// Keys, log lines and forms; times, tokens and nonces are others in each run.
async fn assert_answers_as_shown(readme: &Readme, sidecar: &Sidecar) -> Result<()> {
    let answer = sidecar.get("/").await?.body;
    assert_eq!(keys(&readme.shown_below("$ curl -s")), keys(&answer), "{answer}");
    let file = fs::read_to_string(&sidecar.settings().file)?;
    let shown = readme.shown_below("$ cat /tmp/is-leader");
    assert!(keys(&file).starts_with(&keys(&shown)), "{shown}\n{file}");
    let lease = r#""lease":"production/my-service-leader""#;
    assert!(shown.contains(lease) && file.contains(lease), "{shown}\n{file}");
    let log = readme.shown_below("$ cargo run --release -- elect --namespace production");
    let (constant, _) = log.split_once("token=").unwrap();
    assert!(sidecar.log().contains(&format!(" {constant}token=")), "{constant}\n{}", sidecar.log());
    Ok(())
}

/// The keys of a JSON object without nested ones, also where its end is left out.
fn keys(json: &str) -> Vec<&str> {
    let words: Vec<&str> = json.split('"').collect();
    words.windows(2).filter(|pair| pair[1].starts_with(':')).map(|pair| pair[0]).collect()
}

#[test]
fn the_commands_shown_find_what_they_are_about() {
    let readme = Readme::read();
    let commands = readme.blocks("console").concat();
    let sed = commands.lines().find_map(|line| line.strip_prefix("$ sed ")).unwrap();
    let (extract, _) = sed.split_once(" | kubectl apply -f -").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let shell = ["-c", &format!("sed {extract}")];
    let output = Command::new("sh").args(shell).current_dir(root).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), readme.blocks("yaml")[0]);

    let help = leader_elector().unwrap().arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let address = commands.lines().find_map(|line| line.strip_prefix("$ curl -s ")).unwrap();
    for default in [address.trim_end_matches('/'), "/tmp/is-leader"] {
        assert!(help.contains(&format!("[default: {default}")), "{default} is no default in\n{help}");
    }
    let checks = ["check", "--quiet", "--file", "/nonexistent/is-leader"];
    assert!(commands.contains("leader-elector check --quiet --file /tmp/is-leader"));
    let check = leader_elector().unwrap().args(checks).output().unwrap();
    assert_eq!((check.status.code(), check.stderr.len()), (Some(1), 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_are_accepted_as_printed_and_their_pod_leads() -> Result<()> {
    let readme = Readme::read();
    let [lease, spec] = &readme.blocks("yaml")[..] else { panic!("the README has two blocks of manifests") };
    let control_plane = ControlPlane::shared().await?;
    let admin = control_plane.admin_client().await?;
    let created = apply(&control_plane, lease)?;
    assert_eq!(created.lines().filter(|line| line.ends_with(" created")).count(), 5, "{created}");
    apply(&control_plane, &pod_manifest(spec))?;
    let pod = Api::<Pod>::namespaced(admin.clone(), NAMESPACE).get(POD).await?;

    let sidecar = started_as_by_a_kubelet(&control_plane, &pod)?;
    let status = sidecar.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    let uid = pod.metadata.uid.unwrap();
    assert!(status["identity"].as_str().unwrap().starts_with(&format!("{POD}_{uid}_")), "{status}");
    assert_eq!(sidecar.check().await?, 0);
    assert_answers_as_shown(&readme, &sidecar).await?;

    let again = apply(&control_plane, lease)?;
    assert!(again.contains("lease.coordination.k8s.io/my-service-leader unchanged"), "{again}");
    let leases: Api<Lease> = Api::namespaced(admin, NAMESPACE);
    let holder = leases.get("my-service-leader").await?.spec.unwrap().holder_identity;
    assert_eq!(
        holder.as_deref(),
        status["identity"].as_str(),
        "applied again, the manifests take nothing away"
    );
    Ok(())
}
