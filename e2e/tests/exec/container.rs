//! The elector as the first process of a container: a process namespace of its own, in which it is process 1. It has a
//! first process's duties, and no signal ends it that it does not handle. Container runtimes also give it a session; where
//! nobody does, its process group is outside, and has no number in there.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use rustix::process::{Signal, kill_process};

use super::*;

/// What makes the container; the elector in it dies with it.
const UNSHARE: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Whose process group the elector is in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Session {
    Own,
    Outside,
}

impl Wrapped {
    /// Electors in containers, each with this script of a shell as its command, which ends in the stamper's words.
    async fn contained(
        namespace: &str,
        session: Session,
        count: usize,
        script: &str,
        stamper: &[&str],
    ) -> Result<Self> {
        let made = Command::new(UNSHARE[0]).args(&UNSHARE[1..]).arg("true").output()?;
        ensure!(
            made.status.success(),
            "a process namespace cannot be made ({}); run as root, or leave this out: --skip control-plane",
            String::from_utf8_lossy(&made.stderr).trim()
        );
        let mut wrapped = Self::new(namespace, 0, &["--stop-timeout=2s"], stamper).await?;
        let setsid = (session == Session::Own).then_some("setsid");
        wrapped.wrapper = UNSHARE.into_iter().chain(setsid).map(str::to_owned).collect();
        let script = format!("{script}\nexec \"$@\"");
        wrapped.command.splice(0..0, ["sh", "-c", &script, "sh"].map(str::to_owned));
        for _ in 0..count {
            wrapped.join().await?;
        }
        Ok(wrapped)
    }

    /// The elector itself, as it is called outside of its container.
    fn first_process(&mut self, index: usize) -> Result<Pid> {
        child_of(self.electors[index].process().id())
    }
}

/// The processes of a container: whether each has ended, and nobody has asked how.
fn states(first: Pid) -> Result<Vec<bool>> {
    let namespace = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid"));
    let ours = namespace(&first.to_string())?;
    let mut states = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        // What is no process, or has gone meanwhile, is none of them. Who has ended has a namespace still.
        let Ok(stat) = fs::read_to_string(format!("/proc/{name}/stat")) else { continue };
        if namespace(&name).is_ok_and(|theirs| theirs == ours) {
            states.push(stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')));
        }
    }
    Ok(states)
}

/// Where its process group was outside, the thread that kills ended by a panic, and the command ran on for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_process_of_a_container_ends_what_forked_away_before_it_gives_the_lease_back() -> Result<()>
{
    let mut wrapped =
        Wrapped::contained("exec-container", Session::Outside, 2, "", &["--stubborn", "--forks-away"])
            .await?;
    let (leading, first) = wrapped.term_after(0).await?;
    let elector = wrapped.first_process(leading)?;
    kill_process(elector, Signal::HUP)?;
    kill_process(elector, Signal::TERM)?;
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let line = wrapped.electors[leading].process().next_line(PATIENCE).await?.context("a signal")?;
        heard.push(line.text.rsplit(' ').next().unwrap_or_default().to_owned());
    }
    heard.sort();
    assert_eq!(heard, ["SIGHUP", "SIGTERM"], "passed on");
    wrapped.term_after(first.token).await?;
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(128 + 9));
    assert_eq!(wrapped.term(first.token)?.processes, 2, "the command, and what it started");
    wrapped.stamps.judged()?;
    Ok(())
}

/// Orphans of the command, of the guardian, and of `kubectl exec`, whose processes have no parent in the container.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_process_of_a_container_leaves_no_zombie() -> Result<()> {
    let orphans = "for i in 1 2 3 4 5; do (sleep 0.1 &); done";
    let mut wrapped = Wrapped::contained("exec-orphans", Session::Own, 1, orphans, &[]).await?;
    wrapped.term_after(0).await?;
    let elector = wrapped.first_process(0)?;
    let inside =
        ["--target", &elector.to_string(), "--pid", "--", "sh", "-c", "(sleep 0.1 &) ; (sleep 0.1 &)"];
    assert!(Command::new("nsenter").args(inside).status()?.success());
    let deadline = Instant::now() + PATIENCE;
    loop {
        let states = states(elector)?;
        // The elector, its guardian and the command run on; orphans have come, and have gone.
        if states == [false; 3] {
            break;
        }
        assert!(states.len() >= 3 && Instant::now() < deadline, "{states:?}\n{}", wrapped.electors[0].log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    kill_process(child_of(u32::try_from(elector.as_raw_pid())?)?, Signal::KILL)?;
    assert_eq!(wrapped.electors[0].exit_code(PATIENCE).await?, Some(125), "without its guardian");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_process_of_a_container_exits_with_the_code_of_its_command() -> Result<()> {
    let mut wrapped = Wrapped::contained("exec-code", Session::Own, 1, "", &["--exits=7"]).await?;
    assert_eq!(wrapped.electors[0].exit_code(PATIENCE).await?, Some(7), "{}", wrapped.electors[0].log());
    Ok(())
}
