//! Lines that leave the frame are cut off at its edge.

type Point = (f64, f64);

/// The pieces of a line between `top` and `bottom`, ends on the edge included.
pub(super) fn pieces(line: &[Point], top: f64, bottom: f64) -> Vec<Vec<Point>> {
    let mut out: Vec<Vec<Point>> = Vec::new();
    let mut open: Vec<Point> = Vec::new();
    for pair in line.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        // Where the segment enters and leaves, as shares of it.
        let (mut from, mut to) = (0.0_f64, 1.0_f64);
        let rise = b.1 - a.1;
        if rise == 0.0 {
            if a.1 < top || a.1 > bottom {
                (from, to) = (1.0, 0.0);
            }
        } else {
            let (one, two) = ((top - a.1) / rise, (bottom - a.1) / rise);
            from = from.max(one.min(two));
            to = to.min(one.max(two));
        }
        if from >= to {
            if open.len() > 1 {
                out.push(std::mem::take(&mut open));
            }
            open.clear();
            continue;
        }
        let at = |t: f64| (a.0 + (b.0 - a.0) * t, a.1 + rise * t);
        if open.is_empty() {
            open.push(at(from));
        }
        open.push(at(to));
        if to < 1.0 {
            out.push(std::mem::take(&mut open));
        }
    }
    if open.len() > 1 {
        out.push(open);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_where_it_leaves() {
        let inside = [(0.0, 5.0), (1.0, 6.0), (2.0, 5.0)];
        assert_eq!(pieces(&inside, 0.0, 10.0), [inside.to_vec()]);
        // From above the frame down into it, and out again.
        let through = [(0.0, -10.0), (1.0, 10.0), (2.0, -10.0)];
        assert_eq!(pieces(&through, 0.0, 20.0), [vec![(0.5, 0.0), (1.0, 10.0), (1.5, 0.0)]]);
        assert_eq!(pieces(&[(0.0, -5.0), (1.0, -6.0)], 0.0, 10.0), Vec::<Vec<Point>>::new());
        assert_eq!(pieces(&[(0.0, 3.0), (1.0, 3.0)], 0.0, 10.0), [vec![(0.0, 3.0), (1.0, 3.0)]]);
        assert_eq!(pieces(&[(0.0, -1.0), (1.0, -1.0)], 0.0, 10.0), Vec::<Vec<Point>>::new());
    }
}
