//! What foreign bytes are to the sidecar: the is-leader file as `check` reads it, and times as users write them.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

mod duration;
mod is_leader;

use leasehold_corpus::{Corpus, check};

#[test]
fn what_becomes_of_an_is_leader_file() {
    let corpus = Corpus::read(env!("CARGO_MANIFEST_DIR"), "is-leader");
    let folder = tempfile::tempdir().unwrap();
    corpus.assert_outcomes(|example| is_leader::outcome(folder.path(), &example.bytes));
    corpus.examples().iter().for_each(|example| is_leader::property(folder.path(), &example.bytes));
    check(2_000, corpus.foreign(), |bytes| is_leader::property(folder.path(), &bytes.0));
}

#[test]
fn what_becomes_of_a_time() {
    let corpus = Corpus::read(env!("CARGO_MANIFEST_DIR"), "duration");
    corpus.assert_outcomes(|example| duration::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| duration::property(&example.bytes));
    check(1_000, corpus.foreign(), |bytes| duration::property(&bytes.0));
}
