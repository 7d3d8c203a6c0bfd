//! An archive unpacked as a container engine does it: for tests that run what is in it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Cursor, Read as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest};
use tar::Archive;

/// Unpacks the layers of the image in an archive into `folder`, and tells how it wants to be run.
///
/// # Errors
///
/// If it is no archive with an image, or `folder` cannot be written.
pub fn unpack(archive: &Path, folder: &Path) -> Result<ImageConfiguration> {
    let bytes = fs::read(archive).with_context(|| format!("reading {}", archive.display()))?;
    let files = files(&bytes).with_context(|| format!("{} is no tar file", archive.display()))?;
    let file = |name: &str| files.get(name).with_context(|| format!("{} has no {name}", archive.display()));
    let blob = |descriptor: &Descriptor| file(&format!("blobs/sha256/{}", descriptor.digest().digest()));
    let index = ImageIndex::from_reader(Cursor::new(file("index.json")?))?;
    let manifest = index.manifests().first().context("an index that names no image")?;
    let manifest = ImageManifest::from_reader(Cursor::new(blob(manifest)?))?;
    for layer in manifest.layers() {
        let mut layer = Archive::new(GzDecoder::new(Cursor::new(blob(layer)?)));
        layer.set_preserve_permissions(true);
        layer.unpack(folder).with_context(|| format!("unpacking into {}", folder.display()))?;
    }
    Ok(ImageConfiguration::from_reader(Cursor::new(blob(manifest.config())?))?)
}

fn files(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in Archive::new(bytes).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(entry.path()?.to_string_lossy().into_owned(), content);
    }
    Ok(files)
}
