//! Support for tests of parsers that read foreign bytes: kept examples, the changes that chance makes to them, and what
//! each example is known to give. For tests only; it ships nowhere.
//!
//! The examples of a parser lie in `testdata/corpus/PARSER` of its crate, one file each, and what becomes of each of them
//! in `testdata/corpus/PARSER.txt`, one line each. `LEASEHOLD_RECORD=1` writes that file anew; the difference is then
//! reviewed like code.

mod change;

use std::fmt::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

pub use proptest;
use proptest::prelude::*;
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use change::Change;

/// The kept examples of one parser.
#[derive(Clone, Debug)]
pub struct Corpus {
    folder: PathBuf,
    examples: Vec<Example>,
}

/// One kept example.
#[derive(Clone, Debug)]
pub struct Example {
    /// The name of its file.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Bytes that a property is tried on; printed as text, as far as they are.
#[derive(Clone)]
pub struct Foreign(pub Vec<u8>);

impl fmt::Debug for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl Corpus {
    /// Reads the examples of `parser` below `crate_folder`, in the order of their names.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn read(crate_folder: &str, parser: &str) -> Self {
        let folder = Path::new(crate_folder).join("testdata/corpus").join(parser);
        let mut examples: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| {
                let entry = entry.expect("the folder of a corpus can be listed");
                let bytes = fs::read(entry.path()).expect("a kept example can be read");
                Example { name: entry.file_name().to_string_lossy().into_owned(), bytes }
            })
            .collect();
        assert!(!examples.is_empty(), "{} holds no example", folder.display());
        examples.sort_by(|one, other| one.name.cmp(&other.name));
        Self { folder, examples }
    }

    /// All of them.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Compares what becomes of each example with what is written down.
    ///
    /// # Panics
    ///
    /// If one of them gives something else.
    pub fn assert_outcomes(&self, outcome: impl Fn(&Example) -> String) {
        let mut found = String::new();
        for example in &self.examples {
            let _ = writeln!(found, "{}: {}", example.name, visible(&outcome(example)));
        }
        let path = self.folder.with_extension("txt");
        if env::var_os("LEASEHOLD_RECORD").is_some() {
            return fs::write(&path, found).expect("outcomes can be written down");
        }
        let known = fs::read_to_string(&path).unwrap_or_default();
        let differs = known.lines().zip(found.lines()).find(|(known, found)| known != found);
        assert!(
            known == found,
            "{}: what becomes of an example is not as written down; if that is right, record it with \
             LEASEHOLD_RECORD=1: {differs:#?}",
            path.display()
        );
    }

    /// Examples as they are, changed by chance, and bytes that are like none of them.
    pub fn foreign(&self) -> impl Strategy<Value = Foreign> + use<> {
        let bytes: Vec<_> = self.examples.iter().map(|example| example.bytes.clone()).collect();
        let others = bytes.clone();
        let changes = prop::collection::vec(any::<Change>(), 0..4);
        prop_oneof![
            1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Foreign),
            9 => (prop::sample::select(bytes), changes).prop_map(move |(mut bytes, changes)| {
                changes.iter().for_each(|change| change.make(&mut bytes, &others));
                Foreign(bytes)
            }),
        ]
    }
}

/// On one line, and nothing that a terminal would obey.
fn visible(text: &str) -> String {
    let shown = |letter: char| {
        if letter.is_control() { letter.escape_debug().collect() } else { String::from(letter) }
    };
    text.chars().map(shown).collect()
}

/// Runs `property` on `cases` values of `strategy`, the same ones in each run of the gate; a hundred times as many, and new
/// ones, in a full run (`LEASEHOLD_FULL`).
///
/// # Panics
///
/// With the smallest value found for which the property does not hold.
pub fn check<T: fmt::Debug>(cases: u32, strategy: impl Strategy<Value = T>, property: impl Fn(T)) {
    let full = env::var_os("LEASEHOLD_FULL").is_some();
    let cases = if full { cases.saturating_mul(100) } else { cases };
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let mut runner = if full {
        TestRunner::new(config)
    } else {
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    };
    let run = runner.run(&strategy, |value| {
        property(value);
        Ok(())
    });
    run.unwrap_or_else(|failure| panic!("{failure}"));
}
