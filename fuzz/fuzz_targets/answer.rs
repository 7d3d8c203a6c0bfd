//! Answers of the API server to a read.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/election/tests/foreign/answer.rs"]
mod answer;
#[path = "../../crates/election/tests/foreign/started.rs"]
mod started;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| answer::property(bytes));
