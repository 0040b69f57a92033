//! How each arm looks, the same in every figure and in every report: a colour, a marker and a dash, so that
//! colour is never the only difference.
//!
//! Colour and first marker belong to the *method*. Arms of one method differ by shade, marker and dash.

use std::collections::BTreeMap;

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

const HUES: usize = 8;
/// The hues in three shades.
const SHADES: [[&str; HUES]; 3] = [
    ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8"],
    ["l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8"],
    ["d1", "d2", "d3", "d4", "d5", "d6", "d7", "d8"],
];
const MARKERS: [Marker; 6] =
    [Marker::Square, Marker::Triangle, Marker::Down, Marker::Plus, Marker::Star, Marker::Cross];
const DASHES: [&str; 5] = ["", "7 3", "2 2.5", "9 3 2 3", "4 2"];

/// Hue (1 to 8) and marker of an arm's method: from its place in the lists of methods, so that a method looks the
/// same in every report and the first 48 look different; without a place, from what its name hashes to.
fn of_method(arm: &crate::Arm) -> (usize, usize) {
    // FNV-1a: a few bytes need nothing better.
    let hash =
        || arm.method.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let place = arm.place.unwrap_or_else(hash) as usize;
    (1 + place % HUES, (place % HUES + place / HUES) % MARKERS.len())
}

/// One look per arm, in the run's order. The references have looks of their own.
pub(crate) fn looks(run: &RunData) -> Vec<Look> {
    let stand_out = stand_out(run);
    let mut arms_of: BTreeMap<&str, usize> = BTreeMap::new();
    let mut look = |arm: &'_ crate::Arm| {
        let own = |class, marker, dash| Look { class, marker, dash, rest: false };
        let name = Some(arm.name.as_str());
        if name == run.baseline() {
            return own("ink", Marker::Circle, "");
        }
        if name == run.control() {
            return own("grey", Marker::Diamond, "6 3");
        }
        if name == run.fresh() {
            return own("grey", Marker::Star, "2 3");
        }
        let (hue, marker) = of_method(arm);
        if stand_out.as_ref().is_some_and(|names| !names.contains(&arm.name)) {
            return Look { class: "rest", marker: MARKERS[marker], dash: "", rest: true };
        }
        let nth = arms_of.iter().find(|(m, _)| **m == arm.method).map_or(0, |(_, n)| *n);
        let method = run.arms().iter().find(|a| a.method == arm.method).map_or("", |a| a.method.as_str());
        arms_of.insert(method, nth + 1);
        own(
            SHADES[nth % SHADES.len()][hue - 1],
            MARKERS[(marker + nth) % MARKERS.len()],
            DASHES[(hue + nth - 1) % 5],
        )
    };
    run.arms().iter().map(&mut look).collect()
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
        let metric = stage.map_or("", |s| run.attack_metric(s));
        let target = stage.and_then(|s| run.measured(s, metric, run.target(s, metric)?));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::Arm;

    fn run(arms: &[(&str, &str)]) -> RunData {
        let mut run = RunData::default();
        let arm = |(name, method): &(&str, &str)| Arm {
            name: (*name).to_owned(),
            method: (*method).to_owned(),
            ..Arm::default()
        };
        run.manifest.arms = arms.iter().map(arm).collect();
        run
    }

    #[test]
    fn a_method_looks_the_same_whatever_stands_beside_it() {
        let alone = looks(&run(&[("a", "sgtm")]));
        let among = looks(&run(&[("x", "npo"), ("y", "rmu"), ("my-own", "sgtm")]));
        assert_eq!(alone[0], among[2]);
        // So does one that nobody listed.
        assert_eq!(looks(&run(&[("a", "leaky")]))[0], looks(&run(&[("b", "filter"), ("c", "leaky")]))[1]);
    }

    #[test]
    fn arms_of_one_method_share_the_hue_and_nothing_else() {
        let found = looks(&run(&[("a", "sgtm"), ("b", "sgtm"), ("c", "sgtm")]));
        assert_eq!(found.iter().map(|l| l.class).collect::<Vec<_>>(), ["k5", "l5", "d5"]);
        assert!(found[0].marker != found[1].marker && found[1].marker != found[2].marker);
    }

    #[test]
    fn methods_of_different_places_look_different() {
        let of = |place| of_method(&Arm { place: Some(place), ..Arm::default() });
        let pairs: BTreeSet<_> = (0..48).map(of).collect();
        assert_eq!(pairs.len(), 48);
        assert!(pairs.iter().all(|m| (1..=HUES).contains(&m.0) && m.1 < MARKERS.len()));
    }
}
