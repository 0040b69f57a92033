//! One line per arm: what each attack brought back, and the worst of them.

use super::{Data, Figure, Ink, Panel, Place, Size, plain};
use crate::format::{share, share_interval};
use crate::palette::Look;
use crate::run::matrix::{Matrix, Row};
use crate::svg::{Anchor, Drawing, Frame, Marker, Scale, Svg, axes, fit};

const ROW: f64 = 25.0;
/// How far the axis reaches at most: recovery beyond it is cut off with a mark.
const LEAST: f64 = -0.6;
const MOST: f64 = 1.6;

/// Nothing for a run with fewer than two attacks.
pub(super) fn build(ink: &Ink<'_>) -> Option<Figure> {
    let run = ink.run;
    let m = run.matrix().filter(|m| m.attacks.len() > 1)?;
    let rows = rows(ink, m);
    if rows.is_empty() {
        return None;
    }
    let (baseline, control) =
        (run.baseline().unwrap_or("the baseline"), run.control().unwrap_or("the control"));
    let mut data = Data::new(&["arm", "attack", "mean", "low", "high", "seeds"]);
    for row in &m.rows {
        for (i, cell) in row.cells.iter().enumerate() {
            let Some(s) = cell.as_ref().map(|c| &c.recovery) else { continue };
            let edge = |pick: fn((f64, f64)) -> f64| plain(s.interval.map(pick));
            data.rows.push(vec![
                row.arm.clone(),
                m.column(i).to_owned(),
                s.mean.to_string(),
                edge(|e| e.0),
                edge(|e| e.1),
                s.n.to_string(),
            ]);
        }
    }
    let pays = if rows.iter().any(|r| r.0.damaged) { " ▲: its retain loss suffered." } else { "" };
    Some(Figure {
        id: "worst".into(),
        title: "What attacks bring back".into(),
        panels: vec![Panel { drawing: draw(m, &rows), size: Size::Plain }],
        caption: format!(
            "Recovery: 0 is as ignorant as {control} before any attack, 1 as able as {baseline}. Small marks are attacks, the \
             large one the worst of them with its 95 % interval and name. Compare every line with that of {control}.{pays}{}",
            ink.crowd_words()
        ),
        data,
        below: Vec::new(),
        place: Place::Answer,
    })
}

/// The rows worth a line: the least that comes back first, references last, and of a crowd those that stand out.
fn rows<'a>(ink: &Ink<'a>, m: &'a Matrix) -> Vec<(&'a Row, Look)> {
    let look = |arm: &str| ink.arms().find(|(a, _)| *a == arm).map(|(_, l)| l);
    let mut out: Vec<(&Row, Look)> =
        m.rows.iter().filter(|r| r.worst().is_some()).filter_map(|r| Some((r, look(&r.arm)?))).collect();
    out.retain(|(_, l)| !l.rest);
    let worst = |r: &Row| r.worst().map_or(0.0, |w| w.cell.recovery.mean);
    out.sort_by(|(a, _), (b, _)| {
        let reference = |r: &Row| ink.run.is_reference(&r.arm);
        reference(a).cmp(&reference(b)).then(worst(a).total_cmp(&worst(b)))
    });
    out
}

fn draw(m: &Matrix, rows: &[(&Row, Look)]) -> Drawing {
    let cells = || rows.iter().flat_map(|(r, _)| r.cells.iter().flatten().map(|c| &c.recovery));
    let inside = |v: f64| v.clamp(LEAST, MOST);
    let ends = cells()
        .flat_map(|s| [s.mean, s.interval.map_or(s.mean, |i| i.0), s.interval.map_or(s.mean, |i| i.1)]);
    let (low, high) = ends.map(inside).fold((-0.05, 1.05), |(l, h), v| (v.min(l), v.max(h)));
    let bottom = (40.0 + ROW * rows.len() as f64).max(200.0);
    let frame = Frame { left: 118.0, top: 34.0, right: 460.0, bottom };
    let row_height = (bottom - frame.top - 6.0) / rows.len() as f64;
    let mut svg = Svg::new(470.0, bottom + 48.0);
    let x = Scale::linear((low - 0.04, high + 0.04), frame.x());
    let none = Scale::linear((0.0, 0.0), frame.y());
    axes(&mut svg, frame, &x, &none, ("recovery under attack", ""));
    for (v, name) in [(0.0, "never had it"), (1.0, "never cut")] {
        svg.line((x.at(v), frame.top), (x.at(v), frame.bottom), "level");
        // Near the edge the name stands before its line's end.
        let half = crate::svg::text_width(name, 12.0) * 0.6;
        let middle = x.at(v).min(frame.right + 8.0 - half);
        svg.text((middle, frame.top - 8.0), Anchor::Middle, "tick", name);
    }
    for (i, (row, look)) in rows.iter().enumerate() {
        let y = frame.top + 3.0 + row_height * (i as f64 + 0.5);
        let Some(worst) = row.worst() else { continue };
        let title = format!(
            "{}: worst {} ({})",
            row.arm,
            share_interval(&worst.cell.recovery),
            m.column(worst.column)
        );
        svg.line((frame.left, y), (frame.right, y), "grid");
        svg.open(look.class, &title);
        svg.marker((10.0, y), 4.2, look.marker, "mean");
        svg.text((20.0, y + 4.4), Anchor::Start, "row-name", &fit(&row.arm, 92.0));
        if row.damaged {
            svg.marker((frame.left - 9.0, y), 3.6, Marker::Triangle, "hollow");
        }
        for (column, cell) in row.cells.iter().enumerate() {
            let Some(s) = cell.as_ref().map(|c| &c.recovery) else { continue };
            svg.open("each", &format!("{}: {}", m.column(column), share_interval(s)));
            svg.marker((x.at(inside(s.mean)), y), 2.6, Marker::Circle, "seed");
            svg.close();
        }
        let s = &worst.cell.recovery;
        if let Some((low, high)) = s.interval {
            svg.line((x.at(inside(low)), y), (x.at(inside(high)), y), "bar");
        }
        svg.marker((x.at(inside(s.mean)), y), 5.6, look.marker, "mean");
        // A worst case outside of the scale stands at its edge, with its number.
        let column = m.column(worst.column);
        let beyond = inside(s.mean) != s.mean;
        let label = if beyond { format!("{column}: {}", share(s.mean)) } else { column.to_owned() };
        let right = x.at(inside(s.interval.map_or(s.mean, |i| i.1)));
        name(&mut svg, frame, (right, y), &label, &x, row);
        svg.close();
    }
    svg.finish("Recovery of every arm under every attack, worst case marked")
}

/// The worst attack's name right of its interval, or left of all marks where there is no room.
fn name(svg: &mut Svg, frame: Frame, (right, y): (f64, f64), text: &str, x: &Scale, row: &Row) {
    let text = fit(text, 130.0);
    let wide = crate::svg::text_width(&text, 12.0) * 1.05;
    if right + 11.0 + wide <= frame.right {
        svg.text((right + 11.0, y + 4.2), Anchor::Start, "over", &text);
        return;
    }
    let least = row
        .cells
        .iter()
        .flatten()
        .flat_map(|c| [c.recovery.mean, c.recovery.interval.map_or(c.recovery.mean, |i| i.0)]);
    let least = x.at(least.fold(f64::INFINITY, f64::min).clamp(LEAST, MOST));
    if least - 9.0 - wide >= frame.left {
        svg.text((least - 9.0, y + 4.2), Anchor::End, "over", &text);
    }
}
