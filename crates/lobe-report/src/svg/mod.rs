//! Just enough SVG: elements with escaped text, and the parts of a figure built from them.
//!
//! Colours and line widths live in the page's style sheet; an element only names its class.

mod axes;
mod drawing;
mod place;
mod scale;

pub(crate) use axes::{Frame, axes};
pub(crate) use drawing::{Drawing, alone};
pub(crate) use place::{Labels, apart, dodge};
pub(crate) use scale::{Scale, pad, steps};

use std::fmt::Write as _;

use crate::format::shorten;

/// Marker shapes that stay apart in black and white.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Diamond,
    Triangle,
    Down,
    Plus,
    Star,
    Cross,
}

/// Where text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// An `<svg>` under construction.
#[derive(Debug)]
pub(crate) struct Svg {
    pub(crate) width: f64,
    pub(crate) height: f64,
    body: String,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64) -> Svg {
        Svg { width, height, body: String::new() }
    }

    fn push(&mut self, args: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        self.body.write_fmt(args).ok();
    }

    /// Everything until [`Svg::close`] belongs to one group with a tooltip.
    pub(crate) fn open(&mut self, class: &str, title: &str) {
        self.push(format_args!("<g class=\"{}\">", escape(class)));
        if !title.is_empty() {
            self.push(format_args!("<title>{}</title>", escape(title)));
        }
    }

    pub(crate) fn close(&mut self) {
        self.body.push_str("</g>");
    }

    /// Everything until [`Svg::unlink`] leads to `href`, see [`member_href`].
    pub(crate) fn link(&mut self, href: &str) {
        self.push(format_args!("<a href=\"{}\">", escape(href)));
    }

    pub(crate) fn unlink(&mut self) {
        self.body.push_str("</a>");
    }

    pub(crate) fn line(&mut self, a: (f64, f64), b: (f64, f64), class: &str) {
        let [x1, y1, x2, y2] = [a.0, a.1, b.0, b.1].map(c);
        self.push(format_args!("<line class=\"{class}\" x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\"/>"));
    }

    /// An open line through `points`.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], class: &str, dash: &str) {
        if points.len() < 2 {
            return;
        }
        let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
        self.push(format_args!("<polyline class=\"{class}\"{dash} points=\"{}\"/>", list(points.iter())));
    }

    /// The area between two lines over the same x.
    pub(crate) fn band(&mut self, upper: &[(f64, f64)], lower: &[(f64, f64)], class: &str) {
        if upper.len() < 2 {
            return;
        }
        let around = upper.iter().chain(lower.iter().rev());
        self.push(format_args!("<polygon class=\"{class}\" points=\"{}\"/>", list(around)));
    }

    pub(crate) fn rect(&mut self, at: (f64, f64), size: (f64, f64), class: &str) {
        let [x, y, w, h] = [at.0, at.1, size.0.max(0.0), size.1.max(0.0)].map(c);
        self.push(format_args!("<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/>"));
    }

    /// Pixels as rectangles of one `path`, in units of `scale`, from `at` on; `share` of the ink.
    pub(crate) fn pixels(&mut self, at: (f64, f64), scale: f64, path: &str, share: f64) {
        let [x, y] = [at.0, at.1].map(c);
        self.push(format_args!(
            "<path class=\"pixels\" transform=\"translate({x} {y}) scale({scale:.4})\" fill-opacity=\"{share:.3}\" d=\"{path}\"/>"
        ));
    }

    pub(crate) fn text(&mut self, at: (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let [x, y] = [at.0, at.1].map(c);
        let text = escape(text);
        self.push(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    /// Text that rises to the right from `at`.
    pub(crate) fn turned(&mut self, at: (f64, f64), class: &str, text: &str) {
        let [x, y] = [at.0, at.1].map(c);
        let text = escape(text);
        self.push(format_args!(
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" transform=\"rotate(-45 {x} {y})\">{text}</text>"
        ));
    }

    /// A marker of radius `r`.
    pub(crate) fn marker(&mut self, (x, y): (f64, f64), r: f64, marker: Marker, class: &str) {
        let polygon = |sides: &[(f64, f64)]| {
            list(sides.iter().map(|(a, b)| (x + a * r, y + b * r)).collect::<Vec<_>>().iter())
        };
        let points = match marker {
            Marker::Circle => {
                let [x, y, r] = [x, y, r].map(c);
                return self
                    .push(format_args!("<circle class=\"{class}\" cx=\"{x}\" cy=\"{y}\" r=\"{r}\"/>"));
            }
            Marker::Square => polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
            Marker::Diamond => polygon(&[(0.0, -1.25), (1.1, 0.0), (0.0, 1.25), (-1.1, 0.0)]),
            Marker::Triangle => polygon(&[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)]),
            Marker::Down => polygon(&[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)]),
            Marker::Plus => polygon(&plus(0.0)),
            Marker::Cross => polygon(&plus(std::f64::consts::FRAC_PI_4)),
            Marker::Star => {
                let tip = |i: usize| {
                    let (angle, r) =
                        (std::f64::consts::PI * i as f64 / 5.0, if i.is_multiple_of(2) { 1.35 } else { 0.6 });
                    (angle.sin() * r, -angle.cos() * r)
                };
                polygon(&(0..10).map(tip).collect::<Vec<_>>())
            }
        };
        self.push(format_args!("<polygon class=\"{class}\" points=\"{points}\"/>"));
    }

    /// The finished drawing; `label` is what a screen reader says.
    pub(crate) fn finish(self, label: &str) -> Drawing {
        Drawing {
            width: self.width,
            height: self.height,
            body: self.body,
            label: label.to_owned(),
            parts: false,
        }
    }

    /// A finished drawing whose parts a screen reader reads one by one.
    pub(crate) fn finish_open(self, label: &str) -> Drawing {
        Drawing { parts: true, ..self.finish(label) }
    }
}

/// The corners of a plus, turned by `angle`.
fn plus(angle: f64) -> [(f64, f64); 12] {
    let (a, b) = (0.4, 1.15);
    let corners = [
        (-a, -b),
        (a, -b),
        (a, -a),
        (b, -a),
        (b, a),
        (a, a),
        (a, b),
        (-a, b),
        (-a, a),
        (-b, a),
        (-b, -a),
        (-a, -a),
    ];
    let (sin, cos) = angle.sin_cos();
    corners.map(|(x, y)| (x * cos - y * sin, x * sin + y * cos))
}

/// Whether a name is one plain path component.
pub(crate) fn plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['/', '\\', ':', '\0']) && name != "." && name != ".."
}

/// Address of a member's numbers, relative to the report; `None` if a name is not one plain path
/// component. Everything but plain letters is percent-encoded, so a name is never a scheme, a query
/// or a way up.
pub(crate) fn member_href(stage: &str, arm: &str, seed: u64) -> Option<String> {
    if !(plain_name(stage) && plain_name(arm)) {
        return None;
    }
    Some(format!("stages/{}/{}.{seed}/metrics.jsonl", percent_encode(stage), percent_encode(arm)))
}

fn percent_encode(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

fn list<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> String {
    let mut out = String::new();
    for (x, y) in points {
        write!(out, "{}{},{}", if out.is_empty() { "" } else { " " }, c(*x), c(*y)).ok();
    }
    out
}

/// A coordinate: one decimal, and never so large that a renderer gives up.
fn c(v: f64) -> String {
    let v = if v.is_nan() { 0.0 } else { v.clamp(-1e5, 1e5) };
    let text = format!("{v:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// `text` with everything escaped that means something in markup.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for ch in text.chars() {
        match ch {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

/// Width of `text` at a font size. Sans-serif letters average a bit over half their height.
pub(crate) fn text_width(text: &str, size: f64) -> f64 {
    let wide = |c: char| match c {
        'i' | 'l' | 'j' | 't' | 'f' | 'r' | '.' | ',' | ' ' | '|' | '\'' | 'I' => 0.32,
        'm' | 'w' | 'M' | 'W' => 0.88,
        c if c.is_ascii_uppercase() => 0.7,
        c if c.is_ascii() => 0.56,
        _ => 0.8,
    };
    text.chars().map(wide).sum::<f64>() * size
}

/// `text` shortened until a bold label of it is at most `room` wide.
pub(crate) fn fit(text: &str, room: f64) -> String {
    // Bold letters of fonts we cannot know run wider than the estimate.
    let lengths = (3..=text.chars().count().min(60)).rev();
    let fits = |t: &String| text_width(t, 13.0) * 1.16 <= room;
    lengths.map(|n| shorten(text, n)).find(fits).unwrap_or_else(|| shorten(text, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_in_the_directory() {
        let href = |stage, arm| member_href(stage, arm, 3);
        assert_eq!(href("train", "sgtm").as_deref(), Some("stages/train/sgtm.3/metrics.jsonl"));
        assert_eq!(
            href("a b?#", "%2e%2e\"é").as_deref(),
            Some("stages/a%20b%3F%23/%252e%252e%22%C3%A9.3/metrics.jsonl")
        );
        for bad in ["", ".", "..", "a/b", "..\\c", "javascript:x", "x\0"] {
            assert_eq!(href(bad, "a"), None, "{bad}");
            assert_eq!(href("a", bad), None, "{bad}");
        }
    }

    #[test]
    fn text_is_escaped_and_coordinates_are_bounded() {
        let mut svg = Svg::new(10.0, 10.0);
        svg.text((f64::NAN, f64::INFINITY), Anchor::Start, "t", "<a b=\"c\">&'");
        let out = svg.finish("\"><script>").inline();
        insta::assert_snapshot!(out, @r#"<svg viewBox="0 0 10 10" role="img" aria-label="&quot;&gt;&lt;script&gt;"><title>&quot;&gt;&lt;script&gt;</title><text class="t" x="0" y="100000" text-anchor="start">&lt;a b=&quot;c&quot;&gt;&amp;&#39;</text></svg>"#);
    }
}
