//! What this process leaves behind, so that the kubelet's report of its end proves that it was this process.
//!
//! The secret is written to the container's termination message, and nowhere else: the kubelet copies that into the Pod's
//! status when the container has ended, and a standby may take over at once. Whether that is so is decided in `election`.
//!
//! It is written only where the end of the container is the end of all that this process has started. A container with a PID
//! namespace of its own ends when its first process does, and the kernel ends all others before anybody hears of it
//! (`zap_pid_ns_processes` of Linux). Where Pods share a namespace (`shareProcessNamespace`, `hostPID`), the runtime sends
//! signals and does not wait for what comes of them (`handleInitExit` of containerd's shim): that proves nothing.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;

use leasehold_election::{Mode, Secret};

/// Where the kubelet looks unless the container's `terminationMessagePath` says otherwise.
pub(crate) const TERMINATION_LOG: &str = "/dev/termination-log";

/// What a candidate leaves behind when it starts.
pub(crate) struct Proof {
    pub(crate) secret: Secret,
    /// Whether the identity says which Pod to look at.
    pub(crate) names_pod: bool,
    /// The container's `terminationMessagePath`.
    pub(crate) path: PathBuf,
}

/// Why the end of this process will prove nothing: its lease will have to expire.
#[derive(Debug, thiserror::Error)]
enum NoProof {
    #[error("the identity names no Pod; POD_NAME and POD_UID come from the downward API")]
    NoPod,
    #[error("there is no such file; the container's terminationMessagePath says which it is")]
    NoFile,
    #[error("the container shares its PID namespace, so that its end proves nothing of its processes")]
    SharedNamespace,
    #[error("{0}")]
    Unwritable(io::Error),
}

impl Proof {
    /// Writes the line, or says why not.
    pub(crate) fn leave_behind(&self, mode: Mode) {
        let path = self.path.display();
        match self.write(mode) {
            Ok(()) => tracing::debug!(%path, "the end of this process will be provable"),
            Err(reason) if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => {
                tracing::info!(%path, %reason, "the end of this process will not be provable, so its lease will have to expire");
            }
            Err(reason) => tracing::debug!(%path, %reason, "the end of this process will not be provable"),
        }
    }

    /// The line is appended: other candidates of this process, and processes before it in this container, have ended as well
    /// when the kubelet reads it.
    fn write(&self, mode: Mode) -> Result<(), NoProof> {
        if !self.names_pod {
            return Err(NoProof::NoPod);
        }
        if !self.path.exists() {
            return Err(NoProof::NoFile);
        }
        let cgroup = |process: &str| fs::read_to_string(format!("/proc/{process}/cgroup"));
        if !has_own_namespace(std::process::id(), cgroup) {
            return Err(NoProof::SharedNamespace);
        }
        let mut file = OpenOptions::new().append(true).open(&self.path).map_err(NoProof::Unwritable)?;
        file.write_all(self.secret.termination_message(mode).as_bytes()).map_err(NoProof::Unwritable)
    }
}

/// Whether process 1, as this process sees it, belongs to this container: it is this process, or has its cgroup. That of
/// another container, or of the machine, has another.
fn has_own_namespace(own: u32, cgroup: impl Fn(&str) -> io::Result<String>) -> bool {
    match (cgroup("1"), cgroup("self")) {
        _ if own == 1 => true,
        (Ok(first), Ok(own)) => !own.is_empty() && first == own,
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own_namespace(process: u32, first: &str, own: &str) -> bool {
        has_own_namespace(process, |of| match if of == "1" { first } else { own } {
            "" => Err(io::ErrorKind::PermissionDenied.into()),
            text => Ok(text.to_owned()),
        })
    }

    #[test]
    fn the_end_of_a_container_proves_something_only_in_a_pid_namespace_of_its_own() {
        assert!(own_namespace(1, "", ""), "the first process of the container");
        assert!(own_namespace(7, "0::/\n", "0::/\n"), "started by a script that is");
        assert!(
            !own_namespace(7, "0::/../9f1c\n", "0::/\n"),
            "shareProcessNamespace: the first is that of the sandbox"
        );
        assert!(!own_namespace(7, "0::/../../../init.scope\n", "0::/\n"), "hostPID");
        assert!(
            !own_namespace(7, "1:cpu:/pods/a/pause\n", "1:cpu:/pods/a/app\n"),
            "the same with cgroups of version 1"
        );
        assert!(!own_namespace(7, "", "0::/\n"), "nobody can tell");
    }

    #[test]
    fn the_line_is_appended_to_a_file_that_is_there_and_made_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("termination-log");
        let secret = Secret::from_random([7; 16]);
        let proof = Proof { secret: secret.clone(), names_pod: true, path: path.clone() };
        assert!(matches!(proof.write(Mode::Exec), Err(NoProof::NoFile)));
        assert!(!path.exists());
        fs::write(&path, "said before\n").unwrap();
        match proof.write(Mode::Exec) {
            Ok(()) => {
                let line = format!("leasehold/1 {} exec", secret.reveal());
                assert_eq!(fs::read_to_string(&path).unwrap(), format!("said before\n{line}\n"));
            }
            // Tests may run in a namespace that is shared: then nothing is written at all.
            Err(error) => {
                assert!(matches!(error, NoProof::SharedNamespace), "{error}");
                assert_eq!(fs::read_to_string(&path).unwrap(), "said before\n");
            }
        }
    }

    /// The secret is worth a lease as long as the process lives: an identity that names no Pod is none to write it for.
    #[test]
    fn nothing_is_written_for_an_identity_that_names_no_pod() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let secret = Secret::from_random([7; 16]);
        let proof = Proof { secret, names_pod: false, path: file.path().to_owned() };
        assert!(matches!(proof.write(Mode::Library), Err(NoProof::NoPod)));
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "");
    }
}
