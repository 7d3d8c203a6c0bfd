//! All files of one program beside each other: the archive, the program itself, the bill of materials, the checksums.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use oci_spec::distribution::Reference;

use crate::archive::{Image, architecture};
use crate::origin::Origin;
use crate::program::{Built, Program, build, metadata};
use crate::sbom::bill;
use crate::settings::VERSION;
use crate::sha256;

/// Where the files of a program are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The OCI archive.
    pub archive: PathBuf,
    /// The static program.
    pub program: PathBuf,
    /// What is in it, in CycloneDX.
    pub bill: PathBuf,
    /// For `sha256sum -c`, of all the others.
    pub checksums: PathBuf,
}

impl Files {
    /// Those of a program in a folder, whether they are there or not.
    pub fn of(program: Program, folder: &Path) -> Self {
        let stem = format!("{}-{VERSION}-linux-{}", program.name(), architecture());
        let file = |end: &str| folder.join(format!("{stem}{end}"));
        Self { archive: file(".tar"), program: file(""), bill: file(".cdx.json"), checksums: file(".sha256") }
    }

    /// Where they go unless another folder is named: `target/image` of the workspace.
    pub fn folder() -> PathBuf {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        package.ancestors().nth(2).unwrap_or(package).join("target/image")
    }

    /// The name that an image has unless it is given another.
    ///
    /// # Errors
    ///
    /// Never, for the programs that there are.
    pub fn reference(program: Program) -> Result<Reference> {
        Ok(format!("{}:{VERSION}", program.name()).parse()?)
    }
}

/// Builds a program and writes its files into `folder`; tells the digest of the image, too.
///
/// # Errors
///
/// If it cannot be built, or a file cannot be written.
pub fn build_all(program: Program, reference: &Reference, folder: &Path) -> Result<(Files, String)> {
    let origin = Origin::of(metadata()?.workspace_root.as_std_path())?;
    write(program, &build(program)?, reference, &origin, folder)
}

/// Writes the files of a program that was built into `folder`; tells the digest of the image, too.
///
/// # Errors
///
/// If a file cannot be written, or something else was linked than the bill of materials says.
pub fn write(
    program: Program,
    built: &Built,
    reference: &Reference,
    origin: &Origin,
    folder: &Path,
) -> Result<(Files, String)> {
    let (bill, named) = bill(program, origin)?;
    let difference: Vec<_> = named.symmetric_difference(&built.linked).collect();
    ensure!(difference.is_empty(), "named in the bill of materials or linked, and not both: {difference:?}");
    let bytes = fs::read(&built.path).with_context(|| format!("reading {}", built.path.display()))?;
    let archive = Image { program, bytes: &bytes, reference, origin }.pack()?;
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let files = Files::of(program, folder);
    let mut checksums = String::new();
    for (path, content) in [(&files.archive, &archive.bytes), (&files.program, &bytes), (&files.bill, &bill)]
    {
        put(path, content)?;
        let name = path.file_name().context("files have names")?.to_string_lossy();
        checksums.push_str(&format!("{}  {name}\n", sha256(content)));
    }
    fs::set_permissions(&files.program, fs::metadata(&built.path)?.permissions())?;
    put(&files.checksums, checksums.as_bytes())?;
    Ok((files, archive.digest))
}

fn put(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}
