//! Two of ours and two of client-go on one Lease: whatever happens, ours is never the cause of two leaders.

use std::time::Duration;

use anyhow::Result;
use leasehold_e2e::{Elector, Ground};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);

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
