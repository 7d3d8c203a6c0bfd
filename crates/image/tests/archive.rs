//! What an archive holds, read by other means than those that wrote it.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::collections::BTreeMap;
use std::io::Read as _;

use flate2::read::GzDecoder;
use leasehold_image::{Image, Origin, Program, USER, entrypoint, labels};
use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, OciLayout};
use sha2::{Digest as _, Sha256};
use tar::{Archive, EntryType};

const PROGRAM: &[u8] = b"a program, as far as an archive is concerned";

fn origin() -> Origin {
    Origin { time: "2026-11-25T03:00:00Z".parse().unwrap(), revision: Some("c0ffee".to_owned()) }
}

fn pack(reference: &str) -> leasehold_image::Archive {
    let (reference, origin) = (reference.parse().unwrap(), origin());
    let program = Program::LeaderElector;
    Image { program, bytes: PROGRAM, reference: &reference, origin: &origin }.pack().unwrap()
}

/// The files of a tar archive, in their order, with what each header says.
fn unpack(bytes: &[u8]) -> Vec<(String, tar::Header, Vec<u8>)> {
    let mut archive = Archive::new(bytes);
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.path().unwrap().display().to_string(), entry.header().clone(), content)
    });
    entries.collect()
}

/// An archive whose blobs can be asked for.
struct Layout(BTreeMap<String, Vec<u8>>);

impl Layout {
    fn of(bytes: &[u8]) -> Self {
        Self(unpack(bytes).into_iter().map(|(name, _, content)| (name, content)).collect())
    }

    fn blob(&self, descriptor: &Descriptor) -> &[u8] {
        let blob = &self.0[&format!("blobs/sha256/{}", descriptor.digest().digest())];
        assert_eq!(descriptor.size(), u64::try_from(blob.len()).unwrap());
        assert_eq!(descriptor.digest().to_string(), digest(blob), "a blob is named by what is in it");
        blob
    }

    fn index(&self) -> ImageIndex {
        ImageIndex::from_reader(&self.0["index.json"][..]).unwrap()
    }

    fn manifest(&self) -> ImageManifest {
        ImageManifest::from_reader(self.blob(&self.index().manifests()[0])).unwrap()
    }

    fn configuration(&self) -> ImageConfiguration {
        ImageConfiguration::from_reader(self.blob(self.manifest().config())).unwrap()
    }

    fn layer(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        let manifest = self.manifest();
        assert_eq!(manifest.layers().len(), 1);
        assert_eq!(*manifest.layers()[0].media_type(), MediaType::ImageLayerGzip);
        GzDecoder::new(self.blob(&manifest.layers()[0])).read_to_end(&mut plain).unwrap();
        plain
    }
}

fn digest(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

/// Labels are maps, which Rust orders by chance in each process and each map: one run would not show it.
#[test]
fn the_same_program_of_the_same_commit_gives_the_same_bytes() {
    let first = pack("leader-elector:0.1.0");
    for _ in 0..20 {
        assert_eq!(pack("leader-elector:0.1.0"), first);
    }
    assert_ne!(pack("leader-elector:0.1.1").bytes, first.bytes, "another name is another archive");
    assert_eq!(pack("leader-elector:0.1.1").digest, first.digest, "of the same image");
}

#[test]
fn an_archive_is_a_layout_whose_blobs_are_what_they_are_named() {
    let archive = pack("leader-elector:0.1.0");
    let layout = Layout::of(&archive.bytes);
    let version = OciLayout::from_reader(&layout.0["oci-layout"][..]).unwrap();
    assert_eq!(version.image_layout_version(), "1.0.0");
    assert_eq!(layout.index().manifests()[0].digest().to_string(), archive.digest);
    assert_eq!(layout.configuration().rootfs().diff_ids(), &[digest(&layout.layer())]);
    let blobs = layout.0.keys().filter(|name| name.starts_with("blobs/")).count();
    assert_eq!(
        blobs,
        3,
        "configuration, layer, manifest, and nothing that is not named: {:?}",
        layout.0.keys()
    );
}

#[test]
fn nothing_in_an_archive_tells_of_the_machine_that_made_it() {
    let archive = pack("leader-elector:0.1.0");
    let mut entries = unpack(&archive.bytes);
    let names: Vec<_> = entries.iter().map(|(name, ..)| name.clone()).collect();
    assert!(names.is_sorted(), "{names:?}");
    let layer = Layout::of(&archive.bytes).layer();
    entries.extend(unpack(&layer));
    for (name, header, _) in entries {
        assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0), "{name}");
        assert_eq!(header.mtime().unwrap(), 1_795_575_600, "{name} is of the commit's time");
        assert_eq!(header.username().unwrap().unwrap_or_default(), "", "{name}");
    }
    let gzip = &Layout::of(&archive.bytes);
    let gzip = gzip.blob(&gzip.manifest().layers()[0]);
    assert_eq!(&gzip[..4], [0x1f, 0x8b, 8, 0], "no name of a file");
    assert_eq!(&gzip[4..8], [0; 4], "no time");
    assert_eq!(gzip[9], 255, "no operating system");
}

/// Its user can neither change the program nor write anywhere but where everybody may.
#[test]
fn a_layer_is_a_program_of_roots_and_an_empty_tmp() {
    let layer = unpack(&Layout::of(&pack("leader-elector:0.1.0").bytes).layer());
    let [(program, header, content), (tmp, tmp_header, _)] = &layer[..] else {
        panic!("{:?}", layer.iter().map(|(name, ..)| name).collect::<Vec<_>>())
    };
    assert_eq!((program.as_str(), header.mode().unwrap()), ("leader-elector", 0o755));
    assert_eq!((header.entry_type(), &content[..]), (EntryType::Regular, PROGRAM));
    assert_eq!((tmp.as_str(), tmp_header.mode().unwrap()), ("tmp/", 0o1777));
    assert_eq!(tmp_header.entry_type(), EntryType::Directory);
}

#[test]
fn an_image_runs_its_program_as_a_user_that_is_not_root_and_says_what_it_is() {
    let layout = Layout::of(&pack("leader-elector:0.1.0").bytes);
    let configuration = layout.configuration();
    let config = configuration.config().as_ref().unwrap();
    assert_eq!(config.entrypoint(), &Some(vec![entrypoint(Program::LeaderElector)]));
    assert_eq!((config.cmd(), config.env()), (&None, &None));
    assert_eq!(config.user().as_deref(), Some(USER));
    for number in USER.split(':') {
        assert_ne!(number.parse::<u32>(), Ok(0), "{USER}: the kubelet cannot tell a name from root");
    }
    let wanted = labels(Program::LeaderElector, &origin());
    assert!(wanted.len() > 5);
    let manifest = layout.manifest();
    for map in [config.labels(), manifest.annotations()] {
        let map = map.as_ref().unwrap();
        assert_eq!(map.len(), wanted.len());
        assert!(wanted.iter().all(|(name, value)| map.get(*name) == Some(value)), "{map:?}");
    }
    assert_eq!(configuration.created().as_deref(), Some("2026-11-25T03:00:00Z"));
}

/// The name that a Pod's manifest says is found: the kubelet asks for the whole of it.
#[test]
fn readers_of_layouts_and_docker_find_the_same_image_under_its_name() {
    for (said, whole, tag) in [
        ("leader-elector:0.1.0", "docker.io/library/leader-elector:0.1.0", "0.1.0"),
        ("registry.example:5000/team/le", "registry.example:5000/team/le:latest", "latest"),
    ] {
        let layout = Layout::of(&pack(said).bytes);
        let index = layout.index();
        let annotations = index.manifests()[0].annotations().as_ref().unwrap();
        assert_eq!(annotations["io.containerd.image.name"], whole);
        assert_eq!(annotations["org.opencontainers.image.ref.name"], tag);
        let docker: serde_json::Value = serde_json::from_slice(&layout.0["manifest.json"]).unwrap();
        assert_eq!(docker[0]["RepoTags"], serde_json::json!([whole]));
        let manifest = layout.manifest();
        let paths = [manifest.config(), &manifest.layers()[0]].map(|it| it.digest().digest().to_owned());
        assert_eq!(docker[0]["Config"], format!("blobs/sha256/{}", paths[0]));
        assert_eq!(docker[0]["Layers"], serde_json::json!([format!("blobs/sha256/{}", paths[1])]));
    }
}
