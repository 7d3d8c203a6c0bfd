//! How soon a process leads that finds its Lease free.

use anyhow::Result;

use crate::arena::{Arena, Ground, Wiring, elector_name, seconds};
use crate::figures::{Measure, Unit, order};
use crate::progress;

/// From the start of a process until its work begins, each time on another Lease that is there and free.
pub(crate) async fn start(ground: &Ground, starts: u32) -> Result<Vec<Measure>> {
    let mut measure = Measure::new("start", "process start to leadership of a free Lease", Unit::Seconds);
    for round in 0..starts {
        for elector in order(round) {
            let mut arena =
                Arena::open(ground, &format!("{}-{round}", measure.name), elector, 1, Wiring::Direct).await?;
            let begin = arena.next_begin(0, None).await?;
            let position = arena.position(&begin.name)?;
            let taken = seconds(arena.electorate.members[position].started_ns, begin.at_ns);
            measure.add(elector, taken);
            progress(&format!("start {}/{starts}: {} {taken:.3} s", round + 1, elector_name(elector)));
        }
    }
    Ok(vec![measure])
}
