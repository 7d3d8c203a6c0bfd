//! The processes below one, and their end.

use std::collections::{HashMap, HashSet};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use procfs::process::{Process, all_processes};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, waitpid};

/// A process below another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) pid: Pid,
    pub(super) parent: Pid,
    /// None for a group outside of this process namespace, which no signal reaches from here.
    group: Option<Pid>,
    /// It has ended, and its parent has not asked how.
    pub(super) ended: bool,
}

/// All processes below `root`. Those of this process's own group are left out with all that is below them: what runs a
/// command gives it a group of its own, and helpers such as credential plugins stay in ours.
///
/// # Errors
/// If `/proc` cannot be read.
pub(super) fn below(root: Pid) -> io::Result<Vec<Member>> {
    // The system call panics in rustix for the first process of a namespace whose group is outside: it is 0 here.
    let own_group = Process::myself().and_then(|own| own.stat()).map_err(io::Error::other)?.pgrp;
    let mut children: HashMap<Pid, Vec<Member>> = HashMap::new();
    for process in all_processes().map_err(io::Error::other)? {
        // A process that has gone meanwhile is below nobody.
        let Ok(stat) = process.and_then(|process| process.stat()) else { continue };
        let [Some(pid), Some(parent)] = [stat.pid, stat.ppid].map(Pid::from_raw) else { continue };
        if stat.pgrp != own_group {
            let group = Pid::from_raw(stat.pgrp);
            let member = Member { pid, parent, group, ended: matches!(stat.state, 'Z' | 'X') };
            children.entry(parent).or_default().push(member);
        }
    }
    let mut found = Vec::new();
    let mut next = vec![root];
    while let Some(parent) = next.pop() {
        let members = children.remove(&parent).unwrap_or_default();
        next.extend(members.iter().map(|member| member.pid));
        found.extend(members);
    }
    Ok(found)
}

/// Kills all processes below this one, and returns when none runs any more. What cannot be killed, since the kernel
/// holds it or it belongs to another user, is waited for: as long as it runs, the work has not ended.
pub(super) fn kill_all_below() {
    let begin = Instant::now();
    let mut complain_after = COMPLAIN_EVERY;
    loop {
        let running = match below(getpid()) {
            Ok(members) => members.into_iter().filter(|member| !member.ended).collect::<Vec<_>>(),
            Err(error) => {
                tracing::error!(%error, "what runs below this process cannot be seen");
                Vec::new()
            }
        };
        if running.is_empty() {
            return;
        }
        let foreign = kill(&running);
        if begin.elapsed() > complain_after {
            complain_after += COMPLAIN_EVERY;
            let pids: Vec<i32> = running.iter().map(|member| member.pid.as_raw_pid()).collect();
            if foreign {
                tracing::error!(
                    ?pids,
                    "processes of the command belong to another user and cannot be killed"
                );
            } else {
                tracing::error!(?pids, "processes of the command do not end by SIGKILL");
            }
        }
        thread::sleep(PAUSE);
    }
}

/// Whole groups first: nothing can fork away from a signal to its group. True if one of them may not be killed.
fn kill(running: &[Member]) -> bool {
    let groups: HashSet<Pid> = running.iter().filter_map(|member| member.group).collect();
    // What has ended meanwhile cannot be signalled, and need not be.
    for group in groups {
        kill_process_group(group, Signal::KILL).ok();
    }
    let is_refused = |member: &&Member| kill_process(member.pid, Signal::KILL) == Err(Errno::PERM);
    running.iter().filter(is_refused).count() > 0
}

/// Asks all processes below this one to end.
pub(super) fn terminate_all_below() {
    for member in below(getpid()).unwrap_or_default() {
        kill_process(member.pid, Signal::TERM).ok();
    }
}

/// Takes note of the end of orphans that this process was given, but for `spared`, whom somebody else waits for.
pub(super) fn reap_orphans(spared: [Option<Pid>; 2]) {
    for member in below(getpid()).unwrap_or_default() {
        if member.ended && member.parent == getpid() && !spared.contains(&Some(member.pid)) {
            waitpid(Some(member.pid), WaitOptions::NOHANG).ok();
        }
    }
}

const PAUSE: Duration = Duration::from_millis(2);
const COMPLAIN_EVERY: Duration = Duration::from_secs(1);
