//! Images for the nodes: one static program each, in an archive that the container runtime loads. There is no registry.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::shell::run;

/// An image of one program, which is its entry point and all that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// As manifests name it.
    pub name: &'static str,
    program: &'static str,
}

impl Image {
    /// What holds the namespaces of each Pod.
    pub const PAUSE: Self = Self { name: "leasehold.dev/pause:e2e", program: "leasehold-pause" };
    /// The elector, under the name that `leasehold generate` writes.
    pub const ELECTOR: Self =
        Self { name: concat!("leader-elector:", env!("CARGO_PKG_VERSION")), program: "leader-elector" };
    /// A service that writes to a database.
    pub const WRITER: Self = Self { name: "leasehold.dev/writer:e2e", program: "leasehold-writer" };

    /// All of them.
    pub const ALL: [Self; 3] = [Self::PAUSE, Self::ELECTOR, Self::WRITER];

    /// Where the program is, in the image.
    pub fn entry_point(self) -> String {
        format!("/{}", self.program)
    }

    /// Writes the archive into `folder`.
    pub(super) fn write(self, programs: &Path, folder: &Path) -> Result<PathBuf> {
        let layout = folder.join(self.program);
        let root = layout.join("root");
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&root)?;
        fs::create_dir_all(&blobs)?;
        let program = root.join(self.program);
        fs::copy(programs.join(self.program), &program)
            .with_context(|| format!("copying {}", self.program))?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let layer = layout.join("layer.tar");
        archive(&layer, &root)?;
        fs::remove_dir_all(&root)?;
        let layer = blob(&blobs, fs::read(&layer)?, "application/vnd.oci.image.layer.v1.tar")?;
        fs::remove_file(layout.join("layer.tar"))?;
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "config": { "Entrypoint": [self.entry_point()] },
            "rootfs": { "type": "layers", "diff_ids": [layer["digest"]] },
        });
        let config = blob(&blobs, serde_json::to_vec(&config)?, "application/vnd.oci.image.config.v1+json")?;
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": media_type, "config": config, "layers": [layer] });
        let mut manifest = blob(&blobs, serde_json::to_vec(&manifest)?, media_type)?;
        manifest["annotations"] = json!({ "io.containerd.image.name": self.full_name() });
        fs::write(
            layout.join("index.json"),
            json!({ "schemaVersion": 2, "manifests": [manifest] }).to_string(),
        )?;
        fs::write(layout.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
        let path = folder.join(format!("{}.tar", self.program));
        archive(&path, &layout)?;
        fs::remove_dir_all(&layout)?;
        Ok(path)
    }

    /// As the container runtime names it: short names are those of one registry.
    fn full_name(self) -> String {
        if self.name.contains('/') {
            self.name.to_owned()
        } else {
            format!("docker.io/library/{}", self.name)
        }
    }
}

/// Builds the programs of the images as static ones: an image that holds nothing else has no libraries.
///
/// # Errors
/// When cargo is missing or the build fails.
pub(super) fn build_programs() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace has a folder")?;
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace)
        .args(["build", "--quiet", "--locked", "--target", &target])
        .args(["--package", "leasehold-sidecar", "--package", "leasehold-e2e"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    for image in Image::ALL {
        command.args(["--bin", image.program]);
    }
    let status = match command.status() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(error).context("cargo is needed to build the programs of images, and is not in PATH");
        }
        status => status.context("starting cargo build")?,
    };
    ensure!(status.success(), "cargo build of the programs of images ended with {status}");
    let folder = env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    Ok(folder.join(target).join("debug"))
}

fn archive(path: &Path, folder: &Path) -> Result<()> {
    let path = path.to_str().context("a path in UTF-8")?;
    let folder = folder.to_str().context("a path in UTF-8")?;
    run("tar", &["--create", "--file", path, "--directory", folder, "--owner=0", "--group=0", "."]).map(drop)
}

/// Writes a blob under its digest, and describes it.
fn blob(folder: &Path, content: Vec<u8>, media_type: &str) -> Result<Value> {
    let digest: String = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
    let size = content.len();
    fs::write(folder.join(&digest), content)?;
    Ok(json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size }))
}

/// As images name the processor.
fn architecture() -> &'static str {
    match env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
