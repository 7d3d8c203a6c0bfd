//! The program copies itself: an image that holds nothing else has no `cp`.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Copies this program to `path`, or to `leader-elector` in it if it is a folder, and tells where it is now. It is there
/// whole or not at all, and everybody may run it: the container that does so may be of another user.
///
/// # Errors
///
/// If it cannot be written.
pub fn install(path: &Path) -> Result<PathBuf> {
    let target = if path.is_dir() { path.join(NAME) } else { path.to_owned() };
    let shown = target.display().to_string();
    let Some(name) = target.file_name() else { bail!("{shown} is no path of a file") };
    let mut partial = name.to_owned();
    partial.push(".partial");
    let partial = target.with_file_name(partial);
    copy(&partial).and_then(|()| fs::rename(&partial, &target)).with_context(|| {
        format!(
            "{shown} cannot be written; name a file in a folder that is there, such as a mounted emptyDir"
        )
    })?;
    Ok(target)
}

fn copy(to: &Path) -> io::Result<()> {
    let mut program = File::open(THIS_PROGRAM)?;
    let mut copy = File::create(to)?;
    io::copy(&mut program, &mut copy)?;
    copy.set_permissions(fs::Permissions::from_mode(0o755))?;
    copy.sync_all()
}

const THIS_PROGRAM: &str = "/proc/self/exe";
const NAME: &str = "leader-elector";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_the_program_and_everybody_may_run_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("elector");
        assert_eq!(install(&file).unwrap(), file);
        assert_eq!(install(folder.path()).unwrap(), folder.path().join("leader-elector"));
        for copy in [&file, &folder.path().join("leader-elector")] {
            assert_eq!(fs::read(copy).unwrap(), fs::read(THIS_PROGRAM).unwrap());
            assert_eq!(fs::metadata(copy).unwrap().permissions().mode() & 0o777, 0o755);
        }
        assert_eq!(install(&file).unwrap(), file, "a restarted container copies again");
        assert_eq!(folder.path().read_dir().unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let message = format!("{:#}", install(Path::new("/nonexistent/folder/elector")).unwrap_err());
        assert!(message.starts_with("/nonexistent/folder/elector cannot be written"), "{message}");
        assert!(message.contains("emptyDir"), "{message}");
    }
}
