//! The `Dockerfile` at the root makes the image that `cargo xtask image` makes.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::collections::BTreeMap;
use std::path::Path;

use dockerfile_parser_rs::{Dockerfile, Instruction};
use leasehold_image::{Origin, Program, USER, entrypoint, labels};

const PROGRAM: Program = Program::LeaderElector;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().and_then(Path::parent).unwrap()
}

/// The stages, each with its `FROM` first.
fn stages() -> Vec<Vec<Instruction>> {
    let dockerfile = Dockerfile::from(root().join("Dockerfile")).unwrap();
    let mut stages: Vec<Vec<Instruction>> = Vec::new();
    for instruction in dockerfile.instructions {
        if matches!(instruction, Instruction::From { .. }) {
            stages.push(Vec::new());
        }
        if !matches!(instruction, Instruction::Comment(_) | Instruction::Empty {}) {
            stages.last_mut().expect("FROM comes first").push(instruction);
        }
    }
    stages
}

fn image_of(stage: &[Instruction]) -> &str {
    let Instruction::From { image, .. } = &stage[0] else { panic!("{stage:?}") };
    image
}

#[test]
fn the_image_is_from_scratch_and_says_the_same_user_entrypoint_and_labels() {
    let stages = stages();
    let [_, image] = &stages[..] else { panic!("one stage builds, one is the image: {stages:?}") };
    assert_eq!(image_of(image), "scratch");
    let mut said = BTreeMap::new();
    let (mut user, mut runs) = (None, None);
    for instruction in image {
        match instruction {
            Instruction::Label(labels) => said.extend(labels.clone()),
            Instruction::User { user: name, group } => user = name.parse::<u32>().ok().zip(group.clone()),
            Instruction::Entrypoint(words) => runs = Some(words.clone()),
            Instruction::From { .. } | Instruction::Copy { .. } => {}
            other => panic!("the other image has nothing of {other:?}"),
        }
    }
    assert_eq!(user.map(|(user, group)| format!("{user}:{group}")).as_deref(), Some(USER));
    assert_eq!(runs, Some(vec![entrypoint(PROGRAM)]));
    let origin = Origin { time: "2026-11-25T03:00:00Z".parse().unwrap(), revision: None };
    let mut wanted = labels(PROGRAM, &origin);
    assert!(wanted.remove("org.opencontainers.image.created").is_some(), "a Dockerfile cannot know its time");
    let said: BTreeMap<&str, String> = said
        .iter()
        .map(|(name, value)| (name.trim_matches('"'), value.trim_matches('"').to_owned()))
        .collect();
    assert_eq!(said, wanted);
}

#[test]
fn it_is_built_by_one_version_of_rust_that_is_new_enough() {
    let stages = stages();
    let tag = image_of(&stages[0]).strip_prefix("rust:").expect("Rust builds it");
    let version = tag.split('-').next().unwrap();
    let numbers =
        |version: &str| -> Vec<u32> { version.split('.').map(|part| part.parse().unwrap()).collect() };
    assert_eq!(numbers(version).len(), 3, "{tag} is another one tomorrow");
    assert!(numbers(version) >= numbers(env!("CARGO_PKG_RUST_VERSION")), "{tag}");
}

#[test]
fn it_is_built_with_the_same_profile_and_flags_for_the_machine_that_builds() {
    let runs: Vec<String> = stages()[0]
        .iter()
        .filter_map(|it| match it {
            Instruction::Run { command, .. } => Some(command.join(" ")),
            _ => None,
        })
        .collect();
    let build = runs.iter().find(|run| run.contains("cargo build")).expect("a RUN builds");
    for words in [
        "target-feature=+crt-static",
        "--locked",
        "--profile dist",
        &format!("--package {}", PROGRAM.package()),
        &format!("--bin {}", PROGRAM.name()),
        "--target $(uname -m)-unknown-linux-gnu",
    ] {
        assert!(build.contains(words), "{words} is not in {build}");
    }
    assert!(runs.iter().any(|run| run.contains("1777") && run.contains("/tmp")), "{runs:?}");
}
