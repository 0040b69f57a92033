//! What the units of a region respond to: unit × label heat maps.

use std::collections::BTreeSet;

use super::{Figure, Ink, Panel, Size, extent};
use crate::data::Activity;
use crate::format::{MISSING, number, shorten};
use crate::stats::{mean, quantile};
use crate::svg::{Anchor, Scale, Svg, text_width};

/// Most columns; more units are averaged with their neighbours.
const MOST_COLUMNS: usize = 128;
/// Most rows and panels of one figure.
const MOST_ROWS: usize = 64;
const MOST_PANELS: usize = 6;

const ROW: f64 = 14.0;
const LEFT: f64 = 196.0;
const WIDTH: f64 = 680.0;
const RIGHT: f64 = 612.0;

/// Viridis: even steps of lightness, readable with every kind of colour vision and in print.
const VIRIDIS: [[u8; 3]; 10] = [
    [0x44, 0x01, 0x54],
    [0x48, 0x28, 0x78],
    [0x3e, 0x49, 0x89],
    [0x31, 0x68, 0x8e],
    [0x26, 0x82, 0x8e],
    [0x1f, 0x9e, 0x89],
    [0x35, 0xb7, 0x79],
    [0x6e, 0xce, 0x58],
    [0xb5, 0xde, 0x2b],
    [0xfd, 0xe7, 0x25],
];

fn colour(share: f64) -> [u8; 3] {
    let at = share.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let i = (at.floor() as usize).min(VIRIDIS.len() - 2);
    let mix = |c: usize| {
        let (a, b) = (f64::from(VIRIDIS[i][c]), f64::from(VIRIDIS[i + 1][c]));
        (a + (b - a) * (at - i as f64)).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

/// One figure per region.
pub(super) fn build(ink: &Ink<'_>) -> Result<Vec<Figure>, String> {
    let all = &ink.run.activity;
    if all.is_empty() {
        return Err("the run has no activity.json".into());
    }
    let mut regions: Vec<&str> = Vec::new();
    for a in all.iter().filter(|a| !a.units.is_empty() && !a.labels.is_empty()) {
        if !regions.contains(&a.region.as_str()) {
            regions.push(&a.region);
        }
    }
    if regions.is_empty() {
        return Err("activity.json lists no units".into());
    }
    Ok(regions.iter().take(MOST_PANELS).enumerate().filter_map(|(i, r)| figure(ink, i, r)).collect())
}

fn figure(ink: &Ink<'_>, number_of: usize, region: &str) -> Option<Figure> {
    let here: Vec<&Activity> = ink.run.activity.iter().filter(|a| a.region == region).collect();
    // One stage and one seed are drawn: units of different seeds have nothing to do with each other.
    let stage = ink.run.stages().find(|s| here.iter().any(|a| a.stage == *s)).unwrap_or(&here.first()?.stage);
    let seed = here.iter().filter(|a| a.stage == stage).map(|a| a.seed).min()?;
    let drawn: Vec<&Activity> = here.iter().copied().filter(|a| a.stage == stage && a.seed == seed).collect();
    let mut values: Vec<f64> =
        drawn.iter().flat_map(|a| a.mean_abs.iter().flatten().flatten().copied()).collect();
    values.sort_by(f64::total_cmp);
    // One loud unit must not darken all others.
    let top = quantile(&values, 0.99)?.max(values.first()?.abs()).max(1e-12);
    let arms: Vec<&str> = ink.arms().map(|a| a.0).filter(|n| drawn.iter().any(|a| a.arm == *n)).collect();
    let mut panels = Vec::new();
    for arm in arms.iter().take(MOST_PANELS) {
        let sites: Vec<&Activity> = drawn.iter().copied().filter(|a| a.arm == *arm).collect();
        let average = |site: &Activity, label: &str| -> Option<f64> {
            let same = here.iter().filter(|a| a.stage == stage && a.arm == *arm && a.site == site.site);
            let rows = same.filter_map(|a| a.mean_abs.get(a.labels.iter().position(|l| l == label)?));
            mean(&rows.flatten().flatten().copied().collect::<Vec<_>>())
        };
        panels.push(Panel { svg: panel(arm, &sites, top, average, panels.is_empty()), size: Size::Plain });
    }
    if panels.is_empty() {
        return None;
    }
    let left_out = arms.len().saturating_sub(MOST_PANELS);
    let more =
        if left_out > 0 { format!(" {left_out} more arms are in activity.json.") } else { String::new() };
    let seeds = here.iter().map(|a| a.seed).collect::<BTreeSet<_>>().len();
    let widest = drawn.iter().map(|a| a.units.len()).max().unwrap_or(0);
    let binned = if widest > MOST_COLUMNS { " Neighbouring units are averaged to fit." } else { "" };
    Some(Figure {
        id: format!("activity-{}", number_of + 1),
        title: format!("What the region {region} responds to"),
        panels,
        caption: format!(
            "Mean absolute activation of each unit of the region (columns) on held-out data of each label (rows), model after \
             {stage}, seed {seed}; values above {} are drawn as that. A localised region is bright for one label and dark for \
             the others. The number at the right is the mean over units and {}.{binned}{more}",
            number(top),
            if seeds == 1 { "the one seed".to_owned() } else { format!("all {seeds} seeds") },
        ),
        steps_of: None,
        below: Vec::new(),
    })
}

fn panel(
    arm: &str,
    sites: &[&Activity],
    top: f64,
    average: impl Fn(&Activity, &str) -> Option<f64>,
    with_legend: bool,
) -> String {
    let rows: usize = sites.iter().map(|a| a.labels.len()).sum::<usize>().min(MOST_ROWS);
    let head = if with_legend { 64.0 } else { 28.0 };
    let height = head + rows as f64 * ROW + sites.len().min(rows) as f64 * 6.0 + 22.0;
    let mut svg = Svg::new(WIDTH, height);
    if with_legend {
        legend(&mut svg, top);
    }
    svg.text((8.0, head - 8.0), Anchor::Start, "panel-title", &shorten(arm, 40));
    svg.text((WIDTH - 8.0, head - 8.0), Anchor::End, "tick", "mean");
    let columns = sites.iter().map(|a| a.units.len()).max().unwrap_or(1).min(MOST_COLUMNS);
    let width = ((RIGHT - LEFT) / columns.max(1) as f64).min(28.0);
    let (mut y, mut done) = (head, 0);
    for site in sites {
        let name = shorten(&site.site, 20);
        for (i, (label, values)) in site.labels.iter().zip(&site.mean_abs).enumerate() {
            if done == rows {
                break;
            }
            done += 1;
            if i == 0 {
                svg.text((8.0, y + ROW - 3.5), Anchor::Start, "tick", &name);
            }
            // A long site name leaves less room for the label.
            let room = (LEFT - 20.0 - text_width(&name, 11.5) * f64::from(u8::from(i == 0))).max(24.0);
            svg.text(
                (LEFT - 8.0, y + ROW - 3.5),
                Anchor::End,
                "tick",
                &shorten(label, (room / 6.5) as usize),
            );
            let bucket = values.len().div_ceil(MOST_COLUMNS).max(1);
            for (column, bin) in values.chunks(bucket).enumerate() {
                let known: Vec<f64> = bin.iter().flatten().copied().collect();
                let at = (LEFT + column as f64 * width, y);
                match mean(&known) {
                    // A hair of overlap, or renderers leave light seams between cells.
                    Some(v) => svg.cell(at, (width + 0.3, ROW - 0.5), colour(v / top)),
                    None => svg.rect(at, (width, ROW - 0.5), "missing"),
                }
            }
            // The same decimals in every row, so that the column lines up.
            let decimals = (2 - top.log10().floor() as i32).clamp(0, 9) as usize;
            let shown = average(site, label).map_or_else(|| MISSING.into(), |v| format!("{v:.decimals$}"));
            svg.text((WIDTH - 8.0, y + ROW - 3.5), Anchor::End, "tick", &shown);
            y += ROW;
        }
        y += 6.0;
    }
    svg.text(
        (LEFT, y + 10.0),
        Anchor::Start,
        "tick",
        &format!(
            "units of the region, up to {} per site",
            sites.iter().map(|a| a.units.len()).max().unwrap_or(0)
        ),
    );
    svg.finish(&format!("Unit activity of {arm}"))
}

fn legend(svg: &mut Svg, top: f64) {
    let (left, width) = (LEFT, 200.0);
    for i in 0..40 {
        let x = left + width * f64::from(i) / 40.0;
        svg.cell((x, 8.0), (width / 40.0 + 0.4, 10.0), colour(f64::from(i) / 39.0));
    }
    let scale = Scale::linear((0.0, top), (left, left + width));
    let ticks = scale.ticks(4);
    let shown = extent(ticks.iter().map(|t| t.0)).is_some();
    for (v, text) in ticks {
        svg.text((scale.at(v), 32.0), Anchor::Middle, "tick", &text);
    }
    svg.text(
        (8.0, 18.0),
        Anchor::Start,
        "axis-title",
        if shown { "mean |activation|" } else { "activation" },
    );
}
