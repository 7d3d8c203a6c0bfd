//! Health of sidecars on the real API server: who is not fit to lead hands over, whatever way it is asked, and stays out.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too, end a test by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use leasehold_e2e::electorate::sibling;
use leasehold_e2e::sidecar::{FileSampler, Sidecar};
use leasehold_e2e::stamps::Stamps;
use leasehold_e2e::{Ground, PipedProcess};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Longer than anything that works ever takes: it only ends what is broken.
const PATIENCE: Duration = Duration::from_secs(40);
/// Longer than a lease, and so than the first rest of who was unhealthy.
const QUIET: Duration = Duration::from_secs(5);

/// What a sidecar asks about its service, and how the service comes to be well or not.
enum Service {
    /// A file that is there; a command may look for it, too.
    File(PathBuf),
    /// An answer of 204 or 503.
    Http(String, Arc<AtomicBool>),
}

impl Service {
    fn set(&self, well: bool) -> Result<()> {
        match self {
            Self::File(path) if well => fs::write(path, "").context("the service is well"),
            Self::File(path) => fs::remove_file(path).context("the service is not well"),
            Self::Http(_, answer) => {
                answer.store(well, Ordering::SeqCst);
                Ok(())
            }
        }
    }

    fn path(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Http(url, _) => url.clone(),
        }
    }
}

/// Serves one answer per connection, as it is then.
async fn serve() -> Result<Service> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/healthz", listener.local_addr()?);
    let well = Arc::new(AtomicBool::new(true));
    let answer = Arc::clone(&well);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let code =
                if answer.load(Ordering::SeqCst) { "204 No Content" } else { "503 Service Unavailable" };
            let mut question = [0; 1_024];
            // Who asks and goes away has its answer on the next connection.
            let _ = stream.read(&mut question).await;
            let _ =
                stream.write_all(format!("HTTP/1.1 {code}\r\ncontent-length: 0\r\n\r\n").as_bytes()).await;
        }
    });
    Ok(Service::Http(url, well))
}

/// Two sidecars, each with a service of its own.
struct Pair {
    ground: Ground,
    services: Vec<Service>,
    sidecars: Vec<Sidecar>,
    folder: TempDir,
}

impl Pair {
    /// `flag` asks the service; `more` flags are those of one sidecar.
    async fn new(namespace: &str, flag: &str, more: [&[&str]; 2], well: bool) -> Result<Self> {
        let ground = Ground::new(namespace).await?;
        let folder = tempfile::tempdir()?;
        let (mut services, mut sidecars) = (Vec::new(), Vec::new());
        for (index, more) in more.into_iter().enumerate() {
            let service = match flag {
                "--health-url=" => serve().await?,
                _ => Service::File(folder.path().join(format!("well-{index}"))),
            };
            if well {
                service.set(true)?;
            }
            let mut settings = ground.settings(&format!("app-{index}")).await?;
            settings.args.push(format!("{flag}{}", service.path()));
            settings.args.extend(OFTEN.iter().chain(more).map(|&flag| flag.to_owned()));
            sidecars.push(settings.start()?);
            services.push(service);
        }
        Ok(Self { ground, services, sidecars, folder })
    }

    /// Waits until one of them leads, and tells which.
    async fn leader(&self) -> Result<usize> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            for (index, sidecar) in self.sidecars.iter().enumerate() {
                if sidecar.status().await.is_ok_and(|status| status["state"] == "leader") {
                    return Ok(index);
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("nobody leads after {PATIENCE:?}\n{}", self.logs())
    }

    async fn until(&self, index: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.sidecars[index].until_status(what, PATIENCE, wanted).await
    }

    async fn holder(&self) -> Result<String> {
        let spec = self.ground.leases().get("leader").await?.spec;
        Ok(spec.and_then(|spec| spec.holder_identity).unwrap_or_default())
    }

    fn logs(&self) -> String {
        self.sidecars.iter().map(Sidecar::log).collect()
    }
}

/// The leader's service fails, and later is well again.
async fn hands_over(namespace: &str, flag: &str, why: &str) -> Result<()> {
    let pair = Pair::new(namespace, flag, [&[], &[]], true).await?;
    let first = pair.leader().await?;
    let second = 1 - first;
    pair.until(second, "standing by", |status| status["state"] == "standby").await?;
    let files = pair.sidecars.iter().map(|sidecar| sidecar.settings().file.clone()).collect();
    let sampler = FileSampler::start(files);
    let before = pair.until(first, "leading", |status| status["state"] == "leader").await?;
    assert_eq!((&before["health"], &before["health_reason"]), (&"healthy".into(), &Value::Null));

    pair.services[first].set(false)?;
    let after = pair.until(second, "leading", |status| status["state"] == "leader").await?;
    assert!(after["token"].as_u64() > before["token"].as_u64());
    let ill = pair.until(first, "standing by", |status| status["state"] == "standby").await?;
    assert_eq!(ill["health"], "unhealthy", "{ill}");
    assert!(ill["health_reason"].as_str().unwrap().contains(why), "{ill}");
    assert_eq!(pair.sidecars[first].metric("leasehold_healthy ").await?, Some(0.0));
    let failed = pair.sidecars[first].metric("leasehold_health_checks_total{result=\"failed\"} ").await?;
    assert!(failed >= Some(2.0), "{failed:?}");
    assert!(pair.sidecars[first].log().contains("unhealthy"), "{}", pair.logs());

    pair.services[first].set(true)?;
    pair.until(first, "being well", |status| status["health"] == "healthy").await?;
    tokio::time::sleep(QUIET).await;
    let later = pair.sidecars[second].status().await?;
    assert_eq!((&later["state"], &later["token"]), (&"leader".into(), &after["token"]), "{}", pair.logs());
    sampler.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_file_is_gone_hands_over_and_takes_nothing_back() -> Result<()> {
    hands_over("health-file", "--health-file=", "cannot be looked at").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_service_answers_503_hands_over_and_takes_nothing_back() -> Result<()> {
    hands_over("health-url", "--health-url=", "answers 503").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_check_says_no_hands_over_and_takes_nothing_back() -> Result<()> {
    hands_over("health-exec", "--health-exec=test -e ", "exit code 1").await
}

/// Better nobody than somebody who is not fit to, unless it was asked for otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_leads_while_nobody_is_well_unless_asked_to_lead_degraded() -> Result<()> {
    let pair = Pair::new("health-nobody", "--health-file=", [&[], &[]], false).await?;
    for index in [0, 1] {
        pair.until(index, "knowing that nobody leads", |status| status["holder"] == "").await?;
    }
    tokio::time::sleep(QUIET).await;
    assert_eq!(pair.holder().await?, "");
    drop(pair);

    let begin = Instant::now();
    let pair =
        Pair::new("health-need", "--health-file=", [&["--lead-unhealthy-after=4s"], &[]], false).await?;
    assert_eq!(pair.leader().await?, 0);
    assert!(begin.elapsed() >= Duration::from_secs(4), "too soon: {:?}", begin.elapsed());
    let status = pair.until(0, "saying so", |status| status["last_error"] != Value::Null).await?;
    assert!(status["last_error"].as_str().unwrap().contains("leading although unhealthy"), "{status}");
    assert_eq!(status["health"], "unhealthy");
    assert!(pair.sidecars[0].log().contains("ERROR"), "{}", pair.logs());

    pair.services[1].set(true)?;
    pair.until(1, "being well", |status| status["health"] == "healthy").await?;
    tokio::time::sleep(QUIET).await;
    assert_eq!(pair.leader().await?, 0, "it cannot see that somebody else is well by now");
    let asked = pair.sidecars[0].settings().control.ask("POST", "/v1/step-down", "").await?;
    assert_eq!(asked.code, 202);
    pair.until(1, "leading", |status| status["state"] == "leader").await?;
    Ok(())
}

/// A standby's command does not run, so that nobody could answer for it: only the leader's is asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_fails_its_check_is_ended_before_another_pod_starts_one() -> Result<()> {
    let stamps = Stamps::new()?;
    let folder = tempfile::tempdir()?;
    let ground = Ground::new("health-command").await?;
    let mut sidecars = Vec::new();
    for index in 0..2 {
        let mut settings = ground.settings(&format!("app-{index}")).await?;
        let broken = folder.path().join(format!("broken-{index}"));
        settings.args.push(format!("--health-exec=test ! -e {}", broken.display()));
        settings.args.extend(
            OFTEN
                .iter()
                .chain(&["--file=off", "--health-start-period=0s", "--"])
                .map(|&flag| flag.to_owned()),
        );
        settings.args.push(sibling("leasehold-stamper")?.display().to_string());
        settings.args.push(format!("--stamps={}", stamps.folder().display()));
        sidecars.push(settings.start()?);
    }
    let pair = Pair { ground, services: Vec::new(), sidecars, folder };
    let first = pair.leader().await?;
    let second = 1 - first;
    let standby = pair.until(second, "standing by", |status| status["state"] == "standby").await?;
    assert_eq!(standby["health"], "healthy");
    assert_eq!(
        pair.sidecars[second].metric("leasehold_health_checks_total{result=\"passed\"} ").await?,
        Some(0.0)
    );
    until_terms(&stamps, 1).await?;

    fs::write(pair.folder.path().join(format!("broken-{first}")), "")?;
    pair.until(second, "leading", |status| status["state"] == "leader").await?;
    until_terms(&stamps, 2).await?;
    pair.until(first, "being no leader any more", |status| status["health"] == "healthy").await?;
    assert!(pair.sidecars[first].log().contains("asking the command to end"), "{}", pair.logs());
    stamps.judged()?;
    Ok(())
}

async fn until_terms(stamps: &Stamps, count: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while stamps.terms()?.len() < count {
        if Instant::now() > deadline {
            bail!("no {count} commands after {PATIENCE:?}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_cannot_be_made_is_refused_at_the_start() -> Result<()> {
    let ground = Ground::new("health-flags").await?;
    for (index, (flag, hint)) in MISTAKES.into_iter().enumerate() {
        let mut settings = ground.settings(&format!("app-{index}")).await?;
        settings.args.push(flag.to_owned());
        let mut sidecar = settings.start()?;
        assert_eq!(sidecar.exit_code(PATIENCE).await?, Some(2), "{flag}");
        let said: &PipedProcess = sidecar.process();
        assert!(said.errors().contains(hint), "{flag}: {}", said.errors());
    }
    Ok(())
}

const MISTAKES: [(&str, &str); 4] = [
    ("--health-url=https://127.0.0.1:1/", "only plain http is asked"),
    ("--health-exec=no-such-program --ok", "no-such-program is not there"),
    ("--lead-unhealthy-after=10s", "add --health-url"),
    ("--health-interval=soon", "write 15s"),
];
/// Checks are frequent, but for a loaded machine that takes its time to answer.
const OFTEN: [&str; 4] =
    ["--health-interval=100ms", "--health-timeout=10s", "--health-failures=2", "--health-max-age=1h"];
