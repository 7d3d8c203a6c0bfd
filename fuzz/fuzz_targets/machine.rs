//! The state machine, with any inputs in any order.
#![no_main]
#![expect(dead_code, reason = "the tests use more of it")]

#[path = "../../crates/election/tests/machine/clocks.rs"]
mod clocks;
#[path = "../../crates/election/tests/machine/health.rs"]
mod health;
#[path = "../../crates/election/tests/machine/hostile.rs"]
mod hostile;
#[path = "../../crates/election/tests/machine/rules.rs"]
mod rules;
#[path = "../../crates/election/tests/machine/server.rs"]
mod server;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    hostile::play(bytes);
});
