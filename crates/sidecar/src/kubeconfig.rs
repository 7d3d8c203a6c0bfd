//! The kubeconfig that a flag names, with errors that say what it lacks.

use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use leasehold::kube::config::{Config, KubeConfigOptions, Kubeconfig};
use leasehold::kubeconfig;

/// Reads the kubeconfig at `path`, or else those that `KUBECONFIG` names, and goes by `context`, or else by its
/// current one.
pub(crate) async fn load(path: Option<&Path>, context: Option<&str>) -> Result<Config> {
    let shown = match path {
        Some(path) => format!("--kubeconfig {}", path.display()),
        None => "the kubeconfig of KUBECONFIG".to_owned(),
    };
    let kubeconfig = kubeconfig::read(path).map_err(|error| anyhow!("{shown}: {error}"))?;
    check_context(&kubeconfig, context).context(shown.clone())?;
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| anyhow!("{shown}: {error}"))
}

fn check_context(kubeconfig: &Kubeconfig, context: Option<&str>) -> Result<()> {
    let contexts: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let there = if contexts.is_empty() { "none".to_owned() } else { contexts.join(", ") };
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let Some(name) = context.or(current) else {
        bail!("it has no current-context; choose one by --context, there is: {there}")
    };
    let found = kubeconfig.contexts.iter().find(|context| context.name == name);
    let Some(found) = found.and_then(|context| context.context.as_ref()) else {
        bail!("there is no context {name:?}; there is: {there}")
    };
    if !kubeconfig.clusters.iter().any(|cluster| cluster.name == found.cluster) {
        bail!("context {name:?} names cluster {:?}, which is not in it", found.cluster);
    }
    // client-go and kube take it for a user without credentials, and the API server then answers 401 or 403.
    if let Some(user) = found.user.as_ref().filter(|user| !user.is_empty())
        && !kubeconfig.auth_infos.iter().any(|info| info.name == *user)
    {
        bail!("context {name:?} names user {user:?}, which is not in it");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn error(kubeconfig: &str, context: Option<&str>) -> String {
        let kubeconfig = Kubeconfig::from_yaml(kubeconfig).unwrap();
        check_context(&kubeconfig, context).unwrap_err().to_string()
    }

    const TWO: &str = "
clusters: [{name: home, cluster: {server: 'https://127.0.0.1:1'}}]
users: [{name: jane, user: {token: x}}]
contexts:
- {name: first, context: {cluster: home, user: jane}}
- {name: second, context: {cluster: gone, user: jane}}
- {name: third, context: {cluster: home, user: gone}}
";

    #[test]
    fn a_context_that_is_not_there_is_answered_with_those_there_are() {
        assert_eq!(
            error(TWO, Some("frist")),
            "there is no context \"frist\"; there is: first, second, third"
        );
        assert_eq!(
            error(TWO, None),
            "it has no current-context; choose one by --context, there is: first, second, third"
        );
        assert!(error("{}", None).ends_with("there is: none"));
    }

    #[test]
    fn a_context_whose_cluster_or_user_is_not_there_is_refused() {
        assert!(error(TWO, Some("second")).contains("cluster \"gone\", which is not in it"));
        assert!(error(TWO, Some("third")).contains("user \"gone\", which is not in it"));
        let kubeconfig = Kubeconfig::from_yaml(TWO).unwrap();
        assert!(check_context(&kubeconfig, Some("first")).is_ok());
    }

    #[tokio::test]
    async fn a_file_that_is_missing_or_no_kubeconfig_is_named_once_with_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        let message = format!("{:#}", load(Some(&path), None).await.unwrap_err());
        assert!(message.starts_with(&format!("--kubeconfig {}", path.display())), "{message}");
        assert_eq!(message.matches("No such file").count(), 1, "{message}");
        fs::write(&path, "clusters: [").unwrap();
        let message = format!("{:#}", load(Some(&path), None).await.unwrap_err());
        assert!(message.contains("YAML") && message.contains("line 1"), "{message}");
    }

    async fn becomes(folder: &Path, bytes: &[u8]) -> String {
        let path = folder.join("kubeconfig");
        fs::write(&path, bytes).unwrap();
        match load(Some(&path), None).await {
            Ok(config) => format!("server {}", config.cluster_url),
            Err(error) => format!("{error:#}").replace(folder.to_str().unwrap(), "FOLDER"),
        }
    }

    /// Whatever a file holds, it is a kubeconfig or is refused by its name.
    #[test]
    fn what_becomes_of_a_kubeconfig() {
        let corpus = leasehold_corpus::Corpus::read(env!("CARGO_MANIFEST_DIR"), "kubeconfig");
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let becomes = |bytes: &[u8]| runtime.block_on(becomes(folder.path(), bytes));
        corpus.assert_outcomes(|example| becomes(&example.bytes));
        leasehold_corpus::check(500, corpus.foreign(), |bytes| {
            let became = becomes(&bytes.0);
            let refused = became.strip_prefix("--kubeconfig FOLDER/kubeconfig: ");
            assert!(became.starts_with("server ") || refused.is_some_and(|why| !why.is_empty()), "{became}");
        });
    }
}
