//! Two of ours and two of client-go on one Lease: whatever happens, ours is never the cause of two leaders, and stops
//! as soon as it sees another holder.
//!
//! What client-go does to itself is printed and not judged: it leads on after a pause until its renew deadline.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use kube::api::DeleteParams;
use leasehold_e2e::electorate::{Member, Said};
use leasehold_e2e::{ControlPlane, Elector, Electorate, Ground, boottime_ns};

const D: Duration = Electorate::SHORT;
/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);
/// The promise of class (b): after it saw another holder, ours leads no longer than this.
const STOP_MAX: Duration = Duration::from_millis(10);

/// All four, led by one of `first`.
async fn led_by(ground: &Ground, first: Elector) -> Result<(Electorate, usize)> {
    let second = if first == Elector::Ours { Elector::ClientGo } else { Elector::Ours };
    let mut electorate = Electorate::new(&ground.permission, D, true);
    ground.join(&mut electorate, "app-0", first).await?;
    let leader = electorate.leader(PATIENCE, None).await?;
    for (name, elector) in [("app-1", second), ("app-2", first), ("app-3", second)] {
        ground.join(&mut electorate, name, elector).await?;
    }
    let sees_leader = |member: &Member| member.said.iter().any(|said| said.event == "new_leader");
    electorate.until("all seeing the leader", PATIENCE, |members| members.iter().all(sees_leader)).await?;
    electorate.observe(Duration::from_secs(1)).await?;
    assert!(electorate.members[leader].leads(), "nothing has happened yet");
    Ok((electorate, leader))
}

/// Ends with a leader who has led for a while, so that a second one would have been seen.
async fn settle(electorate: &mut Electorate) -> Result<()> {
    electorate.leader(PATIENCE, None).await?;
    electorate.observe(Duration::from_secs(2)).await?;
    electorate.judged()?;
    Ok(())
}

/// As [`settle`], and nobody has ended.
async fn settle_with_all(electorate: &mut Electorate) -> Result<()> {
    settle(electorate).await?;
    ensure!(electorate.are_all_alive()?, "somebody has ended{}", electorate.describe());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn they_share_a_lease_through_stops_and_crashes() -> Result<()> {
    let ground = Ground::new("mixed").await?;
    let electors = [Elector::Ours, Elector::ClientGo, Elector::Ours, Elector::ClientGo];
    let mut electorate = ground.electorate(&electors).await?;
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
        ground.join(&mut electorate, &format!("again-{round}"), elector).await?;
        electorate.observe(Duration::from_millis(1_500)).await?;
    }
    electorate.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_does_not_lead_when_it_runs_again_after_a_pause() -> Result<()> {
    let ground = Ground::new("ours-paused").await?;
    let (mut electorate, paused) = led_by(&ground, Elector::Ours).await?;
    electorate.members[paused].pause()?;
    let next = electorate.leader(PATIENCE, Some(paused)).await?;
    let resumed = boottime_ns();
    electorate.members[paused].process().resume()?;
    electorate.observe(Duration::from_secs(1)).await?;
    let member = &mut electorate.members[paused];
    let after: Vec<_> = member.said.iter().filter(|said| said.asked_ns > Some(resumed)).collect();
    assert!(!after.iter().any(|said| said.leading == Some(true)), "{after:?}");
    // Its work was over long ago: unless that ends at once, the library ends the process.
    let answers = !after.is_empty();
    assert!(answers || member.process().exit_status()?.is_some(), "it neither answers nor has ended");
    assert!(electorate.members[next].leads(), "the one that was paused has not disturbed it");
    settle(&mut electorate).await
}

/// When client-go runs again it leads on until its renew deadline, and may even clear the lease that is no longer its
/// own: its faults, which ours survives.
#[tokio::test(flavor = "multi_thread")]
async fn ours_takes_over_from_a_paused_client_go_not_before_its_lease_is_over() -> Result<()> {
    let ground = Ground::new("peer-paused").await?;
    let (mut electorate, paused) = led_by(&ground, Elector::ClientGo).await?;
    // Ours waits longer for a peer's lease than another peer does: only without one does it take over.
    let peers = electorate.members.iter_mut().filter(|member| member.elector == Elector::ClientGo);
    for peer in peers {
        peer.pause()?;
    }
    let begun = boottime_ns();
    // Who is paused still has its last word: it led.
    let leads = |member: &Member| member.elector == Elector::Ours && member.leads();
    electorate.until("ours taking over", PATIENCE, |members| members.iter().any(leads)).await?;
    let waited = Duration::from_nanos(boottime_ns() - begun);
    // Its last renewal came before the pause, but ours adds half a lease duration: client-go's work ends late.
    assert!(waited >= D, "taken over after {waited:?}");
    let peers = electorate.members.iter_mut().filter(|member| member.elector == Elector::ClientGo);
    for peer in peers {
        peer.process().resume()?;
    }
    // It may clear the lease that ours holds by now, and acquire it again within milliseconds: that it gave up is what it
    // said, not what it says later.
    let gave_up = |said: &Said| said.event == "cancelled" && said.boottime_ns > begun;
    let gives_up = |members: &[Member]| members[paused].said.iter().any(gave_up);
    electorate.until("client-go giving up", PATIENCE, gives_up).await?;
    electorate.observe(D).await?;
    settle_with_all(&mut electorate).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_api_server_ends_no_candidate_and_makes_no_second_leader() -> Result<()> {
    for (namespace, first) in [("ours-cut", Elector::Ours), ("peer-cut", Elector::ClientGo)] {
        let control_plane = Arc::new(ControlPlane::start().await?);
        let ground = Ground::on(Arc::clone(&control_plane), namespace).await?;
        let (mut electorate, _) = led_by(&ground, first).await?;
        let cut = boottime_ns();
        control_plane.stop_api_server()?;
        electorate.observe(D).await?;
        let ours = electorate.members.iter().filter(|member| member.elector == Elector::Ours);
        for said in ours.flat_map(|member| &member.said).filter(|said| said.leading == Some(true)) {
            assert!(said.asked_ns.unwrap() < cut + u64::try_from(D.as_nanos())?, "{said:?} after {cut}");
        }
        electorate.observe(Duration::from_secs(17)).await?;
        assert!(!electorate.members.iter().any(Member::leads), "{}", electorate.describe());
        control_plane.start_api_server().await?;
        settle_with_all(&mut electorate).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_lease_makes_no_second_leader_whoever_led() -> Result<()> {
    for (namespace, first) in [("ours-deleted", Elector::Ours), ("peer-deleted", Elector::ClientGo)] {
        let ground = Ground::new(namespace).await?;
        let (mut electorate, _) = led_by(&ground, first).await?;
        let deleted = boottime_ns();
        ground.leases().delete("leader", &DeleteParams::default()).await?;
        electorate.until("stepping down", PATIENCE, |members| !members.iter().any(Member::leads)).await?;
        electorate.leader(PATIENCE, None).await?;
        let begun = electorate.members.iter().flat_map(|member| &member.said);
        let begun = begun.filter(|said| said.event == "work_began").map(|said| said.boottime_ns).max();
        // The least-privilege Role lets ours alone make it again: client-go's way would need more.
        let waited = Duration::from_nanos(begun.unwrap() - deleted);
        assert!(waited >= D, "a holder may have lived {waited:?} after its lease was deleted");
        settle_with_all(&mut electorate).await?;
    }
    Ok(())
}

/// Nobody but a person does this, and the holder need not agree: class (c), but for how soon ours stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_handed_to_client_go_by_hand_ends_ours_as_soon_as_it_sees_it() -> Result<()> {
    let ground = Ground::new("handed").await?;
    let (mut electorate, ours) = led_by(&ground, Elector::Ours).await?;
    let peer = electorate.members.iter().position(|member| member.elector == Elector::ClientGo).unwrap();
    let name = electorate.members[peer].name.clone();
    ground.set_holder(&name).await?;
    electorate.until("client-go leading", PATIENCE, |members| members[peer].leads()).await?;
    electorate.observe(Duration::from_secs(1)).await?;

    let said = &electorate.members[ours].said;
    let seen = said.iter().find(|said| said.leader.as_ref() == Some(&name)).map(|said| said.boottime_ns);
    let led = said.iter().filter(|said| said.leading == Some(true)).filter_map(|said| said.asked_ns).max();
    match seen {
        Some(seen) => {
            let led_on = Duration::from_nanos(led.unwrap().saturating_sub(seen));
            assert!(led_on <= STOP_MAX, "it led for {led_on:?} after it saw {name}");
        }
        // It was ended by force before it could say what it saw.
        None => {
            assert!(electorate.members[ours].process().exit_status()?.is_some(), "it saw nobody, and runs on")
        }
    }
    // Its process may be gone: what has no time left is ended by force.
    settle(&mut electorate).await
}
