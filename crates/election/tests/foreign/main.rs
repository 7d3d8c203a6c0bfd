//! What foreign bytes do to the machine: records, answers and lines of watches. Kept examples with what becomes of each,
//! and properties that hold of all bytes.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

mod answer;
mod pod_line;
mod record;
mod started;
mod watch_line;

use leasehold_corpus::{Corpus, check};

#[test]
fn what_becomes_of_a_record() {
    let corpus = corpus("record");
    corpus.assert_outcomes(|example| record::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| record::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| record::property(&bytes.0));
}

#[test]
fn what_becomes_of_an_answer() {
    let corpus = corpus("answer");
    corpus.assert_outcomes(|example| answer::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| answer::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| answer::property(&bytes.0));
}

#[test]
fn what_becomes_of_a_line_of_a_watch() {
    let corpus = corpus("watch-line");
    corpus.assert_outcomes(|example| watch_line::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| watch_line::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| watch_line::property(&bytes.0));
}

#[test]
fn what_becomes_of_a_line_about_a_pod() {
    let corpus = corpus("pod-line");
    corpus.assert_outcomes(|example| pod_line::outcome(&example.bytes));
    corpus.examples().iter().for_each(|example| pod_line::property(&example.bytes));
    check(CASES, corpus.foreign(), |bytes| pod_line::property(&bytes.0));
}

fn corpus(parser: &str) -> Corpus {
    Corpus::read(env!("CARGO_MANIFEST_DIR"), parser)
}

const CASES: u32 = 2_000;
