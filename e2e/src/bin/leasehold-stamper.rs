//! The command of exec mode in tests: it says when it ran, so that a test can judge it.
//!
//! Every process of it keeps a file of its own in the folder of the stamps, with its token, its first and its latest
//! reading of CLOCK_BOOTTIME. What is in the file stays when the process is killed.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Parser;
use leasehold_e2e::boottime_ns;
use tokio::signal::unix::{SignalKind, signal};

/// Stamps until it is asked to end.
#[derive(Debug, Parser)]
struct Args {
    /// Folder of the stamps
    #[arg(long)]
    stamps: PathBuf,
    /// Milliseconds that it goes on after SIGTERM
    #[arg(long, default_value_t = 0)]
    stop_takes: u64,
    /// Does not end by SIGTERM
    #[arg(long)]
    stubborn: bool,
    /// Starts another stamper, in a session of its own, as a daemon does
    #[arg(long)]
    forks_away: bool,
    /// Is that one
    #[arg(long, hide = true)]
    away: bool,
    /// Ends by itself with this code after its first stamp
    #[arg(long)]
    exits: Option<i32>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    if args.away {
        rustix::process::setsid().context("no session of its own")?;
    }
    // Whoever sees the first stamp may send them.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let mut stamps = Stamps::begin(&args.stamps)?;
    if args.forks_away {
        let mut child = Command::new(std::env::current_exe()?);
        child.arg("--stamps").arg(&args.stamps).arg("--away");
        if args.stubborn {
            child.arg("--stubborn");
        }
        child.spawn().context("starting another one")?;
    }
    if let Some(code) = args.exits {
        std::process::exit(code);
    }
    loop {
        tokio::select! {
            biased;
            _ = terminate.recv() => {
                say("SIGTERM")?;
                if !args.stubborn {
                    break;
                }
            }
            _ = hang_up.recv() => say("SIGHUP")?,
            () = tokio::time::sleep(STEP) => {}
        }
        stamps.stamp()?;
    }
    let end = boottime_ns() + args.stop_takes * 1_000_000;
    while boottime_ns() < end {
        std::thread::sleep(STEP);
        stamps.stamp()?;
    }
    Ok(())
}

fn say(what: &str) -> io::Result<()> {
    writeln!(io::stdout(), "{} {what}", std::process::id())
}

struct Stamps {
    file: File,
}

impl Stamps {
    fn begin(folder: &Path) -> Result<Self> {
        let token: u64 = std::env::var("LEADER_TOKEN").context("LEADER_TOKEN")?.parse()?;
        let now = boottime_ns();
        // In another process namespace another process has the same id.
        let file = File::create_new(folder.join(format!("{}-{now}", std::process::id())))?;
        let first: Vec<u8> = [token, now, now].iter().flat_map(|number| number.to_le_bytes()).collect();
        file.write_all_at(&first, 0)?;
        Ok(Self { file })
    }

    fn stamp(&mut self) -> io::Result<()> {
        self.file.write_all_at(&boottime_ns().to_le_bytes(), 16)
    }
}

const STEP: Duration = Duration::from_millis(1);
