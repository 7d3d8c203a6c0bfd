//! What images say of themselves and how they run: the same as in the `Dockerfile`, which a test reads.

use std::collections::BTreeMap;

use oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_LICENSES, ANNOTATION_REVISION, ANNOTATION_TITLE,
    ANNOTATION_VERSION,
};

use crate::origin::Origin;
use crate::program::Program;

/// User and group of every image, as numbers: what Pod Security "restricted" asks for can be seen from outside, and no
/// `/etc/passwd` is needed.
pub const USER: &str = "65532:65532";
/// The program is root's, so that its user cannot change it.
pub(crate) const PROGRAM_MODE: u32 = 0o755;
/// A folder for the is-leader file where it is not said elsewhere; where the root file system is read-only, an emptyDir
/// has to be mounted here.
pub(crate) const TMP: (&str, u32) = ("tmp", 0o1777);
/// The version of all that is in the workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What the image runs.
pub fn entrypoint(program: Program) -> String {
    format!("/{}", program.name())
}

/// What is said of the image as labels of its configuration and as annotations of its manifest.
pub fn labels(program: Program, origin: &Origin) -> BTreeMap<&'static str, String> {
    let mut labels = BTreeMap::from([
        (ANNOTATION_TITLE, program.name().to_owned()),
        (ANNOTATION_DESCRIPTION, program.description().to_owned()),
        (ANNOTATION_LICENSES, env!("CARGO_PKG_LICENSE").to_owned()),
        (ANNOTATION_VERSION, VERSION.to_owned()),
        (ANNOTATION_CREATED, origin.created()),
    ]);
    if let Some(revision) = &origin.revision {
        labels.insert(ANNOTATION_REVISION, revision.clone());
    }
    labels
}
