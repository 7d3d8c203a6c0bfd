//! What foreign bytes do to the store: requests and patches of any kind. Kept examples with what becomes of each, and
//! properties that hold of all bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

mod patch;
mod request;
mod world;

use leasehold_corpus::{Corpus, check};

#[test]
fn what_becomes_of_a_patch() {
    let corpus = Corpus::read(env!("CARGO_MANIFEST_DIR"), "patch");
    corpus.assert_outcomes(|example| patch::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| patch::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| patch::property(&bytes.0));
}

#[test]
fn what_becomes_of_a_request() {
    let corpus = Corpus::read(env!("CARGO_MANIFEST_DIR"), "request");
    corpus.assert_outcomes(|example| request::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| request::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| request::property(&bytes.0));
}

const CASES: u32 = 2_000;
