//! A command that became another user cannot be ended by an elector that is not root: it says so, and keeps the lease
//! until the command has ended by itself.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, ensure};
use leasehold_e2e::stamps::Stamps;
use tempfile::TempDir;

use super::*;

/// What a user who is nobody can read: programs, one of which makes its caller root, and a kubeconfig.
struct Open {
    folder: TempDir,
}

impl Open {
    fn new() -> Result<Self> {
        ensure!(
            rustix::process::geteuid().is_root(),
            "only root can run an elector as another user; run as root, or leave this out: --skip control-plane"
        );
        let open = Self { folder: tempfile::tempdir()? };
        open.grant(open.folder.path(), 0o755)?;
        Ok(open)
    }

    fn grant(&self, path: &Path, mode: u32) -> Result<()> {
        Ok(fs::set_permissions(path, Permissions::from_mode(mode))?)
    }

    /// A copy with these permissions.
    fn copy(&self, of: &Path, mode: u32) -> Result<PathBuf> {
        let path = self.folder.path().join(of.file_name().context("a file")?);
        fs::copy(of, &path)?;
        self.grant(&path, mode)?;
        Ok(path)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_another_user_runs_on_and_its_elector_says_so_and_does_not_release() -> Result<()> {
    let open = Open::new()?;
    let becomes_root = open.copy(&fs::canonicalize("/usr/bin/setpriv")?, 0o4755)?;
    let ground = Ground::new("exec-other-user").await?;
    let stamps = Stamps::new()?;
    let mut settings = ground.settings("app-0").await?;
    settings.kubeconfig = open.copy(&settings.kubeconfig, 0o644)?;
    settings.wrapper =
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"].map(str::to_owned).to_vec();
    settings.program = Some(open.copy(&sibling("leader-elector")?, 0o755)?);
    let command = [
        "--file=off",
        "--stop-timeout=1s",
        "--",
        &becomes_root.display().to_string(),
        "--reuid=0",
        &sibling("leasehold-stamper")?.display().to_string(),
        &format!("--stamps={}", stamps.folder().display()),
    ];
    settings.args.extend(command.map(str::to_owned));
    let mut elector = settings.start()?;
    let command = Command::of(&elector).await?;
    let deadline = Instant::now() + PATIENCE;
    elector.process().terminate()?;
    while !elector.log().contains("belong to another user and cannot be killed") {
        assert!(Instant::now() < deadline, "{}", elector.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let lease = async || ground.leases().get("leader").await?.spec.context("a spec");
    let told = lease().await?;
    tokio::time::sleep(LEASE_DURATION * 2).await;
    let kept = lease().await?;
    assert_eq!(
        (&kept.holder_identity, kept.lease_transitions),
        (&told.holder_identity, told.lease_transitions)
    );
    assert!(kept.renew_time > told.renew_time, "it is renewed: nobody else may start while the command runs");
    assert_eq!(elector.status().await?["state"], "stopping");

    drop(command);
    assert_eq!(elector.exit_code(PATIENCE).await?, Some(128 + 9), "{}", elector.log());
    assert_eq!(lease().await?.holder_identity.as_deref(), Some(""), "released at last");
    assert_eq!(stamps.judged()?.terms, 1);
    Ok(())
}

/// The command of another user: this test has to end it, however it ends itself.
struct Command(Pid);

impl Command {
    async fn of(elector: &Sidecar) -> Result<Self> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some((_, rest)) = elector.log().split_once("command started pid=") {
                let pid = rest.lines().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?));
                return pid.map(Self).context("a process id");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        bail!("no command within {PATIENCE:?}\n{}", elector.log())
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        // It fails only for one that has ended.
        kill_process(self.0, Signal::KILL).ok();
    }
}

const LEASE_DURATION: Duration = Duration::from_secs(3);
