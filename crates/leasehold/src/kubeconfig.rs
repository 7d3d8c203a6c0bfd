//! Reads kubeconfigs by kube, but for what ends it by a panic.

use std::path::{Path, PathBuf};
use std::{env, fs};

use kube::config::{Kubeconfig, KubeconfigError};

/// Why a kubeconfig cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Half a file, in an encoding of Windows.
    #[error("{} begins as UTF-16, and ends within a letter: it was cut off", path.display())]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// As kube tells it; its message repeats its causes.
    #[error(transparent)]
    Kube(#[from] KubeconfigError),
}

/// Reads the kubeconfig at `path`, or else those that `KUBECONFIG` names, or else that of the home folder.
///
/// # Errors
///
/// If there is none, or it is none.
pub fn read(path: Option<&Path>) -> Result<Kubeconfig, ReadError> {
    let paths = path.map_or_else(usual_paths, |path| vec![path.to_owned()]);
    paths.iter().try_for_each(|path| check_encoding(path))?;
    Ok(path.map_or_else(Kubeconfig::read, Kubeconfig::read_from)?)
}

/// Where kube looks by itself.
fn usual_paths() -> Vec<PathBuf> {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".kube/config"));
    match env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        Some(paths) => env::split_paths(&paths).collect(),
        None => home().into_iter().collect(),
    }
}

/// kube 5.0 panics at UTF-16, as editors of Windows write it, that ends within a letter. What cannot be read is left to it.
fn check_encoding(path: &Path) -> Result<(), ReadError> {
    let bytes = fs::read(path).unwrap_or_default();
    let is_utf16 = matches!(bytes.as_slice(), [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]);
    if is_utf16 && bytes.len() % 2 == 1 { Err(ReadError::CutOff { path: path.to_owned() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// kube's own reader ended the process by a panic.
    #[test]
    fn half_a_letter_at_the_end_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        for bytes in [&b"\xFF\xFEa\0b"[..], b"\xFE\xFF\0a\0"] {
            fs::write(&path, bytes).unwrap();
            let error = read(Some(&path)).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("{} begins as UTF-16, and ends within a letter: it was cut off", path.display())
            );
        }
        fs::write(&path, b"\xFF\xFE{\0}\0").unwrap();
        assert!(read(Some(&path)).is_ok(), "whole letters are read");
    }
}
