//! Labels that do not cover each other.

use super::{Anchor, Frame, Svg, text_width};

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

type Box4 = (f64, f64, f64, f64);

fn overlap(a: Box4, b: Box4) -> f64 {
    let w = (a.2.min(b.2) - a.0.max(b.0)).max(0.0);
    let h = (a.3.min(b.3) - a.1.max(b.1)).max(0.0);
    w * h
}

/// Places labels beside points, away from markers and from each other.
#[derive(Debug)]
pub(crate) struct Labels {
    bounds: Frame,
    taken: Vec<Box4>,
    /// Those of `taken` that are text, which must not be covered by text.
    written: Vec<Box4>,
}

impl Labels {
    pub(crate) fn new(bounds: Frame) -> Labels {
        Labels { bounds, taken: Vec::new(), written: Vec::new() }
    }

    /// Something labels should not cover.
    pub(crate) fn avoid(&mut self, (x, y): (f64, f64), r: f64) {
        self.taken.push((x - r, y - r, x + r, y + r));
    }

    /// Writes `text` close to `at`, with a thin line to it when it had to move away.
    pub(crate) fn put(&mut self, svg: &mut Svg, at: (f64, f64), text: &str, class: &str) {
        const SIZE: f64 = 13.0;
        // The margin is for bold letters, which run wider than the estimate.
        let (w, h) = (text_width(text, SIZE) * 1.1, SIZE);
        let mut best: Option<(f64, Box4, f64)> = None;
        for (ring, reach) in [11.0, 20.0, 32.0, 46.0, 62.0, 80.0, 100.0].into_iter().enumerate() {
            for (turn, (dx, dy)) in [
                (1.0, 0.0),
                (-1.0, 0.0),
                (0.0, -1.0),
                (0.0, 1.0),
                (0.8, -0.8),
                (0.8, 0.8),
                (-0.8, -0.8),
                (-0.8, 0.8),
            ]
            .into_iter()
            .enumerate()
            {
                let (cx, cy) = (at.0 + dx * (reach + w / 2.0), at.1 + dy * (reach + h / 3.0));
                let area = (cx - w / 2.0, cy - h / 2.0, cx + w / 2.0, cy + h / 2.0);
                let frame = (self.bounds.left, self.bounds.top, self.bounds.right, self.bounds.bottom);
                let outside = w * h - overlap(area, frame);
                let hit: f64 = self.taken.iter().map(|t| overlap(area, *t)).sum();
                let hit = hit + 5.0 * self.written.iter().map(|t| overlap(area, *t)).sum::<f64>();
                let cost = hit + 4.0 * outside + 6.0 * ring as f64 + 0.5 * turn as f64;
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
        self.taken.push((area.0 - 2.0, area.1 - 2.0, area.2 + 2.0, area.3 + 2.0));
        // Real letters may run wider than the estimate.
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
    fn crowded_labels_do_not_overlap() {
        let frame = Frame { left: 0.0, top: 0.0, right: 600.0, bottom: 400.0 };
        let mut labels = Labels::new(frame);
        let mut svg = Svg::new(600.0, 400.0);
        let points = [(300.0, 200.0), (304.0, 203.0), (301.0, 199.0), (590.0, 5.0), (585.0, 8.0)];
        for p in points {
            labels.avoid(p, 5.0);
        }
        for p in points {
            labels.put(&mut svg, p, "gradient-routing", "label");
        }
        for (i, a) in labels.taken[5..].iter().enumerate() {
            assert!(a.0 >= -2.0 && a.1 >= -2.0 && a.2 <= 602.0 && a.3 <= 402.0, "{a:?} is outside");
            // Boxes carry a margin of 2, so touching margins are no collision.
            let inner = (a.0 + 2.0, a.1 + 2.0, a.2 - 2.0, a.3 - 2.0);
            assert!(
                labels.taken[5 + i + 1..].iter().all(|b| overlap(inner, *b) < 40.0),
                "label {i} is covered"
            );
        }
    }
}
