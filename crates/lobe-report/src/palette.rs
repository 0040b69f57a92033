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
    /// One of a crowd: drawn, but neither named nor coloured.
    pub(crate) rest: bool,
}

/// More arms than this and only some of them stand out.
pub(crate) const CROWD: usize = 10;
/// Most robust and least robust arms that stand out in a crowd.
const EACH_END: usize = 3;

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

/// One look per arm, in the run's order. The references have looks of their own.
pub(crate) fn looks(run: &RunData) -> Vec<Look> {
    let stand_out = stand_out(run);
    let mut next = 0;
    let mut look = |arm: &str| {
        let own = |class, marker, dash| Look { class, marker, dash, rest: false };
        if Some(arm) == run.baseline() {
            return own("ink", Marker::Circle, "");
        }
        if Some(arm) == run.control() {
            return own("grey", Marker::Diamond, "6 3");
        }
        if Some(arm) == run.fresh() {
            return own("grey", Marker::Star, "2 3");
        }
        let place = stand_out.as_ref().map(|names| names.iter().position(|n| n == arm));
        let i = place.flatten().unwrap_or(next);
        next += 1;
        if place == Some(None) {
            return Look { class: "rest", marker: MARKERS[i % 7], dash: "", rest: true };
        }
        // 6, 7 and 5 share no factor: 210 arms before two look alike.
        own(CLASSES[i % 6], MARKERS[i % 7], DASHES[i % 5])
    };
    run.arms().iter().map(|a| look(&a.name)).collect()
}

/// In a crowd, the arms with the best and the worst result under attack; `None` if every arm can be
/// told from every other.
fn stand_out(run: &RunData) -> Option<Vec<String>> {
    if run.arms().len() <= CROWD {
        return None;
    }
    let ordinary = |a: &str| !run.is_reference(a);
    let mut order: Vec<String> = if let Some(m) = run.matrix() {
        // A broken model is at neither end.
        m.ranked().into_iter().filter(|(r, _)| !r.damaged).map(|(r, _)| r.arm.clone()).collect()
    } else {
        // Without a recovery, the loss that the first attack ended with.
        let stage = run.attack_stages().first().copied();
        let metric = stage.map_or_else(String::new, |s| run.attack_metric(s));
        let target = stage.and_then(|s| run.measured(s, &metric, run.target(s, &metric)?));
        let end = |a: &crate::Arm| Some((target?.summary(&a.name)?.mean, a.name.clone()));
        let mut ends: Vec<(f64, String)> = run.arms().iter().filter_map(end).collect();
        ends.sort_by(|a, b| b.0.total_cmp(&a.0));
        ends.into_iter().map(|e| e.1).collect()
    };
    order.retain(|a| ordinary(a));
    if order.is_empty() {
        order =
            run.arms().iter().map(|a| a.name.clone()).filter(|a| ordinary(a)).take(2 * EACH_END).collect();
    }
    if order.len() > 2 * EACH_END {
        order.drain(EACH_END..order.len() - EACH_END);
    }
    order.extend(run.filter().map(String::from));
    Some(order)
}
