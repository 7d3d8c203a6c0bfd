//! Fencing tokens and the gate that checks them where the protected state lives.
//!
//! A token is the Lease's `resourceVersion` at which a term was confirmed. It grows with every term, also when
//! the Lease was deleted and created again, since it is a revision of the whole store. A [`Gate`] needs no
//! clock: it holds for any pause, any delay and any clock error (Kleppmann, "How to do distributed locking",
//! 2016; Burrows, "The Chubby lock service", 2006, section 2.4, sequencers).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Names a term; a later term's token is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// A token as it came over the wire or from a file.
    pub fn new(value: u64) -> Self {
        Self(value)
    }

    /// The number to send along with each write.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Refuses work of an old term. One gate belongs to one Lease.
///
/// The check and the write that it protects must be one step for the storage, for example under one lock or in
/// one transaction: a write that was let in, then paused, is not stopped by a gate.
///
/// ```
/// use leasehold_election::{FencingToken, Gate};
/// let gate = Gate::new();
/// gate.admit(FencingToken::new(7))?;
/// gate.admit(FencingToken::new(9))?;
/// assert!(gate.admit(FencingToken::new(7)).is_err());
/// # Ok::<(), leasehold_election::Stale>(())
/// ```
#[derive(Debug, Default)]
pub struct Gate {
    newest: AtomicU64,
}

impl Gate {
    /// A gate that has seen no token yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A gate that goes on where an earlier one was: `newest` comes from the storage it protects.
    pub fn with_newest(newest: FencingToken) -> Self {
        Self { newest: AtomicU64::new(newest.0) }
    }

    /// Lets work of the newest term in.
    ///
    /// # Errors
    ///
    /// [`Stale`] if a larger token was admitted before.
    pub fn admit(&self, token: FencingToken) -> Result<(), Stale> {
        let newest = self.newest.fetch_max(token.0, Ordering::SeqCst);
        if newest > token.0 { Err(Stale { token, newest: FencingToken(newest) }) } else { Ok(()) }
    }

    /// The largest token admitted, to be stored with the protected state.
    pub fn newest(&self) -> FencingToken {
        FencingToken(self.newest.load(Ordering::SeqCst))
    }

    /// Sets the gate back to `floor`, below which nothing is admitted, after etcd was restored from a backup and
    /// its revisions began again. Only a person can know that no work of an older term is left.
    pub fn reset(&self, floor: FencingToken) {
        self.newest.store(floor.0, Ordering::SeqCst);
    }
}

/// Work of a term that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fencing token {token} is stale: a term with token {newest} has begun")]
pub struct Stale {
    /// The token refused.
    pub token: FencingToken,
    /// The largest token admitted so far.
    pub newest: FencingToken,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_admits_the_newest_term_again_and_again_and_no_older_one() {
        let gate = Gate::with_newest(FencingToken::new(5));
        assert_eq!(gate.admit(FencingToken::new(4)).unwrap_err().newest, FencingToken::new(5));
        assert!(gate.admit(FencingToken::new(5)).is_ok());
        assert!(gate.admit(FencingToken::new(8)).is_ok());
        assert!(gate.admit(FencingToken::new(5)).is_err());
    }

    #[test]
    fn a_token_is_sent_along_as_the_number_that_it_came_as() {
        assert_eq!(FencingToken::new(7).get(), 7);
        assert_eq!(FencingToken::new(7).to_string(), "7");
    }

    #[test]
    fn a_reset_gate_keeps_its_floor() {
        let gate = Gate::with_newest(FencingToken::new(900));
        gate.reset(FencingToken::new(40));
        assert!(gate.admit(FencingToken::new(39)).is_err());
        assert!(gate.admit(FencingToken::new(41)).is_ok());
    }
}
