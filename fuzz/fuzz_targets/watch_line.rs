//! Lines of a watch.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/election/tests/foreign/started.rs"]
mod started;
#[path = "../../crates/election/tests/foreign/watch_line.rs"]
mod watch_line;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| watch_line::property(bytes));
