//! The programs written in Go: built once, then found in the user's cache folder.
//!
//! The key of a build is the version it is named after and a hash of the Go
//! project's files, so that a changed pin is a new build and an unchanged one
//! costs nothing. Versions are written in `go.mod` and nowhere else.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use sha2::{Digest as _, Sha256};

/// The programs a control plane is made of.
#[derive(Debug, Clone)]
pub struct ControlPlaneTools {
    /// The etcd server.
    pub etcd: PathBuf,
    /// The Kubernetes API server.
    pub kube_apiserver: PathBuf,
    /// The command line client of the same version.
    pub kubectl: PathBuf,
}

/// Finds the control plane's programs, and builds them first where that was never done.
///
/// `KUBEBUILDER_ASSETS` may name a folder that already holds all three of them.
///
/// # Errors
/// When a program is missing in that folder, or Go is missing, or the build fails.
pub fn ensure_control_plane() -> Result<ControlPlaneTools> {
    let folder = match env::var_os(ASSETS_VARIABLE) {
        Some(assets) => PathBuf::from(assets),
        None => CONTROL_PLANE.ensure()?,
    };
    let tool = |name: &str| {
        let path = folder.join(name);
        ensure!(path.is_file(), "there is no {name} in {} ({ASSETS_VARIABLE})", folder.display());
        Ok(path)
    };
    Ok(ControlPlaneTools {
        etcd: tool("etcd")?,
        kube_apiserver: tool("kube-apiserver")?,
        kubectl: tool("kubectl")?,
    })
}

/// Finds the candidate that is made of client-go, and builds it first where that was never done.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn ensure_client_go() -> Result<PathBuf> {
    Ok(CLIENT_GO.ensure()?.join("client-go"))
}

/// The programs that nodes are made of, beside the control plane's.
#[derive(Debug, Clone)]
pub struct NodeTools {
    /// The agent of one node.
    pub kubelet: PathBuf,
    /// The controllers: they make Pods of workloads, and clear away those of dead nodes.
    pub kube_controller_manager: PathBuf,
    /// Gives Pods to nodes.
    pub kube_scheduler: PathBuf,
    /// The container runtime. Its shim lies beside it.
    pub containerd: PathBuf,
    /// Loads images into the runtime.
    pub ctr: PathBuf,
}

/// Finds the programs that nodes are made of, and builds them first where that was never done.
///
/// # Errors
/// When Go is missing or the build fails.
pub fn ensure_node() -> Result<NodeTools> {
    let kubernetes = NODE.ensure()?;
    let runtime = CONTAINER_RUNTIME.ensure()?;
    Ok(NodeTools {
        kubelet: kubernetes.join("kubelet"),
        kube_controller_manager: kubernetes.join("kube-controller-manager"),
        kube_scheduler: kubernetes.join("kube-scheduler"),
        containerd: runtime.join("containerd"),
        ctr: runtime.join("ctr"),
    })
}

/// Builds whatever is missing: all that the tests of this crate need, but for those on nodes.
///
/// # Errors
/// As [`ensure_control_plane`] and [`ensure_client_go`].
pub fn ensure() -> Result<()> {
    ensure_control_plane()?;
    ensure_client_go()?;
    Ok(())
}

/// The pinned version of Kubernetes, such as `v1.37.2`.
///
/// # Errors
/// When `go.mod` cannot be read.
pub fn kubernetes_version() -> Result<String> {
    CONTROL_PLANE.version()
}

/// The pinned version of client-go, such as `v0.37.2`.
///
/// # Errors
/// When `go.mod` cannot be read.
pub fn client_go_version() -> Result<String> {
    CLIENT_GO.version()
}

/// The folder for everything that outlives one run: `$XDG_CACHE_HOME` or `~/.cache`, then `leasehold`.
///
/// # Errors
/// When neither `XDG_CACHE_HOME` nor `HOME` is set, or the folder cannot be made.
pub fn cache_folder() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let parent = set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .context("no folder to keep builds in: set HOME or XDG_CACHE_HOME")?;
    let folder = parent.join("leasehold");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

/// A Go module of ours, and what is built from it.
struct GoProject {
    folder: &'static str,
    /// The module whose required version names the build.
    pinned_module: &'static str,
    packages: &'static [&'static str],
    /// Build tags, separated by spaces.
    tags: &'static str,
}

impl GoProject {
    fn path(&self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.folder)
    }

    fn version(&self) -> Result<String> {
        let path = self.path().join("go.mod");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        required_version(&text, self.pinned_module)
            .with_context(|| format!("{} does not require {}", path.display(), self.pinned_module))
    }

    /// The folder with the finished programs.
    fn ensure(&self) -> Result<PathBuf> {
        let version = self.version()?;
        let key = format!("{}-{version}-{}", self.folder, self.files_hash()?);
        let cache = cache_folder()?;
        let finished = cache.join(&key);
        if finished.is_dir() {
            return Ok(finished);
        }
        // Tests run in several processes: one builds, the others wait here.
        let lock = File::create(cache.join(format!("{key}.lock"))).context("making the lock of a build")?;
        lock.lock().context("waiting for another build")?;
        if !finished.is_dir() {
            let staging = tempfile::tempdir_in(&cache).context("making a folder to build in")?;
            self.build(&version, staging.path())?;
            // A folder is there whole or not at all: an interrupted build leaves none.
            fs::rename(staging.keep(), &finished)
                .with_context(|| format!("moving a finished build to {}", finished.display()))?;
        }
        Ok(finished)
    }

    fn build(&self, version: &str, output: &Path) -> Result<()> {
        let mut command = Command::new("go");
        command
            .current_dir(self.path())
            .env("CGO_ENABLED", "0")
            .env("GOWORK", "off")
            .args(["build", "-trimpath", "-buildvcs=false", "-tags", self.tags])
            .args(["-ldflags", &linker_flags(version)])
            .arg("-o")
            .arg(output)
            .args(self.packages);
        let mut build = match command.spawn() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(
                "Go is needed to build {} {version}, but `go` is not in PATH: install Go 1.26 or later, \
                 or let {ASSETS_VARIABLE} name a folder with etcd, kube-apiserver and kubectl",
                self.folder
            ),
            started => started.context("starting go build")?,
        };
        writeln!(io::stderr(), "building {} {version} from source, once: this takes minutes", self.folder)?;
        let status = build.wait().context("waiting for go build")?;
        ensure!(
            status.success(),
            "go build of {} {version} in {} ended with {status}",
            self.folder,
            self.path().display()
        );
        Ok(())
    }

    /// Twelve hex digits that change with any file of the project.
    fn files_hash(&self) -> Result<String> {
        let mut files = BTreeMap::new();
        collect_files(&self.path(), &mut files)?;
        let mut hasher = Sha256::new();
        for (path, content) in files {
            let name = path.strip_prefix(self.path()).expect("collected below the project");
            hasher.update(name.as_os_str().as_encoded_bytes());
            hasher.update([0]);
            hasher.update(Sha256::digest(content));
        }
        Ok(hasher.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect())
    }
}

fn collect_files(folder: &Path, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else {
            let content = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
            files.insert(path, content);
        }
    }
    Ok(())
}

/// Strips symbols, and writes into Kubernetes programs which version they are: they report it to clients.
fn linker_flags(version: &str) -> String {
    let (major, rest) = version.trim_start_matches('v').split_once('.').unwrap_or((version, ""));
    let minor = rest.split('.').next().unwrap_or_default();
    let package = "k8s.io/component-base/version";
    format!(
        "-s -w -X {package}.gitMajor={major} -X {package}.gitMinor={minor} -X {package}.gitVersion={version}"
    )
}

/// The version of a module that a `go.mod` requires.
fn required_version(go_mod: &str, module: &str) -> Option<String> {
    go_mod.lines().find_map(|line| {
        let mut words = line.trim().trim_start_matches("require ").split_whitespace();
        let version = (words.next()? == module).then(|| words.next())??;
        version.starts_with('v').then(|| version.to_owned())
    })
}

const ASSETS_VARIABLE: &str = "KUBEBUILDER_ASSETS";

const CONTROL_PLANE: GoProject = GoProject {
    folder: "control-plane",
    pinned_module: "k8s.io/kubernetes",
    packages: &["./etcd", "k8s.io/kubernetes/cmd/kube-apiserver", "k8s.io/kubernetes/cmd/kubectl"],
    tags: "",
};

/// Apart from the control plane's, so that whoever needs no nodes does not build them.
const NODE: GoProject = GoProject {
    folder: "node",
    pinned_module: "k8s.io/kubernetes",
    packages: &[
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
    ],
    tags: "",
};

/// Without the snapshotters that need libraries of the system or that nobody uses here.
const CONTAINER_RUNTIME: GoProject = GoProject {
    folder: "container-runtime",
    pinned_module: "github.com/containerd/containerd/v2",
    packages: &[
        "github.com/containerd/containerd/v2/cmd/containerd",
        "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
        "github.com/containerd/containerd/v2/cmd/ctr",
    ],
    tags: "no_btrfs no_zfs no_aufs no_devmapper",
};

const CLIENT_GO: GoProject =
    GoProject { folder: "client-go", pinned_module: "k8s.io/client-go", packages: &["."], tags: "" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_required_version_is_read_from_a_block_or_a_line_and_never_from_a_replacement() {
        let go_mod = "module m\n\nrequire (\n\tk8s.io/api v0.1.0 // indirect\n)\nrequire k8s.io/x v1.2.3\n\
                      replace (\n\tk8s.io/y => k8s.io/y v9.9.9\n)\n";
        assert_eq!(required_version(go_mod, "k8s.io/api").as_deref(), Some("v0.1.0"));
        assert_eq!(required_version(go_mod, "k8s.io/x").as_deref(), Some("v1.2.3"));
        assert_eq!(required_version(go_mod, "k8s.io/y"), None);
    }

    #[test]
    fn every_staging_module_is_pinned_to_the_release_of_kubernetes() {
        let version = kubernetes_version().unwrap();
        let staging = format!("v0.{}", version.strip_prefix("v1.").unwrap());
        for project in [CONTROL_PLANE, NODE] {
            let go_mod = fs::read_to_string(project.path().join("go.mod")).unwrap();
            let replaced: Vec<_> = go_mod.lines().filter_map(|line| line.split_once(" => ")).collect();
            assert!(replaced.len() > 30, "the replacements are gone: {replaced:?}");
            for (module, replacement) in replaced {
                assert_eq!(replacement, format!("{} {staging}", module.trim()));
            }
            assert_eq!(project.version().unwrap(), version);
        }
        assert_eq!(client_go_version().unwrap(), staging);
    }

    #[test]
    fn kubernetes_is_told_its_own_version() {
        let flags = linker_flags("v1.37.2");
        assert!(flags.contains("gitMajor=1 "), "{flags}");
        assert!(flags.contains("gitMinor=37 "), "{flags}");
        assert!(flags.ends_with("gitVersion=v1.37.2"), "{flags}");
    }
}
