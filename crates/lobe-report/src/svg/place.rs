//! Labels that cover neither what is drawn nor each other, and marks that do not hide each other.

use super::{Anchor, Frame, Svg, text_width};

/// Size of a label's letters.
pub(crate) const LABEL: f64 = 13.0;

/// Moves `wanted` positions apart until neighbours are `gap` apart, staying inside `low..high` where
/// there is room; the order is kept.
pub(crate) fn dodge(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|a, b| wanted[*a].total_cmp(&wanted[*b]));
    let mut at: Vec<f64> = order.iter().map(|i| wanted[*i].clamp(low, high)).collect();
    for i in 1..at.len() {
        at[i] = at[i].max(at[i - 1] + gap);
    }
    // What ran over the end is pushed back, which keeps the gaps.
    let mut limit = high;
    for v in at.iter_mut().rev() {
        *v = v.min(limit);
        limit = *v - gap;
    }
    let mut out = vec![0.0; wanted.len()];
    for (i, v) in order.into_iter().zip(at) {
        out[i] = v;
    }
    out
}

/// Where marks of radius `r` are drawn so that none hides another: those closer than a mark's width to each other
/// stand side by side around their middle.
pub(crate) fn apart(points: &[(f64, f64)], r: f64) -> Vec<(f64, f64)> {
    let mut out = points.to_vec();
    let mut grouped = vec![false; points.len()];
    for i in 0..points.len() {
        if grouped[i] {
            continue;
        }
        let near = |j: &usize| {
            let (dx, dy) = (points[*j].0 - points[i].0, points[*j].1 - points[i].1);
            !grouped[*j] && dx.hypot(dy) < 1.5 * r
        };
        let group: Vec<usize> = (i..points.len()).filter(near).collect();
        let middle = group.iter().map(|j| points[*j].0).sum::<f64>() / group.len() as f64;
        for (n, j) in group.iter().enumerate() {
            grouped[*j] = true;
            if group.len() > 1 {
                out[*j].0 = middle + 2.2 * r * (n as f64 - (group.len() - 1) as f64 / 2.0);
            }
        }
    }
    out
}

/// Left, top, right, bottom.
pub(crate) type Box4 = (f64, f64, f64, f64);

pub(crate) fn overlap(a: Box4, b: Box4) -> f64 {
    let w = (a.2.min(b.2) - a.0.max(b.0)).max(0.0);
    let h = (a.3.min(b.3) - a.1.max(b.1)).max(0.0);
    w * h
}

/// Places labels beside points, away from all that is drawn and from each other.
#[derive(Debug)]
pub(crate) struct Labels {
    bounds: Frame,
    /// Marks, intervals and lines.
    drawn: Vec<Box4>,
    /// Labels, which must not be covered by others, with the room that real letters may need.
    written: Vec<Box4>,
}

impl Labels {
    pub(crate) fn new(bounds: Frame) -> Labels {
        Labels { bounds, drawn: Vec::new(), written: Vec::new() }
    }

    /// A mark that labels should not cover.
    pub(crate) fn avoid(&mut self, (x, y): (f64, f64), r: f64) {
        self.drawn.push((x - r, y - r, x + r, y + r));
    }

    /// A straight line that labels should not cover.
    pub(crate) fn avoid_line(&mut self, a: (f64, f64), b: (f64, f64)) {
        let pieces = ((b.0 - a.0).hypot(b.1 - a.1) / 6.0).ceil().clamp(1.0, 400.0);
        for i in 0..=pieces as usize {
            let t = i as f64 / pieces;
            self.avoid((a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t), 2.5);
        }
    }

    /// What covering this place costs. Covering anything at all is worse than any way to move.
    fn cost(&self, area: Box4) -> f64 {
        let frame = (self.bounds.left, self.bounds.top, self.bounds.right, self.bounds.bottom);
        let outside = (area.2 - area.0) * (area.3 - area.1) - overlap(area, frame);
        let on = |taken: &[Box4]| taken.iter().map(|t| overlap(area, *t)).sum::<f64>();
        let covered = 4.0 * on(&self.drawn) + 9.0 * on(&self.written) + 9.0 * outside;
        if covered > 0.5 { 200.0 + covered } else { covered }
    }

    /// Writes `text` close to `at`, with a thin line to it when it had to move away.
    pub(crate) fn put(&mut self, svg: &mut Svg, at: (f64, f64), text: &str, class: &str) {
        // The margin is for bold letters, which run wider than the estimate.
        let (w, h) = (text_width(text, LABEL) * 1.2, LABEL);
        let mut best: Option<(f64, Box4, f64)> = None;
        for ring in 0..14 {
            let reach = 11.0 + 9.0 * f64::from(ring);
            let turns = if ring < 2 { 8 } else { 24 };
            for turn in 0..turns {
                // To the right first, then the other sides.
                let angle = std::f64::consts::TAU * f64::from(turn) / f64::from(turns);
                let (dx, dy) = (angle.cos(), angle.sin());
                let (cx, cy) = (at.0 + dx * (reach + w / 2.0), at.1 + dy * (reach + h / 3.0));
                let area = (cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0);
                let cost = self.cost(area) + 6.0 * f64::from(ring) + 0.1 * f64::from(turn);
                if best.is_none_or(|(least, _, _)| cost < least) {
                    best = Some((cost, area, reach));
                }
            }
        }
        let Some((_, area, reach)) = best else { return };
        let (cx, cy) = (f64::midpoint(area.0, area.2), f64::midpoint(area.1, area.3));
        if reach > 20.0 {
            let edge = (at.0.clamp(area.0, area.2), at.1.clamp(area.1, area.3));
            svg.line(at, edge, "leader");
        }
        svg.text((cx, cy + 4.5), Anchor::Middle, class, text);
        let slack = 4.0 + w * 0.06;
        self.written.push((area.0 - slack, area.1 - 2.0, area.2 + slack, area.3 + 2.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dodging_keeps_order_gaps_and_bounds() {
        let at = dodge(&[50.0, 52.0, 10.0, 99.0, 98.0], 10.0, 0.0, 100.0);
        assert_eq!(at, [50.0, 60.0, 10.0, 100.0, 90.0]);
        assert_eq!(dodge(&[], 10.0, 0.0, 1.0), Vec::<f64>::new());
    }

    #[test]
    fn marks_on_one_spot_are_drawn_side_by_side() {
        let at = apart(&[(10.0, 10.0), (50.0, 50.0), (10.5, 10.0), (200.0, 10.0)], 6.0);
        assert_eq!((at[1], at[3]), ((50.0, 50.0), (200.0, 10.0)));
        assert!((at[2].0 - at[0].0 - 13.2).abs() < 1e-9 && at[0].1 == at[2].1, "{at:?}");
    }

    #[test]
    fn labels_cover_neither_intervals_nor_each_other() {
        let frame = Frame { left: 0.0, top: 0.0, right: 460.0, bottom: 300.0 };
        let mut labels = Labels::new(frame);
        let mut svg = Svg::new(460.0, 300.0);
        let points = [(300.0, 150.0), (304.0, 153.0), (301.0, 149.0), (440.0, 15.0), (435.0, 18.0)];
        for p in points {
            labels.avoid(p, 6.0);
            labels.avoid_line((p.0 - 60.0, p.1), (p.0 + 60.0, p.1));
            labels.avoid_line((p.0, p.1 - 25.0), (p.0, p.1 + 25.0));
        }
        for p in points {
            labels.put(&mut svg, p, "gradient-routing", "label");
        }
        for (i, a) in labels.written.iter().enumerate() {
            // Without the room around it.
            let inner = (a.0 + 4.0, a.1 + 2.0, a.2 - 4.0, a.3 - 2.0);
            assert!(labels.drawn.iter().all(|b| overlap(inner, *b) < 1.0), "label {i} covers something");
            assert!(labels.written[i + 1..].iter().all(|b| overlap(inner, *b) < 1.0), "label {i} is covered");
            assert!(inner.0 >= -8.0 && inner.2 <= 468.0 && inner.1 >= -2.0, "{a:?} is outside");
        }
    }
}
