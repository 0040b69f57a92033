//! Colours: one set of names for light and dark, the scale that heat maps share, and the style sheets built
//! from them.
//!
//! The hues of methods are those of Okabe and Ito (2008) and two of Tol's muted scheme, lightened in dark mode.
//! Heat maps diverge: white (or the page's own dark) is 0, orange is the capability, blue is less of it than in
//! a model that never had it. The scale goes on past 1, towards purple.

use std::fmt::Write as _;

/// Style of drawings, in the page and in files of their own.
const FIGURE: &str = include_str!("html/figure.css");
/// Style of everything else in the page.
const PAGE: &str = include_str!("html/page.css");

const LIGHT: &[(&str, &str)] = &[
    ("page", "#ffffff"),
    ("text", "#1b1f24"),
    ("soft", "#56606c"),
    ("rule", "#d9dde3"),
    ("grid", "#eceef2"),
    ("tint", "#f6f7f9"),
    ("grey", "#747c88"),
    ("good", "#0b6b4f"),
    ("mixed", "#7a5b00"),
    ("bad", "#a8321c"),
    ("k1", "#0072b2"),
    ("k2", "#d55e00"),
    ("k3", "#009e73"),
    ("k4", "#b0508f"),
    ("k5", "#b87d00"),
    ("k6", "#3d9bd6"),
    ("k7", "#882255"),
    ("k8", "#77771f"),
    ("l1", "#5aa9d8"),
    ("l2", "#f09a55"),
    ("l3", "#5cc4a2"),
    ("l4", "#d593bd"),
    ("l5", "#dcae4b"),
    ("l6", "#8cc6ea"),
    ("l7", "#b9698f"),
    ("l8", "#aeae5a"),
    ("d1", "#004a75"),
    ("d2", "#8f3f00"),
    ("d3", "#00664a"),
    ("d4", "#74305c"),
    ("d5", "#785200"),
    ("d6", "#1f6797"),
    ("d7", "#561435"),
    ("d8", "#4c4c10"),
];

const DARK: &[(&str, &str)] = &[
    ("page", "#14171b"),
    ("text", "#e6e9ee"),
    ("soft", "#a3adba"),
    ("rule", "#363c45"),
    ("grid", "#252a31"),
    ("tint", "#1b1f25"),
    ("grey", "#98a1af"),
    ("good", "#4fd1a5"),
    ("mixed", "#e3bd55"),
    ("bad", "#ff9a85"),
    ("k1", "#4aa8e8"),
    ("k2", "#ff8a3d"),
    ("k3", "#2fc99b"),
    ("k4", "#e48fc4"),
    ("k5", "#e8b23a"),
    ("k6", "#9ad4f7"),
    ("k7", "#d9709f"),
    ("k8", "#c4c45a"),
    ("l1", "#9fd1f5"),
    ("l2", "#ffbd8f"),
    ("l3", "#93e6cb"),
    ("l4", "#f4c6e0"),
    ("l5", "#f6d68b"),
    ("l6", "#cbe9fb"),
    ("l7", "#efaac6"),
    ("l8", "#e0e09a"),
    ("d1", "#2a7db5"),
    ("d2", "#c75f18"),
    ("d3", "#1d9573"),
    ("d4", "#b05f92"),
    ("d5", "#b3841c"),
    ("d6", "#5fa6d0"),
    ("d7", "#a4446f"),
    ("d8", "#939338"),
];

/// The lowest and the highest step of the heat maps' scale: −1, and 2 or more.
pub(crate) const LOWEST: i32 = -10;
pub(crate) const HIGHEST: i32 = 16;

/// Where the colours of the heat maps turn, as (step, red, green, blue).
const RAMP_LIGHT: [(i32, [u8; 3]); 7] = [
    (-10, [0x1f, 0x5f, 0xa8]),
    (-5, [0x8f, 0xbc, 0xe0]),
    (0, [0xf6, 0xf6, 0xf4]),
    (4, [0xfb, 0xd0, 0x9a]),
    (7, [0xf2, 0x9a, 0x4b]),
    (10, [0xd5, 0x5e, 0x00]),
    (16, [0x5e, 0x1a, 0x4a]),
];
const RAMP_DARK: [(i32, [u8; 3]); 6] = [
    (-10, [0x5a, 0xb0, 0xf2]),
    (-5, [0x2c, 0x62, 0x94]),
    (0, [0x26, 0x2b, 0x32]),
    (5, [0x80, 0x47, 0x1c]),
    (10, [0xf0, 0x86, 0x3a]),
    (16, [0xf3, 0xb8, 0xe2]),
];

/// The step of the scale that a number belongs to: tenths up to 1, fifths above, everything from 2 on one step.
pub(crate) fn step(v: f64) -> i32 {
    let step = if v < 1.05 { (v * 10.0).round() } else { 11.0 + ((v - 1.05) / 0.2).floor() };
    // A cast saturates, and what is no number is 0.
    (step as i32).clamp(LOWEST, HIGHEST)
}

/// The CSS class of a step: `hn3` below 0, `h7` from 0 on.
pub(crate) fn heat(step: i32) -> String {
    if step < 0 { format!("hn{}", -step) } else { format!("h{step}") }
}

fn colour(ramp: &[(i32, [u8; 3])], step: i32) -> [u8; 3] {
    let above = ramp.iter().position(|(at, _)| *at >= step).unwrap_or(ramp.len() - 1);
    let (to, from) = (ramp[above], ramp[above.saturating_sub(1)]);
    let share = if to.0 > from.0 { f64::from(step - from.0) / f64::from(to.0 - from.0) } else { 0.0 };
    std::array::from_fn(|i| {
        let (a, b) = (f64::from(from.1[i]), f64::from(to.1[i]));
        (a + (b - a) * share).round() as u8
    })
}

/// Relative luminance (WCAG 2).
fn luminance(rgb: [u8; 3]) -> f64 {
    let linear = rgb.map(|c| {
        let c = f64::from(c) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

/// Black or white, whichever is easier to read on a colour.
fn on(rgb: [u8; 3]) -> &'static str {
    if luminance(rgb) > 0.179 { "#14171b" } else { "#ffffff" }
}

fn variables(dark: bool) -> Vec<(String, String)> {
    let (fixed, ramp): (_, &[(i32, [u8; 3])]) = if dark { (DARK, &RAMP_DARK) } else { (LIGHT, &RAMP_LIGHT) };
    let mut out: Vec<(String, String)> =
        fixed.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    for i in LOWEST..=HIGHEST {
        let rgb = colour(ramp, i);
        let [r, g, b] = rgb;
        out.push((heat(i), format!("#{r:02x}{g:02x}{b:02x}")));
        out.push((format!("{}t", heat(i)), on(rgb).to_owned()));
    }
    out
}

/// Rules that only name variables: hues, and the steps of the heat maps.
fn rules() -> String {
    let mut out = String::new();
    for k in ["k", "l", "d"] {
        for i in 1..=8 {
            write!(out, "svg .{k}{i}{{color:var(--{k}{i})}}").ok();
        }
    }
    for i in LOWEST..=HIGHEST {
        let h = heat(i);
        write!(out, "svg .{h}{{fill:var(--{h})}}svg .t{h} text{{fill:var(--{h}t)}}").ok();
    }
    out
}

fn root(dark: bool) -> String {
    let mut list = String::new();
    for (name, value) in variables(dark) {
        write!(list, "--{name}:{value};").ok();
    }
    format!(":root{{{list}}}")
}

/// The page's style sheet.
pub(crate) fn page() -> String {
    let (light, dark) = (root(false), root(true));
    let mut cells = String::new();
    for h in (LOWEST..=HIGHEST).map(heat) {
        write!(cells, ".heat .b{h}{{background:var(--{h});color:var(--{h}t)}}").ok();
    }
    format!(
        ":root{{color-scheme:light dark}}{light}@media (prefers-color-scheme:dark){{{dark}}}@media print{{{light}}}\n\
         {FIGURE}{}{cells}\n{PAGE}",
        rules()
    )
}

/// The style sheet of a drawing in a file of its own: light, without variables, which not every program reads.
pub(crate) fn standalone() -> String {
    let mut out = format!("{FIGURE}{}", rules());
    for (name, value) in variables(false) {
        out = out.replace(&format!("var(--{name})"), &value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_goes_past_one_and_below_zero() {
        let at = [-5.0, -1.0, -0.04, 0.0, 0.04, 0.53, 1.0, 1.04, 1.1, 1.95, 2.4, 9.0, f64::NAN].map(step);
        assert_eq!(at, [-10, -10, 0, 0, 0, 5, 10, 10, 11, 15, 16, 16, 0]);
        assert_ne!(colour(&RAMP_LIGHT, step(1.0)), colour(&RAMP_LIGHT, step(1.95)));
        assert_ne!(colour(&RAMP_LIGHT, step(-2.4)), colour(&RAMP_LIGHT, step(0.0)));
        assert_eq!(colour(&RAMP_LIGHT, -10), [0x1f, 0x5f, 0xa8]);
        assert_eq!(colour(&RAMP_DARK, 16), [0xf3, 0xb8, 0xe2]);
    }

    #[test]
    fn text_can_be_read_on_every_step() {
        for ramp in [&RAMP_LIGHT[..], &RAMP_DARK[..]] {
            for i in LOWEST..=HIGHEST {
                let rgb = colour(ramp, i);
                let other = if on(rgb) == "#ffffff" { 1.0 } else { luminance([0x14, 0x17, 0x1b]) };
                let (a, b) = (luminance(rgb).max(other), luminance(rgb).min(other));
                assert!((a + 0.05) / (b + 0.05) >= 4.0, "step {i}: {:.2}", (a + 0.05) / (b + 0.05));
            }
        }
    }

    #[test]
    fn a_drawing_of_its_own_needs_no_variable() {
        let style = standalone();
        assert!(!style.contains("var("), "{}", &style[style.find("var(").unwrap_or(0)..]);
        assert!(!style.contains("</") && !page().contains("</"));
    }

    #[test]
    fn light_and_dark_name_the_same_colours() {
        let names = |list: &[(&str, &str)]| list.iter().map(|(n, _)| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(LIGHT), names(DARK));
    }
}
