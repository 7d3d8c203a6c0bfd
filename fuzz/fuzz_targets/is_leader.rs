//! The is-leader file.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/sidecar/tests/foreign/is_leader.rs"]
mod is_leader;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let folder = tempfile::tempdir().expect("a folder for the file");
    is_leader::property(folder.path(), bytes);
});
