//! Whether this Pod is fit to lead: what is asked, how often, and how many answers count.
//!
//! What follows from it is the library's: an unhealthy leader stops as planned, and who is unhealthy does not campaign.

mod args;
mod command;
mod file;
mod get;

use std::time::Duration;

use anyhow::{Result, bail};
use leasehold::{Handle, Health, HealthCheck, State, clock};
use tokio::sync::watch;

pub use args::{HealthArgs, HealthWhile};
pub(crate) use command::RunningCheck;

use crate::exec;
use command::Command;
use file::File;
use get::Get;

/// How health is checked.
#[derive(Clone, Debug)]
pub(crate) struct HealthConfig {
    checks: Vec<Check>,
    interval: Duration,
    timeout: Duration,
    failures: u32,
    successes: u32,
    when: HealthWhile,
    start_period: Duration,
    /// Nobody else takes note of the end of what a check has left behind.
    reaps: bool,
}

/// One thing that is asked.
#[derive(Clone, Debug)]
enum Check {
    Get(Get),
    Command(Command),
    File(File),
}

/// How a check came out.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Passed,
    Failed(String),
    TimedOut(String),
}

impl HealthConfig {
    /// `None` if nothing is to be checked.
    ///
    /// # Errors
    /// If a flag cannot be used, with its name and what to write.
    pub(crate) fn read(args: &HealthArgs, with_command: bool) -> Result<Option<Self>> {
        let get = args.health_url.as_deref().map(|url| Get::read(url).map(Check::Get));
        let command = args.health_exec.as_deref().map(|words| Command::read(words).map(Check::Command));
        let file = args.health_file.clone().map(|path| Ok(Check::File(File::new(path, args.health_max_age))));
        let checks = [get, command, file].into_iter().flatten().collect::<Result<Vec<_>>>()?;
        for (flag, time) in [
            ("--health-interval", args.health_interval),
            ("--health-timeout", args.health_timeout),
            ("--health-max-age", args.health_max_age),
        ] {
            if time.is_zero() {
                bail!("{flag} 0s leaves no time; write 1s or more");
            }
        }
        if checks.is_empty() {
            if let Some(flag) = needless(args) {
                bail!(
                    "{flag} says how health is checked, and nothing is: add --health-url, --health-exec or --health-file"
                );
            }
            return Ok(None);
        }
        let default = if with_command { HealthWhile::Leader } else { HealthWhile::Always };
        Ok(Some(Self {
            checks,
            interval: args.health_interval,
            timeout: args.health_timeout,
            failures: args.health_failures,
            successes: args.health_successes,
            when: args.health_while.unwrap_or(default),
            start_period: args.health_start_period,
            reaps: !with_command,
        }))
    }

    /// What holds before the first check has been answered.
    pub(crate) fn at_start(&self) -> Health {
        match self.when {
            HealthWhile::Always => Health::unhealthy("not checked yet"),
            HealthWhile::Leader => Health::Healthy,
        }
    }

    /// Checks for ever, and tells what follows from it.
    pub(crate) async fn watch(self, handle: Handle, told: watch::Sender<Health>, running: RunningCheck) {
        let mut course = Course { health: self.at_start(), failures: 0, successes: 0 };
        let mut checks = self.checks.clone();
        let mut term = None;
        loop {
            if self.when == HealthWhile::Leader {
                let token = leading(&handle, &told).await;
                if term.as_ref().is_none_or(|(last, _)| *last != token) {
                    course = Course { health: Health::Healthy, failures: 0, successes: 0 };
                    term = Some((token, clock::boottime()));
                }
            }
            let outcome = self.ask(&mut checks, &running).await;
            handle.count_health_check(outcome.counted());
            if self.reaps {
                exec::reap_orphans();
            }
            // What was asked while leading says nothing of what comes after.
            if self.when == HealthWhile::Always || handle.is_leader() {
                let begin = term.as_ref().map(|(_, begin)| *begin);
                let starting = begin.is_some_and(|begin| self.is_starting(&course, begin));
                course.note(&outcome, &self, starting);
                tell(&told, &course.health);
            }
            tokio::time::sleep(self.interval).await;
        }
    }

    /// Whether failures do not count yet.
    fn is_starting(&self, course: &Course, begin: Duration) -> bool {
        course.successes == 0 && clock::boottime().saturating_sub(begin) < self.start_period
    }

    /// All checks one after the other; the first that does not pass decides.
    async fn ask(&self, checks: &mut [Check], running: &RunningCheck) -> Outcome {
        for check in checks {
            let outcome = match check {
                Check::Get(get) => get.ask(self.timeout).await,
                Check::Command(command) => command.ask(self.timeout, running).await,
                Check::File(file) => file.ask(self.timeout).await,
            };
            if outcome != Outcome::Passed {
                return outcome;
            }
        }
        Outcome::Passed
    }
}

/// A flag that says how health is checked.
fn needless(args: &HealthArgs) -> Option<&'static str> {
    let when = args.health_while.map(|_| "--health-while");
    when.or_else(|| args.lead_unhealthy_after.map(|_| "--lead-unhealthy-after"))
}

/// Waits until this Pod leads, and tells by which token. A standby is healthy.
async fn leading(handle: &Handle, told: &watch::Sender<Health>) -> Option<u64> {
    let mut changes = handle.subscribe();
    while !handle.is_leader() {
        tell(told, &Health::Healthy);
        if changes.wait_for(|status| status.state == State::Leader).await.is_err() {
            std::future::pending::<()>().await;
        }
        if !handle.is_leader() {
            // The status of a term that is just ending.
            tokio::time::sleep(ENDING_PAUSE).await;
        }
    }
    handle.status().token
}

fn tell(told: &watch::Sender<Health>, health: &Health) {
    told.send_if_modified(|last| {
        let changed = last != health;
        last.clone_from(health);
        changed
    });
}

/// What checks in a row have come to.
#[derive(Debug)]
struct Course {
    health: Health,
    failures: u32,
    successes: u32,
}

impl Course {
    fn note(&mut self, outcome: &Outcome, config: &HealthConfig, starting: bool) {
        let reason = match outcome {
            Outcome::Passed => {
                (self.failures, self.successes) = (0, self.successes.saturating_add(1));
                if self.successes >= config.successes {
                    self.health = Health::Healthy;
                }
                return;
            }
            Outcome::Failed(reason) | Outcome::TimedOut(reason) => reason,
        };
        if starting {
            tracing::debug!(reason, "a health check failed, and the command is still starting");
            return;
        }
        (self.failures, self.successes) = (self.failures.saturating_add(1), 0);
        if self.failures == 1 && self.health.is_healthy() {
            tracing::warn!(reason, allowed = config.failures, "a health check failed");
        } else {
            tracing::debug!(reason, in_a_row = self.failures, "a health check failed");
        }
        if self.failures >= config.failures || !self.health.is_healthy() {
            self.health = Health::unhealthy(reason.clone());
        }
    }
}

impl Outcome {
    fn counted(&self) -> HealthCheck {
        match self {
            Self::Passed => HealthCheck::Passed,
            Self::Failed(_) => HealthCheck::Failed,
            Self::TimedOut(_) => HealthCheck::TimedOut,
        }
    }
}

const ENDING_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::Cli;

    fn read(flags: &[&str], with_command: bool) -> Result<Option<HealthConfig>> {
        let args = Cli::try_parse_from(["leader-elector"].iter().chain(flags))?.args;
        HealthConfig::read(&args.health, with_command)
    }

    fn error(flags: &[&str]) -> String {
        format!("{:#}", read(flags, false).unwrap_err())
    }

    #[test]
    fn a_service_beside_is_always_checked_and_a_command_only_while_it_runs() {
        let flags = ["--health-file", "/run/app/alive"];
        let beside = read(&flags, false).unwrap().unwrap();
        assert_eq!(beside.at_start(), Health::unhealthy("not checked yet"));
        let command = read(&flags, true).unwrap().unwrap();
        assert_eq!((command.when, command.at_start()), (HealthWhile::Leader, Health::Healthy));
        let host = read(&["--health-file", "/data/ok", "--health-while", "always"], true).unwrap().unwrap();
        assert_eq!(host.when, HealthWhile::Always);
    }

    #[test]
    fn what_cannot_be_checked_is_refused_and_not_ignored() {
        assert!(read(&[], false).unwrap().is_none());
        assert!(error(&["--lead-unhealthy-after", "1m"]).contains("add --health-url"));
        assert!(error(&["--health-while", "leader"]).contains("add --health-url"));
        assert!(error(&["--health-file", "/x", "--health-timeout", "0"]).contains("--health-timeout 0s"));
        assert!(error(&["--health-file", "/x", "--health-failures", "0"]).contains("--health-failures"));
        assert!(error(&["--health-url", "https://127.0.0.1/"]).contains("--health-url"));
        assert!(error(&["--health-exec", "  "]).contains("--health-exec"));
    }

    #[test]
    fn so_many_failures_in_a_row_make_unhealthy_and_so_many_passes_healthy() {
        let flags = ["--health-file", "/x", "--health-failures", "2", "--health-successes", "2"];
        let config = read(&flags, false).unwrap().unwrap();
        let mut course = Course { health: Health::Healthy, failures: 0, successes: 0 };
        let failed = Outcome::Failed("no".to_owned());
        let story =
            [&failed, &Outcome::Passed, &failed, &failed, &Outcome::Passed, &failed, &Outcome::Passed];
        let seen = story.map(|outcome| {
            course.note(outcome, &config, false);
            course.health.is_healthy()
        });
        assert_eq!(seen, [true, true, true, false, false, false, false]);
        course.note(&Outcome::Passed, &config, false);
        assert_eq!(course.health, Health::Healthy);
    }

    #[test]
    fn failures_do_not_count_while_the_command_starts_but_a_pass_ends_its_start() {
        let config = read(&["--health-file", "/x", "--health-failures", "1"], true).unwrap().unwrap();
        let mut course = Course { health: Health::Healthy, failures: 0, successes: 0 };
        let failed = Outcome::Failed("no".to_owned());
        let begin = clock::boottime();
        course.note(&failed, &config, config.is_starting(&course, begin));
        assert!(course.health.is_healthy());
        course.note(&Outcome::Passed, &config, config.is_starting(&course, begin));
        course.note(&failed, &config, config.is_starting(&course, begin));
        assert!(!course.health.is_healthy());
    }
}
