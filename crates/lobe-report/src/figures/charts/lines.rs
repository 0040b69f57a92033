//! Curves: one per arm and series, with the spread over seeds.

use std::collections::BTreeMap;

use super::{Drawn, Group, series, titles};
use crate::figures::curves::{Bundle, COLUMNS, Line, Plot, Shape, draw as plot, write};
use crate::figures::{Data, Panel, Size};
use crate::run::summary;

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let all = series(g);
    let bundles: Vec<Bundle<'_>> = all
        .iter()
        .map(|(name, look, seeds)| {
            let seeds: Vec<Line> = seeds.iter().map(|(_, s)| sorted(&s.points)).collect();
            let (mean, band) = spread(&seeds);
            Bundle { arm: name, look: *look, seeds, mean, band }
        })
        .collect();
    let (x, y) = titles(g.first);
    let mut data = Data::new(&COLUMNS);
    write(&mut data, &g.first.title, &bundles);
    let drawing = plot(
        &bundles,
        &Plot {
            titles: (&x, &y),
            about: &g.first.title,
            levels: g.first.levels.iter().map(|l| (l.value, l.name.clone())).collect(),
            bands: true,
            narrow_log: g.first.y.log,
            shape: Shape::Plain,
            log_x: g.first.x.log,
            outsider: None,
        },
    );
    (drawing.map(|drawing| Panel { drawing, size: Size::Plain }).into_iter().collect(), data)
}

fn sorted(points: &[(f64, f64)]) -> Line {
    let mut out = points.to_vec();
    out.sort_by(|a, b| a.0.total_cmp(&b.0));
    out
}

/// The mean over seeds where all of them have a point, and its interval where there is one everywhere.
fn spread(seeds: &[Line]) -> (Line, Option<(Line, Line)>) {
    let mut at: BTreeMap<u64, (f64, Vec<(u64, f64)>)> = BTreeMap::new();
    for (seed, line) in seeds.iter().enumerate() {
        for (x, y) in line {
            // Bits of a sortable float: equal numbers meet, and order is kept.
            let bits = x.to_bits();
            let key = if x.is_sign_negative() { !bits } else { bits | (1 << 63) };
            at.entry(key).or_insert((*x, Vec::new())).1.push((seed as u64, *y));
        }
    }
    let shared: Vec<_> = at
        .into_values()
        .filter(|(_, v)| v.len() == seeds.len())
        .filter_map(|(x, v)| Some((x, summary(&v)?)))
        .collect();
    let mean = shared.iter().map(|(x, s)| (*x, s.mean)).collect();
    let band = shared.iter().map(|(x, s)| Some(((*x, s.interval?.1), (*x, s.interval?.0))));
    let band = band.collect::<Option<Vec<_>>>().filter(|b| !b.is_empty());
    (mean, band.map(|b| b.into_iter().unzip()))
}
