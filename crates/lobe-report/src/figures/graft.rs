//! Sparse grafts: how much comes back when only a few parameters may be restored.

use std::collections::{BTreeMap, BTreeSet};

use super::curves::{Bundle, COLUMNS, Plot, Shape, draw, write};
use super::key::key;
use super::{Data, Figure, Ink, Panel, Place, Size, seeds};
use crate::palette::Look;
use crate::run::{Measured, Quantity, RunData, Variant, summary};
use crate::stats::{extent, mean};
use crate::svg::fit;

/// Most plots.
const MOST: usize = 12;

/// A stage, what its variants share, and the label they are measured on.
type Family<'a> = (&'a str, String, &'a str);

/// Variants of an attack that differ in one setting alone, a number, and that change different numbers of
/// parameters.
fn families(run: &RunData) -> BTreeMap<Family<'_>, BTreeSet<&Variant>> {
    let mut found: BTreeMap<Family<'_>, BTreeSet<&Variant>> = BTreeMap::new();
    for (q, variants) in run.variants.iter().filter(|(q, _)| q.metric == "budget_parameters") {
        let numeric = |v: &Variant| -> Vec<String> {
            v.settings().filter(|s| s.1.parse::<f64>().is_ok()).map(|s| s.0.to_owned()).collect()
        };
        let keys: BTreeSet<String> = variants.keys().flat_map(numeric).collect();
        for key in keys {
            let mut rest: BTreeMap<String, Vec<(&Variant, &Measured)>> = BTreeMap::new();
            for (v, m) in variants.iter().filter(|(v, _)| v.settings().any(|s| s.0 == key)) {
                let other = v.settings().filter(|s| s.0 != key).map(|(k, v)| format!("{k}={v}"));
                let start = Some(v.start.clone()).filter(|s| !s.is_empty());
                rest.entry(start.into_iter().chain(other).collect::<Vec<_>>().join(", "))
                    .or_default()
                    .push((v, m));
            }
            let differ = |list: &[(&Variant, &Measured)]| {
                let of = |m: &Measured| extent(m.by_arm.keys().flat_map(|a| m.finals(a)).map(|(_, v)| v));
                list.windows(2).any(|pair| of(pair[0].1) != of(pair[1].1))
            };
            for (name, list) in rest.into_iter().filter(|(_, list)| differ(list)) {
                let all = found.entry((&q.stage, name, &q.label)).or_default();
                all.extend(list.into_iter().map(|(v, _)| v));
            }
        }
    }
    found
}

/// Nothing for runs without such an attack.
pub(super) fn build(ink: &Ink<'_>) -> Option<Figure> {
    let run = ink.run;
    let mut found = families(run);
    found.retain(|_, variants| variants.len() > 1);
    let (shape, size) =
        if found.len() > 1 { (Shape::Small, Size::Small) } else { (Shape::Plain, Size::Plain) };
    let (mut panels, mut names, mut counts) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut data = Data::new(&COLUMNS);
    for ((stage, family, label), variants) in found.iter().take(MOST) {
        let bundles: Vec<Bundle<'_>> =
            ink.arms().filter_map(|(arm, look)| bundle(ink, (arm, look), (stage, label), variants)).collect();
        let what = if family.is_empty() { (*stage).to_owned() } else { format!("{stage}, {family}") };
        let y = format!("recovery: {}", fit(&what, 240.0));
        let about = format!("Recovery against the number of grafted parameters, {what}");
        let plot = Plot {
            titles: ("parameters changed", &y),
            about: &about,
            levels: run.control().map(|_| (0.0, "never had it".to_owned())).into_iter().collect(),
            bands: true,
            narrow_log: false,
            shape,
            log_x: true,
            outsider: run.fresh(),
        };
        if bundles.iter().all(|b| b.mean.len() < 2) {
            continue;
        }
        counts.extend(bundles.iter().map(|b| b.seeds.len()));
        names.extend(bundles.iter().map(|b| b.arm));
        write(&mut data, &what, &bundles);
        panels.extend(draw(&bundles, &plot).map(|drawing| Panel { drawing, size }));
    }
    if panels.is_empty() {
        return None;
    }
    let named: Vec<_> = ink.arms().filter(|(arm, l)| !l.rest && names.contains(arm)).collect();
    if shape == Shape::Small {
        panels.insert(0, Panel { drawing: key(ink, &named, Some("never had it")), size: Size::Wide });
    }
    Some(Figure {
        id: "sparse-graft".into(),
        title: "How few parameters bring it back".into(),
        panels,
        caption: format!(
            "Recovery of the best model among those that differ from the attacked one in at most so many parameters; 0 is as \
             ignorant as the control (dotted), 1 as able as the baseline. A curve that rises early means that the capability \
             hangs on a few parameters. Lines are means, bands 95 % intervals ({}).{}",
            seeds(counts.into_iter()),
            ink.crowd_words()
        ),
        data,
        below: Vec::new(),
        place: Place::Body,
    })
}

fn bundle<'a>(
    ink: &Ink<'a>,
    (arm, look): (&'a str, Look),
    (stage, label): (&str, &str),
    variants: &BTreeSet<&Variant>,
) -> Option<Bundle<'a>> {
    let run = ink.run;
    let mut points = Vec::new();
    for variant in variants {
        let finals = |metric: &str| {
            let [stage, metric, label] = [stage, metric, label].map(str::to_owned);
            let all = run.variants.get(&Quantity { stage, metric, label });
            all.and_then(|all| all.get(variant)).map_or_else(Vec::new, |m| m.finals(arm))
        };
        let sizes: Vec<f64> = finals("budget_parameters").iter().map(|(_, v)| *v).collect();
        let back = finals("recovery");
        if let (Some(x), Some(s)) = (mean(&sizes), summary(&back)) {
            points.push((x, s, back));
        }
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let seeds: BTreeSet<u64> = points.iter().flat_map(|p| p.2.iter().map(|v| v.0)).collect();
    let line = |seed: &u64| {
        let at = |p: &(f64, _, Vec<(u64, f64)>)| Some((p.0, p.2.iter().find(|v| v.0 == *seed)?.1));
        points.iter().filter_map(at).collect()
    };
    let band = points.iter().map(|(x, s, _)| Some(((*x, s.interval?.1), (*x, s.interval?.0))));
    let band = band.collect::<Option<Vec<_>>>();
    (!points.is_empty()).then(|| Bundle {
        arm,
        look,
        seeds: seeds.iter().map(line).collect(),
        mean: points.iter().map(|(x, s, _)| (*x, s.mean)).collect(),
        band: band.map(|b| b.into_iter().unzip()),
    })
}
