//! Records of the Lease.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/election/tests/foreign/record.rs"]
mod record;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| record::property(bytes));
