//! `leasehold apiserver`: the API server in memory, for trying things out.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use std::io::Write as _;

use anyhow::{Context as _, Result};
use leasehold_apiserver::ApiServer;

use crate::args::ApiserverArgs;
use crate::problem::{Outcome, PASS, Problem};
use crate::signals::Signals;

/// Serves until a signal comes.
pub(crate) fn run(args: &ApiserverArgs) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(serve(args))
}

async fn serve(args: &ApiserverArgs) -> Outcome {
    let mut signals = Signals::catch()?;
    let server = ApiServer::start(args.listen).await.map_err(|error| {
        let error = anyhow::Error::from(error).context(format!("{} cannot be listened on", args.listen));
        Problem::new(error, "name another --listen; 127.0.0.1:0 takes a free port")
    })?;
    if let Some(path) = &args.kubeconfig_out {
        let written = write_kubeconfig(path, &server.url(), "default");
        written.map_err(|error| Problem::new(error, "name a --kubeconfig-out that can be written"))?;
    }
    say(args, &server).context("writing to stdout")?;
    signals.received().await;
    // Being asked to end is how this verb ends.
    Ok(ExitCode::from(PASS))
}

fn say(args: &ApiserverArgs, server: &ApiServer) -> Result<()> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "listening on {}; everything is in memory and gone at the end (Ctrl-C)", server.url())?;
    if !server.address().ip().is_loopback() {
        writeln!(out, "warning: no TLS and no authentication, and open beyond this machine")?;
    }
    match &args.kubeconfig_out {
        Some(path) => writeln!(out, "\n$ kubectl --kubeconfig {} get leases -A -w", path.display())?,
        None => writeln!(out, "\n$ kubectl --server {} get leases -A -w", server.url())?,
    }
    Ok(())
}

/// A kubeconfig without credentials, since the server asks for none.
///
/// # Errors
/// If the file cannot be written.
pub(crate) fn write_kubeconfig(path: &Path, url: &str, namespace: &str) -> Result<()> {
    std::fs::write(path, kubeconfig(url, namespace))
        .with_context(|| format!("the kubeconfig {} cannot be written", path.display()))
}

/// The address as a URL of plain HTTP.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}

fn kubeconfig(url: &str, namespace: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: leasehold
clusters:
- name: leasehold
  cluster:
    server: {url}
contexts:
- name: leasehold
  context:
    cluster: leasehold
    namespace: {namespace}
    user: leasehold
users:
- name: leasehold
  user: {{}}
"
    )
}
