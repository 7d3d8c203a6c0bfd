//! An image at work, as a container runtime runs it and without one: its files are the root, which is read-only but for
//! `/tmp`, and its user is the one that it names.
//!
//! Namespaces of users and mounts do that without any privilege; `unshare` makes them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use leasehold_image::unpack;
use tempfile::TempDir;

/// An unpacked image.
#[derive(Debug)]
pub struct Container {
    root: TempDir,
    /// Mounted at `/tmp`, as an emptyDir would be.
    tmp: TempDir,
    user: String,
    entrypoint: Vec<String>,
}

impl Container {
    /// Unpacks the image in this archive.
    ///
    /// # Errors
    /// When it is not there or no image, or says neither user nor entrypoint.
    pub fn unpack(archive: &Path) -> Result<Self> {
        let root = tempfile::tempdir().context("making a folder for an image")?;
        let configuration = unpack(archive, root.path())?;
        let config = configuration.config().as_ref().context("an image that says nothing")?;
        let (user, entrypoint) = (config.user().clone(), config.entrypoint().clone());
        // Runtimes make the places of their mounts, too.
        for mount in ["proc", "dev"] {
            fs::create_dir_all(root.path().join(mount)).with_context(|| format!("making /{mount}"))?;
        }
        let tmp = tempfile::tempdir().context("making a folder for /tmp")?;
        let (user, entrypoint) = (user.context("no user")?, entrypoint.context("no entrypoint")?);
        Ok(Self { root, tmp, user, entrypoint })
    }

    /// Its root, seen from outside.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Its `/tmp`, seen from outside.
    pub fn tmp(&self) -> &Path {
        self.tmp.path()
    }

    /// Puts a file where a kubelet would have mounted it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, path: &str, content: &str) -> Result<()> {
        let file = self.root().join(path.trim_start_matches('/'));
        let folder = file.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&file, content))
            .with_context(|| format!("writing {path}"))
    }

    /// Its entrypoint, to which arguments can be added. No variable comes from outside.
    ///
    /// # Errors
    /// When its user is no pair of numbers.
    pub fn command(&self) -> Result<Command> {
        let (user, group) = self.user.split_once(':').context("a user and a group")?;
        for number in [user, group] {
            number.parse::<u32>().with_context(|| format!("{:?} is no number", self.user))?;
        }
        let mut command = Command::new("unshare");
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["--user", "--map-root-user", "--mount", "--", "sh", "-ec", MOUNTS, "container"])
            .args([self.root(), self.tmp()])
            .args([user, group])
            .args(&self.entrypoint);
        Ok(command)
    }
}

/// One process from the first word to the last: what signals it signals the program.
const MOUNTS: &str = "root=$1 tmp=$2 user=$3 group=$4
shift 4
mount --bind \"$root\" \"$root\"
mount --bind \"$tmp\" \"$root/tmp\"
mount --rbind /proc \"$root/proc\"
mount --rbind /dev \"$root/dev\"
mount -o remount,bind,ro \"$root\"
unset PATH
exec /usr/bin/unshare --user --map-user=\"$user\" --map-group=\"$group\" --root=\"$root\" --wd=/ -- \"$@\"";
