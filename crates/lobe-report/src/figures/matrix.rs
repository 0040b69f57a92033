//! Arms × attacks: how much of the capability came back.

use super::{Below, Data, Figure, Ink, Panel, Place, Size, plain, seeds};
use crate::format::{difference, share, share_interval};
use crate::ranking;
use crate::run::judge::rule::RETAIN_TOLERANCE;
use crate::run::matrix::{Cell, Group, Matrix, Row};
use crate::svg::{Anchor, Drawing, Marker, Svg, fit, member_href, text_width};
use crate::theme::{HIGHEST, LOWEST, heat, step};

/// Most rows and columns drawn; the table and `results.csv` have them all.
const MOST_ROWS: usize = 128;
const MOST_COLUMNS: usize = 64;

const LEFT: f64 = 178.0;
/// What the page has room for.
const WIDTH: f64 = 1150.0;
const HEAD: f64 = 24.0;
/// Longest name of a column, as a length of rising text.
const NAME: f64 = 130.0;

/// Nothing for a run with fewer than two attacks: one column is no matrix.
pub(super) fn build(ink: &Ink<'_>) -> Result<Vec<Figure>, String> {
    let run = ink.run;
    if run.attack_stages().len() < 2 {
        return Ok(Vec::new());
    }
    let Some(m) = run.matrix().filter(|m| m.attacks.len() > 1) else {
        return Err("fewer than two attacks have measured a recovery".into());
    };
    let n = seeds(m.rows.iter().flat_map(|r| r.cells.iter().flatten().map(|c| c.recovery.n)));
    let (baseline, control) =
        (run.baseline().unwrap_or("the baseline"), run.control().unwrap_or("the control"));
    let target = &m.attacks[0].target;
    let cut = m.rows.len() > MOST_ROWS || m.attacks.len() + 1 > MOST_COLUMNS;
    let cut = if cut { " Only the first rows and columns are drawn." } else { "" };
    let pays = if m.rows.iter().any(|r| r.damaged) {
        format!(
            " ▲: after removal the {} loss is more than {:.0} % above that of every reference, so low recovery may mean a \
             damaged model rather than a removed capability.",
            m.retain.as_deref().unwrap_or_default(),
            RETAIN_TOLERANCE * 100.0
        )
    } else {
        String::new()
    };
    let mut below = Vec::new();
    let worst = ranking::worst_cases(run, m);
    if !worst.rows.is_empty() {
        below.push(Below {
            title: "The worst case of each arm".to_owned(),
            note: format!(
                "The attack, or none, with the highest mean recovery, the most robust arm first; arms marked ▲ come last. The \
                 judgement is that at the top of the page. Δ {control}: paired difference after removal."
            ),
            table: worst,
        });
    }
    let costs = ranking::attack_costs(run, m);
    if costs.header.len() > 1 {
        below.push(Below {
            title: "What the attacks cost".to_owned(),
            note: "Budget of the variant that brought most back, and wall time of the whole sweep: mean over arms and seeds, \
                   below it the range over arms."
                .to_owned(),
            table: costs,
        });
    }
    Ok(vec![Figure {
        id: "matrix".into(),
        title: "Every arm under every attack".into(),
        panels: vec![
            Panel { drawing: legend(ink), size: Size::Wide },
            Panel { drawing: draw(ink, m), size: Size::Wide },
        ],
        caption: format!(
            "Recovery of {target}: 0 is as ignorant as {control} before any attack, 1 as able as {baseline}. Each cell is the \
             worst case of the attack's own sweep, mean over seeds ({n}); point at it for the interval, follow it to the numbers \
             of its first seed. Hatched: not measured. Read every row against that of {control}: what an attack teaches a \
             network that never knew is no return.{pays}{cut}"
        ),
        data: data(m),
        below,
        place: Place::Body,
    }])
}

fn data(m: &Matrix) -> Data {
    let mut out = Data::new(&["arm", "attack", "recovery", "low", "high", "seeds"]);
    for row in &m.rows {
        for (i, cell) in row.cells.iter().enumerate() {
            let s = cell.as_ref().map(|c| c.recovery);
            let edge = |pick: fn((f64, f64)) -> f64| plain(s.and_then(|s| s.interval).map(pick));
            let n = s.map_or(0, |s| s.n).to_string();
            let mean = plain(s.map(|s| s.mean));
            out.rows.push(vec![
                row.arm.clone(),
                m.column(i).to_owned(),
                mean,
                edge(|e| e.0),
                edge(|e| e.1),
                n,
            ]);
        }
    }
    out
}

/// Where things stand.
struct Grid {
    w: f64,
    h: f64,
    columns: usize,
}

impl Grid {
    fn x(&self, column: usize) -> f64 {
        // The first column is no attack and stands apart.
        LEFT + self.w * column as f64 + if column > 0 { 6.0 } else { 0.0 }
    }
}

fn draw(ink: &Ink<'_>, m: &Matrix) -> Drawing {
    let columns = (m.attacks.len() + 1).min(MOST_COLUMNS);
    let rows: Vec<&Row> = m.rows.iter().take(MOST_ROWS).collect();
    let wide = ((WIDTH - LEFT - 8.0) / columns as f64).min(112.0);
    let names: Vec<&str> = (0..columns).map(|i| m.column(i)).collect();
    let level = names.iter().all(|n| text_width(n, 12.5) + 8.0 <= wide);
    let over = if level { 0.0 } else { NAME * 0.72 };
    let w = ((WIDTH - LEFT - 8.0 - over) / columns as f64).clamp(42.0, 112.0);
    let top = if level { 26.0 } else { 8.0 + NAME * 0.74 };
    let grid = Grid { w, h: if w >= 78.0 { 28.0 } else { 24.0 }, columns };

    let mut groups: Vec<(Group, usize)> = Vec::new();
    for row in &rows {
        match groups.last_mut() {
            Some((g, n)) if *g == row.group => *n += 1,
            _ => groups.push((row.group, 1)),
        }
    }
    let bottom = top + HEAD * groups.len() as f64 + grid.h * rows.len() as f64;
    let right = grid.x(columns);
    let mut svg = Svg::new(right + over + 4.0, bottom + 8.0);
    for (i, name) in names.iter().enumerate() {
        let middle = grid.x(i) + w / 2.0;
        svg.open("ink", name);
        if level {
            svg.text((middle, top - 8.0), Anchor::Middle, "column", name);
        } else {
            svg.turned((middle + 4.0, top - 7.0), "column turned", &fit(name, NAME * 1.12));
        }
        svg.close();
    }
    let mut y = top;
    let mut rows = rows.into_iter();
    for (group, n) in groups {
        svg.text((4.0, y + HEAD - 7.0), Anchor::Start, "tick", group.words());
        y += HEAD;
        for row in rows.by_ref().take(n) {
            line(&mut svg, ink, m, row, &grid, y);
            y += grid.h;
        }
    }
    svg.finish_open("Recovery of every arm under every attack")
}

/// The fixed scale, drawn to scale: tenths up to 1, fifths beyond.
fn legend(ink: &Ink<'_>) -> Drawing {
    let mut svg = Svg::new(460.0, 46.0);
    const FROM: f64 = 84.0;
    const UNIT: f64 = 90.0;
    let x = |v: f64| FROM + UNIT * (v + 1.05);
    svg.text((4.0, 20.0), Anchor::Start, "tick", "recovery");
    for i in LOWEST..=HIGHEST {
        let at = f64::from(i);
        let (low, high) = if i <= 10 {
            (at / 10.0 - 0.05, at / 10.0 + 0.05)
        } else {
            (1.05 + (at - 11.0) * 0.2, 1.05 + (at - 10.0) * 0.2)
        };
        svg.rect((x(low), 8.0), (x(high) - x(low), 14.0), &format!("heat {}", heat(i)));
    }
    let control = fit(ink.run.control().unwrap_or("control"), 66.0);
    let baseline = fit(ink.run.baseline().unwrap_or("baseline"), 80.0);
    let ticks = [
        (-1.0, "≤ −1".to_owned()),
        (0.0, format!("0 {control}")),
        (1.0, format!("1 {baseline}")),
        (2.1, "≥ 2".to_owned()),
    ];
    for (v, text) in ticks {
        svg.line((x(v), 22.0), (x(v), 26.0), "axis");
        svg.text((x(v), 39.0), Anchor::Middle, "tick", &text);
    }
    svg.finish_open("Scale of recovery")
}

/// A cell without a number.
fn hatch(svg: &mut Svg, at: (f64, f64), size: (f64, f64)) {
    svg.rect(at, size, "missing");
    let (w, h) = size;
    let mut from = -h + 6.0;
    while from < w {
        // A rising stroke, cut off at the sides.
        let (a, b) = (from.max(0.0), (from + h).min(w));
        svg.line((at.0 + a, at.1 + h - (a - from)), (at.0 + b, at.1 + h - (b - from)), "hatch");
        from += 7.0;
    }
}

fn line(svg: &mut Svg, ink: &Ink<'_>, m: &Matrix, row: &Row, grid: &Grid, y: f64) {
    let middle = y + grid.h / 2.0 + 4.0;
    let retain = m.retain.as_deref().unwrap_or("retain");
    let cost = row.retain.map(|d| format!(": {retain} loss {} against the control", difference(&d)));
    let look = ink.arms().find(|(a, _)| *a == row.arm).map(|(_, l)| l);
    svg.open(
        look.map_or("ink", |l| if l.rest { "rest" } else { l.class }),
        &format!("{}{}", row.arm, cost.unwrap_or_default()),
    );
    if let Some(l) = look {
        svg.marker((11.0, middle - 4.0), 3.6, l.marker, "mean");
    }
    let room = LEFT - 26.0 - if row.damaged { 18.0 } else { 6.0 };
    svg.text((22.0, middle), Anchor::Start, "row-name", &fit(&row.arm, room * 1.12));
    svg.close();
    if row.damaged {
        svg.open("alarm", &format!("{}: {retain} loss worse than the control's", row.arm));
        svg.marker((LEFT - 11.0, middle - 3.5), 4.6, Marker::Triangle, "mean");
        svg.close();
    }
    for (i, cell) in row.cells.iter().enumerate().take(grid.columns) {
        let at = (grid.x(i) + 0.75, y + 0.75);
        let size = (grid.w - 1.5, grid.h - 1.5);
        let name = format!("{}, {}", row.arm, m.column(i));
        match cell {
            None => {
                svg.open("none", &format!("{name}: not measured"));
                hatch(svg, at, size);
                svg.close();
            }
            Some(cell) => filled(svg, row, cell, &name, (at, size)),
        }
    }
}

fn filled(svg: &mut Svg, row: &Row, cell: &Cell, name: &str, (at, size): ((f64, f64), (f64, f64))) {
    let s = &cell.recovery;
    let href = member_href(&cell.stage, &row.arm, cell.seed);
    if let Some(href) = &href {
        svg.link(href);
    }
    let n = if s.n == 1 { "1 seed".to_owned() } else { format!("{} seeds", s.n) };
    let class = heat(step(s.mean));
    svg.open(&format!("cell t{class}"), &format!("{name}: recovery {}, {n}", share_interval(s)));
    svg.rect(at, size, &format!("heat {class}"));
    let (x, y) = (at.0 + size.0 / 2.0, at.1 + size.1 / 2.0);
    svg.text((x, y + 4.2), Anchor::Middle, "value", &share(s.mean));
    svg.close();
    if href.is_some() {
        svg.unlink();
    }
}
