//! Who a candidate is: an identity that no other process has, not even this one after a restart.

use std::fmt;

use sha2::{Digest, Sha256};

/// A random secret of this process. Its hash is public, in the identity; the secret itself later proves that
/// it was this process, and no other, that ended.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Makes the secret from 16 bytes of the operating system's randomness.
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hexadecimal(&bytes))
    }

    /// The 32 hex digits to reveal at the end of the process.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The first 16 hex digits of the secret's SHA-256.
    pub fn nonce(&self) -> Nonce {
        Nonce::of_secret(&self.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// 16 hex digits that name one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Reads a nonce; `None` unless it is 16 lower-case hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 16 && text.bytes().all(hex)).then(|| Self(text.to_owned()))
    }

    /// The nonce of whoever reveals this secret.
    pub(crate) fn of_secret(revealed: &str) -> Self {
        let digest = Sha256::digest(revealed.as_bytes());
        Self(hexadecimal(&digest[..8]))
    }

    /// The nonce at the end of `<name>_<nonce>`, and what comes before it.
    pub fn split(identity: &str) -> Option<(&str, Self)> {
        let (name, nonce) = identity.rsplit_once('_')?;
        Some((name, Self::parse(nonce)?))
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text written as `spec.holderIdentity`, with the nonce of the process that writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    text: String,
    nonce: Nonce,
}

impl Identity {
    /// `<POD_NAME>_<POD_UID>_<nonce>`, without a uid `<POD_NAME>_<nonce>`. Outside a pod, `name` is the host's.
    pub fn of_process(name: &str, pod_uid: Option<&str>, secret: &Secret) -> Self {
        let nonce = secret.nonce();
        let text = match pod_uid {
            Some(uid) => format!("{name}_{uid}_{nonce}"),
            None => format!("{name}_{nonce}"),
        };
        Self { text, nonce }
    }

    /// An identity used as given. Two processes with the same one are told apart by what they wrote.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it is empty or has white space at an end.
    pub fn explicit(text: &str, secret: &Secret) -> Result<Self, IdentityError> {
        if text.is_empty() {
            return Err(IdentityError::Empty);
        }
        if text.trim() != text {
            return Err(IdentityError::WhiteSpace { text: text.to_owned() });
        }
        Ok(Self { text: text.to_owned(), nonce: secret.nonce() })
    }

    /// The text in the Lease.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The nonce of this process.
    pub fn nonce(&self) -> &Nonce {
        &self.nonce
    }
}

/// An identity that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// An empty holder means that the lease is free.
    #[error("identity is empty; an empty holder means that the lease is free")]
    Empty,
    /// Easily made by a script, and never meant.
    #[error("identity {text:?} begins or ends with white space")]
    WhiteSpace {
        /// The identity given.
        text: String,
    },
}

fn hexadecimal(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String succeeds");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_processes_of_one_pod_are_two_candidates() {
        let [one, two] = [1, 2].map(|byte| Secret::from_random([byte; 16]));
        let [first, second] = [&one, &two].map(|secret| Identity::of_process("db-0", Some("u-1"), secret));
        assert_ne!(first, second);
        assert!(first.as_str().starts_with("db-0_u-1_"));
        assert_eq!(Nonce::split(first.as_str()), Some(("db-0_u-1", one.nonce())));
    }

    #[test]
    fn the_nonce_does_not_reveal_the_secret() {
        let secret = Secret::from_random([7; 16]);
        assert!(!secret.reveal().contains(&secret.nonce().to_string()));
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }

    /// Whoever finds the secret in the status of a Pod can tell whose process it was.
    #[test]
    fn the_secret_that_is_revealed_proves_the_nonce() {
        let secret = Secret::from_random([7; 16]);
        assert_eq!(secret.reveal(), "07070707070707070707070707070707");
        // As `printf %s 0707.. | sha256sum` prints it.
        assert_eq!(secret.nonce().to_string(), "c121d3ba5db191d1");
    }

    #[test]
    fn an_empty_identity_is_refused() {
        let secret = Secret::from_random([0; 16]);
        assert_eq!(Identity::explicit("", &secret), Err(IdentityError::Empty));
        assert!(Identity::explicit("db-0\n", &secret).is_err());
    }
}
