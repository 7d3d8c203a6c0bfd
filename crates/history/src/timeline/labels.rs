//! Words in a picture whose letters nobody measures: how long they are at most, and which find room.

use super::svg::Length;

/// The room that words take, rather too much than too little.
pub(super) fn width(words: &str, size: u64) -> Length {
    Length::of(size).share(62, 100).times(words.chars().count())
}

/// At most this many letters, with an ellipsis where some are missing.
pub(super) fn shorten(words: &str, most: usize) -> String {
    if words.chars().count() <= most {
        return words.to_owned();
    }
    let kept: String = words.chars().take(most.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// Rows of labels, filled from left to right.
#[derive(Debug)]
pub(super) struct Rows {
    /// Where each row is free from.
    free: Vec<Length>,
    end: Length,
}

impl Rows {
    /// This many rows up to `end`.
    pub(super) fn new(count: usize, end: Length) -> Self {
        Self { free: vec![Length::of(0); count], end }
    }

    /// The first row with room for words of this width from `left` on.
    pub(super) fn place(&mut self, left: Length, width: Length) -> Option<usize> {
        let right = left + width;
        let row = self.free.iter().position(|free| *free <= left && right <= self.end)?;
        self.free[row] = right + GAP;
        Some(row)
    }
}

const GAP: Length = Length::of(6);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_would_touch_take_the_next_row_or_none() {
        let mut rows = Rows::new(2, Length::of(100));
        let placed = [0, 10, 20, 37].map(|left| rows.place(Length::of(left), Length::of(30)));
        assert_eq!(placed, [Some(0), Some(1), None, Some(0)]);
        assert_eq!(rows.place(Length::of(80), Length::of(30)), None, "beyond the end");
    }

    #[test]
    fn long_words_end_in_an_ellipsis() {
        assert_eq!(shorten("a name that is long", 8), "a name…");
        assert_eq!(shorten("short", 8), "short");
    }
}
