//! Ordinary mistakes, made on purpose: each is answered with what is wrong, where, and what to do; and no state of the
//! world ends a candidate.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use kube::api::DeleteParams;
use leasehold_e2e::sidecar::{Sidecar, SidecarSettings, leader_elector};
use leasehold_e2e::{Ground, PipedProcess};
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until the sidecar says all of `parts`, and checks that it goes on, counting each failure under `reason`;
/// an empty one stands for any.
async fn assert_says(sidecar: &mut Sidecar, reason: &str, parts: &[&str]) -> Result<()> {
    let says = |status: &Value| {
        let error = status["last_error"].as_str().unwrap_or_default();
        parts.iter().all(|part| error.contains(part))
    };
    let status = sidecar.until_status(&format!("saying {parts:?}"), PATIENCE, says).await?;
    assert!(["unknown", "standby"].contains(&status["state"].as_str().unwrap()), "{status}");
    assert_eq!(sidecar.check().await?, 1);
    let name = format!("leader_election_lease_renew_failure_total{{name=\"leader\",reason=\"{reason}");
    let counted = sidecar.metric(&name).await?.with_context(|| format!("{name} is not counted"))?;
    let deadline = Instant::now() + PATIENCE;
    while sidecar.metric(&name).await?.unwrap_or_default() <= counted {
        assert!(Instant::now() < deadline, "{name} stays at {counted}: {}", sidecar.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(sidecar.probe("/livez").await?.code, 200, "a restart would mend nothing");
    assert_eq!(sidecar.process().exit_status()?, None, "{}", sidecar.log());
    Ok(())
}

/// The kubeconfig of these settings with something of its cluster changed.
fn change_cluster(settings: &mut SidecarSettings, key: &str, value: &str) -> Result<()> {
    let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(&settings.kubeconfig)?)?;
    kubeconfig["clusters"][0]["cluster"][key] = json!(value);
    let path = settings.folder().join("kubeconfig");
    fs::write(&path, kubeconfig.to_string())?;
    settings.kubeconfig = path;
    Ok(())
}

fn in_namespace(settings: &mut SidecarSettings, namespace: &str) {
    settings.args.push(format!("--namespace={namespace}"));
}

/// A server that reads something and answers this to all, or nothing.
async fn answering(text: &'static str) -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while !text.is_empty() && stream.read(&mut request).await? > 0 {
                    stream.write_all(text.as_bytes()).await?;
                }
                tokio::time::sleep(PATIENCE).await;
                Ok::<_, std::io::Error>(())
            });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_the_account_is_not_of_is_asked_about_before_a_role_is_made_for_it() -> Result<()> {
    let ground = Ground::new("mistaken").await?;
    let mut settings = ground.settings("app-0").await?;
    in_namespace(&mut settings, "nowhere");
    let parts = [
        "service account leader of namespace mistaken may not get leases/leader in namespace nowhere",
        "is that the namespace that is meant, and not mistaken?",
        "kind: Role",
    ];
    assert_says(&mut settings.start()?, "forbidden", &parts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_exist_is_named_to_whoever_may_do_everything() -> Result<()> {
    let ground = Ground::new("wrong-namespace").await?;
    let mut settings = ground.settings("app-0").await?;
    settings.kubeconfig = ground.control_plane.kubeconfig();
    in_namespace(&mut settings, "nowhere");
    let url = ground.control_plane.url();
    let parts = ["there is no namespace nowhere at", &url, "kubectl get namespaces"];
    assert_says(&mut settings.start()?, "namespace_missing", &parts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_nobody_made_is_asked_for_by_name() -> Result<()> {
    let ground = Ground::new("no-lease").await?;
    ground.leases().delete("leader", &DeleteParams::default()).await?;
    let mut waiting = ground.settings("app-0").await?;
    waiting.args.push("--on-missing=wait".to_owned());
    let parts = ["there is no Lease leader in namespace no-lease", "on-missing"];
    assert_says(&mut waiting.start()?, "missing", &parts).await?;

    let mut failing = ground.settings("app-1").await?;
    failing.args.push("--on-missing=fail".to_owned());
    let mut failing = failing.start()?;
    assert_eq!(failing.exit_code(PATIENCE).await?, Some(2));
    assert!(failing.log().contains("lease no-lease/leader does not exist; create it"), "{}", failing.log());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_named_with_its_address() -> Result<()> {
    let ground = Ground::new("wrong-address").await?;
    let closed = TcpListener::bind("127.0.0.1:0").await?;
    let closed_url = format!("https://{}/", closed.local_addr()?);
    drop(closed);
    let silent_url = format!("https://{}/", answering("").await?);
    let plain_url = format!("https://{}/", answering("HTTP/1.1 400 Bad Request\r\n\r\n").await?);
    let page = "HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\nconnection: close\r\n\r\nnot found";
    let page_url = format!("http://{}/", answering(page).await?);
    let real = ground.control_plane.url().replace("https://", "http://");
    let cases = [
        (closed_url.as_str(), "unreachable", "nobody listens at"),
        ("https://api.nowhere.invalid:6443/", "unreachable", "cannot be resolved"),
        (plain_url.as_str(), "unreachable", "does not speak TLS"),
        (silent_url.as_str(), "timeout", "did not answer in time"),
        (page_url.as_str(), "unexpected", "no answer of a Kubernetes API server"),
        (real.as_str(), "", "begin the server's address with https://"),
    ];
    for (index, (url, reason, part)) in cases.into_iter().enumerate() {
        let mut settings = ground.settings(&format!("app-{index}")).await?;
        change_cluster(&mut settings, "server", url)?;
        assert_says(&mut settings.start()?, reason, &[part, url]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_does_not_fit_is_told_from_an_authority_that_does_not() -> Result<()> {
    let ground = Ground::new("wrong-tls").await?;
    let url = ground.control_plane.url();
    let mut settings = ground.settings("app-0").await?;
    let other = CertificateParams::new([])?.self_signed(&KeyPair::generate()?)?.pem();
    let path = settings.folder().join("other-ca.pem");
    fs::write(&path, other)?;
    change_cluster(&mut settings, "certificate-authority", path.to_str().unwrap())?;
    let parts = ["authority that this candidate does not trust", "certificate-authority", &url];
    assert_says(&mut settings.start()?, "unreachable", &parts).await?;

    let mut settings = ground.settings("app-1").await?;
    change_cluster(&mut settings, "tls-server-name", "api.other.example")?;
    let parts = ["made out for other names", "tls-server-name", &url];
    assert_says(&mut settings.start()?, "unreachable", &parts).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_accepted_is_told_from_a_permission_that_is_missing() -> Result<()> {
    let ground = Ground::new("wrong-token").await?;
    let url = ground.control_plane.url();
    let mut settings = ground.settings("app-0").await?;
    settings.kubeconfig = ground.control_plane.kubeconfig_for("of-another-cluster", &url)?;
    let parts = ["does not accept the credentials", "is the token expired", &url];
    assert_says(&mut settings.start()?, "unauthorized", &parts).await
}

/// What it says when it is started with these flags and does not start.
async fn refusal(args: &[&str], kubeconfig: Option<&Path>) -> Result<String> {
    let mut command = leader_elector()?;
    command.args(args);
    for name in ["FILE", "HTTP", "PROBE_ADDR"] {
        command.env(format!("LEADER_ELECTOR_{name}"), "off");
    }
    if let Some(path) = kubeconfig {
        command.env("KUBECONFIG", path);
    }
    let mut process = PipedProcess::spawn(command)?;
    let status = process.finish(PATIENCE).await.with_context(|| format!("{args:?}"))?;
    let said = process.errors();
    assert_eq!(status.code(), Some(2), "{args:?}: {said}");
    assert!(said.contains("error: ") && !said.contains("panicked"), "{args:?}: {said}");
    Ok(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_that_cannot_be_used_are_refused_at_the_start_with_what_to_write_instead() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0").await?;
    let taken = taken.local_addr()?.to_string();
    for (flags, part) in [
        (&["--lease=My_Lease"][..], "lease name \"My_Lease\" is not a DNS name"),
        (&["--lease=db", "--namespace=a.b"], "namespace \"a.b\" is not a DNS label"),
        (&["--lease=db", "--lease-duration=15.5s"], "15.5s is not a whole number of seconds"),
        (&["--lease=db", "--lease-duration=soon"], "write 15s, 1m30s, 500ms"),
        (&["--lease=db", "--renew-deadline=15s"], "must be shorter than the lease duration"),
        (&["--lease=db", "--lost-stop-timeout=5s"], "more than the 14.702970297s"),
        (&["--lease=db", "--file=/proc/is-leader"], "mount an emptyDir there, name another --file"),
        (&["--lease=db", "--http=4040"], "write 127.0.0.1:4040"),
        (&["--lease=db", "--http", &taken], "uses the port; name another one"),
        (&["--lease=db", "--probe-addr", &taken], "uses the port; name another one"),
        (&["--lease=db", "--probe-addr=192.0.2.1:8081"], "has no such address"),
        (&["--lease=db", "--log-level=a=b=c"], "is no level or filter"),
        (&["--lease=db", "--on-missing=later"], "none of: wait, create, fail"),
        (&[], "--lease is missing"),
    ] {
        let mut args = vec!["--namespace=prod"];
        if flags.iter().any(|flag| flag.starts_with("--namespace")) {
            args.clear();
        }
        args.extend(flags);
        let said = refusal(&args, None).await?;
        assert!(said.contains(part), "{part} is not in {said}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kubeconfig_that_cannot_be_used_is_named_with_what_it_lacks() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, text: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let context = json!({ "name": "home", "context": { "cluster": "gone", "user": "jane" } });
    let cases = [
        (folder.path().join("missing"), "", "No such file"),
        (file("page", "<html>"), "", "YAML"),
        (file("empty", ""), "", "no current-context"),
        (file("other", &json!({ "contexts": [context] }).to_string()), "hmoe", "there is: home"),
        (file("torn", &json!({ "contexts": [context] }).to_string()), "home", "cluster \"gone\""),
    ];
    for (path, context, part) in cases {
        let shown = path.display().to_string();
        let flag = format!("--kubeconfig={shown}");
        let mut args = vec!["--lease=db", "--namespace=prod", &flag];
        if !context.is_empty() {
            args.extend(["--context", context]);
        }
        let said = refusal(&args, None).await?;
        assert!(said.contains(part) && said.contains(&shown), "{part} is not in {said}");
    }
    let missing = folder.path().join("missing");
    let said = refusal(&["--lease=db", "--namespace=prod"], Some(&missing)).await?;
    assert!(said.contains(&format!("KUBECONFIG={}", missing.display())), "{said}");
    Ok(())
}
