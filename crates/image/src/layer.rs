//! The one layer of an image: a program and an empty `/tmp`, packed so that the same program gives the same bytes.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

use crate::settings::{PROGRAM_MODE, TMP};
use crate::sha256;

/// A layer as it is stored.
pub(crate) struct Layer {
    /// Compressed.
    pub(crate) bytes: Vec<u8>,
    /// The SHA-256 of what was compressed, by which a configuration names a layer.
    pub(crate) diff_id: String,
}

impl Layer {
    /// Root's `/<name>` and `/tmp`, of this time.
    ///
    /// # Errors
    ///
    /// If `name` is longer than archives allow.
    pub(crate) fn pack(name: &str, program: &[u8], seconds: u64) -> Result<Self> {
        let mut layer = Builder::new(Vec::new());
        append(&mut layer, EntryType::Regular, name, PROGRAM_MODE, program, seconds)?;
        append(&mut layer, EntryType::Directory, &format!("{}/", TMP.0), TMP.1, &[], seconds)?;
        let plain = layer.into_inner().context("packing a layer")?;
        let diff_id = sha256(&plain);
        // The header of gzip could name a file, a time and an operating system: it names none of them.
        let mut compressed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
        compressed.write_all(&plain)?;
        Ok(Self { bytes: compressed.finish().context("compressing a layer")?, diff_id })
    }
}

/// An entry that belongs to root and names nobody.
///
/// # Errors
///
/// If `name` is longer than archives allow.
pub(crate) fn append(
    archive: &mut Builder<Vec<u8>>,
    kind: EntryType,
    name: &str,
    mode: u32,
    content: &[u8],
    seconds: u64,
) -> Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(seconds);
    header.set_size(u64::try_from(content.len())?);
    archive.append_data(&mut header, name, content).with_context(|| format!("packing {name}"))
}
