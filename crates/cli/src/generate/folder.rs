//! The folder for kustomize.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use leasehold_manifests::{Generated, Workload, kustomize};

/// Writes the files, and tells their names on standard output. What somebody else wrote stays.
pub(crate) fn write(folder: &Path, workload: &Workload, generated: &Generated) -> Result<()> {
    let Some(files) = kustomize(workload, generated) else {
        bail!("--kustomize needs the manifest: give it with -f");
    };
    let head = files[0].text.lines().next().unwrap_or_default();
    for file in &files {
        let path = folder.join(file.path);
        let theirs = fs::read_to_string(&path).is_ok_and(|text| !text.starts_with(head));
        if theirs && file.path.ends_with("kustomization.yaml") {
            bail!("{} is there, and was not written by this program; name another folder", path.display());
        }
    }
    for file in &files {
        let path = folder.join(file.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("{} cannot be made", parent.display()))?;
        fs::write(&path, &file.text).with_context(|| format!("{} cannot be written", path.display()))?;
        writeln!(io::stdout(), "{}", path.display()).context("standard output cannot be written")?;
    }
    Ok(())
}
