//! What all verbs show in the same way: styles, the width of the terminal, lines that are seen as they come.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};

/// The width of the terminal; 80 where there is none.
pub(crate) fn width() -> usize {
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    terminal.unwrap_or(WIDTH_DEFAULT).clamp(WIDTH_MIN, WIDTH_MAX)
}

/// Writes and flushes, so that progress is seen as it happens.
///
/// # Errors
/// If nobody reads.
pub(crate) fn say(screen: &mut dyn Write, text: &str) -> io::Result<()> {
    writeln!(screen, "{text}")?;
    screen.flush()
}

/// A name at the head of something.
pub(crate) const HEADING: Style = Style::new().bold();
/// What is there for whoever asks.
pub(crate) const DIM: Style = Style::new().dimmed();
/// As promised.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Not as promised.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
const WIDTH_DEFAULT: usize = 80;
const WIDTH_MIN: usize = 40;
const WIDTH_MAX: usize = 160;
