//! The library on the real API server with the least-privilege Role, alone and with client-go on the same Lease.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, too, end a test by panicking and print their findings"
)]

use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, PostParams};
use leasehold_apiserver::{Fault, FaultProxy};
use leasehold_e2e::electorate::{Member, kubeconfig};
use leasehold_e2e::{AuditEvent, ControlPlane, Elector, Electorate, LeasePermission, boottime_ns};
use leasehold_history::{Nanos, Report};

const D: Duration = Duration::from_secs(3);
/// The promise: a vacuum is at most the lease duration and two seconds.
const VACUUM_MAX: Duration = Duration::from_secs(5);
/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);

struct Ground {
    admin: kube::Client,
    permission: LeasePermission,
}

impl Ground {
    /// A namespace with the least-privilege Role and a pre-created Lease.
    async fn new(control_plane: &ControlPlane, namespace: &str) -> Result<Self> {
        let admin = control_plane.admin_client().await?;
        let permission = LeasePermission::grant(&admin, namespace, "leader").await?;
        let ground = Self { admin, permission };
        let lease =
            serde_json::from_value(serde_json::json!({ "metadata": { "name": "leader" }, "spec": {} }))?;
        ground.leases().create(&PostParams::default(), &lease).await?;
        Ok(ground)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.admin.clone(), self.permission.namespace())
    }

    async fn electorate(&self, control_plane: &ControlPlane, electors: &[Elector]) -> Result<Electorate> {
        let peers = electors.contains(&Elector::ClientGo);
        let mut electorate = Electorate::new(&self.permission, D, peers);
        for (index, &elector) in electors.iter().enumerate() {
            let name = format!("app-{index}");
            electorate.start(control_plane, &self.permission, &name, elector).await?;
        }
        Ok(electorate)
    }

    fn requests(&self, control_plane: &ControlPlane) -> Result<Vec<AuditEvent>> {
        let (namespace, lease) = (self.permission.namespace(), self.permission.lease());
        let mut events = control_plane.audit_events()?;
        events.retain(|event| {
            event.is_about_lease(namespace, lease) && event.user.username == self.permission.username()
        });
        Ok(events)
    }
}

fn judge(electorate: &Electorate) -> Report {
    let report = electorate.history().unwrap().judge();
    println!("{report}");
    assert!(!report.is_void());
    assert_eq!(report.ours.overlap_proven, Nanos(0), "{:#?}", report.ours.overlaps);
    assert!(report.token_faults.is_empty(), "{:#?}", report.token_faults);
    for member in electorate.members.iter().filter(|member| member.elector == Elector::Ours) {
        member.check_no_lead_after_foreign_holder().unwrap();
    }
    report
}

fn assert_vacuum(report: &Report) {
    // The first vacuum is before the first leader, the last may be cut off by the end of the observation.
    let begun = report.vacuums.iter().filter(|vacuum| vacuum.possible.earliest > report.window.earliest);
    for vacuum in begun {
        let length = Duration::from_nanos(vacuum.possible.length().0);
        assert!(length <= VACUUM_MAX, "{length:?} without a leader: {vacuum:?}");
    }
}

fn alive(members: &mut [Member]) -> bool {
    members.iter_mut().all(|member| member.process().exit_status().unwrap().is_none())
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_ours_survive_stop_crash_and_pause() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "three").await?;
    let mut electorate = ground.electorate(&control_plane, &[Elector::Ours; 3]).await?;

    let first = electorate.leader(PATIENCE, None).await?;
    electorate.members[first].process().terminate()?;
    let second = electorate.leader(PATIENCE, Some(first)).await?;
    electorate.start(&control_plane, &ground.permission, "app-3", Elector::Ours).await?;
    electorate.observe(Duration::from_secs(1)).await?;

    electorate.members[second].kill()?;
    let third = electorate.leader(PATIENCE, Some(second)).await?;
    electorate.start(&control_plane, &ground.permission, "app-4", Elector::Ours).await?;
    electorate.observe(Duration::from_secs(1)).await?;

    electorate.members[third].pause()?;
    let fourth = electorate.leader(PATIENCE, Some(third)).await?;
    electorate.members[third].process().resume()?;
    electorate.observe(Duration::from_secs(1)).await?;
    assert!(electorate.members[fourth].leads(), "the one that was paused has not disturbed it");

    let report = judge(&electorate);
    assert_vacuum(&report);
    let conflicts =
        ground.requests(&control_plane)?.into_iter().filter(|event| event.code() == Some(409)).count();
    assert_eq!(conflicts, 0, "409s by us");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_times_there_is_one_patch_per_renewal_and_nothing_else() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "quiet").await?;
    let mut electorate = ground.electorate(&control_plane, &[Elector::Ours; 3]).await?;
    let leader = electorate.leader(PATIENCE, None).await?;
    electorate.observe(D).await?;
    let before = ground.requests(&control_plane)?.len();
    let version = |lease: Lease| -> u64 { lease.metadata.resource_version.unwrap().parse().unwrap() };
    let first = ground.leases().get("leader").await?;
    let renewed = |lease: &Lease| lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
    let begun = renewed(&first);
    electorate.observe(D * 3).await?;
    let last = ground.leases().get("leader").await?;
    let requests = ground.requests(&control_plane)?.split_off(before);

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
    judge(&electorate);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_ours_and_two_of_client_go_share_a_lease() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "mixed").await?;
    let electors = [Elector::Ours, Elector::ClientGo, Elector::Ours, Elector::ClientGo];
    let mut electorate = ground.electorate(&control_plane, &electors).await?;
    let mut leader = electorate.leader(PATIENCE, None).await?;
    for round in 0..6 {
        let elector = electorate.members[leader].elector;
        if round % 2 == 0 {
            electorate.members[leader].process().terminate()?;
        } else {
            electorate.members[leader].kill()?;
        }
        let gone = leader;
        leader = electorate.leader(PATIENCE, Some(gone)).await?;
        let name = format!("again-{round}");
        electorate.start(&control_plane, &ground.permission, &name, elector).await?;
        electorate.observe(Duration::from_millis(1_500)).await?;
    }
    let report = judge(&electorate);
    let ours = |name: &str| {
        electorate.members.iter().any(|member| member.name == name && member.elector == Elector::Ours)
    };
    let caused =
        report.mixed.overlaps.iter().filter(|overlap| overlap.proven.is_some() && ours(&overlap.first));
    assert_eq!(caused.count(), 0, "ours worked on when client-go led: {:#?}", report.mixed.overlaps);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_without_the_api_server_ends_no_candidate() -> Result<()> {
    let control_plane = ControlPlane::start().await?;
    let ground = Ground::new(&control_plane, "outage").await?;
    let mut electorate = ground.electorate(&control_plane, &[Elector::Ours; 3]).await?;
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
    assert!(alive(&mut electorate.members), "nothing was restarted");
    let knows = |member: &Member| {
        member.last_sample().and_then(|said| said.state.clone()).as_deref() != Some("unknown")
    };
    electorate.until("all coming back", PATIENCE, |members| members.iter().all(knows)).await?;
    judge(&electorate);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_lease_ends_the_term_and_is_made_again_after_its_duration() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "deleted").await?;
    let mut electorate = ground.electorate(&control_plane, &[Elector::Ours; 2]).await?;
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
    assert!(alive(&mut electorate.members));
    judge(&electorate);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_permission_is_named_with_the_role_that_gives_it_back() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "forbidden").await?;
    let mut electorate = ground.electorate(&control_plane, &[Elector::Ours; 2]).await?;
    let leader = electorate.leader(PATIENCE, None).await?;
    ground.permission.withdraw(&ground.admin).await?;
    electorate.until("stepping down", D, |members| !members.iter().any(Member::leads)).await?;
    electorate.observe(D).await?;
    let error =
        electorate.members[leader].last_sample().and_then(|said| said.error.clone()).unwrap_or_default();
    assert!(error.contains("resourceNames: [leader]"), "{error}");
    ground.permission.give_back(&ground.admin).await?;
    electorate.leader(PATIENCE, None).await?;
    assert!(alive(&mut electorate.members));
    judge(&electorate);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_is_cut_off_has_stopped_before_another_starts() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "cut").await?;
    let upstream = control_plane.url().trim_start_matches("https://").parse()?;
    let mut electorate = Electorate::new(&ground.permission, D, false);
    let mut proxies = Vec::new();
    for index in 0..3 {
        let proxy = FaultProxy::start(upstream).await?;
        let name = format!("app-{index}");
        let url = format!("https://{}", proxy.address());
        let kubeconfig = kubeconfig(&control_plane, &ground.permission, &name, &url).await?;
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
    assert!(alive(&mut electorate.members), "nobody was restarted");
    let report = judge(&electorate);
    assert_vacuum(&report);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_default_timings_a_crash_costs_one_lease_duration() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let ground = Ground::new(&control_plane, "defaults").await?;
    let default = Duration::from_secs(15);
    let mut electorate = Electorate::new(&ground.permission, default, false);
    for name in ["app-0", "app-1"] {
        electorate.start(&control_plane, &ground.permission, name, Elector::Ours).await?;
    }
    let leader = electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(6)).await?;
    electorate.members[leader].kill()?;
    electorate.leader(PATIENCE, Some(leader)).await?;
    electorate.observe(Duration::from_secs(1)).await?;
    let report = judge(&electorate);
    let longest = Duration::from_nanos(report.longest_vacuum().0);
    assert!(longest <= default + Duration::from_secs(2), "{longest:?}");
    Ok(())
}
