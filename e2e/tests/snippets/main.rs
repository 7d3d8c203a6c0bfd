//! The snippets in docs/snippets, run as they are: they lead while the sidecar leads, and in no other case. Each rule that
//! they keep is taken out in turn, and missed.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

mod canned;
mod languages;

use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use anyhow::Result;
use leasehold_apiserver::ApiServer;
use leasehold_e2e::boottime_ns;
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::rbac::PodRef;
use leasehold_e2e::sidecar::{Content, Sidecar, SidecarSettings};

use canned::Canned;
use languages::{GO, JAVA, LANGUAGES, Language, PYTHON, Reader, SHELL, folder};

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A sidecar of a cluster whose API server is in memory.
fn sidecar(server: &ApiServer, pod: &str) -> Result<Sidecar> {
    let kubeconfig = tempfile::NamedTempFile::new()?.into_temp_path().keep()?;
    let cluster = format!("{{name: memory, cluster: {{server: '{}'}}}}", server.url());
    let context = "{name: memory, context: {cluster: memory}}";
    let text = format!("current-context: memory\nclusters: [{cluster}]\ncontexts: [{context}]\n");
    fs::write(&kubeconfig, text)?;
    let pod = PodRef { name: pod.to_owned(), uid: format!("uid-of-{pod}") };
    let mut settings = SidecarSettings::bare(pod, kubeconfig)?;
    settings.args = ["--lease=leader", "--namespace=default", "--ttl=3s"].map(str::to_owned).to_vec();
    settings.start()
}

fn url(sidecar: &Sidecar) -> String {
    format!("http://{}", sidecar.settings().control.flag())
}

fn file(sidecar: &Sidecar) -> String {
    sidecar.settings().file.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_in_any_language_leads_while_its_sidecar_does_and_not_longer_when_that_is_killed() -> Result<()>
{
    let readers: Vec<Reader> = LANGUAGES.iter().filter_map(|language| language.reader(&[])).collect();
    let server = ApiServer::start("127.0.0.1:0".parse()?).await?;
    let mut first = sidecar(&server, "app-0")?;
    first.until_status("leading", PATIENCE, |status| status["state"] == "leader").await?;
    let second = sidecar(&server, "app-1")?;
    let knows =
        |status: &serde_json::Value| status["holder"].as_str().is_some_and(|holder| !holder.is_empty());
    let token = second.until_status("standing by", PATIENCE, knows).await.and(first.status().await)?["token"]
        .as_u64();
    for reader in &readers {
        for (how, leads, stands_by) in
            [("file", file(&first), file(&second)), ("http", url(&first), url(&second))]
        {
            assert_eq!(reader.ask(how, &leads), token, "{reader} by {how}");
            assert_eq!(reader.ask(how, &stands_by), None, "{reader} by {how}");
        }
    }
    for line in shell_lines() {
        assert_eq!(run_by_shell(&line, &first), "I lead\n", "{line}");
        assert_eq!(run_by_shell(&line, &second), "", "{line}");
    }

    first.process().kill()?;
    let left_behind = Content::read(Path::new(&file(&first)))?.expect("nobody has removed it");
    for reader in &readers {
        assert_eq!(reader.ask("http", &url(&first)), None, "{reader}: nobody answers");
        loop {
            let begun = boottime_ns();
            if reader.ask("file", &file(&first)).is_none() {
                break;
            }
            assert!(begun < left_behind.lead_until_ns(), "{reader} leads on");
        }
    }
    second.until_status("taking over", PATIENCE, |status| status["state"] == "leader").await?;
    for reader in &readers {
        assert!(reader.ask("file", &file(&second)) > token, "{reader}: the next term");
        assert_eq!(reader.ask("file", &file(&first)), None, "{reader}: it is there still");
    }
    Ok(())
}

/// The lines of shell that the page shows where yes or no is enough.
fn shell_lines() -> Vec<String> {
    let text = fs::read_to_string(folder().join("../snippets.md")).unwrap();
    let block = text.split("\n```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let lines: Vec<String> = block.lines().map(str::to_owned).collect();
    assert!(lines.len() == 2 && lines[0].contains(" check ") && lines[1].contains("/leader "), "{lines:?}");
    lines
}

/// As a person types it, about this sidecar.
fn run_by_shell(line: &str, sidecar: &Sidecar) -> String {
    let line = line.replace("/run/leader/is-leader", &file(sidecar));
    let line = line.replace("http://127.0.0.1:4040", &url(sidecar));
    let program = sibling("leader-elector").unwrap();
    let path = format!("{}:{}", program.parent().unwrap().display(), env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-c", &line]).env("PATH", path).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn shell_leads_by_all_rules_together_and_each_is_needed() {
    each_rule_is_needed(&SHELL);
}

#[test]
fn python_leads_by_all_rules_together_and_each_is_needed() {
    each_rule_is_needed(&PYTHON);
}

#[test]
fn go_leads_by_all_rules_together_and_each_is_needed() {
    each_rule_is_needed(&GO);
}

#[test]
fn java_leads_by_all_rules_together_and_each_is_needed() {
    each_rule_is_needed(&JAVA);
}

fn each_rule_is_needed(language: &Language) {
    let canned = Canned::new();
    let Some(shipped) = language.reader(&[]) else { return };
    assert_eq!(canned.wrong_answers(&shipped, |_| true), Vec::<&str>::new(), "{}", language.file);
    for rule in &language.rules {
        let mutant = language.reader(std::slice::from_ref(rule)).unwrap();
        let wrong = canned.wrong_answers(&mutant, |case| case.breaks.is_some());
        let found = canned.cases().filter(|case| case.breaks == Some(rule.name)).map(|case| case.name);
        assert_eq!(wrong, found.collect::<Vec<_>>(), "{} without: {}", language.file, rule.name);
    }
}

#[test]
fn the_page_shows_the_snippets_as_they_are() {
    let path = folder().join("../snippets.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut written = text.clone();
    for language in LANGUAGES {
        let snippet = fs::read_to_string(folder().join(language.file)).unwrap();
        let block = format!("```{}\n{snippet}```\n", language.fence);
        written = with_block(&written, language.file, &block);
    }
    if env::var_os("LEASEHOLD_RECORD").is_some() {
        return fs::write(&path, written).unwrap();
    }
    assert!(
        text == written,
        "docs/snippets.md does not show docs/snippets; LEASEHOLD_RECORD=1 cargo test -p leasehold-e2e --test snippets \
         page writes it anew"
    );
}

/// `text` with another block between the markers of a file.
fn with_block(text: &str, file: &str, block: &str) -> String {
    let (begin, end) = (format!("<!-- begin {file} -->\n"), format!("<!-- end {file} -->"));
    let (head, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{begin} is not in the page"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{end} is not in the page"));
    format!("{head}{begin}{block}{end}{tail}")
}
