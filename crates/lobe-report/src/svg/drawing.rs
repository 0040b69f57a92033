//! A finished drawing: in the page, in a larger drawing, or in a file of its own.

use super::{c, escape};
use crate::theme;

/// What an `<svg>` element holds.
#[derive(Debug, Clone)]
pub(crate) struct Drawing {
    pub(crate) width: f64,
    pub(crate) height: f64,
    pub(super) body: String,
    /// What a screen reader says.
    pub(super) label: String,
    /// Whether it also reads the parts.
    pub(super) parts: bool,
}

/// Room between drawings that share a file.
const GAP: f64 = 16.0;
/// How wide a file may become before the next drawing starts a line.
const WIDEST: f64 = 1000.0;

impl Drawing {
    /// An element for the page, which has the style sheet.
    pub(crate) fn inline(&self) -> String {
        let (w, h, label) = (c(self.width), c(self.height), escape(&self.label));
        if self.parts {
            return format!(
                "<svg viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"group\" aria-label=\"{label}\">{}</svg>",
                self.body
            );
        }
        format!(
            "<svg viewBox=\"0 0 {w} {h}\" role=\"img\" aria-label=\"{label}\"><title>{label}</title>{}</svg>",
            self.body
        )
    }

    /// An element without a name, for a mark that stands beside its name.
    pub(crate) fn bare(&self) -> String {
        format!("<svg viewBox=\"0 0 {} {}\">{}</svg>", c(self.width), c(self.height), self.body)
    }

    /// The drawing as a part of another. What its parts lead to is not there.
    fn nested(&self, (x, y): (f64, f64)) -> String {
        let [x, y, w, h] = [x, y, self.width, self.height].map(c);
        let mut body = String::with_capacity(self.body.len());
        for (i, piece) in self.body.split("<a href=\"").enumerate() {
            // Quotes are escaped inside of an address, so the first one ends it.
            body.push_str(if i == 0 { piece } else { piece.split_once("\">").map_or("", |p| p.1) });
        }
        let body = body.replace("</a>", "");
        format!("<svg x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\">{body}</svg>")
    }
}

/// Drawings as one SVG file that opens alone: white paper, its own style, no address but the name of the format.
pub(crate) fn alone(title: &str, drawings: &[&Drawing]) -> String {
    let (mut x, mut y, mut line) = (GAP, GAP, 0.0_f64);
    let (mut width, mut inside) = (0.0_f64, String::new());
    for d in drawings {
        if x > GAP && x + d.width > WIDEST {
            (x, y, line) = (GAP, y + line + GAP, 0.0);
        }
        inside.push_str(&d.nested((x, y)));
        x += d.width + GAP;
        (line, width) = (line.max(d.height), width.max(x));
    }
    let ([w, h], title) = ([width, y + line + GAP].map(c), escape(title));
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" \
         viewBox=\"0 0 {w} {h}\" role=\"img\"><title>{title}</title><style>{}</style>\
         <rect width=\"{w}\" height=\"{h}\" fill=\"#ffffff\"/>{inside}</svg>\n",
        theme::standalone()
    )
}
