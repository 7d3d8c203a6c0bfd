//! The files of a program beside each other. What is inside the archive: `archive.rs`.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::LazyLock;

use cyclonedx_bom::prelude::{Bom, SpecVersion, Validate as _};
use leasehold_image::{Built, Files, Linked, Origin, Program, bill, write};
use serde_json::Value;

const PROGRAM: Program = Program::LeaderElector;

fn origin() -> Origin {
    Origin { time: "2026-11-25T03:00:00Z".parse().unwrap(), revision: Some("c0ffee".to_owned()) }
}

/// The bill of the sidecar: cargo is asked once for all tests.
fn billed() -> &'static (Vec<u8>, Linked) {
    static BILL: LazyLock<(Vec<u8>, Linked)> = LazyLock::new(|| bill(PROGRAM, &origin()).unwrap());
    &BILL
}

/// The files of a program that stands for the sidecar: a shell script is one, too.
fn files(folder: &Path, linked: Linked) -> anyhow::Result<Files> {
    let build = tempfile::tempdir().unwrap();
    let path = build.path().join("program");
    fs::write(&path, "#!/bin/sh\nexit 0\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let built = Built { path, linked };
    write(PROGRAM, &built, &Files::reference(PROGRAM).unwrap(), &origin(), folder).map(|(files, _)| files)
}

fn sha256sum(files: &Files) -> Output {
    let folder = files.checksums.parent().unwrap();
    Command::new("sha256sum").current_dir(folder).arg("-c").arg(&files.checksums).output().unwrap()
}

/// Packages that a bill names, by name and version.
fn named(bill: &Value) -> Linked {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let crates = bill["components"].as_array().unwrap().iter().chain([&bill["metadata"]["component"]]);
    let crates = crates.filter(|component| component["purl"].as_str().unwrap().starts_with("pkg:cargo/"));
    crates
        .map(|component| {
            let (name, version) = text(&component["bom-ref"])
                .split_once('@')
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .unwrap();
            assert_eq!(text(&component["version"]), version);
            (name, version)
        })
        .collect()
}

#[test]
fn sha256sum_finds_every_file_as_it_was_written_and_none_that_was_changed() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path(), billed().1.clone()).unwrap();
    let checked = sha256sum(&files);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    assert_eq!(String::from_utf8_lossy(&checked.stdout).matches(": OK").count(), 3);
    assert_eq!(folder.path().read_dir().unwrap().count(), 4, "all but the checksums themselves");
    let mode = fs::metadata(&files.program).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755, "it can be run");
    for path in [&files.archive, &files.bill] {
        let kept = fs::read(path).unwrap();
        fs::write(path, [&kept[..], b" "].concat()).unwrap();
        assert!(!sha256sum(&files).status.success(), "{} was changed", path.display());
        fs::write(path, kept).unwrap();
    }
    assert!(sha256sum(&files).status.success());
}

#[test]
fn a_program_with_something_in_it_that_its_bill_does_not_name_is_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut linked = billed().1.clone();
    linked.insert(("smuggled".to_owned(), "6.6.6".to_owned()));
    let error = files(folder.path(), linked).unwrap_err().to_string();
    assert!(error.contains("smuggled"), "{error}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_bill_is_valid_and_the_same_for_the_same_commit() {
    for program in [Program::LeaderElector, Program::Leasehold] {
        let (json, _) = bill(program, &origin()).unwrap();
        let bom = Bom::parse_from_json(&json[..]).unwrap();
        let verdict = bom.validate_version(SpecVersion::V1_5);
        assert!(verdict.passed(), "{verdict:?}");
        let document: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&document["bomFormat"], &document["specVersion"]), (&"CycloneDX".into(), &"1.5".into()));
        assert_eq!(document["serialNumber"], Value::Null, "it would be another each time");
        assert_eq!(document["metadata"]["component"]["name"], program.name());
        assert_eq!(document["metadata"]["timestamp"], "2026-11-25T03:00:00Z");
        assert!(bill(program, &origin()).unwrap().0 == json, "nothing in it is of this moment");
    }
}

/// What is in the file is what was compared with what the compiler linked, and the lock file knows all of it.
#[test]
fn a_bill_names_what_is_linked_and_nothing_that_is_not() {
    let (json, linked) = billed();
    let document: Value = serde_json::from_slice(json).unwrap();
    let named = named(&document);
    assert_eq!(named, *linked);
    let names: BTreeSet<&str> = named.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["leasehold-sidecar", "leasehold-election", "kube-client", "tokio", "ring", "rustls"] {
        assert!(names.contains(name), "{name} is linked");
    }
    // Macros, build scripts, tests, other systems, other programs.
    for name in
        ["serde_derive", "tokio-macros", "cc", "insta", "tempfile", "windows-sys", "leasehold-sim", "tar"]
    {
        assert!(!names.contains(name), "{name} is not linked");
    }
    let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock")).unwrap();
    for (name, version) in &named {
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")), "{name} {version}");
    }
    for component in document["components"].as_array().unwrap() {
        let purl = component["purl"].as_str().unwrap();
        let licensed = component["licenses"].as_array().is_some_and(|licenses| !licenses.is_empty());
        assert!(licensed || purl.starts_with("pkg:generic/"), "{purl} has no licence");
    }
}

#[test]
fn each_package_of_a_bill_is_needed_by_another_up_to_the_program() {
    let document: Value = serde_json::from_slice(&billed().0).unwrap();
    let edges = document["dependencies"].as_array().unwrap();
    let root = document["metadata"]["component"]["bom-ref"].as_str().unwrap();
    let (mut reached, mut next) = (BTreeSet::new(), vec![root]);
    while let Some(package) = next.pop() {
        if reached.insert(package) {
            let edge = edges.iter().find(|edge| edge["ref"] == package);
            let edge = edge.unwrap_or_else(|| panic!("{package} is needed and not described"));
            next.extend(edge["dependsOn"].as_array().into_iter().flatten().filter_map(Value::as_str));
        }
    }
    assert_eq!(reached.len(), named(&document).len());
}
