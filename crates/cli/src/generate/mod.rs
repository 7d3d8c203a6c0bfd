//! `leasehold generate`: manifests on standard output, and what a person should know about them on stderr.

mod args;
mod folder;

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use leasehold_election::{LeaseName, TimingSettings};
use leasehold_manifests::{
    Asked, Document, Election, Elector, Exec, Generated, InputError, Probes, Sidecar, Workload,
};

pub(crate) use args::GenerateArgs;
use args::{
    ExecArgs, Format, LeaseArgs, Only, OutputArgs, Part, RbacArgs, SidecarArgs, Switch, What, WorkloadArgs,
};

use crate::problem::{Outcome, PASS, Problem};

/// Generates what was asked for.
pub(crate) fn run(args: &GenerateArgs) -> Outcome {
    let (verb, done) = match &args.what {
        What::Lease(args) => ("lease", lease(args)),
        What::Rbac(args) => ("rbac", rbac(args)),
        What::Sidecar(args) => ("sidecar", sidecar(args)),
        What::Exec(args) => ("exec", exec(args)),
    };
    match done {
        Ok(()) => Ok(ExitCode::from(PASS)),
        Err(error) => Err(Problem::new(error, format!("see leasehold generate {verb} --help"))),
    }
}

fn lease(args: &LeaseArgs) -> Result<()> {
    let election = election(&args.namespace, &args.lease, args.app.as_deref())?;
    print(&[leasehold_manifests::lease(&election)], &args.output)
}

fn rbac(args: &RbacArgs) -> Result<()> {
    let mut election = election(&args.namespace, &args.lease, args.app.as_deref())?.events(args.events);
    if let Some(account) = &args.service_account {
        election = election.service_account(account)?;
    }
    if args.evidence == Switch::On {
        election = election.evidence(args.pod.clone())?;
    }
    print(&leasehold_manifests::rbac(&election, args.service_account.is_none()), &args.output)
}

fn sidecar(args: &SidecarArgs) -> Result<()> {
    let asked = Sidecar {
        asked: if args.file == "off" { Asked::Http } else { Asked::file(&args.file)? },
        containers: args.container.clone(),
        classic: args.classic,
        budget: has(&args.common, Part::Budget),
        spread: has(&args.common, Part::Spread),
    };
    generate(&args.common, Switch::Off, |workload, election, elector| {
        leasehold_manifests::sidecar(workload, election, elector, &asked)
    })
}

fn exec(args: &ExecArgs) -> Result<()> {
    let asked = Exec {
        container: args.container.clone(),
        command: args.command.clone(),
        keep_readiness: args.keep_readiness,
        budget: has(&args.common, Part::Budget),
        spread: has(&args.common, Part::Spread),
    };
    generate(&args.common, Switch::On, |workload, election, elector| {
        leasehold_manifests::exec(workload, election, elector, &asked)
    })
}

fn has(args: &WorkloadArgs, part: Part) -> bool {
    !args.without.contains(&part)
}

/// Reads the workload, changes it, and writes the result.
fn generate(
    args: &WorkloadArgs,
    evidence: Switch,
    change: impl Fn(&Workload, &Election, &Elector) -> Result<Generated, InputError>,
) -> Result<()> {
    let workload = match (&args.filename, &args.workload) {
        (Some(path), name) => {
            let text = read(path)?;
            let documents = leasehold_manifests::read(&text).with_context(|| shown(path))?;
            if let Some(line) = leasehold_manifests::template_line(&text) {
                note(&format!(
                    "{}: the {{{{ in line {line} stays as it is; a chart has to be rendered first, such as by helm template",
                    shown(path)
                ));
            }
            Workload::find(documents, name.as_ref()).with_context(|| shown(path))?
        }
        (None, Some(name)) => Workload::named(name.clone()),
        (None, None) => return Err(InputError::Empty.into()),
    };
    let mut election = election_of(args, &workload)?;
    if args.evidence.unwrap_or(evidence) == Switch::On {
        election = election.evidence(workload.pods())?;
    }
    let elector = Elector {
        image: args.image.clone(),
        timing: TimingSettings::from_lease_duration(args.ttl).build().context("--ttl cannot hold")?,
        stop_timeout: args.stop_timeout,
        probes: Probes::parse(&args.probe_addr)?,
        flags: args.flags.clone(),
    };
    let generated = change(&workload, &election, &elector)?;
    generated.notes.iter().for_each(|text| note(text));
    match &args.kustomize {
        Some(folder) => folder::write(folder, &workload, &generated),
        None => print(&chosen(generated, args.only), &args.output),
    }
}

fn chosen(generated: Generated, only: Option<Only>) -> Vec<Document> {
    let Generated { mut documents, companions, .. } = generated;
    match only {
        None => {}
        Some(Only::Election) => documents = companions,
        Some(Only::Workload) => documents.retain(|document| !companions.contains(document)),
    }
    documents
}

/// If nobody reads it, the result is still good.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "note: {text}");
}

fn election_of(args: &WorkloadArgs, workload: &Workload) -> Result<Election> {
    let namespace =
        args.namespace.as_deref().or_else(|| workload.namespace()).ok_or(InputError::NoNamespace)?;
    let lease = args.lease.clone().unwrap_or_else(|| format!("{}-leader", workload.name()));
    let election = election(namespace, &lease, Some(workload.name()))?.events(args.events);
    let there = workload.service_account().filter(|name| *name != "default");
    Ok(match args.service_account.as_deref().or(there) {
        Some(account) => election.service_account(account)?,
        None => election,
    })
}

fn election(namespace: &str, lease: &str, app: Option<&str>) -> Result<Election> {
    let app = app.unwrap_or_else(|| lease.strip_suffix("-leader").unwrap_or(lease));
    Ok(Election::new(LeaseName::new(namespace, lease)?, app)?)
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        return io::read_to_string(io::stdin().lock()).context("standard input cannot be read");
    }
    let mut text = String::new();
    let mut file = fs::File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
    file.read_to_string(&mut text).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(text)
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

fn print(documents: &[Document], output: &OutputArgs) -> Result<()> {
    let text = match output.output {
        Format::Yaml => leasehold_manifests::write(documents),
        Format::Json => leasehold_manifests::write_json(documents),
    };
    io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")
}
