//! What a process uses, by the kernel's account in `/proc`.

use std::fs;
use std::io::ErrorKind;
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
    let mut children = Vec::new();
    for text in of_threads(id, "children")? {
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
    let mut nanoseconds = 0;
    for schedstat in of_threads(id, "schedstat")? {
        let first = schedstat.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        nanoseconds += first.with_context(|| format!("schedstat of process {id} holds {schedstat:?}"))?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// One file of each thread of a process. A thread may end while they are listed.
fn of_threads(id: u32, file: &str) -> Result<Vec<String>> {
    let folder = format!("/proc/{id}/task");
    let mut texts = Vec::new();
    for task in fs::read_dir(&folder).with_context(|| format!("listing {folder}"))? {
        let path = task?.path().join(file);
        match fs::read_to_string(&path) {
            Ok(text) => texts.push(text),
            Err(error)
                if error.raw_os_error() == Some(NO_SUCH_PROCESS) || error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
        }
    }
    Ok(texts)
}

fn kibibytes(text: &str, field: &str) -> Option<u32> {
    let value = text.lines().find_map(|line| line.strip_prefix(field))?;
    value.trim().strip_suffix(" kB")?.parse().ok()
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// `ESRCH`: what `/proc` answers about a thread that has just ended.
const NO_SUCH_PROCESS: i32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_of_its_own_and_of_its_program() {
        let id = std::process::id();
        let (resident, own) = (resident_bytes(id).unwrap(), own_bytes(id).unwrap());
        assert!(own > 0.0 && resident > own + 100_000.0, "{own} of {resident}");
    }

    #[test]
    fn a_process_that_is_busy_uses_ever_more_cpu_time() {
        let mut busy = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let before = cpu_time(busy.id()).unwrap();
        while cpu_time(busy.id()).unwrap() <= before {
            std::thread::yield_now();
        }
        busy.kill().and_then(|()| busy.wait()).unwrap();
    }

    /// Threads of other tests end at any time: the one that was just listed had ended when its file was read.
    #[test]
    fn threads_that_end_meanwhile_are_no_error() {
        let end = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !end.load(std::sync::atomic::Ordering::Relaxed) {
                    std::thread::spawn(|| {}).join().unwrap();
                }
            });
            let read = (0..300).try_for_each(|_| cpu_time(std::process::id()).map(drop));
            end.store(true, std::sync::atomic::Ordering::Relaxed);
            read.unwrap();
        });
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
