//! The bill of materials of a program, in CycloneDX: what is in it, under which licence, and what needs what.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use cargo_metadata::{Metadata, Package};
use cyclonedx_bom::external_models::uri::Purl;
use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata as BomMetadata;
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::prelude::{NormalizedString, Validate as _};

use crate::linked::{Linked, key, planned};
use crate::origin::Origin;
use crate::program::{Program, cargo, metadata, target};

/// The bill of a program of this workspace as JSON, and the packages that it names.
///
/// # Errors
///
/// If cargo cannot be asked, or the bill is not valid.
pub fn bill(program: Program, origin: &Origin) -> Result<(Vec<u8>, Linked)> {
    let metadata = metadata()?;
    let linked = planned(&metadata, program)?;
    let mut packages: Vec<&Package> =
        metadata.packages.iter().filter(|package| linked.contains(&key(package))).collect();
    packages.sort_by_key(|package| key(package));
    ensure!(packages.len() == linked.len(), "two packages of one name and version are not told apart");
    let root = packages.iter().position(|package| package.name.as_str() == program.package());
    let root = packages.remove(root.context("a program is in its own tree")?);
    let dependencies = dependencies(&metadata, &packages, root);
    let components = packages.iter().map(|package| library(package)).collect::<Result<Vec<_>>>()?;
    let bom = Bom {
        spec_version: SpecVersion::V1_5,
        version: 1,
        // By chance, unless it is left out.
        serial_number: None,
        metadata: Some(about(program, root, origin)?),
        components: Some(Components([components, toolchain()?].concat())),
        dependencies: Some(dependencies),
        ..Bom::default()
    };
    let verdict = bom.validate_version(SpecVersion::V1_5);
    ensure!(verdict.passed(), "the bill of materials is not valid: {verdict:?}");
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5)?;
    Ok((sorted(&json)?, linked))
}

fn about(program: Program, root: &Package, origin: &Origin) -> Result<BomMetadata> {
    let component = Component {
        name: NormalizedString::new(program.name()),
        description: Some(NormalizedString::new(program.description())),
        component_type: Classification::Application,
        ..library(root)?
    };
    let properties = vec![Property::new("leasehold:target", &target())];
    Ok(BomMetadata {
        timestamp: Some(origin.created().try_into()?),
        component: Some(component),
        properties: Some(Properties(properties)),
        ..BomMetadata::default()
    })
}

fn library(package: &Package) -> Result<Component> {
    let (name, version) = key(package);
    let licenses = package.license.as_deref().map(|license| vec![LicenseChoice::expression(&spdx(license))]);
    Ok(Component {
        purl: Some(Purl::new("cargo", &name, &version)?),
        licenses: licenses.map(Licenses),
        ..Component::new(Classification::Library, &name, &version, Some(reference(package)))
    })
}

/// What is in every static program beside its packages: Rust's standard library and the C library.
fn toolchain() -> Result<Vec<Component>> {
    let rust = said(Command::new(cargo().get_program()).arg("--version"))?;
    let libc = said(Command::new("getconf").arg("GNU_LIBC_VERSION"))?;
    let version = |text: &str| text.split_whitespace().nth(1).map(str::to_owned);
    let parts = [("rust-std", version(&rust)), ("glibc", version(&libc))];
    let component = |(name, version): (&str, Option<String>)| {
        let version = version.with_context(|| format!("no version of {name}: {rust:?}, {libc:?}"))?;
        let component = Component::new(Classification::Library, name, &version, Some(name.to_owned()));
        Ok(Component { purl: Some(Purl::new("generic", name, &version)?), ..component })
    };
    parts.into_iter().map(component).collect()
}

fn dependencies(metadata: &Metadata, packages: &[&Package], root: &Package) -> Dependencies {
    let nodes = metadata.resolve.as_ref().map_or(&[][..], |resolve| &resolve.nodes);
    let all: Vec<&&Package> = packages.iter().chain([&root]).collect();
    let needs = |package: &Package| {
        let node = nodes.iter().find(|node| node.id == package.id);
        let ids = node.map_or(&[][..], |node| &node.dependencies);
        let mut needed: Vec<String> =
            all.iter().filter(|other| ids.contains(&other.id)).map(|other| reference(other)).collect();
        needed.sort();
        Dependency { dependency_ref: reference(package), dependencies: needed }
    };
    Dependencies(all.iter().map(|package| needs(package)).collect())
}

/// By what a package is referred to within the bill: nothing of the machine is in it.
fn reference(package: &Package) -> String {
    format!("{}@{}", package.name, package.version)
}

/// Old packages write `MIT/Apache-2.0` and mean a choice.
fn spdx(license: &str) -> String {
    license.replace('/', " OR ")
}

fn said(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("{name} cannot be started"))?;
    ensure!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn sorted(json: &[u8]) -> Result<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(json)?;
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}
