//! The library on the real API server with the least-privilege Role.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use leasehold_apiserver::{Fault, FaultProxy};
use leasehold_e2e::electorate::{Member, kubeconfig};
use leasehold_e2e::{AuditEvent, ControlPlane, Elector, Electorate, Ground, boottime_ns};
use leasehold_history::Report;

const D: Duration = Electorate::SHORT;
/// The promise: a vacuum is at most the lease duration and two seconds.
const VACUUM_MAX: Duration = Duration::from_secs(5);
/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);

fn assert_vacuum(report: &Report) {
    // The first vacuum is before the first leader, the last may be cut off by the end of the observation.
    let begun = report.vacuums.iter().filter(|vacuum| vacuum.possible.earliest > report.window.earliest);
    for vacuum in begun {
        let length = Duration::from_nanos(vacuum.possible.length().0);
        assert!(length <= VACUUM_MAX, "{length:?} without a leader: {vacuum:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_ours_survive_stop_crash_and_pause() -> Result<()> {
    let ground = Ground::new("three").await?;
    let mut electorate = ground.electorate(&[Elector::Ours; 3]).await?;

    let first = electorate.leader(PATIENCE, None).await?;
    electorate.members[first].process().terminate()?;
    let second = electorate.leader(PATIENCE, Some(first)).await?;
    ground.join(&mut electorate, "app-3", Elector::Ours).await?;
    electorate.observe(Duration::from_secs(1)).await?;

    electorate.members[second].kill()?;
    let third = electorate.leader(PATIENCE, Some(second)).await?;
    ground.join(&mut electorate, "app-4", Elector::Ours).await?;
    electorate.observe(Duration::from_secs(1)).await?;

    electorate.members[third].pause()?;
    let fourth = electorate.leader(PATIENCE, Some(third)).await?;
    electorate.members[third].process().resume()?;
    electorate.observe(Duration::from_secs(1)).await?;
    assert!(electorate.members[fourth].leads(), "the one that was paused has not disturbed it");

    let report = electorate.judged()?;
    assert_vacuum(&report);
    let conflicts = ground.requests()?.into_iter().filter(|event| event.code() == Some(409)).count();
    assert_eq!(conflicts, 0, "409s by us");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_times_there_is_one_patch_per_renewal_and_nothing_else() -> Result<()> {
    let ground = Ground::new("quiet").await?;
    let mut electorate = ground.electorate(&[Elector::Ours; 3]).await?;
    let leader = electorate.leader(PATIENCE, None).await?;
    electorate.observe(D).await?;
    let before = ground.requests()?.len();
    let version = |lease: Lease| -> u64 { lease.metadata.resource_version.unwrap().parse().unwrap() };
    let first = ground.leases().get("leader").await?;
    let renewed = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    let begun = renewed(&first);
    electorate.observe(D * 3).await?;
    let last = ground.leases().get("leader").await?;
    let requests = ground.requests()?.split_off(before);

    let leader = &electorate.members[leader].name;
    let pod = |event: &AuditEvent| event.user.extra.get("authentication.kubernetes.io/pod-name").cloned();
    for event in &requests {
        assert_eq!((event.verb.as_str(), event.code()), ("patch", Some(200)), "{event:?}");
        assert_eq!(pod(event), Some(vec![leader.clone()]), "only the leader asks: {event:?}");
    }
    let renewals = requests.len();
    assert!((6..=12).contains(&renewals), "{renewals} renewals in nine seconds");
    assert_ne!(renewed(&last), begun);
    assert!(version(last) > version(first));
    electorate.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_the_api_server_ends_no_candidate() -> Result<()> {
    let control_plane = Arc::new(ControlPlane::start().await?);
    let ground = Ground::on(Arc::clone(&control_plane), "outage").await?;
    let mut electorate = ground.electorate(&[Elector::Ours; 3]).await?;
    electorate.leader(PATIENCE, None).await?;
    electorate.observe(D).await?;

    let cut = boottime_ns();
    control_plane.stop_api_server()?;
    electorate.until("stepping down", D, |members| !members.iter().any(Member::leads)).await?;
    let stopped = electorate.members.iter().flat_map(|member| &member.said);
    let stopped = stopped.filter(|said| said.event == "work_ended").map(|said| said.boottime_ns).max();
    let after = Duration::from_nanos(stopped.expect("the work has ended").saturating_sub(cut));
    assert!(after <= D, "the work ended {after:?} after the outage began");
    electorate.observe(Duration::from_secs(60)).await?;
    assert!(!electorate.members.iter().any(Member::leads));
    let unknown = |member: &Member| {
        member.last_sample().and_then(|said| said.state.clone()).as_deref() == Some("unknown")
    };
    assert!(electorate.members.iter().all(unknown), "nobody pretends to know the leader");

    control_plane.start_api_server().await?;
    electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(2)).await?;
    assert!(electorate.are_all_alive()?, "nothing was restarted");
    let knows = |member: &Member| {
        member.last_sample().and_then(|said| said.state.clone()).as_deref() != Some("unknown")
    };
    electorate.until("all coming back", PATIENCE, |members| members.iter().all(knows)).await?;
    electorate.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_lease_ends_the_term_and_is_made_again_after_its_duration() -> Result<()> {
    let ground = Ground::new("deleted").await?;
    let mut electorate = ground.electorate(&[Elector::Ours; 2]).await?;
    electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(1)).await?;
    let deleted = boottime_ns();
    ground.leases().delete("leader", &DeleteParams::default()).await?;
    electorate.until("stepping down", D, |members| !members.iter().any(Member::leads)).await?;
    electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(1)).await?;
    let begun = electorate.members.iter().flat_map(|member| &member.said);
    let begun = begun.filter(|said| said.event == "work_began").map(|said| said.boottime_ns).max().unwrap();
    assert!(Duration::from_nanos(begun - deleted) >= D, "nobody leads before the old holder's lease is over");
    assert!(electorate.are_all_alive()?);
    electorate.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_permission_is_named_with_the_role_that_gives_it_back() -> Result<()> {
    let ground = Ground::new("forbidden").await?;
    let mut electorate = ground.electorate(&[Elector::Ours; 2]).await?;
    let leader = electorate.leader(PATIENCE, None).await?;
    ground.permission.withdraw(&ground.admin).await?;
    electorate.until("stepping down", D, |members| !members.iter().any(Member::leads)).await?;
    electorate.observe(D).await?;
    let error =
        electorate.members[leader].last_sample().and_then(|said| said.error.clone()).unwrap_or_default();
    assert!(error.contains("resourceNames: [leader]"), "{error}");
    ground.permission.give_back(&ground.admin).await?;
    electorate.leader(PATIENCE, None).await?;
    assert!(electorate.are_all_alive()?);
    electorate.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_has_stopped_before_another_starts() -> Result<()> {
    let ground = Ground::new("cut").await?;
    let upstream = ground.control_plane.url().trim_start_matches("https://").parse()?;
    let mut electorate = Electorate::new(&ground.permission, D, false);
    let mut proxies = Vec::new();
    for index in 0..3 {
        let proxy = FaultProxy::start(upstream).await?;
        let name = format!("app-{index}");
        let url = format!("https://{}", proxy.address());
        let kubeconfig = kubeconfig(&ground.control_plane, &ground.permission, &name, &url).await?;
        electorate.start_with(&kubeconfig, &name, Elector::Ours).await?;
        proxies.push(proxy);
    }
    let faults = [
        Fault::HalfOpen,
        Fault::Cut,
        Fault::LoseAnswers { reset_after: Duration::from_secs(1) },
        Fault::HoldToClient,
    ];
    for fault in faults {
        let leader = electorate.leader(PATIENCE, None).await?;
        electorate.observe(Duration::from_secs(1)).await?;
        proxies[leader].set(fault);
        electorate.leader(PATIENCE, Some(leader)).await?;
        // What was held arrives now, late: it must not change anything.
        proxies[leader].set(Fault::None);
        electorate.observe(Duration::from_secs(2)).await?;
    }
    assert!(electorate.are_all_alive()?, "nobody was restarted");
    let report = electorate.judged()?;
    assert_vacuum(&report);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_default_timings_a_crash_costs_one_lease_duration() -> Result<()> {
    let ground = Ground::new("defaults").await?;
    let default = Duration::from_secs(15);
    let mut electorate = Electorate::new(&ground.permission, default, false);
    for name in ["app-0", "app-1"] {
        ground.join(&mut electorate, name, Elector::Ours).await?;
    }
    let leader = electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(6)).await?;
    electorate.members[leader].kill()?;
    electorate.leader(PATIENCE, Some(leader)).await?;
    electorate.observe(Duration::from_secs(1)).await?;
    let report = electorate.judged()?;
    let longest = Duration::from_nanos(report.longest_vacuum().0);
    assert!(longest <= default + Duration::from_secs(2), "{longest:?}");
    Ok(())
}
