//! How each arm looks, the same in every figure: a colour, a marker and a dash, so that colour is
//! never the only difference. Colours are those of Okabe and Ito (2008), lightened in dark mode.

use crate::RunData;
use crate::svg::Marker;

/// The look of one arm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    /// CSS class that sets `color`.
    pub(crate) class: &'static str,
    pub(crate) marker: Marker,
    /// SVG dash pattern, empty for a solid line.
    pub(crate) dash: &'static str,
}

const CLASSES: [&str; 6] = ["k1", "k2", "k3", "k4", "k5", "k6"];
const MARKERS: [Marker; 7] = [
    Marker::Square,
    Marker::Triangle,
    Marker::Down,
    Marker::Plus,
    Marker::Star,
    Marker::Circle,
    Marker::Diamond,
];
const DASHES: [&str; 5] = ["", "7 3", "2 2.5", "9 3 2 3", "4 2"];

/// One look per arm, in the run's order. Baseline and control have a look of their own.
pub(crate) fn looks(run: &RunData) -> Vec<Look> {
    let mut next = 0;
    let mut look = |arm: &str| {
        if Some(arm) == run.baseline() {
            return Look { class: "ink", marker: Marker::Circle, dash: "" };
        }
        if Some(arm) == run.control() {
            return Look { class: "grey", marker: Marker::Diamond, dash: "6 3" };
        }
        let i = next;
        next += 1;
        // 6, 7 and 5 share no factor: 210 arms before two look alike.
        Look { class: CLASSES[i % 6], marker: MARKERS[i % 7], dash: DASHES[i % 5] }
    };
    run.arms().iter().map(|a| look(&a.name)).collect()
}
