//! The sidecar on the real API server with the least-privilege Role: what a service, a kubelet and a person see of it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures_util::{StreamExt as _, TryStreamExt as _};
use kube::api::{WatchEvent, WatchParams};
use leasehold_e2e::sidecar::{Content, Endpoint, FileSampler, Sidecar, free_address};
use leasehold_e2e::{Ground, boottime_ns};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches for the first change of the holder, and tells whether `file` was gone when it was seen.
async fn watch_for_change(
    ground: &Ground,
    holder: String,
    file: PathBuf,
) -> Result<JoinHandle<Result<bool>>> {
    let leases = ground.leases();
    let version = leases.get("leader").await?.metadata.resource_version.unwrap();
    Ok(tokio::spawn(async move {
        let only = WatchParams::default().fields("metadata.name=leader");
        let mut events = leases.watch(&only, &version).await?.boxed();
        while let Some(event) = events.try_next().await? {
            let WatchEvent::Modified(lease) = event else {
                bail!("{event:?} of a lease that is only renewed")
            };
            let seen = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
            if !seen.starts_with(&holder) {
                return Ok(!file.exists());
            }
        }
        bail!("the watch ended before the holder changed")
    }))
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
    let logs: String = sidecars.iter().map(Sidecar::log).collect();
    bail!("nobody leads after {PATIENCE:?}\n{logs}")
}

/// The two clocks of a file name the same instants.
fn assert_wall_clock_agrees(content: &Content) -> Result<()> {
    let (boottime, now) = (boottime_ns(), jiff::Timestamp::now());
    for (wall, boot) in [("lead_until", "lead_until_boottime_ns"), ("valid_until", "valid_until_boottime_ns")]
    {
        let wall: jiff::Timestamp = content.0[wall].as_str().unwrap().parse()?;
        let left = content.0[boot].as_u64().unwrap().saturating_sub(boottime);
        let shown = wall.duration_since(now).as_secs_f64();
        let apart = (shown - Duration::from_nanos(left).as_secs_f64()).abs();
        assert!(apart < 0.05, "{boot} is {apart} s away from the wall clock in {content:?}");
    }
    Ok(())
}

fn in_state(state: &str) -> impl Fn(&Value) -> bool {
    move |status| status["state"] == state
}

/// Holder up to the nonce.
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

#[tokio::test(flavor = "multi_thread")]
async fn the_file_says_who_leads_with_which_token_and_until_when_and_is_refreshed() -> Result<()> {
    let ground = Ground::new("file").await?;
    let sidecars = ground.sidecars(1).await?;
    leader(&sidecars).await?;
    let first = sidecars[0].content()?.unwrap();
    let keys: Vec<&String> = first.0.as_object().unwrap().keys().collect();
    let promised = [
        "boot_id",
        "identity",
        "lead_until",
        "lead_until_boottime_ns",
        "lease",
        "token",
        "transitions",
        "valid_until",
        "valid_until_boottime_ns",
    ];
    assert_eq!(keys, promised);
    let status = sidecars[0].status().await?;
    for key in ["identity", "token", "transitions"] {
        assert_eq!(first.0[key], status[key], "{key}");
    }
    assert_eq!(first.0["identity"], status["holder"]);
    assert_eq!(first.0["lease"], "file/leader");
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    assert_eq!(first.0["boot_id"], boot_id.trim());
    let valid_until = first.0["valid_until_boottime_ns"].as_u64().unwrap();
    assert!(first.lead_until_ns() < valid_until, "work has time to stop after leadership has ended");
    assert_wall_clock_agrees(&first)?;

    let lease = ground.leases().get("leader").await?;
    let transitions = lease.spec.unwrap().lease_transitions.map(i64::from);
    assert_eq!(transitions, status["transitions"].as_i64());
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let later = sidecars[0].content()?.unwrap();
    let moved = Duration::from_nanos(later.lead_until_ns() - first.lead_until_ns());
    assert!(moved >= Duration::from_secs(1), "two renewals later the file says only {moved:?} more");
    assert_eq!(later.token(), first.token(), "renewals are the same term");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_stop_takes_the_file_back_before_the_lease_is_released() -> Result<()> {
    let ground = Ground::new("stopped").await?;
    let mut sidecars = ground.sidecars(3).await?;
    let first = leader(&sidecars).await?;
    for sidecar in &sidecars {
        sidecar
            .until_status("knowing the leader", PATIENCE, |status| status["holder"] != Value::Null)
            .await?;
    }
    let files: Vec<PathBuf> = sidecars.iter().map(|sidecar| sidecar.settings().file.clone()).collect();
    let token = sidecars[first].content()?.unwrap().token();
    let sampler = FileSampler::start(files.clone());
    let next_holder = watch_for_change(&ground, identity(&sidecars[first]), files[first].clone()).await?;

    sidecars[first].process().terminate()?;
    let code = sidecars[first].exit_code(PATIENCE).await?;
    assert_eq!(code, Some(0), "a stop that was asked for is no failure");
    assert!(!files[first].exists());
    assert!(next_holder.await??, "the holder changed while the file still said the old one");
    let second = leader(&sidecars).await?;
    assert_ne!(second, first);
    assert!(sidecars[second].content()?.unwrap().token() > token, "each term has a larger token");
    tokio::time::sleep(Duration::from_secs(1)).await;
    sampler.finish()
}

/// The service read the file just before it was removed, and works on until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_sidecar_gives_the_lease_back_when_nobody_believes_its_file_any_more() -> Result<()> {
    let ground = Ground::new("believed").await?;
    let mut sidecars = ground.sidecars(2).await?;
    let first = leader(&sidecars).await?;
    let read = sidecars[first].content()?.unwrap();
    let valid_until = read.0["valid_until_boottime_ns"].as_u64().unwrap();
    let file = sidecars[first].settings().file.clone();
    let changed = watch_for_change(&ground, identity(&sidecars[first]), file).await?;
    sidecars[first].process().terminate()?;
    assert!(changed.await??, "the holder changed while the file was there");
    assert!(boottime_ns() >= valid_until, "another one could lead while the service may have worked");
    assert_eq!(sidecars[first].exit_code(PATIENCE).await?, Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_says_that_it_has_done_lets_another_pod_lead_at_once() -> Result<()> {
    let ground = Ground::new("done").await?;
    let mut settings = ground.settings("app-0").await?;
    let done = settings.folder().join("done");
    settings.args = vec!["--lease=leader".to_owned(), "--ttl=30s".to_owned()];
    settings.args.push(format!("--app-done=file:{}", done.display()));
    let mut sidecars = [settings.start()?];
    leader(&sidecars).await?;
    let [sidecar] = &mut sidecars;
    let valid_until = sidecar.content()?.unwrap().0["valid_until_boottime_ns"].as_u64().unwrap();
    sidecar.process().terminate()?;
    sidecar.until_status("stopping", PATIENCE, in_state("stopping")).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let holder = ground.leases().get("leader").await?.spec.and_then(|spec| spec.holder_identity);
    assert!(holder.unwrap().starts_with(&identity(sidecar)), "it is renewed until the service has done");
    std::fs::write(&done, "")?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(0));
    let holder = ground.leases().get("leader").await?.spec.and_then(|spec| spec.holder_identity);
    assert_eq!(holder.as_deref(), Some(""), "released");
    assert!(boottime_ns() < valid_until, "the time was waited for, and not the file");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_a_killed_leader_goes_stale_before_another_one_leads() -> Result<()> {
    let ground = Ground::new("killed").await?;
    let mut sidecars = ground.sidecars(3).await?;
    let first = leader(&sidecars).await?;
    for sidecar in &sidecars {
        sidecar
            .until_status("knowing the leader", PATIENCE, |status| status["holder"] != Value::Null)
            .await?;
    }
    let files: Vec<PathBuf> = sidecars.iter().map(|sidecar| sidecar.settings().file.clone()).collect();
    let sampler = FileSampler::start(files.clone());
    let token = sidecars[first].content()?.unwrap().token();

    sidecars[first].process().kill()?;
    assert!(files[first].exists(), "nobody was there to remove it");
    assert_eq!(sidecars[first].check().await?, 0, "its time is not over yet");
    while sidecars[first].check().await? == 0 {}
    for (index, sidecar) in sidecars.iter().enumerate() {
        assert_eq!(
            sidecar.check().await?,
            1,
            "{index} leads while the file of the dead has just become stale"
        );
    }

    let second = leader(&sidecars).await?;
    assert_ne!(second, first);
    assert_eq!(sidecars[first].check().await?, 1);
    assert!(files[first].exists(), "it went stale by itself");
    assert!(sidecars[second].content()?.unwrap().token() > token);
    sampler.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_hands_leadership_over_by_post_and_a_web_page_or_a_kubelet_cannot() -> Result<()> {
    let ground = Ground::new("step-down").await?;
    let mut sidecars = ground.sidecars(2).await?;
    let first = leader(&sidecars).await?;
    let standby = 1 - first;
    sidecars[standby].until_status("standing by", PATIENCE, in_state("standby")).await?;
    sidecars[first].until_status("leading", PATIENCE, in_state("leader")).await?;
    let step_down = async |endpoint: &Endpoint, headers| endpoint.ask("POST", "/v1/step-down", headers).await;
    let (control, probes) = (&sidecars[first].settings().control, &sidecars[first].settings().probes);

    assert_eq!(step_down(control, "Origin: http://localhost\r\n").await?.code, 403);
    assert_eq!(step_down(probes, "").await?.code, 404);
    assert_eq!(step_down(&sidecars[standby].settings().control, "").await?.code, 409);
    assert_eq!(control.ask("GET", "/v1/step-down", "").await?.code, 405, "a link is no command");
    assert!(sidecars[first].content()?.unwrap().leads_now(), "nothing of this was a command");

    let mut events = control.watch().await?;
    assert_eq!(events.next().await?["state"], "leader");
    let token = sidecars[first].content()?.unwrap().token();
    assert_eq!(step_down(control, "").await?.code, 202);
    let mut states = Vec::new();
    while states.last().is_none_or(|state| state != "standby") {
        states.push(events.next().await?["state"].as_str().unwrap().to_owned());
        assert!(states.last().unwrap() != "leader", "it never says again that it leads: {states:?}");
    }
    assert!(!sidecars[first].settings().file.exists());

    assert_eq!(leader(&sidecars).await?, standby, "who stepped down stays out for now");
    assert!(sidecars[standby].content()?.unwrap().token() > token);
    let other = identity(&sidecars[standby]);
    let knows = |status: &Value| status["holder"].as_str().unwrap_or_default().starts_with(&other);
    let status = sidecars[first].until_status("seeing the new leader", PATIENCE, knows).await?;
    assert_eq!(status["state"], "standby");
    assert_eq!(sidecars[first].process().exit_status()?, None, "it still runs");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_serves_what_a_port_serves_and_one_left_behind_is_replaced() -> Result<()> {
    let ground = Ground::new("unix").await?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("le.sock");
    let on_socket = async |pod| -> Result<Sidecar> {
        let mut settings = ground.settings(pod).await?;
        settings.control = Endpoint::Unix(socket.clone());
        settings.start()
    };
    let mut first = on_socket("app-0").await?;
    first.until_status("leading", PATIENCE, in_state("leader")).await?;
    assert_eq!(first.get("/leader").await?.code, 200);
    let answer = first.settings().control.ask("POST", "/v1/step-down", "").await?;
    assert_eq!(answer.code, 202, "a socket is the Pod's own: it may be written to");
    first.process().kill()?;

    let second = on_socket("app-1").await?;
    second.until_status("leading", PATIENCE, in_state("leader")).await?;

    drop(second);
    std::fs::remove_file(&socket)?;
    std::fs::write(&socket, "a file of the service")?;
    let mut third = on_socket("app-2").await?;
    assert_eq!(third.exit_code(PATIENCE).await?, Some(2), "{}", third.log());
    assert!(third.log().contains("is no socket; name a path that nothing else uses"), "{}", third.log());
    assert_eq!(std::fs::read_to_string(&socket)?, "a file of the service");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_role_it_says_which_one_is_missing_and_counts_each_refusal() -> Result<()> {
    let ground = Ground::new("no-role").await?;
    ground.permission.withdraw(&ground.admin).await?;
    let sidecar = ground.settings("app-0").await?.start()?;
    let has_error = |status: &Value| status["last_error"] != Value::Null;
    let status = sidecar.until_status("being refused", PATIENCE, has_error).await?;
    let error = status["last_error"].as_str().unwrap();
    for part in ["kind: Role", "resourceNames: [leader]", "namespace: no-role"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!((&status["state"], &status["holder"]), (&json!("unknown"), &Value::Null));
    assert_eq!(sidecar.get("/").await?.json()?["name"], "", "it does not guess who leads");
    assert_eq!(sidecar.probe("/readyz").await?.code, 200, "the API server has answered");
    assert_eq!(sidecar.probe("/livez").await?.code, 200);

    let failures = "leader_election_lease_renew_failure_total{name=\"leader\",reason=\"forbidden\"} ";
    let counted = sidecar.metric(failures).await?.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while sidecar.metric(failures).await?.unwrap() < counted + 2.0 {
        assert!(Instant::now() < deadline, "no more than {counted} refusals are counted");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ground.permission.give_back(&ground.admin).await?;
    let status = sidecar.until_status("leading", PATIENCE, in_state("leader")).await?;
    assert_eq!(status["last_error"], Value::Null, "all is well again");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_it_runs_on_unready_and_says_why() -> Result<()> {
    let ground = Ground::new("unreachable").await?;
    let mut settings = ground.settings("app-0").await?;
    let nobody = format!("https://{}", free_address()?);
    settings.kubeconfig = ground.control_plane.kubeconfig_for("no-token", &nobody)?;
    let mut sidecar = settings.start()?;
    let has_error = |status: &Value| status["last_error"] != Value::Null;
    let status = sidecar.until_status("being refused", PATIENCE, has_error).await?;
    let error = status["last_error"].as_str().unwrap();
    for part in ["unreachable/leader", "unreachable", "Connection refused"] {
        assert!(error.contains(part), "{part} is not in {error}");
    }
    assert_eq!(status["state"], "unknown");
    assert_eq!(sidecar.probe("/readyz").await?.code, 503);
    assert_eq!(sidecar.probe("/livez").await?.code, 200, "a restart would not bring the API server back");
    assert_eq!(sidecar.check().await?, 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(sidecar.process().exit_status()?, None, "it waits for the API server");

    sidecar.process().terminate()?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(0), "there is no lease that a stop could wait for");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn timings_that_cannot_hold_are_refused_at_the_start_with_the_arithmetic() -> Result<()> {
    let ground = Ground::new("timings").await?;
    let mut settings = ground.settings("app-0").await?;
    settings.args =
        ["--lease=leader", "--lease-duration=3s", "--renew-deadline=2900ms", "--retry-period=400ms"]
            .map(str::to_owned)
            .to_vec();
    let mut sidecar = settings.start()?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(2));
    let log = sidecar.log();
    assert!(
        log.contains("2.9s + lost-stop timeout 0ns + kill margin 500ms = 3.4s, more than the 2.94"),
        "{log}"
    );
    assert!(log.contains("\n\nhint: "), "{log}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_else_takes_ends_the_process_where_that_is_wished_for() -> Result<()> {
    let ground = Ground::new("taken").await?;
    let mut settings = ground.settings("app-0").await?;
    settings.args.push("--on-lost=exit".to_owned());
    let mut sidecar = settings.start()?;
    sidecar.until_status("leading", PATIENCE, in_state("leader")).await?;
    ground.set_holder("an-administrator").await?;
    assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(75), "{}", sidecar.log());
    assert!(!sidecar.settings().file.exists());
    let holder = ground.leases().get("leader").await?.spec.unwrap().holder_identity;
    assert_eq!(holder.as_deref(), Some("an-administrator"), "what is not its own it does not release");
    Ok(())
}

/// The library's hard stop aborts the process when it sees another holder before the work has ended, and the sidecar
/// had left it at that: on a busy machine it died, and the file went on saying that its Pod led.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_else_takes_costs_the_file_at_once_and_the_process_never() -> Result<()> {
    let ground = Ground::new("taken-again").await?;
    let mut sidecars = ground.sidecars(1).await?;
    leader(&sidecars).await?;
    let mut questions = JoinSet::new();
    for _ in 0..32 {
        // Its file is removed by the same thread that answers: questions make the removal late.
        let probes = sidecars[0].settings().probes.clone();
        questions.spawn(async move { while probes.ask("GET", "/metrics", "").await.is_ok() {} });
    }
    for round in 0..2 {
        sidecars[0].until_status("leading", PATIENCE, in_state("leader")).await?;
        let taken = Instant::now();
        ground.set_holder("an-administrator").await?;
        while sidecars[0].settings().file.exists() {
            assert!(
                taken.elapsed() < Duration::from_secs(1),
                "the file is there after {:?}",
                taken.elapsed()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sidecars[0].until_status("standing by", PATIENCE, in_state("standby")).await?;
        assert_eq!(sidecars[0].process().exit_status()?, None, "round {round}: {}", sidecars[0].log());
        ground.set_holder("").await?;
    }
    Ok(())
}
