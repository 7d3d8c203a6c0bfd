//! How far a run has come, on stderr: a bar on a terminal, else a line every so often.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::millis::thousands;

/// A run that others may wait for.
pub(crate) struct Watched {
    bar: ProgressBar,
    unit: &'static str,
    total: u64,
    began: Instant,
    next_line: Mutex<Duration>,
}

impl Watched {
    /// Of a run through `total` of something.
    pub(crate) fn new(total: u64, unit: &'static str) -> Self {
        let bar = ProgressBar::new(total);
        let style = ProgressStyle::with_template("{bar:10} {wide_msg}").expect("the template is valid");
        bar.set_style(style.progress_chars("█▌ "));
        Self { bar, unit, total, began: Instant::now(), next_line: Mutex::new(LINE_INTERVAL) }
    }

    /// So many are done; `more` says what came of them.
    pub(crate) fn done(&self, count: u64, more: &str) {
        let elapsed = self.began.elapsed();
        let words = self.words(count, elapsed, more);
        if !self.bar.is_hidden() {
            self.bar.set_position(count);
            return self.bar.set_message(words);
        }
        let mut next_line = self.next_line.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if elapsed >= *next_line {
            *next_line = elapsed + LINE_INTERVAL;
            // If nobody reads it, the result still tells.
            let _ = writeln!(std::io::stderr(), "{words}");
        }
    }

    /// Leaves no bar behind.
    pub(crate) fn finish(&self) -> Duration {
        self.bar.finish_and_clear();
        self.began.elapsed()
    }

    fn words(&self, count: u64, elapsed: Duration, more: &str) -> String {
        let (total, unit) = (thousands(self.total), self.unit);
        let left = match (count, elapsed.as_millis()) {
            (0, _) | (_, 0) => String::new(),
            (count, millis) => {
                let left = millis * u128::from(self.total.saturating_sub(count)) / u128::from(count);
                format!(", {} s left", left.div_ceil(1_000))
            }
        };
        format!("{} of {total} {unit}{more}{left}", thousands(count))
    }
}

/// So many a second, with a decimal where there are few.
pub(crate) fn rate(count: f64, elapsed: Duration) -> String {
    let rate = count / elapsed.as_secs_f64().max(0.001);
    if rate < 100.0 { format!("{rate:.1}") } else { format!("{rate:.0}") }
}

const LINE_INTERVAL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_told_from_what_was_done() {
        let watched = Watched::new(2_000, "worlds");
        let words = watched.words(500, Duration::from_secs(10), "; 0 broken");
        assert_eq!(words, "500 of 2,000 worlds; 0 broken, 30 s left");
        assert_eq!(watched.words(0, Duration::ZERO, ""), "0 of 2,000 worlds");
    }

    #[test]
    fn a_slow_rate_has_a_decimal() {
        assert_eq!(
            [rate(25.0, Duration::from_secs(2)), rate(2_500.0, Duration::from_secs(2))],
            ["12.5", "1250"]
        );
    }
}
