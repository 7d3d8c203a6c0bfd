//! Exec mode on the real API server: the command runs only while its elector leads, whatever happens to either. The
//! command stamps when it ran, and with which token; `history` judges the stamps.

mod container;
mod other_user;

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::sidecar::Sidecar;
use leasehold_e2e::stamps::{Stamped, Stamps};
use leasehold_e2e::{Ground, PipedProcess};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);

/// Electors in Pods of their own, all with the same stamper as their command.
struct Wrapped {
    ground: Ground,
    stamps: Stamps,
    flags: Vec<String>,
    command: Vec<String>,
    wrapper: Vec<String>,
    electors: Vec<Sidecar>,
}

impl Wrapped {
    async fn new(namespace: &str, count: usize, flags: &[&str], stamper: &[&str]) -> Result<Self> {
        let stamps = Stamps::new()?;
        let mut command = vec![sibling("leasehold-stamper")?.display().to_string()];
        command.push(format!("--stamps={}", stamps.folder().display()));
        command.extend(stamper.iter().map(|&flag| flag.to_owned()));
        let flags = flags.iter().map(|&flag| flag.to_owned()).collect();
        let ground = Ground::new(namespace).await?;
        let mut wrapped = Self { ground, stamps, flags, command, wrapper: Vec::new(), electors: Vec::new() };
        for _ in 0..count {
            wrapped.join().await?;
        }
        Ok(wrapped)
    }

    async fn join(&mut self) -> Result<()> {
        let pod = format!("app-{}", self.electors.len());
        let mut settings = self.ground.settings(&pod).await?;
        settings.wrapper.clone_from(&self.wrapper);
        settings.args.extend(["--file=off".to_owned()].into_iter().chain(self.flags.clone()));
        settings.args.push("--".to_owned());
        settings.args.extend(self.command.clone());
        self.electors.push(settings.start()?);
        Ok(())
    }

    /// Waits for a term newer than `than`, and tells it with the index of its elector.
    async fn term_after(&self, than: u64) -> Result<(usize, Stamped)> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(term) = self.stamps.terms()?.into_iter().find(|term| term.token > than) {
                for (index, elector) in self.electors.iter().enumerate() {
                    if elector.log().contains(&format!("token={} ", term.token)) {
                        return Ok((index, term));
                    }
                }
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let logs: String = self.electors.iter().map(Sidecar::log).collect();
        bail!("no command of a newer term than {than} after {PATIENCE:?}\n{logs}")
    }

    fn term(&self, token: u64) -> Result<Stamped> {
        self.stamps.terms()?.into_iter().find(|term| term.token == token).context("its stamps are gone")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planned_stop_ends_the_command_before_another_one_starts_and_exits_as_it_did() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-stop", 2, &[], &["--stop-takes=700"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    wrapped.electors[leading].process().terminate()?;
    let (_, second) = wrapped.term_after(first.token).await?;
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(0));
    assert!(second.first > wrapped.term(first.token)?.last);
    wrapped.stamps.judged()?;
    Ok(())
}

/// As a database may need it: ten lease durations, in which the lease is renewed, and nobody else starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_takes_half_a_minute_to_end_is_given_it() -> Result<()> {
    let flags = ["--stop-timeout=40s"];
    let mut wrapped = Wrapped::new("exec-slow", 2, &flags, &["--stop-takes=30000"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    wrapped.electors[leading].process().terminate()?;
    let asked = Instant::now();
    let mut renewals = HashSet::new();
    while asked.elapsed() < Duration::from_secs(25) {
        let lease = wrapped.ground.leases().get("leader").await?.spec.context("a spec")?;
        assert_eq!(lease.lease_transitions, Some(1), "the same term after {:?}", asked.elapsed());
        renewals.insert(lease.renew_time.map(|time| time.0));
        assert_eq!(wrapped.stamps.terms()?.len(), 1, "nobody else has started");
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(renewals.len() >= 25 / 3, "renewed each lease duration at least: {renewals:?}");
    let (_, second) = wrapped.term_after(first.token).await?;
    assert!(asked.elapsed() >= Duration::from_secs(30), "the next one started after {:?}", asked.elapsed());
    assert!(second.first > wrapped.term(first.token)?.last);
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(0));
    wrapped.stamps.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_end_when_asked_and_what_has_forked_away_is_killed_before_the_lease_is_given_back()
-> Result<()> {
    let flags = ["--stop-timeout=2s"];
    let mut wrapped = Wrapped::new("exec-stubborn", 2, &flags, &["--stubborn", "--forks-away"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    wrapped.electors[leading].process().terminate()?;
    wrapped.term_after(first.token).await?;
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(128 + 9));
    assert_eq!(wrapped.term(first.token)?.processes, 2, "the command, and what it started");
    wrapped.stamps.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_of_a_killed_elector_is_killed_with_all_that_it_started() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-killed", 2, &[], &["--stubborn", "--forks-away"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    wrapped.electors[leading].process().kill()?;
    let (_, second) = wrapped.term_after(first.token).await?;
    assert!(second.first > wrapped.term(first.token)?.last);
    wrapped.stamps.judged()?;
    Ok(())
}

/// The elector stands still, and its command would run on for ever.
#[tokio::test(flavor = "multi_thread")]
async fn the_guardian_ends_the_command_of_an_elector_that_is_stopped() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-paused", 2, &[], &["--stubborn", "--forks-away"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    wrapped.electors[leading].process().pause()?;
    let (_, second) = wrapped.term_after(first.token).await?;
    assert!(second.first > wrapped.term(first.token)?.last);
    wrapped.electors[leading].process().resume()?;
    let other = 1 - leading;
    wrapped.electors[other].process().terminate()?;
    let (again, _) = wrapped.term_after(second.token).await?;
    assert_eq!(again, leading, "it campaigns again");
    wrapped.stamps.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_guardian_the_elector_ends_the_command_itself() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-guardian", 2, &[], &["--stubborn", "--forks-away"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    let elector = wrapped.electors[leading].process().id();
    kill_process(child_of(elector)?, Signal::KILL)?;
    wrapped.term_after(first.token).await?;
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(125));
    wrapped.stamps.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lease_ends_the_command_in_time_and_the_elector_campaigns_again() -> Result<()> {
    let wrapped = Wrapped::new("exec-cut", 1, &[], &["--stubborn"]).await?;
    let (_, first) = wrapped.term_after(0).await?;
    wrapped.ground.set_holder("somebody-else").await?;
    let deadline = Instant::now() + PATIENCE;
    while !wrapped.electors[0].log().contains("killing the command") {
        assert!(Instant::now() < deadline, "{}", wrapped.electors[0].log());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    wrapped.term_after(first.token).await?;
    wrapped.stamps.judged()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_ends_by_itself_ends_the_elector_with_its_code_and_lets_another_lead() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-exits", 2, &[], &["--exits=7"]).await?;
    let (leading, first) = wrapped.term_after(0).await?;
    assert_eq!(wrapped.electors[leading].exit_code(PATIENCE).await?, Some(7));
    wrapped.term_after(first.token).await?;
    assert_eq!(wrapped.electors[1 - leading].exit_code(PATIENCE).await?, Some(7));
    wrapped.stamps.judged()?;
    Ok(())
}

/// A signal that would end a process without a handler ends neither a standby nor a leader.
#[tokio::test(flavor = "multi_thread")]
async fn signals_are_passed_on_and_end_no_elector() -> Result<()> {
    let mut wrapped = Wrapped::new("exec-signals", 2, &[], &[]).await?;
    let (leading, _) = wrapped.term_after(0).await?;
    for elector in &mut wrapped.electors {
        let knows =
            |status: &serde_json::Value| status["holder"].as_str().is_some_and(|holder| !holder.is_empty());
        elector.until_status("knowing the leader", PATIENCE, knows).await?;
        kill_process(Pid::from_raw(i32::try_from(elector.process().id())?).unwrap(), Signal::HUP)?;
    }
    let line = wrapped.electors[leading].process().next_line(PATIENCE).await?.unwrap();
    assert!(line.text.ends_with("SIGHUP"), "{line:?}");
    for elector in &mut wrapped.electors {
        assert_eq!(elector.process().exit_status()?, None, "{}", elector.log());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_cannot_be_run_is_known_at_the_start() -> Result<()> {
    for (program, code, says) in [
        ("no-such-program", 127, "no-such-program is not there, or not in PATH"),
        ("/etc/passwd", 126, "/etc/passwd may not be executed"),
    ] {
        let mut command = leasehold_e2e::sidecar::leader_elector()?;
        command.args(["--lease=db", "--namespace=nowhere", "--", program]);
        let mut process = PipedProcess::spawn(command)?;
        assert_eq!(process.finish(PATIENCE).await?.code(), Some(code));
        assert!(process.errors().contains(says), "{}", process.errors());
    }
    Ok(())
}

/// The first child of a process: the guardian of an elector in exec mode, or what a wrapper runs.
fn child_of(process: u32) -> Result<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children"))?;
    let first = children.split_whitespace().next().context("it has no child")?;
    Pid::from_raw(first.parse()?).context("a process id is positive")
}
