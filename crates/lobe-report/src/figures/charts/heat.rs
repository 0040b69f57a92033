//! A table of cells per arm, such as a confusion map. Arms that have a single row each are the rows of one table.

use crate::stats::extent;
use lobe_runs::{Chart, Shape};

use super::{Drawn, Group, MOST_ARMS, over_seeds};
use crate::figures::{Data, Panel, Size, plain};
use crate::format::{MISSING, number, shorten};
use crate::svg::{Anchor, Drawing, Svg, text_width};
use crate::theme::{heat, step};

/// Up to so many columns have their numbers in the cells.
const READABLE: usize = 12;

/// Most arms that are rows of one table.
const MOST_LINES: usize = 64;
/// Widest column whose name is written out.
const WIDEST: f64 = 84.0;

/// Rows, columns and their cells.
type Cells<'a> = (&'a [String], &'a [String], &'a [Vec<Option<f64>>]);

fn cells(c: &Chart) -> Cells<'_> {
    match &c.shape {
        Shape::Heat { rows, columns, values } => (rows, columns, values),
        _ => (&[], &[], &[]),
    }
}

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let (rows, columns, _) = cells(g.first);
    let lines = rows.len() == 1 && g.arms.len() > 1;
    let mut data = Data::new(&["arm", "row", "column", "mean", "seeds"]);
    let mut all: Vec<(&str, Vec<Vec<Option<f64>>>)> = Vec::new();
    for (arm, _, members) in g.arms.iter().take(if lines { MOST_LINES } else { MOST_ARMS }) {
        let at = |row: &String, column: &String| {
            // By their names: another seed may have them in another order, or not all of them.
            let of = |c: &Chart| {
                let (rows, columns, values) = cells(c);
                let (r, k) = (rows.iter().position(|n| n == row)?, columns.iter().position(|n| n == column)?);
                *values.get(r)?.get(k)?
            };
            over_seeds(&members.iter().map(|m| (m.0, of(m.1))).collect::<Vec<_>>())
        };
        let mut table = Vec::new();
        for row in rows {
            let line: Vec<_> = columns.iter().map(|c| at(row, c)).collect();
            for (column, s) in columns.iter().zip(&line) {
                let (mean, n) = (plain(s.as_ref().map(|s| s.mean)), s.as_ref().map_or(0, |s| s.n));
                data.rows.push(vec![(*arm).to_owned(), row.clone(), column.clone(), mean, n.to_string()]);
            }
            table.push(line.into_iter().map(|s| s.map(|s| s.mean)).collect());
        }
        all.push((arm, table));
    }
    let values = all.iter().flat_map(|(_, t)| t.iter().flatten().copied().flatten());
    // One scale for all arms: the colours of 0 and of the largest number.
    let Some(top) = extent(values.map(f64::abs)).map(|(_, high)| high) else { return (Vec::new(), data) };
    let top = if top > 0.0 { top } else { 1.0 };
    if lines {
        let names: Vec<String> = all.iter().map(|(arm, _)| (*arm).to_owned()).collect();
        let table: Vec<_> = all.into_iter().flat_map(|(_, table)| table).collect();
        let drawing = one(g, &Table { title: "all arms", rows: &names, values: &table }, top);
        return (vec![Panel { drawing, size: Size::Wide }], data);
    }
    let panel = |(arm, table): &(&str, Vec<Vec<Option<f64>>>)| {
        let drawing = one(g, &Table { title: arm, rows, values: table }, top);
        let size = if drawing.width > 480.0 { Size::Wide } else { Size::Plain };
        Panel { drawing, size }
    };
    (all.iter().map(panel).collect(), data)
}

/// One table.
struct Table<'a> {
    title: &'a str,
    rows: &'a [String],
    /// `[row][column]`
    values: &'a [Vec<Option<f64>>],
}

fn one(g: &Group<'_>, t: &Table<'_>, top: f64) -> Drawing {
    let (_, columns, _) = cells(g.first);
    let Table { title: arm, rows, values: table } = *t;
    let numbers = columns.len() <= READABLE;
    let names: Vec<String> = rows.iter().map(|r| shorten(r, 26)).collect();
    let left = 34.0 + names.iter().map(|n| text_width(n, 12.0)).fold(0.0, f64::max);
    let named = columns.iter().map(|c| text_width(&shorten(c, 14), 11.0) + 8.0).fold(34.0, f64::max);
    let side =
        if numbers { named.min(WIDEST) } else { (400.0 / columns.len().max(1) as f64).clamp(3.0, 24.0) };
    let tall = if numbers { 24.0 } else { side.max(4.0) };
    let head = 66.0;
    let (width, height) = (left + side * columns.len() as f64, head + tall * rows.len() as f64);
    let mut svg = Svg::new(width.max(220.0) + 8.0, height + 26.0);
    svg.text((4.0, 16.0), Anchor::Start, "panel-title", &shorten(arm, 26));
    let right = crate::figures::axis(&g.first.x.name, &g.first.x.unit);
    svg.text((left, 34.0), Anchor::Start, "axis-title", &right);
    svg.text(
        (4.0, height + 18.0),
        Anchor::Start,
        "axis-title",
        &crate::figures::axis(&g.first.y.name, &g.first.y.unit),
    );
    // Every nth name where not all of them fit.
    let (every_column, every_row) =
        ((16.0 / side).ceil().max(1.0) as usize, (13.0 / tall).ceil().max(1.0) as usize);
    for (i, column) in columns.iter().enumerate().step_by(every_column) {
        let at = (left + side * (i as f64 + 0.5), head - 8.0);
        svg.text(at, Anchor::Middle, "tick", &shorten(column, if numbers { 14 } else { 3 }));
    }
    for (i, name) in names.iter().enumerate().step_by(every_row) {
        svg.text((left - 6.0, head + tall * (i as f64 + 0.5) + 4.0), Anchor::End, "tick", name);
    }
    for (r, line) in table.iter().enumerate() {
        for (k, value) in line.iter().enumerate() {
            let (x, y) = (left + side * k as f64, head + tall * r as f64);
            let class =
                value.map_or_else(|| "missing".to_owned(), |v| heat(step((v / top).clamp(-1.0, 1.0))));
            let shown = value.map_or_else(|| MISSING.to_owned(), number);
            svg.open(&format!("cell t{class}"), &format!("{}, {}: {shown}", rows[r], columns[k]));
            svg.rect((x, y), (side + 0.3, tall + 0.3), &class);
            if numbers {
                let text = value.map_or_else(|| MISSING.to_owned(), short);
                svg.text((x + side / 2.0, y + tall / 2.0 + 4.0), Anchor::Middle, "tick-in", &text);
            }
            svg.close();
        }
    }
    svg.finish_open(&format!("{}, {arm}", g.first.title))
}

/// At most four characters.
fn short(v: f64) -> String {
    match v.abs() {
        0.0 => "0".to_owned(),
        a if a < 0.995 => format!("{v:.2}").replacen("0.", ".", 1).replace('-', "−"),
        a if a < 9.95 => format!("{v:.1}").replace('-', "−"),
        a if a < 9999.5 => format!("{v:.0}").replace('-', "−"),
        _ => number(v),
    }
}
