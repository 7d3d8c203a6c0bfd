//! The machine, driven from outside: by scenario files, and by chance.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]
#![expect(clippy::disallowed_methods, reason = "the machine does no IO; its tests read their scenarios")]

mod clocks;
mod fuzz;
mod health;
mod hostile;
mod pods;
mod render;
mod rules;
mod scenarios;
mod script;
mod server;
mod world;
mod worlds;
