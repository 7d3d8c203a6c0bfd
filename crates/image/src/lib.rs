//! Container images of the programs, made without a container engine: `cargo xtask image`.
//!
//! Each image is one static program and an empty `/tmp`: no shell, no libraries, a user that is not root. It is written
//! as an OCI archive, with a bill of materials and checksums beside it. The same commit gives the same bytes, in
//! whatever folder it is built.

mod archive;
mod layer;
mod linked;
mod origin;
mod program;
mod release;
mod sbom;
mod settings;
mod unpack;

pub use archive::{Archive, Image, architecture};
pub use linked::Linked;
pub use origin::Origin;
pub use program::{Built, Program, build, target};
pub use release::{Files, build_all, write};
pub use sbom::bill;
pub use settings::{USER, entrypoint, labels};
pub use unpack::unpack;

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes, in hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
