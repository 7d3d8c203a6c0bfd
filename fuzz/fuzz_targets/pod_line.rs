//! Lines of the watch of a Pod.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/election/tests/foreign/pod_line.rs"]
mod pod_line;
#[path = "../../crates/election/tests/foreign/started.rs"]
mod started;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pod_line::property(bytes));
