//! The key of several plots that share their looks.

use super::Ink;
use crate::palette::Look;
use crate::svg::{Anchor, Drawing, Marker, Svg, fit, text_width};

/// What the looks of several small plots mean. `level` names their horizontal line, if they have one.
pub(super) fn key(ink: &Ink<'_>, arms: &[(&str, Look)], level: Option<&str>) -> Drawing {
    const WIDE: f64 = 1000.0;
    let mut entries: Vec<(String, Option<Look>)> =
        arms.iter().map(|(a, l)| (fit(a, 200.0), Some(*l))).collect();
    entries.extend(level.map(|l| (l.to_owned(), None)));
    if ink.crowd() > 0 {
        let look = Look { class: "rest", marker: Marker::Circle, dash: "", rest: true };
        entries.push((format!("{} other arms", ink.crowd()), Some(look)));
    }
    let mut spots = Vec::new();
    let (mut x, mut y, mut widest) = (4.0, 14.0, 0.0_f64);
    for (text, _) in &entries {
        let wide = 46.0 + text_width(text, 13.0) * 1.16 + 14.0;
        if x > 4.0 && x + wide > WIDE {
            (x, y) = (4.0, y + 22.0);
        }
        spots.push((x, y));
        x += wide;
        widest = widest.max(x);
    }
    let mut svg = Svg::new(widest.clamp(300.0, WIDE), y + 12.0);
    for ((text, look), (x, y)) in entries.iter().zip(spots) {
        svg.open(look.map_or("ink", |l| l.class), "");
        let line = [(x, y), (x + 36.0, y)];
        match look {
            None => svg.line(line[0], line[1], "level"),
            Some(l) if l.rest => svg.path(&line, "faint", ""),
            Some(l) => {
                svg.path(&line, "curve", l.dash);
                svg.marker((x + 18.0, y), 3.6, l.marker, "mean");
            }
        }
        svg.text((x + 42.0, y + 4.5), Anchor::Start, "label", text);
        svg.close();
    }
    svg.finish_open("Which line is which arm")
}
