//! The demo as a user runs it, short: what it promises, and that it leaves nothing behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// One demo at a time: what is asked hundreds of times a second needs the machine.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn demo(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("demo").args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs it with `-o json`; shows what it said if its document is not there.
fn document(args: &[&str]) -> (Output, Value) {
    let output = demo(args).args(["-o", "json"]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|error| panic!("{error}, {}\n{errors}", output.status));
    (output, document)
}

/// What the probes cannot prove on a machine that is too busy must not pass for a failure, nor for a proof.
#[expect(clippy::print_stderr, reason = "a void run says so")]
fn is_void(output: &Output, report: &Value) -> bool {
    let too_few = report["probes_per_second"].as_u64().unwrap() < 200;
    if too_few {
        assert_eq!(output.status.code(), Some(3), "{report:#}");
        eprintln!("void: the candidates were asked too seldom\n{report:#}");
    }
    too_few
}

#[test]
fn on_a_lease_each_round_has_a_new_leader_and_never_two() {
    let _alone = alone();
    let (output, report) = document(&["--lock", "lease", "--rounds", "2", "--faults", "graceful,pause"]);
    assert_eq!(report["overlap_ms_total"], 0, "{report:#}");
    assert_eq!(report["token_faults"], 0, "{report:#}");
    if is_void(&output, &report) {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["kind"], &report["lock"]), (&"DemoReport".into(), &"lease".into()));
    let rounds = report["rounds"].as_array().unwrap();
    assert_eq!(rounds.len(), 2);
    for round in rounds {
        assert!(round["new"].is_string() && round["new"] != round["old"], "{report:#}");
        // The lease duration and two seconds, as the promise of a lost leader has it.
        assert!(round["vacuum_ms"].as_f64().unwrap() <= 5_000.0, "{report:#}");
    }
    assert!(rounds[0]["token"].as_u64().unwrap() < rounds[1]["token"].as_u64().unwrap(), "{report:#}");
}

#[test]
fn a_hand_written_lock_has_two_leaders_when_cut_off_and_none_until_a_person_acts_when_killed() {
    let _alone = alone();
    let (output, report) = document(&["--lock", "naive", "--rounds", "2", "--faults", "cut,kill"]);
    if is_void(&output, &report) {
        return;
    }
    assert_eq!(output.status.code(), Some(0), "it promises nothing: {report:#}");
    let (cut, kill) = (&report["rounds"][0], &report["rounds"][1]);
    assert!(cut["overlap_ms"].as_f64().unwrap() > 0.0, "{report:#}");
    assert_eq!((&cut["person_needed"], &kill["person_needed"]), (&false.into(), &true.into()), "{report:#}");
    assert!(kill["vacuum_ms"].as_f64().unwrap() > 3_000.0, "longer than its timestamp counts: {report:#}");
}

/// Figures, names and who leads when are others in each run; the words are not.
#[test]
fn the_readme_shows_what_a_demo_prints() {
    let _alone = alone();
    let output = demo(&["--rounds", "1", "--faults", "cut"]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    if output.status.code() == Some(3) {
        return;
    }
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md")).unwrap();
    let (_, block) = readme.split_once("```text\n").unwrap();
    let (shown, _) = block.split_once("```").unwrap();
    let is_word =
        |word: &&str| word.len() > 2 && word.chars().all(|c| c.is_alphabetic() || ":,;".contains(c));
    let words = |line: &str| line.split_whitespace().filter(is_word).collect::<Vec<_>>().join(" ");
    let printed: Vec<String> = printed.lines().map(words).collect();
    // A round of another fault, the row of a candidate and the times are not in every run.
    let constant = shown.lines().filter(|line| !line.contains("app-") && !line.contains(['▼', '╵']));
    for line in constant.map(words).filter(|line| !line.is_empty()) {
        assert!(printed.contains(&line), "the README shows {line:?}, which is not in\n{printed:#?}");
    }
}

#[test]
fn an_interrupt_ends_the_demo_and_all_its_processes() {
    let _alone = alone();
    let (mut running, candidates) = running();
    signal(running.demo.id(), Signal::INT);
    let status = running.demo.wait().unwrap();
    let mut errors = String::new();
    running.demo.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(status.code(), Some(130), "{errors}");
    assert!(errors.contains("no process is left behind"), "{errors}");
    assert_gone(&candidates);
    assert_eq!(running.folder.path().read_dir().unwrap().count(), 0, "its folder is gone, too");
}

#[test]
fn a_killed_demo_takes_its_processes_along() {
    let _alone = alone();
    let (mut running, candidates) = running();
    running.demo.kill().unwrap();
    running.demo.wait().unwrap();
    assert_gone(&candidates);
}

/// A demo that ends with the test, and the folder in which it keeps its own.
struct Running {
    demo: Child,
    folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.demo.kill().and_then(|()| self.demo.wait()).ok();
    }
}

/// A demo whose three candidates run, one of them in a pause.
fn running() -> (Running, Vec<u32>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = demo(&["--lock", "lease", "--rounds", "100", "--faults", "pause"]);
    let demo = command.env("TMPDIR", folder.path()).spawn().unwrap();
    let mut running = Running { demo, folder };
    // The first line of a round: the demo is at work. What follows is read, too, or it would end for want of readers.
    let mut lines = BufReader::new(running.demo.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("pause")), "no round was played");
    thread::spawn(move || lines.for_each(drop));
    let deadline = Instant::now() + PATIENCE;
    loop {
        let candidates = children(running.demo.id());
        if candidates.len() == 3 && candidates.iter().any(|&id| state(id) == Some('T')) {
            return (running, candidates);
        }
        assert!(Instant::now() < deadline, "no candidate was paused: {candidates:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// The kernel reaps and kills in its own time.
fn assert_gone(ids: &[u32]) {
    let deadline = Instant::now() + PATIENCE;
    while ids.iter().any(|&id| state(id).is_some_and(|state| state != 'Z')) {
        assert!(Instant::now() < deadline, "still there: {ids:?}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// Of all its threads.
fn children(id: u32) -> Vec<u32> {
    let tasks = fs::read_dir(format!("/proc/{id}/task")).unwrap();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().map(|id| id.parse().unwrap()).collect::<Vec<_>>()).collect()
}

/// The state that the kernel gives a process; `None` if it is gone.
fn state(id: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn signal(id: u32, signal: Signal) {
    let pid = Pid::from_raw(id.try_into().unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
