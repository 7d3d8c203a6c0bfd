//! Times as users write them.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/sidecar/tests/foreign/duration.rs"]
mod duration;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| duration::property(bytes));
