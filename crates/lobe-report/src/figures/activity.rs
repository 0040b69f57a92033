//! What the units of a region respond to: how much stronger they are on one label than on the other.

use std::collections::BTreeSet;

use super::{Data, Figure, Ink, Panel, Place, Size, plain};
use crate::Activity;
use crate::format::{MISSING, number, shorten};
use crate::stats::{mean, quantile};
use crate::svg::{Anchor, Drawing, Svg};
use crate::theme::{heat, step};

/// Most columns; more units are averaged with their neighbours.
const MOST_COLUMNS: usize = 128;
/// Up to so many units have a cell with a number in it, as attention heads do.
const READABLE: usize = 4;
/// Most rows and panels of one figure.
const MOST_ROWS: usize = 48;
const MOST_PANELS: usize = 6;

const ROW: f64 = 22.0;
const LEFT: f64 = 128.0;
const RIGHT: f64 = 400.0;
const WIDTH: f64 = 460.0;

/// One site of a region with the two rows that are compared.
struct Row<'a> {
    site: &'a str,
    /// Per unit: index at the site, and target less other; `None` where one was not measured.
    units: Vec<(u32, Option<f64>)>,
}

/// The labels that are compared: what is to be forgotten, and what is to stay.
fn labels(list: &[String]) -> Option<(&str, &str)> {
    let target = list.iter().find(|l| *l == "forget").or(list.first())?;
    let other = list.iter().find(|l| *l == "retain" && *l != target);
    Some((target, other.or_else(|| list.iter().find(|l| *l != target))?))
}

fn row<'a>(a: &'a Activity, (target, other): (&str, &str)) -> Option<Row<'a>> {
    let of = |label: &str| a.mean_abs.get(a.labels.iter().position(|l| l == label)?);
    let (own, rest) = (of(target)?, of(other)?);
    let differ =
        |(unit, (x, y)): (&u32, (&Option<f64>, &Option<f64>))| (*unit, x.zip(*y).map(|(x, y)| x - y));
    Some(Row { site: &a.site, units: a.units.iter().zip(own.iter().zip(rest)).map(differ).collect() })
}

/// One figure per region.
pub(super) fn build(ink: &Ink<'_>) -> Result<Vec<Figure>, String> {
    let all = &ink.run.activity;
    if all.is_empty() {
        return Err("the run has no activity.json".into());
    }
    let mut regions: Vec<&str> = Vec::new();
    for a in all.iter().filter(|a| !a.units.is_empty() && labels(&a.labels).is_some()) {
        if !regions.contains(&a.region.as_str()) {
            regions.push(&a.region);
        }
    }
    if regions.is_empty() {
        return Err("activity.json has no units on two labels".into());
    }
    Ok(regions.iter().take(MOST_PANELS).enumerate().filter_map(|(i, r)| figure(ink, i, r)).collect())
}

fn figure(ink: &Ink<'_>, number_of: usize, region: &str) -> Option<Figure> {
    let here: Vec<&Activity> = ink.run.activity.iter().filter(|a| a.region == region).collect();
    // One stage and one seed are drawn: units of different seeds have nothing to do with each other.
    let stage = ink.run.stages().find(|s| here.iter().any(|a| a.stage == *s)).unwrap_or(&here.first()?.stage);
    let seed = here.iter().filter(|a| a.stage == stage).map(|a| a.seed).min()?;
    let drawn: Vec<&Activity> = here.iter().copied().filter(|a| a.stage == stage && a.seed == seed).collect();
    let pair = drawn.iter().find_map(|a| labels(&a.labels))?;
    let rows_of = |arm: &str| -> Vec<Row<'_>> {
        drawn.iter().filter(|a| a.arm == arm).filter_map(|a| row(a, pair)).take(MOST_ROWS).collect()
    };
    let arms: Vec<&str> = ink.arms().map(|a| a.0).filter(|n| !rows_of(n).is_empty()).collect();
    // One loud unit must not pale all others.
    let mut sizes: Vec<f64> = arms
        .iter()
        .flat_map(|a| rows_of(a))
        .flat_map(|r| r.units.into_iter().filter_map(|u| u.1))
        .map(f64::abs)
        .collect();
    sizes.sort_by(f64::total_cmp);
    let top = quantile(&sizes, 0.98)?.max(1e-12);
    // The mean over all seeds stands beside each row.
    let average = |arm: &str, site: &str| {
        let same = here.iter().filter(|a| a.stage == stage && a.arm == arm && a.site == site);
        mean(&same.filter_map(|a| row(a, pair)).flat_map(|r| r.units).filter_map(|u| u.1).collect::<Vec<_>>())
    };
    let mut panels = vec![Panel { drawing: legend(pair), size: Size::Wide }];
    let mut data = Data::new(&["arm", "seed", "stage", "site", "unit", "difference"]);
    for arm in arms.iter().take(MOST_PANELS) {
        let rows = rows_of(arm);
        for r in &rows {
            for (unit, v) in &r.units {
                let words = [*arm, &seed.to_string(), stage, r.site, &unit.to_string(), &plain(*v)];
                data.rows.push(words.map(str::to_owned).to_vec());
            }
        }
        panels.push(Panel {
            drawing: panel(arm, &rows, top, pair, &|site| average(arm, site)),
            size: Size::Plain,
        });
    }
    let left_out = arms.len().saturating_sub(MOST_PANELS);
    let more =
        if left_out > 0 { format!(" {left_out} more arms are in activity.json.") } else { String::new() };
    let seeds = here.iter().map(|a| a.seed).collect::<BTreeSet<_>>().len();
    let widest = drawn.iter().map(|a| a.units.len()).max().unwrap_or(0);
    let binned = if widest > MOST_COLUMNS { " Neighbouring units are averaged to fit." } else { "" };
    (panels.len() > 1).then(|| Figure {
        id: format!("units-{}", number_of + 1),
        title: format!("What the region {region} responds to"),
        panels,
        caption: format!(
            "Each cell is a unit of the region: its mean absolute activation on {} data less that on {} data, in the model after \
             {stage}, seed {seed}. Differences beyond ±{} have the last colour. A region that holds {} alone is orange \
             throughout. At the right: the mean over units and {}.{binned}{more}",
            pair.0,
            pair.1,
            number(top),
            pair.0,
            if seeds == 1 { "the one seed".to_owned() } else { format!("all {seeds} seeds") },
        ),
        data,
        below: Vec::new(),
        place: Place::Body,
    })
}

/// With its sign, so that a column of them lines up.
fn signed(v: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", v.abs());
    match v {
        _ if text.bytes().all(|b| matches!(b, b'0' | b'.')) => text,
        v if v < 0.0 => format!("−{text}"),
        _ => format!("+{text}"),
    }
}

fn panel(
    arm: &str,
    rows: &[Row<'_>],
    top: f64,
    pair: (&str, &str),
    average: &dyn Fn(&str) -> Option<f64>,
) -> Drawing {
    let head = 30.0;
    let mut svg = Svg::new(WIDTH, head + rows.len() as f64 * ROW + 8.0);
    svg.text((4.0, 18.0), Anchor::Start, "panel-title", &shorten(arm, 24));
    svg.text((WIDTH - 6.0, head - 8.0), Anchor::End, "tick", "mean");
    // The same decimals in every row, so that the column lines up.
    let decimals = (1 - top.log10().floor() as i32).clamp(0, 6) as usize;
    for (i, r) in rows.iter().enumerate() {
        let y = head + i as f64 * ROW;
        svg.text((4.0, y + 14.5), Anchor::Start, "tick", &shorten(r.site, 19));
        strip(&mut svg, r, y, top, decimals);
        let shown = average(r.site).map_or_else(|| MISSING.into(), |v| signed(v, decimals));
        svg.text((WIDTH - 6.0, y + 14.5), Anchor::End, "tick", &shown);
    }
    svg.finish_open(&format!("Units of {arm}: {} less {}", pair.0, pair.1))
}

/// The units of one site. Few have a cell each with its number, as heads do; many share the width.
fn strip(svg: &mut Svg, r: &Row<'_>, y: f64, top: f64, decimals: usize) {
    let bucket = r.units.len().div_ceil(MOST_COLUMNS).max(1);
    let columns = r.units.len().div_ceil(bucket);
    let numbers = columns <= READABLE && decimals <= 3;
    let width = ((RIGHT - LEFT) / columns.max(1) as f64).min(if numbers { 66.0 } else { 34.0 });
    for (column, bin) in r.units.chunks(bucket).enumerate() {
        let known: Vec<f64> = bin.iter().filter_map(|u| u.1).collect();
        let at = (LEFT + column as f64 * width, y + 1.0);
        let size = (if numbers { width - 1.0 } else { width + 0.3 }, ROW - 2.0);
        let value = mean(&known);
        let unit = bin.first().map_or(0, |u| u.0);
        let shown = value.map_or_else(|| "not measured".to_owned(), |v| signed(v, decimals + 1));
        let class = value.map_or_else(|| "missing".to_owned(), |v| heat(step((v / top).clamp(-1.0, 1.0))));
        svg.open(&format!("cell t{class}"), &format!("{}[{unit}]: {shown}", r.site));
        // A hair of overlap, or renderers leave light seams between cells.
        svg.rect(at, size, &class);
        if numbers {
            let middle = (at.0 + size.0 / 2.0, at.1 + 14.0);
            let number = value.map_or_else(|| MISSING.into(), |v| signed(v, decimals));
            svg.text(middle, Anchor::Middle, "value", &format!("{unit}: {number}"));
        }
        svg.close();
    }
}

fn legend((target, other): (&str, &str)) -> Drawing {
    let mut svg = Svg::new(400.0, 24.0);
    let (left, wide, y) = (120.0, 6.0, 6.0);
    for i in -10..=10 {
        svg.rect((left + f64::from(i + 10) * wide, y), (wide + 0.3, 11.0), &heat(i));
    }
    svg.text((left - 8.0, y + 10.0), Anchor::End, "tick", &format!("more on {}", shorten(other, 10)));
    svg.text(
        (left + 21.0 * wide + 8.0, y + 10.0),
        Anchor::Start,
        "tick",
        &format!("more on {}", shorten(target, 10)),
    );
    svg.finish_open("Scale of the difference")
}
