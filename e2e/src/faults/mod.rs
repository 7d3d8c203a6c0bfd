//! Faults on the real control plane: the shipped library in processes of its own, each behind a fault proxy, is struck by
//! one fault a round, and `history` judges.
//!
//! A seed is one strike: what, when, whom, how long. The machine's own timing is not of the seed, so that a seed tells
//! what to do again, not what will happen.

mod arena;
mod batch;
mod report;
mod round;
mod strike;
mod verdict;

pub use arena::Arena;
pub use batch::play;
pub use report::Report;
pub use strike::{Fault, Strike, Victims};
pub use verdict::Outcome;
