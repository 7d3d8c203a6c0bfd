//! The image that `cargo xtask image` has made, run with nothing but what is in it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context as _, Result, ensure};
use leasehold_e2e::container::Container;
use leasehold_e2e::{Ground, PipedProcess};
use leasehold_image::{Files, Program};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const POD: &str = "app-0";

fn files() -> Files {
    Files::of(Program::LeaderElector, &Files::folder())
}

fn container() -> Result<Container> {
    Container::unpack(&files().archive).context("run `cargo xtask image` first; `cargo xtask test` does")
}

fn run(container: &Container, args: &[&str]) -> Result<Output> {
    container.command()?.args(args).output().context("unshare cannot be started")
}

fn said(output: &Output) -> String {
    format!("{} {}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The image in a Pod, with the files of its service account where the kubelet mounts them.
async fn in_a_pod(ground: &Ground) -> Result<Container> {
    let container = container()?;
    let pod = ground.permission.create_pod(&ground.admin, POD).await?;
    let token = ground.permission.bound_token(&ground.admin, &pod).await?;
    for (name, content) in [
        ("token", token.as_str()),
        ("namespace", ground.permission.namespace()),
        ("ca.crt", ground.control_plane.ca_pem()),
    ] {
        container.put(&format!("/var/run/secrets/kubernetes.io/serviceaccount/{name}"), content)?;
    }
    Ok(container)
}

/// On a real API server: the sidecar leads, `check` in another container of the Pod says so, and SIGTERM ends it in order.
#[tokio::test(flavor = "multi_thread")]
async fn the_sidecar_leads_with_a_read_only_root_and_as_a_user_without_a_name() -> Result<()> {
    let ground = Ground::new("image").await?;
    let container = in_a_pod(&ground).await?;
    assert_eq!(run(&container, &["check"])?.status.code(), Some(1), "nobody leads yet");
    let url = ground.control_plane.url();
    let (_, port) = url.rsplit_once(':').unwrap();
    let mut command = container.command()?;
    command
        .args(["--lease", ground.permission.lease(), "--ttl=3s"])
        .args(["--http=127.0.0.1:0", "--probe-addr=127.0.0.1:0"])
        .env("POD_NAME", POD)
        .envs([("KUBERNETES_SERVICE_HOST", "127.0.0.1"), ("KUBERNETES_SERVICE_PORT", port)]);
    let mut sidecar = PipedProcess::spawn(command)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let checked = run(&container, &["check"])?;
        if checked.status.success() {
            assert!(said(&checked).contains("with token"), "{}", said(&checked));
            break;
        }
        assert!(Instant::now() < deadline, "{} {}", said(&checked), sidecar.errors());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = fs::read_to_string(format!("/proc/{}/status", sidecar.id()))?;
    let capabilities = status.lines().find(|line| line.starts_with("CapEff:")).unwrap();
    assert!(capabilities.trim_end().ends_with("\t0000000000000000"), "{capabilities}");
    sidecar.terminate()?;
    assert_eq!(sidecar.finish(PATIENCE).await?.code(), Some(0), "{}", sidecar.errors());
    assert_eq!(run(&container, &["check"])?.status.code(), Some(1), "nobody leads any more");
    Ok(())
}

#[test]
fn the_program_copies_itself_into_a_volume_and_nowhere_else() -> Result<()> {
    let container = container()?;
    let installed = run(&container, &["install", "/tmp"])?;
    assert!(installed.status.success(), "{}", said(&installed));
    let copy = container.tmp().join("leader-elector");
    assert_eq!(fs::read(&copy)?, fs::read(&files().program)?);
    assert_eq!(fs::metadata(&copy)?.permissions().mode() & 0o777, 0o755);
    assert!(Command::new(&copy).arg("--version").output()?.status.success());
    let refused = run(&container, &["install", "/copy"])?;
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("Read-only file system"), "{}", said(&refused));
    Ok(())
}

#[test]
fn the_program_is_small_and_tells_no_path_of_the_machine_that_built_it() -> Result<()> {
    let program = fs::read(files().program)?;
    assert!(program.len() <= 8_000_000, "{} bytes", program.len());
    let contains = |needle: &[u8]| program.windows(needle.len()).any(|window| window == needle);
    assert!(contains(b"/crates/tokio-"), "a panic names its file, without the folder of this machine");
    let homes = ["HOME", "CARGO_HOME"].map(|name| env::var(name).unwrap_or_default());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().display().to_string();
    for path in homes.iter().chain([&workspace]).filter(|path| path.len() > 1) {
        assert!(!contains(format!("{path}/").as_bytes()), "{path} is in the program");
    }
    Ok(())
}

/// Another folder, another time, no repository: nothing of that is in a program. It is built anew, which takes minutes.
#[test]
fn a_program_that_is_built_in_another_folder_is_the_same_byte_by_byte() -> Result<()> {
    if env::var_os("LEASEHOLD_FULL").is_none() {
        println!("left out without LEASEHOLD_FULL=1");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let (copy, out) = (folder.path().join("copy"), folder.path().join("out"));
    copy_workspace(&copy)?;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&copy)
        .args(["run", "--locked", "--package", "leasehold-image", "--", "--out"])
        .arg(&out)
        .env("CARGO_TARGET_DIR", folder.path().join("target"))
        .env("SOURCE_DATE_EPOCH", "0")
        .status()
        .context("cargo cannot be started")?;
    ensure!(status.success(), "cargo ended with {status}");
    let there = Files::of(Program::LeaderElector, &out);
    ensure!(fs::read(there.program)? == fs::read(files().program)?, "two builds gave two programs");
    Ok(())
}

/// What git knows of, as it is now.
fn copy_workspace(to: &Path) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a package in a workspace")?;
    let listed = Command::new("git").current_dir(root).args(["ls-files", "-z", "--deduplicate"]).output()?;
    let names = String::from_utf8(listed.stdout)?;
    let names: Vec<&str> = names.split('\0').filter(|name| root.join(name).is_file()).collect();
    ensure!(names.contains(&"Cargo.lock"), "git lists no files");
    for name in names {
        let file = to.join(name);
        fs::create_dir_all(file.parent().context("a file is in a folder")?)?;
        fs::copy(root.join(name), file).with_context(|| format!("copying {name}"))?;
    }
    Ok(())
}
