//! Requests to the API server in memory: router, query, bodies.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/apiserver/tests/foreign/request.rs"]
mod request;
#[path = "../../crates/apiserver/tests/foreign/world.rs"]
mod world;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| request::property(bytes));
