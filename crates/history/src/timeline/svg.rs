//! The writing of SVG: elements with their attributes, and text that is escaped.

use std::fmt::{self, Display, Write as _};
use std::ops::{Add, Sub};

/// A length in the picture, in hundredths of a unit, so that no fraction depends on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Length {
    hundredths: u64,
}

impl Length {
    pub(super) const fn of(units: u64) -> Self {
        Self { hundredths: units * 100 }
    }

    /// This share of it.
    pub(super) fn share(self, part: u64, whole: u64) -> Self {
        let hundredths = u128::from(self.hundredths) * u128::from(part) / u128::from(whole.max(1));
        Self { hundredths: u64::try_from(hundredths).unwrap_or(u64::MAX) }
    }

    /// Whole units.
    pub(super) fn units(self) -> u64 {
        self.hundredths / 100
    }

    pub(super) fn times(self, factor: usize) -> Self {
        Self { hundredths: self.hundredths.saturating_mul(factor as u64) }
    }
}

impl Add for Length {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { hundredths: self.hundredths.saturating_add(other.hundredths) }
    }
}

impl Sub for Length {
    type Output = Self;

    /// Never below zero.
    fn sub(self, other: Self) -> Self {
        Self { hundredths: self.hundredths.saturating_sub(other.hundredths) }
    }
}

impl Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.hundredths / 100, self.hundredths % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{units}"),
            (_, 0) => write!(f, "{units}.{}", rest / 10),
            _ => write!(f, "{units}.{rest:02}"),
        }
    }
}

/// A rectangle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Area {
    pub(super) left: Length,
    pub(super) top: Length,
    pub(super) width: Length,
    pub(super) height: Length,
}

/// A document that is being written.
#[derive(Debug)]
pub(super) struct Svg {
    text: String,
}

impl Svg {
    /// An empty picture. The title and the summary are for those who do not see it.
    pub(super) fn new(width: Length, height: Length, title: &str, summary: &str) -> Self {
        let (title, summary) = (Escaped(title), Escaped(summary));
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" role=\"img\" aria-label=\"{title}: {summary}\">\n<title>{title}</title>\n\
             <desc>{summary}</desc>\n<style>{STYLE}</style>\n<defs>{PATTERNS}</defs>\n\
             <rect class=\"ground\" width=\"{width}\" height=\"{height}\"/>\n"
        );
        Self { text }
    }

    pub(super) fn finish(self) -> String {
        self.text + "</svg>\n"
    }

    /// A rectangle; whoever points at it reads the words.
    pub(super) fn area(&mut self, class: &str, area: Area, words: &str) {
        let Area { left, top, width, height } = area;
        let shape =
            format!("<rect class=\"{class}\" x=\"{left}\" y=\"{top}\" width=\"{width}\" height=\"{height}\"");
        self.shape(&shape, "rect", words);
    }

    /// A line from one point to another.
    pub(super) fn line(&mut self, class: &str, from: (Length, Length), to: (Length, Length), words: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        let shape = format!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"");
        self.shape(&shape, "line", words);
    }

    /// A figure with corners.
    pub(super) fn polygon(&mut self, class: &str, corners: &[(Length, Length)], words: &str) {
        let points: Vec<String> = corners.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let shape = format!("<polygon class=\"{class}\" points=\"{}\"", points.join(" "));
        self.shape(&shape, "polygon", words);
    }

    /// Words, at the foot of their letters.
    pub(super) fn text(&mut self, class: &str, x: Length, y: Length, words: &str) {
        if !words.is_empty() {
            let words = Escaped(words);
            let _ = writeln!(self.text, "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{words}</text>");
        }
    }

    /// Whether anything of this class was drawn.
    pub(super) fn has(&self, class: &str) -> bool {
        self.text.contains(&format!("class=\"{class}\""))
    }

    fn shape(&mut self, shape: &str, name: &str, words: &str) {
        let _ = match words {
            "" => writeln!(self.text, "{shape}/>"),
            words => writeln!(self.text, "{shape}><title>{}</title></{name}>", Escaped(words)),
        };
    }
}

/// Text that may stand in an element or in an attribute.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            // XML 1.0 cannot carry these in any form (section 2.2).
            '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => {
                f.write_char(char::REPLACEMENT_CHARACTER)
            }
            letter => f.write_char(letter),
        })
    }
}

/// Two leaders are told by a pattern as well as by colour.
const PATTERNS: &str = "<pattern id=\"paused\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V6\"/></pattern>\
    <pattern id=\"two\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\" \
    patternTransform=\"rotate(-45)\"><rect class=\"alarm\" width=\"5\" height=\"5\"/>\
    <path class=\"stripe\" d=\"M0 0V5\"/></pattern>";

/// Plain colours, not variables: not every viewer of SVG knows those.
const STYLE: &str = "
text{font:11px system-ui,'DejaVu Sans',sans-serif;fill:#1f2328}
.title{font-size:17px;font-weight:600}.subtitle,.axis,.caption,.legend,.note{fill:#59636e}
.name{font-size:12px;font-weight:600;text-anchor:end}.axis{text-anchor:middle}.caption{font-weight:600}
.note{font-size:10px}.token{fill:#fff;font-size:10px;text-anchor:middle}.alert{fill:#c4161c;font-weight:600}
.ground{fill:#fff}.lane{fill:#f6f8fa}.grid{stroke:#d8dee4}.nobody{fill:#8c959f;fill-opacity:.32}
.overlap{fill:#c4161c;fill-opacity:.2}.alarm{fill:#c4161c}.stripe{stroke:#fff;stroke-width:1.6}.two{fill:url(#two)}
.runs{stroke:#8c959f;stroke-width:1.5}.cut{stroke:#bc4c00;stroke-width:2.5;stroke-dasharray:3 2}
.paused{fill:url(#paused)}.hatch{stroke:#9a6700;stroke-width:3}.ours{fill:#0a69da}.peer{fill:#8250df}
.maybe{fill-opacity:.35}.fault{stroke:#9a6700;stroke-width:2}.acquired{fill:#1a7f37}
.released{fill:#fff;stroke:#1a7f37;stroke-width:1.5}.finding{stroke:#c4161c;stroke-width:1.2;stroke-dasharray:5 3}
.lens{fill:none;stroke:#1f2328;stroke-width:1.2}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.subtitle,.axis,.caption,.legend,.note{fill:#9198a1}
.token{fill:#0d1117;font-weight:600}.alert{fill:#ff8079}.ground{fill:#0d1117}.lane{fill:#161b22}.grid{stroke:#30363d}
.nobody{fill:#9198a1;fill-opacity:.3}.overlap{fill:#f85149;fill-opacity:.28}.alarm{fill:#f85149}
.stripe{stroke:#0d1117}.runs{stroke:#6e7681}.cut{stroke:#f0883e}.hatch{stroke:#d29922}.ours{fill:#58a6ff}
.peer{fill:#bc8cff}.fault{stroke:#d29922}.acquired{fill:#3fb950}.released{fill:#0d1117;stroke:#3fb950}
.finding{stroke:#f85149}.lens{stroke:#e6edf3}}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_no_more_digits_than_it_needs() {
        let shown =
            [(7, 1), (1, 2), (1, 4)].map(|(part, whole)| Length::of(1).share(part, whole).to_string());
        assert_eq!(shown, ["7", "0.5", "0.25"]);
    }

    #[test]
    fn what_means_something_to_xml_is_escaped_and_what_it_cannot_carry_is_replaced() {
        assert_eq!(Escaped("a<b & \"c\"\u{0}").to_string(), "a&lt;b &amp; &quot;c&quot;\u{fffd}");
    }
}
