//! Named numbers: a group of bars per name, one bar per arm.

use lobe_runs::{Bar, Chart, Shape};

use super::{Drawn, Group, over_seeds, titles};
use crate::figures::{Data, Panel, Size, plain, with_intervals};
use crate::format::{interval, shorten};
use crate::palette::Look;
use crate::stats::Summary;
use crate::svg::{Anchor, Frame, Scale, Svg, pad};

const THICK: f64 = 13.0;
const APART: f64 = 10.0;

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let mut names: Vec<&str> = Vec::new();
    for bar in g.arms.iter().flat_map(|a| &a.2).flat_map(|m| bars(m.1)) {
        if !names.contains(&bar.name.as_str()) {
            names.push(&bar.name);
        }
    }
    let value = |name: &str, arm: usize| {
        let of = |c: &Chart| bars(c).iter().find(|b| b.name == name)?.value;
        over_seeds(&g.arms[arm].2.iter().map(|m| (m.0, of(m.1))).collect::<Vec<_>>())
    };
    let rows: Vec<(&str, &str, Look, Option<Summary>)> = names
        .iter()
        .flat_map(|name| (0..g.arms.len()).map(move |a| (*name, a)))
        .map(|(name, a)| (name, g.arms[a].0, g.arms[a].1, value(name, a)))
        .collect();
    let mut data = Data::new(&["name", "arm", "mean", "low", "high", "seeds"]);
    for (name, arm, _, s) in &rows {
        let edge = |pick: fn((f64, f64)) -> f64| plain(s.as_ref().and_then(|s| s.interval).map(pick));
        let (mean, n) = (plain(s.as_ref().map(|s| s.mean)), s.as_ref().map_or(0, |s| s.n));
        data.rows.push(vec![
            (*name).to_owned(),
            (*arm).to_owned(),
            mean,
            edge(|e| e.0),
            edge(|e| e.1),
            n.to_string(),
        ]);
    }
    let known = || rows.iter().filter_map(|r| r.3.as_ref());
    let levels = g.first.levels.iter().map(|l| l.value);
    let means = known().map(|s| s.mean).chain(levels).chain([0.0]);
    let Some((low, high)) =
        with_intervals(means, known().filter_map(|s| s.interval).flat_map(|i| [i.0, i.1]))
    else {
        return (Vec::new(), data);
    };
    if known().next().is_none() {
        return (Vec::new(), data);
    }
    let group = THICK * g.arms.len() as f64 + APART;
    let bottom = 34.0 + group * names.len() as f64 + 4.0;
    let frame = Frame { left: 130.0, top: 34.0, right: 460.0, bottom };
    let mut svg = Svg::new(470.0, bottom + 48.0);
    let x = Scale::linear(pad(low, high, 0.04), frame.x());
    let none = Scale::linear((0.0, 0.0), frame.y());
    crate::svg::axes(&mut svg, frame, &x, &none, (&titles(g.first).1, ""));
    for level in &g.first.levels {
        svg.open("ink", &level.name);
        svg.line((x.at(level.value), frame.top), (x.at(level.value), frame.bottom), "level");
        svg.text((x.at(level.value), frame.top - 4.0), Anchor::Middle, "tick", &shorten(&level.name, 20));
        svg.close();
    }
    for (i, (name, arm, look, s)) in rows.iter().enumerate() {
        let (nth, within) = (i / g.arms.len(), i % g.arms.len());
        let y = frame.top + group * nth as f64 + THICK * within as f64 + APART / 2.0;
        if within == 0 {
            svg.text((frame.left - 8.0, y + 10.0), Anchor::End, "tick", &shorten(name, 20));
        }
        let Some(s) = s else { continue };
        svg.open(look.class, &format!("{name}, {arm}: {}", interval(s)));
        let (from, to) = (x.at(0.0).min(x.at(s.mean)), x.at(0.0).max(x.at(s.mean)));
        svg.rect((from, y), (to - from, THICK - 2.0), "bar-fill");
        if let Some((low, high)) = s.interval {
            svg.line((x.at(low), y + THICK / 2.0 - 1.0), (x.at(high), y + THICK / 2.0 - 1.0), "bar-edge");
        }
        svg.close();
    }
    (vec![Panel { drawing: svg.finish_open(&g.first.title), size: Size::Plain }], data)
}

fn bars(c: &Chart) -> &[Bar] {
    match &c.shape {
        Shape::Bars { bars } => bars,
        _ => &[],
    }
}
