//! Points: a cloud per arm and series.

use super::{Drawn, Group, series, titles};
use crate::figures::{Data, Panel, Size, plain};
use crate::format::number;
use crate::stats::extent;
use crate::svg::{Anchor, Frame, Scale, Svg, axes, fit, pad};

/// Most points that are drawn of one series.
const MOST: usize = 2000;

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let all = series(g);
    let points = || all.iter().flat_map(|(_, _, seeds)| seeds.iter().flat_map(|(_, s)| s.points.iter()));
    let mut data = Data::new(&["series", "seed", "x", "y"]);
    for (name, _, seeds) in &all {
        for (seed, s) in seeds {
            for (x, y) in s.points.iter().take(MOST) {
                data.rows.push(vec![name.clone(), seed.to_string(), plain(Some(*x)), plain(Some(*y))]);
            }
        }
    }
    let (Some(xs), Some(ys)) = (extent(points().map(|p| p.0)), extent(points().map(|p| p.1))) else {
        return (Vec::new(), data);
    };
    let bottom = (36.0 + 16.0 * all.len() as f64).max(296.0);
    let frame = Frame { left: 50.0, top: 34.0, right: 342.0, bottom };
    let mut svg = Svg::new(470.0, bottom + 48.0);
    let x = scale(xs, frame.x(), g.first.x.log);
    let y = scale(ys, frame.y(), g.first.y.log);
    let (right, up) = titles(g.first);
    axes(&mut svg, frame, &x, &y, (&right, &up));
    for (i, (name, look, seeds)) in all.iter().enumerate() {
        svg.open(look.class, name);
        for p in seeds.iter().flat_map(|(_, s)| s.points.iter().take(MOST)) {
            svg.open("", &format!("{name}: {}, {}", number(p.0), number(p.1)));
            svg.marker((x.at(p.0), y.at(p.1)), 3.2, look.marker, "seed");
            svg.close();
        }
        let line = frame.top + 8.0 + 16.0 * i as f64;
        svg.marker((frame.right + 14.0, line), 3.6, look.marker, "mean");
        svg.text((frame.right + 22.0, line + 4.5), Anchor::Start, "label", &fit(name, 98.0));
        svg.close();
    }
    (vec![Panel { drawing: svg.finish(&g.first.title), size: Size::Plain }], data)
}

fn scale((low, high): (f64, f64), range: (f64, f64), log: bool) -> Scale {
    if log && low > 0.0 { Scale::log((low, high), range) } else { Scale::linear(pad(low, high, 0.06), range) }
}
