//! `leasehold generate` as a user runs it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

const MANIFEST: &str = include_str!("../../manifests/tests/my-service.yaml");

fn generate(args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command.arg("generate").args(args).env_remove("LEASEHOLD_NAMESPACE");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A program that refuses its flags reads nothing.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn printed(args: &[&str], input: &str) -> String {
    let output = generate(args, input);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

fn refused(args: &[&str], input: &str) -> String {
    let output = generate(args, input);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""));
    text(&output.stderr).to_owned()
}

#[test]
fn a_manifest_goes_in_and_the_result_goes_in_again() {
    for verb in ["sidecar", "exec"] {
        let once = printed(&[verb, "-f", "-"], MANIFEST);
        assert!(once.contains("kind: Lease") && once.contains("kind: RoleBinding"), "{once}");
        assert_eq!(printed(&[verb, "-f", "-"], &once), once, "{verb}");
    }
}

#[test]
fn what_the_election_needs_and_the_workload_can_be_had_apart() {
    let part = |only| printed(&["sidecar", "-f", "-", "--only", only], MANIFEST);
    assert_eq!(
        format!("{}---\n{}", part("election"), part("workload")),
        printed(&["sidecar", "-f", "-"], MANIFEST)
    );
    assert!(part("workload").contains("kind: StatefulSet") && !part("workload").contains("kind: Lease"));
}

#[test]
fn what_a_person_should_know_goes_to_stderr() {
    let output = generate(&["exec", "-f", "-"], MANIFEST);
    let notes = text(&output.stderr);
    assert!(notes.lines().all(|line| line.starts_with("note: ")), "{notes}");
    assert!(notes.contains("left out what the API server and its controllers wrote: status"), "{notes}");
}

#[test]
fn a_manifest_in_another_form_gives_the_same() {
    let list: String = MANIFEST.lines().map(|line| format!("  {line}\n")).collect();
    let list = format!("kind: List\napiVersion: v1\nitems:\n-{}", &list[1..]);
    let usual = printed(&["sidecar", "-f", "-"], MANIFEST);
    for other in
        [list, MANIFEST.replace('\n', "\r\n"), format!("\u{feff}{MANIFEST}"), format!("---\n{MANIFEST}---\n")]
    {
        assert_eq!(printed(&["sidecar", "-f", "-"], &other), usual, "{other}");
    }
    let quoted = MANIFEST.replace("my-service:1.2.3", "'{{ .Values.image }}'");
    let output = generate(&["sidecar", "-f", "-"], &quoted);
    let note = "note: standard input: the {{ in line 28 stays as it is; a chart has to be rendered first";
    assert!(text(&output.stderr).contains(note), "{}", text(&output.stderr));
}

#[test]
fn a_lease_and_its_role_need_a_name_and_a_namespace() {
    let lease = printed(&["lease", "my-service-leader", "-n", "production", "-o", "json"], "");
    let lease: serde_json::Value = serde_json::from_str(&lease).unwrap();
    assert_eq!(lease["metadata"]["labels"]["app.kubernetes.io/name"], "my-service");
    assert_eq!(lease["spec"], serde_json::json!({}));
    let rbac = printed(&["rbac", "db", "-n", "production", "--service-account", "own"], "");
    assert!(rbac.contains("- patch # ") && !rbac.contains("kind: ServiceAccount\nmetadata"), "{rbac}");
    assert!(refused(&["lease", "db"], "").contains("--namespace"));
    assert!(refused(&["lease", "No_Name", "-n", "x"], "").contains("\"No_Name\""));
}

/// The README's first block of manifests: a namespace, and below it what is printed.
#[test]
fn the_readme_shows_what_is_printed() {
    let lease = printed(&["lease", "my-service-leader", "-n", "production"], "");
    let rbac = printed(&["rbac", "my-service-leader", "-n", "production", "--evidence", "off"], "");
    assert_shows("README.md", &[("\n  name: production\n---\n", &format!("{lease}---\n{rbac}"))]);
}

#[test]
fn the_page_about_manifests_shows_what_is_printed() {
    let lease = ["lease", "my-service-leader", "-n", "production"];
    let rbac = "rbac my-service-leader -n production --service-account my-service --evidence off";
    let rbac: Vec<&str> = rbac.split(' ').collect();
    let shown = [&lease[..], &rbac]
        .map(|args| (format!("```console\n$ leasehold generate {}\n", args.join(" ")), printed(args, "")));
    let shown = shown.each_ref().map(|(begin, block)| (begin.as_str(), block.as_str()));
    assert_shows("docs/manifests.md", &shown);
}

/// That a page has each block, from what it begins with to the end of the code. `LEASEHOLD_RECORD=1` writes them anew.
fn assert_shows(page: &str, blocks: &[(&str, &str)]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let mut written = text.clone();
    for (begin, block) in blocks {
        let (head, rest) = written.split_once(begin).unwrap_or_else(|| panic!("{begin} is not in {page}"));
        let (_, tail) = rest.split_once("\n```\n").unwrap();
        written = format!("{head}{begin}{block}```\n{tail}");
    }
    if env::var_os("LEASEHOLD_RECORD").is_some() {
        return fs::write(&path, written).unwrap();
    }
    assert!(
        text == written,
        "{page} differs from leasehold generate; LEASEHOLD_RECORD=1 cargo test -p leasehold-cli --test generate shows writes \
         it anew"
    );
}

#[test]
fn what_is_wrong_is_said_with_where_it_is_and_what_to_do() {
    for (args, input, says) in [
        (&["sidecar", "-f", "-"][..], "", "standard input: the manifest is empty"),
        (&["sidecar", "-f", "-"], "a: [1", "standard input: the manifest is no YAML"),
        (
            &["sidecar", "-f", "-"],
            "kind: Deployment\nmetadata: {name: {{ .Values.name }}}\n",
            "standard input: line 2 of the manifest has a {{ of a template; render it first",
        ),
        (&["sidecar", "-f", "/nonexistent/a.yaml"], "", "/nonexistent/a.yaml cannot be opened"),
        (&["sidecar", "-f", "-", "--container", "ap"], MANIFEST, "no container \"ap\", only app"),
        (&["sidecar", "-f", "-", "-n", "other"], MANIFEST, "leave -n out"),
        (&["sidecar", "-f", "-", "--file", "is-leader"], MANIFEST, "write an absolute path"),
        (&["sidecar", "-f", "-", "--probe-addr", "127.0.0.1:1"], MANIFEST, "from outside the Pod"),
        (&["sidecar", "-f", "-", "--ttl", "1s"], MANIFEST, "--ttl cannot hold"),
        (
            &["exec", "sts/other", "-f", "-"],
            MANIFEST,
            "no StatefulSet other in the manifest, only StatefulSet my-service",
        ),
        (&["exec", "sts/my-service", "--container", "app"], "", "give it with -n"),
        (&["exec", "sts/my-service", "-n", "x", "--container", "app"], "", "does not say its command"),
    ] {
        let errors = refused(args, input);
        assert!(errors.starts_with("error: ") && errors.contains(says), "{args:?}: {errors}");
        assert!(errors.contains(&format!("hint: see leasehold generate {} --help", args[0])), "{errors}");
    }
}

#[test]
fn a_folder_for_kustomize_is_written_and_written_anew_but_not_over_somebody_elses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("elected");
    let args = ["exec", "-f", "-", "--kustomize", path.to_str().unwrap()];
    let files = printed(&args, MANIFEST);
    for file in files.lines() {
        assert!(fs::metadata(file).unwrap().is_file(), "{file}");
    }
    assert_eq!(files.lines().count(), 5, "{files}");
    assert_eq!(printed(&args, MANIFEST), files, "a second time");
    fs::write(path.join("kustomization.yaml"), "resources: []\n").unwrap();
    assert!(refused(&args, MANIFEST).contains("was not written by this program"));
}
