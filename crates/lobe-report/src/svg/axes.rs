//! The frame of a plot: grid, ticks, and what the axes mean.

use super::{Anchor, Scale, Svg};

/// The rectangle that data is drawn in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Frame {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) right: f64,
    pub(crate) bottom: f64,
}

impl Frame {
    pub(crate) fn x(&self) -> (f64, f64) {
        (self.left, self.right)
    }

    /// Upwards, as a plot is read.
    pub(crate) fn y(&self) -> (f64, f64) {
        (self.bottom, self.top)
    }
}

/// Grid, ticks and titles. The title of y lies above the plot, where it can be read upright.
pub(crate) fn axes(svg: &mut Svg, frame: Frame, x: &Scale, y: &Scale, titles: (&str, &str)) {
    let wide = ((frame.right - frame.left) / 85.0).round().max(3.0) as usize;
    let tall = ((frame.bottom - frame.top) / 48.0).round().max(3.0) as usize;
    for (v, text) in y.ticks(tall) {
        let at = y.at(v);
        svg.line((frame.left, at), (frame.right, at), "grid");
        svg.text((frame.left - 7.0, at + 4.0), Anchor::End, "tick", &text);
    }
    for (v, text) in x.ticks(wide) {
        let at = x.at(v);
        svg.line((at, frame.top), (at, frame.bottom), "grid");
        svg.text((at, frame.bottom + 17.0), Anchor::Middle, "tick", &text);
    }
    svg.line((frame.left, frame.bottom), (frame.right, frame.bottom), "axis");
    svg.line((frame.left, frame.top), (frame.left, frame.bottom), "axis");
    let middle = f64::midpoint(frame.left, frame.right);
    svg.text((middle, frame.bottom + 36.0), Anchor::Middle, "axis-title", titles.0);
    svg.text((8.0, frame.top - 12.0), Anchor::Start, "axis-title", titles.1);
}
