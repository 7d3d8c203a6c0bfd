//! What the glyphs of a picture mean.

use super::labels::width;
use super::svg::{Area, Length, Svg};

/// What the glyphs mean that are there.
pub(super) fn draw(svg: &mut Svg, left: Length, top: Length) {
    let glyph = |left| Area { left, top: top - Length::of(9), width: Length::of(18), height: Length::of(11) };
    let middle = top - Length::of(4);
    let mut x = left;
    let shown: Vec<_> = LEGEND.into_iter().filter(|(_, class, _)| svg.has(class)).collect();
    for (kind, class, words) in shown {
        let Area { left: from, top: upper, width: wide, height } = glyph(x);
        match kind {
            Glyph::Area => svg.area(class, glyph(x), ""),
            Glyph::Line => svg.line(class, (from, middle), (from + wide, middle), ""),
            Glyph::Tick => {
                svg.line(class, (from + Length::of(9), upper), (from + Length::of(9), upper + height), "")
            }
            Glyph::Triangle => {
                let (near, far) = (from + Length::of(7), from + Length::of(15));
                svg.polygon(
                    class,
                    &[(near, middle - Length::of(4)), (far, middle), (near, middle + Length::of(4))],
                    "",
                );
            }
            Glyph::Square => {
                let side = Length::of(7);
                let (from, upper) = (from + Length::of(7), middle - Length::of(3));
                let corners =
                    [(from, upper), (from + side, upper), (from + side, upper + side), (from, upper + side)];
                svg.polygon(class, &corners, "");
            }
        }
        svg.text("legend", x + Length::of(23), top, words);
        x = x + Length::of(23) + width(words, 11) + Length::of(14);
    }
}

/// How a legend draws what it explains.
#[derive(Clone, Copy, Debug)]
enum Glyph {
    Area,
    Line,
    Tick,
    Triangle,
    Square,
}

const LEGEND: [(Glyph, &str, &str); 11] = [
    (Glyph::Area, "ours", "leads"),
    (Glyph::Area, "peer", "another elector leads"),
    (Glyph::Area, "two", "two lead"),
    (Glyph::Area, "nobody", "nobody leads"),
    (Glyph::Line, "runs", "runs"),
    (Glyph::Area, "paused", "paused"),
    (Glyph::Line, "cut", "cut off"),
    (Glyph::Tick, "fault", "fault"),
    (Glyph::Triangle, "acquired", "acquires"),
    (Glyph::Square, "released", "releases"),
    (Glyph::Tick, "finding", "finding"),
];
