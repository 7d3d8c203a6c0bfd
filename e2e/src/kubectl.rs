//! kubectl, as a person types it.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::control_plane::ControlPlane;

/// Runs the kubectl of the control plane as the administrator, and gives what it printed.
///
/// # Errors
/// When it fails or says anything on stderr: the error shows that.
pub fn kubectl(control_plane: &ControlPlane, args: &[&str], input: &str) -> Result<String> {
    kubectl_as(&control_plane.kubeconfig(), control_plane, args, input)
}

/// The same as whoever the kubeconfig is for.
///
/// # Errors
/// As [`kubectl`].
pub fn kubectl_as(
    kubeconfig: &Path,
    control_plane: &ControlPlane,
    args: &[&str],
    input: &str,
) -> Result<String> {
    let cache = tempfile::tempdir()?;
    let mut child = Command::new(control_plane.kubectl())
        .arg("--cache-dir")
        .arg(cache.path())
        .args(args)
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("asked for above")?.write_all(input.as_bytes())?;
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success() && errors.is_empty(), "kubectl {args:?} of\n{input}\n{errors}");
    Ok(String::from_utf8(output.stdout)?)
}
