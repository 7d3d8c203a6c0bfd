//! What the commands of exec mode have stamped, judged as leadership: see the program `leasehold-stamper`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use leasehold_history::{Elector, History, Nanos, Report, Span, Term};
use tempfile::TempDir;

/// A folder that stampers write to.
#[derive(Debug)]
pub struct Stamps {
    folder: TempDir,
}

/// One term: all processes of one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The fencing token in the environment.
    pub token: u64,
    /// How many processes stamped.
    pub processes: usize,
    /// The first stamp of any of them.
    pub first: Nanos,
    /// The last stamp of any of them.
    pub last: Nanos,
}

impl Stamps {
    /// An empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: tempfile::tempdir().context("making a folder for stamps")? })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All terms so far, in the order of their tokens.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn terms(&self) -> Result<Vec<Stamped>> {
        let mut terms: BTreeMap<u64, Stamped> = BTreeMap::new();
        for entry in fs::read_dir(self.folder.path())? {
            let bytes = fs::read(entry?.path())?;
            // A process that was killed before its first stamp has done nothing.
            let Some((token, first, last)) = stamped(&bytes) else { continue };
            let term = terms.entry(token).or_insert(Stamped { token, processes: 0, first, last });
            term.processes += 1;
            term.first = term.first.min(first);
            term.last = term.last.max(last);
        }
        Ok(terms.into_values().collect())
    }

    /// Judges that no two terms ran at once, and that tokens grow. Prints the report, which a test shows if it fails.
    ///
    /// # Errors
    /// When they did, or nothing ran, which proves nothing.
    #[expect(clippy::print_stdout, reason = "only what is printed is kept by the test that runs this")]
    pub fn judged(&self) -> Result<Report> {
        let terms = self.terms()?;
        let first = terms.iter().map(|term| term.first).min().context("no command ran")?;
        let last = terms.iter().map(|term| term.last).max().unwrap_or(first);
        let mut history = History::new(Span::new(first, last)?);
        for term in &terms {
            let candidate = history.add_candidate(term.token.to_string(), Elector::Ours);
            history.add_term(candidate, Term::exact(term.first, term.last).with_token(term.token))?;
        }
        let report = history.judge();
        println!("{report}");
        ensure!(
            report.ours.overlap_proven == Nanos(0),
            "two commands ran at once: {:#?}",
            report.ours.overlaps
        );
        ensure!(report.token_faults.is_empty(), "{:#?}", report.token_faults);
        Ok(report)
    }
}

fn stamped(bytes: &[u8]) -> Option<(u64, Nanos, Nanos)> {
    let number = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    Some((number(0)?, Nanos(number(8)?), Nanos(number(16)?)))
}
