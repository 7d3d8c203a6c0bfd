//! One round: somebody leads and has renewed, one fault strikes, it ends, somebody leads again.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use leasehold_apiserver::Fault as Network;
use serde_json::json;
use tokio::sync::watch;

use super::arena::Arena;
use super::strike::{Fault, Strike};
use super::verdict::Outcome;
use crate::process::boottime_ns;

/// What is known of a round while it goes on.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) strike: Strike,
    /// CLOCK_BOOTTIME at its begin, of the fault, and of the end of the fault.
    pub(super) begun: u64,
    pub(super) struck: u64,
    pub(super) healed: u64,
    /// Seats.
    pub(super) victims: Vec<usize>,
    /// The members of all seats at its begin.
    pub(super) members: Vec<usize>,
    /// Whom the library ended after a pause, because its work had no time left.
    pub(super) hard_stops: usize,
    /// Whose work the machine gave no time to stop.
    pub(super) starved: Option<String>,
    pub(super) violations: Vec<String>,
}

impl Arena {
    /// Plays one round with a fault that strikes this electorate alone.
    ///
    /// # Errors
    /// When there is nothing to judge: no leader before or after, or a process that cannot be started.
    pub async fn play(&mut self, strike: &Strike) -> Result<Outcome> {
        let mut round = self.begin(strike).await?;
        round.struck = boottime_ns();
        match strike.fault {
            Fault::Killed => self.kill_and_replace(&round).await?,
            Fault::Paused => self.pause_and_resume(&round).await?,
            Fault::StoppedWhileCut => self.stop_while_cut(&round).await?,
            Fault::LabelEdits => {
                let edits = edit_labels(self.ground.leases(), strike.lasts);
                self.observe_while(edits).await?;
            }
            Fault::PermissionWithdrawn => {
                let (permission, admin) = (self.ground.permission.clone(), self.admin());
                self.observe_while(async move {
                    permission.withdraw(&admin).await?;
                    tokio::time::sleep(strike.lasts).await;
                    permission.give_back(&admin).await
                })
                .await?;
            }
            _ => {
                self.set(&round.victims, strike.network.context("a fault of the network")?);
                self.observe(strike.lasts).await?;
                self.set(&round.victims, Network::None);
            }
        }
        self.conclude(round, boottime_ns()).await
    }

    /// Waits for a leader that has renewed, and for the moment of the strike.
    pub(super) async fn begin(&mut self, strike: &Strike) -> Result<Round> {
        let leader = self.settle(0).await.context("before the fault")?;
        self.observe(strike.after).await?;
        Ok(Round {
            strike: *strike,
            begun: boottime_ns(),
            struck: 0,
            healed: 0,
            victims: self.victims(strike.victims, leader, strike.seed / 20),
            members: self.seats.iter().map(|seat| seat.member).collect(),
            hard_stops: 0,
            starved: None,
            violations: Vec::new(),
        })
    }

    /// Asks everybody until somebody else says that the fault is over.
    pub(super) async fn endure(&mut self, mut healed: watch::Receiver<Option<u64>>) -> Result<()> {
        while healed.borrow_and_update().is_none() {
            self.tick().await?;
        }
        Ok(())
    }

    /// After the fault: whoever has ended is replaced, somebody leads again, and what arrives late makes no difference.
    pub(super) async fn conclude(&mut self, mut round: Round, healed: u64) -> Result<Outcome> {
        round.healed = healed;
        self.replace_the_ended(&mut round).await?;
        let recovered = self.settle(healed).await;
        self.replace_the_ended(&mut round).await?;
        self.observe(AFTERMATH).await?;
        self.judge_round(round, recovered.err())
    }

    async fn kill_and_replace(&mut self, round: &Round) -> Result<()> {
        for &seat in &round.victims {
            self.member_mut(seat).kill()?;
        }
        self.observe(round.strike.lasts).await?;
        for &seat in &round.victims {
            self.seat_another(seat).await?;
        }
        Ok(())
    }

    async fn pause_and_resume(&mut self, round: &Round) -> Result<()> {
        for &seat in &round.victims {
            self.member_mut(seat).pause()?;
        }
        self.observe(round.strike.lasts).await?;
        for &seat in &round.victims {
            self.member_mut(seat).process().resume()?;
        }
        Ok(())
    }

    async fn stop_while_cut(&mut self, round: &Round) -> Result<()> {
        self.set(&round.victims, round.strike.network.context("a fault of the network")?);
        self.observe(round.strike.lasts / 2).await?;
        for &seat in &round.victims {
            self.member_mut(seat).process().terminate()?;
        }
        self.observe(round.strike.lasts / 2).await?;
        self.set(&round.victims, Network::None);
        for &seat in &round.victims {
            let process = self.member_mut(seat).process();
            let status = process.finish(STOP_MAX).await.context("SIGTERM while it was cut off")?;
            ensure!(status.success(), "SIGTERM ended it with {status}:\n{}", process.errors());
        }
        Ok(())
    }

    /// Asks everybody while something goes on.
    async fn observe_while(&mut self, fault: impl Future<Output = Result<()>>) -> Result<()> {
        let (over, healed) = watch::channel(None);
        let fault = async {
            let result = fault.await;
            over.send_replace(Some(boottime_ns()));
            result
        };
        let (result, observed) = tokio::join!(fault, self.endure(healed));
        observed?;
        result
    }

    /// Seats another process for each that has ended. Only a stop that was asked for, and the end of work that a pause
    /// left no time, may end one.
    async fn replace_the_ended(&mut self, round: &mut Round) -> Result<()> {
        for seat in 0..self.seats.len() {
            let name = self.member(seat).name.clone();
            let process = self.member_mut(seat).process();
            let Some(status) = process.exit_status()? else { continue };
            let errors = process.errors();
            let is_victim = round.victims.contains(&seat);
            match round.strike.fault {
                Fault::StoppedWhileCut if is_victim => {}
                Fault::Paused if is_victim && errors.contains(HARD_STOP) => round.hard_stops += 1,
                // Its work had 400 ms to stop: that is much, but not where others use the processor.
                _ if errors.contains(HARD_STOP) => {
                    round.starved.get_or_insert(name);
                }
                _ => round.violations.push(format!("{name} ended with {status}:\n{errors}")),
            }
            self.seat_another(seat).await?;
        }
        Ok(())
    }
}

async fn edit_labels(leases: Api<Lease>, lasts: Duration) -> Result<()> {
    let end = tokio::time::Instant::now() + lasts;
    let mut edit = 0;
    while tokio::time::Instant::now() < end {
        let labels = json!({ "metadata": { "labels": { "edit": edit.to_string() } } });
        leases.patch("leader", &PatchParams::default(), &Patch::Merge(labels)).await?;
        edit += 1;
        tokio::time::sleep(EDIT_INTERVAL).await;
    }
    Ok(())
}

/// Waits until the API server answers a read of the store.
pub(super) async fn until_answers(admin: &Client) -> Result<()> {
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(admin.clone());
    loop {
        let read = namespaces.get("default");
        if let Ok(Ok(_)) = tokio::time::timeout(ANSWER_MAX, read).await {
            return Ok(());
        }
        tokio::time::sleep(EDIT_INTERVAL).await;
    }
}

/// What is late arrives within this.
const AFTERMATH: Duration = Duration::from_millis(700);
/// A stop gives up on a server that does not answer before its stop timeout of ten seconds.
const STOP_MAX: Duration = Duration::from_secs(12);
/// What the library says before it ends a process.
const HARD_STOP: &str = "aborting the process";
const EDIT_INTERVAL: Duration = Duration::from_millis(100);
const ANSWER_MAX: Duration = Duration::from_secs(1);
