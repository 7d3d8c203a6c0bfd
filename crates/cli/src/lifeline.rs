//! Ties a process to the one that started it, so that nothing is left behind however that ends.

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// Has the kernel kill this process when `parent`, which must be its parent, has ended: by `kill -9`, too.
///
/// The kernel watches the parent's *thread* that started this process; the demo starts its own from its main thread.
pub(crate) fn tie_to(parent: Option<u32>) -> Result<()> {
    let Some(parent) = parent else { return Ok(()) };
    set_parent_process_death_signal(Some(Signal::KILL)).context("asking to end with the parent process")?;
    // It may have ended before the kernel was asked.
    let present = getppid().map(Pid::as_raw_pid);
    ensure!(present == i32::try_from(parent).ok(), "process {parent}, which this one belongs to, has ended");
    Ok(())
}
