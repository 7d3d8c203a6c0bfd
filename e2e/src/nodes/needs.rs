//! What nodes need of the machine: the rights of root, and programs of the system.

use std::env;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

use super::remains::running_programs;

/// Programs of the system, found.
#[derive(Debug, Clone)]
pub(super) struct SystemTools {
    /// Starts containers.
    pub(super) runc: PathBuf,
    /// The folder of the CNI plugins.
    pub(super) cni: PathBuf,
}

/// Fails if this is not root.
///
/// # Errors
/// One line that says why it has to be.
pub fn check_root() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "nodes need root: they start containers, and make network namespaces and cgroups"
    );
    Ok(())
}

/// Fails if this machine is a node already.
pub(super) fn check_no_kubelet() -> Result<()> {
    ensure!(
        !running_programs()?.iter().any(|(_, name)| name == "kubelet"),
        "a kubelet runs on this machine: it is a node of some cluster, and nodes of ours would disturb it"
    );
    Ok(())
}

/// Finds what nodes need, and installs it where apt-get can.
///
/// # Errors
/// One line that says what is missing and what to do.
pub(super) fn ensure_system() -> Result<SystemTools> {
    for (program, package) in [("ip", "iproute2"), ("nsenter", "util-linux"), ("umount", "mount")] {
        ensure!(find(program).is_some(), "nodes need `{program}`: install {package}");
    }
    if let Some(found) = system() {
        return Ok(found);
    }
    ensure!(find("apt-get").is_some(), "nodes need {PACKAGES:?}, and there is no apt-get to install them");
    writeln!(io::stderr(), "installing {}", PACKAGES.join(" and "))?;
    // The list of packages may be old; only if it is does it have to be fetched.
    if !apt_get(&install())? {
        apt_get(&["update"])?;
        ensure!(apt_get(&install())?, "nodes need {PACKAGES:?}, and apt-get cannot install them");
    }
    system().with_context(|| format!("{PACKAGES:?} are installed, but not where Debian puts them"))
}

fn system() -> Option<SystemTools> {
    let cni = Path::new(CNI_FOLDER);
    let has_plugins = ["bridge", "host-local", "loopback"].iter().all(|name| cni.join(name).is_file());
    has_plugins.then(|| find("runc")).flatten().map(|runc| SystemTools { runc, cni: cni.to_owned() })
}

fn install() -> Vec<&'static str> {
    ["install", "--yes", "--no-install-recommends"].into_iter().chain(PACKAGES).collect()
}

fn apt_get(args: &[&str]) -> Result<bool> {
    let status = Command::new("apt-get")
        .arg("--quiet")
        .args(args)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        // What it says is of use only if it fails, and then it says that on stderr.
        .stdout(Stdio::null())
        .status();
    match status {
        Ok(status) => Ok(status.success()),
        Err(error) => bail!("apt-get cannot be started: {error}"),
    }
}

/// In PATH, or where programs of root lie: not every PATH has them.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

const PACKAGES: [&str; 2] = ["runc", "containernetworking-plugins"];
const CNI_FOLDER: &str = "/usr/lib/cni";
