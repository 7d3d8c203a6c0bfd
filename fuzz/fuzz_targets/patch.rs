//! Patches of the API server in memory.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/apiserver/tests/foreign/patch.rs"]
mod patch;
#[path = "../../crates/apiserver/tests/foreign/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| patch::property(bytes));
