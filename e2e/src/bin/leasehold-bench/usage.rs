//! What a process uses, by the kernel's account in `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// The memory that a process has in RAM, in bytes.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes(id: u32) -> Result<f64> {
    let status = read(format!("/proc/{id}/status"))?;
    let kibibytes = kibibytes(&status, "VmRSS:").with_context(|| format!("no VmRSS of process {id}"))?;
    Ok(f64::from(kibibytes) * 1024.0)
}

/// What of that memory is the process's own: neither its program nor anything else that is in a file.
///
/// # Errors
/// When there is no such process.
pub(crate) fn own_bytes(id: u32) -> Result<f64> {
    let status = read(format!("/proc/{id}/status"))?;
    let kibibytes = kibibytes(&status, "RssAnon:").with_context(|| format!("no RssAnon of process {id}"))?;
    Ok(f64::from(kibibytes) * 1024.0)
}

/// The memory that these processes have in RAM together, in bytes: what several of them share is counted once.
/// Where still others share it, a part of it is theirs.
///
/// # Errors
/// When there is no such process.
pub(crate) fn resident_bytes_together(ids: &[u32]) -> Result<f64> {
    let mut sum = 0.0;
    for id in ids {
        let rollup = read(format!("/proc/{id}/smaps_rollup"))?;
        let kibibytes = kibibytes(&rollup, "Pss:").with_context(|| format!("no Pss of process {id}"))?;
        sum += f64::from(kibibytes) * 1024.0;
    }
    Ok(sum)
}

/// The processes that this one has started and that still run.
///
/// # Errors
/// When there is no such process.
pub(crate) fn children(id: u32) -> Result<Vec<u32>> {
    let folder = format!("/proc/{id}/task");
    let mut children = Vec::new();
    for task in fs::read_dir(&folder).with_context(|| format!("listing {folder}"))? {
        let text = read(task?.path().join("children"))?;
        children.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
    }
    Ok(children)
}

/// The CPU time that the living threads of a process have used: in nanoseconds, where `/proc/<pid>/stat` counts in
/// ticks of 10 ms, of which an elector needs few in a minute. What ended threads used is not in it.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_time(id: u32) -> Result<Duration> {
    let folder = format!("/proc/{id}/task");
    let mut nanoseconds = 0;
    for task in fs::read_dir(&folder).with_context(|| format!("listing {folder}"))? {
        let path = task?.path().join("schedstat");
        let schedstat = read(&path)?;
        let first = schedstat.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanoseconds += first.with_context(|| format!("{} holds {schedstat:?}", path.display()))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn kibibytes(text: &str, field: &str) -> Option<u32> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_ever_more_cpu_time() {
        let id = std::process::id();
        let (resident, own) = (resident_bytes(id).unwrap(), own_bytes(id).unwrap());
        assert!(own > 0.0 && resident > own + 100_000.0, "{own} of {resident}");
        let before = cpu_time(id).unwrap();
        let deadline = std::time::Instant::now() + Duration::from_millis(50);
        while std::time::Instant::now() < deadline {
            std::hint::spin_loop();
        }
        assert!(cpu_time(id).unwrap() > before);
    }

    #[test]
    fn what_processes_share_is_counted_once_and_children_are_found() {
        let own = std::process::id();
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let found = children(own).unwrap();
        let alone = resident_bytes(own).unwrap();
        let together = resident_bytes_together(&[own]).unwrap();
        child.kill().and_then(|()| child.wait()).unwrap();
        assert!(found.contains(&child.id()), "{found:?}");
        assert!(together > 100_000.0 && together <= alone, "{together} of {alone}");
    }

    #[test]
    fn an_ended_process_is_an_error_that_names_it() {
        let error = resident_bytes(u32::MAX).unwrap_err().to_string();
        assert!(error.contains(&u32::MAX.to_string()), "{error}");
    }
}
