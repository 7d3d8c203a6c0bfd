//! What must hold of the repository as a whole, and what no compiler looks at.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use crate::cargo::root;

/// The pages that users and developers read.
fn pages() -> Vec<PathBuf> {
    let mut pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
        .map(|name| root().join(name))
        .to_vec();
    let docs = root().join("docs").read_dir().unwrap();
    let docs = docs.map(|entry| entry.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    pages
}

/// The targets of inline links, but for those within code.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between back quotes is code.
        let prose: String = line.split('`').step_by(2).collect();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        links.extend(targets.map(|(target, _)| target.to_owned()));
    }
    links
}

/// What a page in `folder` links to and is not there.
fn broken_links(folder: &Path, text: &str) -> Vec<String> {
    let is_broken = |target: &String| {
        let file = target.split('#').next().unwrap_or_default();
        !target.contains("://") && !file.is_empty() && !folder.join(file).exists()
    };
    links(text).into_iter().filter(is_broken).collect()
}

/// The names of the packages that `package` is built with, itself and those that only run at compile time left out.
fn dependencies(package: &str) -> BTreeSet<String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--package", package, "--edges", "normal,no-proc-macro"])
        // Not the host: on ARM, sha2 asks the system what the processor can do.
        .args(["--target", "x86_64-unknown-linux-gnu", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != package).map(str::to_owned).collect()
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let pages = pages();
    assert!(pages.len() > 4, "docs/ has pages, too: {pages:?}");
    let mut broken = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let targets = broken_links(page.parent().unwrap(), &text);
        broken.extend(targets.into_iter().map(|target| format!("{}: {target}", page.display())));
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn a_link_that_leads_nowhere_is_found_and_code_is_no_link() {
    let text = "[a](README.md#top), [b](gone.md), [c](#here) and `[d](code.md)`\n```md\n[e](code.md)\n```\n[f](https://x.example)\n";
    assert_eq!(broken_links(&root(), text), ["gone.md"]);
}

/// No runtime, no client, no clock, no randomness: what decides gets all of that as arguments.
#[test]
fn what_decides_depends_on_nothing_that_acts() {
    let history = ["serde", "serde_core", "thiserror"];
    let election = [
        "block-buffer",
        "bytes",
        "cfg-if",
        "const-oid",
        "cpufeatures",
        "crypto-common",
        "digest",
        "http",
        "hybrid-array",
        "itoa",
        "jiff",
        "jiff-core",
        "memchr",
        "serde",
        "serde_core",
        "serde_json",
        "sha2",
        "thiserror",
        "typenum",
        "zmij",
    ];
    for (package, allowed) in [("leasehold-history", &history[..]), ("leasehold-election", &election[..])] {
        let mut found = dependencies(package);
        found.retain(|name| !allowed.contains(&name.as_str()));
        assert!(found.is_empty(), "{package} depends on {found:?}, which nobody has looked at");
    }
}

/// Objects are made from what comes in: nothing is asked, read or sent, and nothing of the election but names and timings.
#[test]
fn what_writes_manifests_does_not_act() {
    let found = dependencies("leasehold-manifests");
    assert!(found.contains("k8s-openapi") && found.contains("serde-saphyr"), "{found:?}");
    let acts =
        ["tokio", "kube", "kube-core", "hyper", "rustix", "getrandom", "libc", "clap", "leasehold", "anyhow"];
    assert_lacks("leasehold-manifests", &found, &acts);
}

/// It runs beside every service: one TLS, one runtime, nothing for developers, and nothing that only `leasehold` needs.
#[test]
fn what_runs_in_every_pod_is_kept_small() {
    let found = dependencies("leasehold-sidecar");
    assert!(found.contains("leasehold") && found.contains("axum") && found.contains("ring"), "{found:?}");
    let ours = ["leasehold-manifests", "leasehold-sim", "leasehold-apiserver", "leasehold-history"];
    let tls = ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"];
    let others =
        ["reqwest", "serde_yaml", "indicatif", "comfy-table", "chacha20", "turmoil", "tempfile", "insta"];
    assert_lacks("leasehold-sidecar", &found, &[&ours[..], &tls, &others].concat());
}

#[test]
fn what_supports_tests_ships_nowhere() {
    let crates = root().join("crates").read_dir().unwrap();
    let mut ships: Vec<String> =
        crates.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    ships.retain(|name| name != "corpus");
    assert!(ships.len() > 7, "{ships:?}");
    for name in ships {
        let package = if name == "leasehold" { name } else { format!("leasehold-{name}") };
        assert_lacks(&package, &dependencies(&package), &["leasehold-corpus", "proptest", "insta"]);
    }
    let acts = ["tokio", "kube", "leasehold", "leasehold-election"];
    assert_lacks("leasehold-corpus", &dependencies("leasehold-corpus"), &acts);
}

fn assert_lacks(package: &str, found: &BTreeSet<String>, banned: &[&str]) {
    let there: Vec<_> = banned.iter().filter(|name| found.contains(**name)).collect();
    assert!(there.is_empty(), "{package} depends on {there:?}");
}

#[test]
fn what_acts_is_found_where_it_is() {
    let found = dependencies("leasehold");
    for name in ["tokio", "kube", "hyper-util", "getrandom", "rustix"] {
        assert!(found.contains(name), "{name} is not in {found:?}");
    }
}
