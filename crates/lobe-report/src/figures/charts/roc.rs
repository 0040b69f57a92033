//! Detection: how many are found against how many are wrongly accused, with the area under the curve.

use super::{Drawn, Group, over_seeds, series};
use crate::figures::{Data, Panel, Size, plain};
use crate::format::share_interval;
use crate::svg::{Anchor, Frame, Scale, Svg, axes, fit};

pub(super) fn draw(g: &Group<'_>) -> Drawn {
    let all = series(g);
    let bottom = (36.0 + 34.0 * all.len() as f64).max(326.0);
    let frame = Frame { left: 50.0, top: 34.0, right: 342.0, bottom };
    let mut svg = Svg::new(470.0, bottom + 48.0);
    let (x, y) = (Scale::linear((0.0, 1.0), frame.x()), Scale::linear((0.0, 1.0), frame.y()));
    axes(&mut svg, frame, &x, &y, ("false positives", "true positives"));
    svg.path(&[(x.at(0.0), y.at(0.0)), (x.at(1.0), y.at(1.0))], "reference", "");
    let mut data = Data::new(&["series", "seed", "false_positives", "true_positives"]);
    for (i, (name, look, seeds)) in all.iter().enumerate() {
        let areas: Vec<(u64, Option<f64>)> = seeds.iter().map(|(seed, s)| (*seed, area(&s.points))).collect();
        let area = over_seeds(&areas).map_or_else(String::new, |s| format!("area {}", share_interval(&s)));
        svg.open(look.class, &format!("{name}: {area}"));
        for (seed, s) in seeds {
            let path: Vec<(f64, f64)> =
                s.points.iter().map(|p| (x.at(p.0.clamp(0.0, 1.0)), y.at(p.1.clamp(0.0, 1.0)))).collect();
            svg.path(&path, if seeds.len() > 1 { "curve fine" } else { "curve" }, look.dash);
            let row =
                |p: &(f64, f64)| vec![name.clone(), seed.to_string(), plain(Some(p.0)), plain(Some(p.1))];
            data.rows.extend(s.points.iter().map(row));
        }
        let line = frame.top + 8.0 + 34.0 * i as f64;
        svg.marker((frame.right + 14.0, line), 3.6, look.marker, "mean");
        svg.text((frame.right + 22.0, line + 4.5), Anchor::Start, "label", &fit(name, 98.0));
        svg.text((frame.right + 22.0, line + 19.0), Anchor::Start, "tick", &area);
        svg.close();
    }
    (vec![Panel { drawing: svg.finish(&g.first.title), size: Size::Plain }], data)
}

/// The area under a curve by trapezia; `None` of less than two points.
pub(super) fn area(points: &[(f64, f64)]) -> Option<f64> {
    let slice = |w: &[(f64, f64)]| (w[1].0 - w[0].0) * f64::midpoint(w[0].1, w[1].1);
    (points.len() > 1).then(|| points.windows(2).map(slice).sum())
}

#[cfg(test)]
mod tests {
    use super::area;

    #[test]
    fn the_area_of_known_curves() {
        assert_eq!(area(&[(0.0, 0.0), (1.0, 1.0)]), Some(0.5));
        assert_eq!(area(&[(0.0, 0.0), (0.0, 1.0), (1.0, 1.0)]), Some(1.0));
        assert_eq!(area(&[(0.0, 1.0)]), None);
    }
}
