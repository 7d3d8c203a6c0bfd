//! `leasehold sim` as a user runs it: what it promises, what it finds, and how it ends.

#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

fn sim(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("sim").args(words.split_whitespace()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(words: &str) -> Output {
    sim(words).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{}", stderr(output)))
}

#[test]
fn worlds_of_the_shipped_elector_pass_and_their_document_has_what_scripts_read() {
    let output = run("--seeds 6 --length 10m -o json");
    let report = document(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["apiVersion"], &report["kind"]), (&"leasehold.dev/v1".into(), &"SimReport".into()));
    assert_eq!((&report["verdict"], &report["complete"]), (&"pass".into(), &true.into()));
    assert_eq!((&report["worlds"], &report["simulated_hours"]), (&6.into(), &1.0.into()));
    for class in ["a", "b", "c"] {
        assert!(report["overlaps"][class].is_u64(), "{report:#}");
    }
    assert_eq!((&report["overlaps"]["a"], &report["violations"]), (&0.into(), &0.into()));
    assert!(report["hand_overs"].as_u64().unwrap() > 0 && report["vacuum_max_ms"].as_u64().unwrap() > 0);
    assert_eq!(report["faults"].as_object().unwrap().len(), report["matrix"].as_object().unwrap().len());
    for window in ["idle", "acquire", "renew", "release", "take_over"] {
        assert!(report["matrix"]["partition"][window].is_u64(), "{report:#}");
    }
    assert_eq!(report["first_failure"], Value::Null);
}

#[test]
fn a_split_brain_is_told_in_a_few_lines_and_made_again_by_the_command_it_names() {
    let output = run("--elector ClientGo --seeds 20 --seed 1");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains(" breaks S1: at no instant do two candidates both lead"), "{text}");
    assert!(text.contains("leads with token ") && text.contains("S1 is broken: "), "{text}");
    let what = text.lines().find(|line| line.trim_start().starts_with("what ")).unwrap();
    let again = text.lines().find(|line| line.trim_start().starts_with("again ")).unwrap();
    let words = again.split_once("leasehold sim ").unwrap().1;
    let replayed = run(words);
    assert_eq!(replayed.status.code(), Some(1));
    assert!(stdout(&replayed).contains(what), "{what:?} is not what {again:?} gives");
    let story = text.split_once("again ").unwrap().1.lines().count();
    assert!(story <= 80, "{story} lines\n{text}");
}

#[test]
fn a_failing_world_is_one_document_too_with_the_rule_and_the_command() {
    let report = document(&run("--elector WorkNotAwaited --seed 1 -o json"));
    let failure = &report["first_failure"];
    assert_eq!((&report["verdict"], &failure["rule"]), (&"fail".into(), &"S8".into()), "{report:#}");
    assert_eq!(failure["replay"], "leasehold sim --elector WorkNotAwaited --seed 1");
    assert_eq!(failure["replay"], report["replays"]["1"]);
    assert!(failure["at_ms"].as_f64().unwrap() > 0.0 && failure["story"].as_array().unwrap().len() > 3);
}

#[test]
fn a_shrunk_world_is_named_by_a_shorter_command_with_fewer_faults() {
    let output = run("--elector KillIgnored --seed 1 --seeds 40 --shrink");
    let text = stdout(&output);
    assert!(text.contains("shrunk  from 15 min with 3 kinds of faults to"), "{text}");
    let again: Vec<&str> = text.lines().skip_while(|line| !line.contains(" again ")).take(2).collect();
    let again = again.join(" ");
    assert!(again.contains("--length ") && again.contains("--faults "), "{again}");
}

#[test]
fn a_trace_tells_all_that_happened_and_the_same_each_time() {
    let [first, second] = [(); 2].map(|()| stdout(&run("--seed 3 --length 2m --trace")));
    let told = |text: &str| -> Vec<String> {
        text.lines().filter(|line| line.contains(" #")).map(str::to_owned).collect()
    };
    assert_eq!(told(&first), told(&second));
    assert!(told(&first).len() > 50, "{first}");
    let document = document(&run("--seed 3 --length 2m --trace -o json"));
    assert_eq!(document["kind"], "SimTrace");
    assert!(document["trace"].as_array().unwrap().len() >= told(&first).len());
}

#[test]
fn a_picture_is_a_document_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("world.svg");
    let output = run(&format!("--elector ClientGo --seed 8 --svg {}", path.display()));
    assert!(stderr(&output).contains("who led when: "), "{}", stderr(&output));
    let svg = std::fs::read_to_string(path).unwrap();
    let picture = roxmltree::Document::parse(&svg).unwrap();
    let label = picture.root_element().attribute("aria-label").unwrap();
    assert!(label.starts_with("leasehold sim --elector ClientGo --seed 8: 3 lanes"), "{label}");
}

#[test]
fn the_matrix_shows_each_fault_that_may_strike_within_eighty_columns() {
    let text = stdout(&run("--scenario network --seeds 2 --length 10m --matrix"));
    assert!(text.contains("fault") && text.contains("take-over"), "{text}");
    assert!(text.lines().any(|line| line.starts_with("Partition ")), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("Reboot ")), "a fault of another scenario:\n{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn everything_that_is_known_to_be_broken_is_caught_and_said_so() {
    let output = run("--controls -o json");
    let report = document(&output);
    assert_eq!(output.status.code(), Some(0), "{report:#}");
    assert_eq!((&report["kind"], &report["verdict"]), (&"SimControlsReport".into(), &"pass".into()));
    let controls = report["controls"].as_array().unwrap();
    assert_eq!(report["caught"].as_u64(), Some(controls.len() as u64));
    assert!(controls.len() >= 18 && report["not_caught"].as_array().unwrap().is_empty(), "{report:#}");
    let client_go = controls.iter().find(|control| control["name"] == "ClientGo").unwrap();
    assert_eq!((&client_go["role"], &client_go["rule"]), (&"control".into(), &"S1".into()));
    assert!(client_go["what"].as_str().unwrap().contains("both led for"), "{client_go:#}");
}

#[test]
fn worlds_in_which_nothing_happens_prove_nothing() {
    let output = run("--scenario steady --length 1s --seeds 3");
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    assert!(
        stdout(&output).ends_with("inconclusive: too little happened in every world to prove anything\n")
    );
}

#[test]
fn a_wrong_name_names_the_near_one_and_a_list_shows_all() {
    let output = run("--scenario swarn");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a similar value exists: 'swarm'"), "{}", stderr(&output));
    let output = run("--elector list");
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).lines().any(|line| line.starts_with("ClientGo ")), "{}", stdout(&output));
    let output = run("--trace --seeds 2");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: --trace tells one world, and 2 were asked for"));
    let output = run("--seed 1 --length 2m --svg /nowhere/world.svg");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the picture /nowhere/world.svg cannot be written"));
}

#[test]
fn an_interrupt_ends_it_with_what_was_done_so_far() {
    let mut running = sim("--seeds 1000000 --length 10m").spawn().unwrap();
    // The first line of progress: signals are caught, and worlds have run.
    let mut progress = BufReader::new(running.stderr.take().unwrap());
    let mut line = String::new();
    progress.read_line(&mut line).unwrap();
    assert!(line.contains(" of 1,000,000 worlds") && line.contains(" simulated h/s, "), "{line}");
    kill_process(Pid::from_raw(running.id().try_into().unwrap()).unwrap(), Signal::INT).unwrap();
    let mut text = String::new();
    running.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(running.wait().unwrap().code(), Some(130), "{text}");
    assert!(text.contains(" of 1,000,000 worlds"), "{text}");
    assert!(text.ends_with("incomplete: ended by a signal; no rule was broken so far\n"), "{text}");
}
