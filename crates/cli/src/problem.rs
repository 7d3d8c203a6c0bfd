//! How the program ends, and what it says when it could not do what was asked.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// An exit code, or why there is none.
pub(crate) type Outcome = Result<ExitCode, Problem>;

/// Ran, and found nothing wrong.
pub(crate) const PASS: u8 = 0;
/// Ran, and found what must not be.
pub(crate) const FINDINGS: u8 = 1;
/// Could not run.
pub(crate) const UNUSABLE: u8 = 2;
/// Ran, and can prove nothing.
pub(crate) const INCONCLUSIVE: u8 = 3;

/// Why something could not run, and what to do about it.
#[derive(Debug)]
pub(crate) struct Problem {
    error: anyhow::Error,
    hint: Option<String>,
    code: ExitCode,
}

impl Problem {
    /// An error with what to do about it.
    pub(crate) fn new(error: anyhow::Error, hint: impl Into<String>) -> Self {
        Self { error, hint: Some(hint.into()), code: ExitCode::from(UNUSABLE) }
    }

    /// The same with another exit code than 2.
    pub(crate) fn with_code(self, code: impl Into<ExitCode>) -> Self {
        Self { code: code.into(), ..self }
    }

    /// Says it on stderr, and gives the exit code. A reader that has left, such as `head`, knows that it did.
    pub(crate) fn report(&self) -> ExitCode {
        let causes = self.error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        if causes.into_iter().any(|cause| cause.kind() == io::ErrorKind::BrokenPipe) {
            return ExitCode::from(UNUSABLE);
        }
        let hint = self.hint.as_ref().map(|hint| format!("\nhint: {hint}\n")).unwrap_or_default();
        // If nobody reads it, the exit code still tells.
        let _ = write!(io::stderr(), "error: {:#}\n{hint}", self.error);
        self.code
    }
}

impl From<anyhow::Error> for Problem {
    fn from(error: anyhow::Error) -> Self {
        Self { error, hint: None, code: ExitCode::from(UNUSABLE) }
    }
}
