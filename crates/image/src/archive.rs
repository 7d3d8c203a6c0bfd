//! An image as an OCI archive: the layout of the Open Container Initiative in a tar file.
//!
//! containerd (`ctr images import`) and skopeo read it as such. `manifest.json` says the same once more in the words of
//! `docker save`, so that `docker load` and `podman load` of any age know it, too.

use std::collections::{BTreeMap, HashMap};
use std::env;
use std::str::FromStr as _;

use anyhow::{Context as _, Result};
use oci_spec::distribution::Reference;
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, HistoryBuilder,
    ImageConfiguration, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder, MediaType,
    OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder, SCHEMA_VERSION, Sha256Digest,
};
use serde::Serialize;
use serde_json::json;
use tar::{Builder, EntryType};

use crate::layer::{Layer, append};
use crate::origin::Origin;
use crate::program::Program;
use crate::settings::{USER, entrypoint, labels};
use crate::sha256;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Image<'a> {
    /// Which program it runs.
    pub program: Program,
    /// The program itself.
    pub bytes: &'a [u8],
    /// The name by which it is known after it was imported.
    pub reference: &'a Reference,
    /// What it was made of.
    pub origin: &'a Origin,
}

/// An archive, and the digest by which its image can be named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// The tar file.
    pub bytes: Vec<u8>,
    /// Of the manifest: `sha256:...`.
    pub digest: String,
}

impl Image<'_> {
    /// Packs it.
    ///
    /// # Errors
    ///
    /// If the time of its origin is before 1970.
    pub fn pack(&self) -> Result<Archive> {
        let seconds = self.origin.seconds()?;
        let layer = Layer::pack(self.program.name(), self.bytes, seconds)?;
        let mut blobs = Blobs::default();
        let config = blobs.add(MediaType::ImageConfig, json_bytes(&self.configuration(&layer.diff_id)?)?)?;
        let layer = blobs.add(MediaType::ImageLayerGzip, layer.bytes)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config.clone())
            .layers(vec![layer.clone()])
            .annotations(self.labels())
            .build()?;
        let manifest = blobs.add(MediaType::ImageManifest, json_bytes(&manifest)?)?;
        let digest = manifest.digest().to_string();
        let index = ImageIndexBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageIndex)
            .manifests(vec![self.named(manifest)?])
            .build()?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build()?;
        // The same once more, for `docker load`.
        let docker = json!([{
            "Config": blob_path(&config),
            "Layers": [blob_path(&layer)],
            "RepoTags": [self.reference.whole()],
        }]);
        let mut files = blobs.0;
        files.insert("index.json".to_owned(), json_bytes(&index)?);
        files.insert("manifest.json".to_owned(), json_bytes(&docker)?);
        files.insert("oci-layout".to_owned(), json_bytes(&layout)?);
        let mut archive = Builder::new(Vec::new());
        for (name, content) in &files {
            append(&mut archive, EntryType::Regular, name, 0o644, content, seconds)?;
        }
        Ok(Archive { bytes: archive.into_inner().context("packing an archive")?, digest })
    }

    fn configuration(&self, diff_id: &str) -> Result<ImageConfiguration> {
        let config = ConfigBuilder::default()
            .user(USER)
            .entrypoint(vec![entrypoint(self.program)])
            .working_dir("/")
            .labels(self.labels())
            .build()?;
        let layers =
            RootFsBuilder::default().typ("layers").diff_ids(vec![format!("sha256:{diff_id}")]).build()?;
        let history = HistoryBuilder::default()
            .created(self.origin.created())
            .created_by("cargo xtask image")
            .build()?;
        Ok(ImageConfigurationBuilder::default()
            .created(self.origin.created())
            .architecture(architecture())
            .os(Os::Linux)
            .config(config)
            .rootfs(layers)
            .history(vec![history])
            .build()?)
    }

    /// The manifest with its name: containerd takes the whole of it, other readers of the layout its tag.
    fn named(&self, manifest: Descriptor) -> Result<Descriptor> {
        let tag = self.reference.tag().unwrap_or("latest").to_owned();
        let names = [(ANNOTATION_REF_NAME, tag), (CONTAINERD_NAME, self.reference.whole())];
        let platform = PlatformBuilder::default().architecture(architecture()).os(Os::Linux).build()?;
        Ok(DescriptorBuilder::default()
            .media_type(manifest.media_type().clone())
            .digest(manifest.digest().clone())
            .size(manifest.size())
            .annotations(names.map(|(name, value)| (name.to_owned(), value)))
            .platform(platform)
            .build()?)
    }

    fn labels(&self) -> HashMap<String, String> {
        labels(self.program, self.origin).into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// The architecture of this machine, in the words of Go: programs are built natively.
pub fn architecture() -> Arch {
    match env::consts::ARCH {
        "x86_64" => Arch::Amd64,
        "aarch64" => Arch::ARM64,
        other => Arch::Other(other.to_owned()),
    }
}

/// Files by their names, which is how they are found and in which order they are packed.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add(&mut self, media_type: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let digest = Sha256Digest::from_str(&sha256(&bytes))?;
        let descriptor = Descriptor::new(media_type, u64::try_from(bytes.len())?, digest);
        self.0.insert(blob_path(&descriptor), bytes);
        Ok(descriptor)
    }
}

fn blob_path(descriptor: &Descriptor) -> String {
    format!("blobs/sha256/{}", descriptor.digest().digest())
}

/// By way of a value, whose objects are ordered by their keys: the maps of `oci-spec` are ordered by chance.
fn json_bytes(document: &impl Serialize) -> Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(document)?)?)
}

const CONTAINERD_NAME: &str = "io.containerd.image.name";
