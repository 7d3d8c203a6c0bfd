//! What happened in a world, as a hash always and as text on demand.

use std::fmt::Write as _;

use leasehold_history::Nanos;
use sha2::{Digest as _, Sha256};

/// A running hash of all that happened, in order: equal worlds have equal hashes.
#[derive(Debug)]
pub(crate) struct Trace {
    hash: Sha256,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub(crate) fn new(with_text: bool) -> Self {
        Self { hash: Sha256::new(), lines: with_text.then(Vec::new) }
    }

    /// Notes that `what` happened to process or server `who`, with a number that tells it from others of its kind.
    pub(crate) fn note(&mut self, at: Nanos, who: usize, what: &'static str, number: u64) {
        self.hash.update(at.0.to_le_bytes());
        self.hash.update((who as u64).to_le_bytes());
        self.hash.update(what.as_bytes());
        self.hash.update(number.to_le_bytes());
        if let Some(lines) = &mut self.lines {
            lines.push(format!("T+{at} #{who} {what} {number}"));
        }
    }

    /// Adds words to the last line, where there is text at all.
    pub(crate) fn explain(&mut self, words: impl FnOnce() -> String) {
        if let Some(line) = self.lines.as_mut().and_then(|lines| lines.last_mut()) {
            line.push_str(": ");
            line.push_str(&words());
        }
    }

    pub(crate) fn finish(self) -> (String, Vec<String>) {
        let digest = self.hash.finalize();
        let hash = digest.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a String succeeds");
            text
        });
        (hash, self.lines.unwrap_or_default())
    }
}
