//! What the README promises, on real nodes: a service with a database, in Pods that `leasehold generate` made part of an
//! election, loses its leader in every way that a cluster knows. Judged by the database's own log and by the metric of
//! each Pod: overlap 0, no write with an old token, no pause longer than the lease duration and two seconds.
//!
//! In the gate each promise has one scenario; `LEASEHOLD_FULL=1` plays each scenario in each form.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use leasehold_e2e::boottime_ns;
use leasehold_e2e::ledger::Entry;
use leasehold_e2e::nodes::{Form, Image, Nodes, Stage, StageSettings, Verdict};

/// Plays a scenario in each form, in the gate in those of `gate` only. `act` does something to the leader, and says what
/// follows upon it.
async fn play(
    scenario: &'static str,
    gate: &[Form],
    act: impl AsyncFn(&mut Nodes, &Stage, &Entry) -> Result<Follows>,
) -> Result<Vec<Verdict>> {
    let mut verdicts = Vec::new();
    for form in Form::ALL {
        if !gate.contains(&form) && !is_full() {
            continue;
        }
        let mut nodes = Nodes::turn().await?;
        let stage = Stage::set(&nodes, StageSettings { scenario, form, kind: "StatefulSet" }).await?;
        let leader = stage.last_write()?.context("somebody leads")?;
        let follows = act(&mut nodes, &stage, &leader).await;
        let follows = follows.with_context(|| format!("{scenario} {form:?}"))?;
        let now = boottime_ns();
        match follows {
            Follows::AnotherTerm => stage.until_term_after(leader.token).await?,
            Follows::AnyWrite => stage.until_write("again", |entry| entry.boottime_ns > now).await?,
        };
        // Time for a second leader to show itself, if there is one.
        tokio::time::sleep(Duration::from_secs(1)).await;
        verdicts.push(stage.judged().await?);
    }
    Ok(verdicts)
}

/// What is waited for after the fault.
enum Follows {
    AnotherTerm,
    /// It may be the same term.
    AnyWrite,
}

fn is_full() -> bool {
    std::env::var_os("LEASEHOLD_FULL").is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_leader_hands_over() -> Result<()> {
    let verdicts = play("deleted", &Form::ALL, async |_, stage, leader| {
        stage.kubectl(&["delete", "pod", &leader.who, "--wait=false"], "")?;
        Ok(Follows::AnotherTerm)
    });
    for verdict in verdicts.await? {
        ensure!(verdict.flips.0 >= 1, "no Pod's metric went to 1: {verdict}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_of_the_elector_another_pod_leads() -> Result<()> {
    play("elector-killed", &[Form::Exec, Form::Native], async |_, stage, leader| {
        stage.kill(&leader.who, Image::ELECTOR).await?;
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

/// In exec mode the elector ends with it, and gives the lease back; beside an elector it comes back in the same term.
#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_of_the_service_somebody_serves_again() -> Result<()> {
    play("service-killed", &[Form::Exec, Form::Native], async |_, stage, leader| {
        stage.kill(&leader.who, Image::WRITER).await?;
        Ok(Follows::AnyWrite)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn after_kill_9_of_both_another_pod_leads() -> Result<()> {
    play("both-killed", &[Form::Native], async |_, stage, leader| {
        // In exec mode the service is gone with the elector, or about to be.
        stage.kill(&leader.who, Image::ELECTOR).await?;
        stage.kill(&leader.who, Image::WRITER).await.ok();
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

/// The API server forgets the Pod while its containers still run, and the controller makes another one of that name.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_deleted_by_force_does_not_lead_beside_its_successor() -> Result<()> {
    play("forced", &[Form::Exec], async |_, stage, leader| {
        stage.kubectl(&["delete", "pod", &leader.who, "--force", "--grace-period=0", "--wait=false"], "")?;
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

/// Nothing reaches the API server from there, and nobody there is told: the leader stops by its own clock.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_node_is_cut_off_stops_before_another_one_leads() -> Result<()> {
    play("node-cut", &[Form::Exec], async |nodes, stage, leader| {
        let node = stage.node_of(&leader.who).await?;
        nodes.node(&node)?.cut()?;
        stage.until_term_after(leader.token).await?;
        nodes.node(&node)?.restore()?;
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_the_api_server_does_not_reach_stops_before_another_one_leads() -> Result<()> {
    let verdicts = play("pod-cut", &[Form::Native], async |nodes, stage, leader| {
        let address = stage.address_of(&leader.who).await?;
        nodes.cut_pod(&address)?;
        stage.until_term_after(leader.token).await?;
        nodes.restore_pod(&address)?;
        Ok(Follows::AnotherTerm)
    });
    for verdict in verdicts.await? {
        ensure!(verdict.flips.0 >= 1, "no Pod's metric went to 1: {verdict}");
        ensure!(verdict.flips.1 == 1, "the metric of the Pod that was cut off goes to 0: {verdict}");
    }
    Ok(())
}

/// The Pods run on, and nobody tells the API server about them.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_kubelet_costs_nobody_leadership() -> Result<()> {
    let verdicts = play("kubelet-stopped", &[Form::Native], async |nodes, stage, leader| {
        let node = stage.node_of(&leader.who).await?;
        nodes.node(&node)?.stop_kubelet()?;
        tokio::time::sleep(Duration::from_secs(5)).await;
        nodes.node(&node)?.start_kubelet()?;
        Ok(Follows::AnyWrite)
    });
    for verdict in verdicts.await? {
        ensure!(verdict.terms == 1, "the same Pod leads: {verdict}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_node_hands_over_its_leader() -> Result<()> {
    play("drained", &[Form::Native], async |_, stage, leader| {
        let node = stage.node_of(&leader.who).await?;
        let selector = format!("--pod-selector={}", Stage::SELECTOR);
        let flags = ["--delete-emptydir-data", "--force", "--timeout=60s", &selector];
        stage.kubectl(&[&["drain", &node], &flags[..]].concat(), "")?;
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_leader_hands_over() -> Result<()> {
    play("evicted", &[Form::Classic], async |_, stage, leader| {
        stage.evict(&leader.who).await?;
        Ok(Follows::AnotherTerm)
    })
    .await?;
    Ok(())
}

/// Each Pod is replaced in turn: nobody waits for a standby to lead, and every leader hands over.
#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_update_comes_to_its_end() -> Result<()> {
    for kind in ["StatefulSet", "Deployment"] {
        for form in Form::ALL {
            let gate = (kind == "Deployment" && form == Form::Exec)
                || (kind == "StatefulSet" && form == Form::Native);
            if !gate && !is_full() {
                continue;
            }
            let nodes = Nodes::turn().await?;
            let scenario = if kind == "Deployment" { "rolled-deployment" } else { "rolled-set" };
            let stage = Stage::set(&nodes, StageSettings { scenario, form, kind }).await?;
            let workload = format!("{kind}/{}", Stage::NAME);
            stage.kubectl(&["rollout", "restart", &workload], "")?;
            stage.kubectl(&["rollout", "status", &workload, "--timeout=120s"], "")?;
            let now = boottime_ns();
            stage.until_write("after the roll-out", |entry| entry.boottime_ns > now).await?;
            let verdict = stage.judged().await?;
            ensure!(verdict.terms > 1, "the leader was replaced, too: {verdict}");
        }
    }
    Ok(())
}
