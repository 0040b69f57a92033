//! From numbers to coordinates, and round numbers to write beside them.

use crate::format::superscript;

/// Maps a range of numbers to a range of coordinates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale {
    pub(crate) log: bool,
    pub(crate) domain: (f64, f64),
    pub(crate) range: (f64, f64),
}

/// `low..high` widened by a share of itself; a single value gets room around it.
pub(crate) fn pad(low: f64, high: f64, share: f64) -> (f64, f64) {
    let span = high - low;
    let room = if span > low.abs().max(high.abs()) * 1e-9 {
        span * share
    } else if low == 0.0 {
        1.0
    } else {
        low.abs() * 0.1
    };
    (low - room, high + room)
}

impl Scale {
    pub(crate) fn linear(domain: (f64, f64), range: (f64, f64)) -> Scale {
        Scale { log: false, domain, range }
    }

    /// A logarithmic scale; `domain` must be positive.
    pub(crate) fn log(domain: (f64, f64), range: (f64, f64)) -> Scale {
        Scale { log: true, domain: (domain.0.max(1e-30), domain.1.max(1e-30)), range }
    }

    /// The coordinate of `v`.
    pub(crate) fn at(&self, v: f64) -> f64 {
        let on = |v: f64| if self.log { v.max(1e-30).log10() } else { v };
        let (low, high) = (on(self.domain.0), on(self.domain.1));
        let share = if high > low { (on(v) - low) / (high - low) } else { 0.5 };
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// About `count` round numbers inside the domain, with what to write beside each.
    pub(crate) fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let (low, high) = self.domain;
        if !(low.is_finite() && high.is_finite()) {
            return Vec::new();
        }
        if self.log && low > 0.0 && high / low >= 3.0 {
            log_ticks(low, high, count)
        } else {
            linear_ticks(low, high, count)
        }
    }
}

fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let rough = (high - low) / count.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return Vec::new();
    }
    let power = rough.log10().floor();
    let unit = 10f64.powf(power);
    let factor = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().min_by(|a, b| {
        let miss = |f: f64| ((high - low) / (f * unit) - count as f64).abs();
        miss(*a).total_cmp(&miss(*b))
    });
    let step = factor.unwrap_or(1.0) * unit;
    let (first, last) = ((low / step).ceil(), (high / step + 1e-9).floor());
    // Far from zero a step can vanish in rounding; then there is nothing round to write.
    if !(last - first).is_finite() || last - first > 100.0 || first.abs() > 1e12 {
        return Vec::new();
    }
    let decimals = (-step.log10().floor() as i32 + i32::from(factor == Some(2.5))).max(0) as usize;
    let size = low.abs().max(high.abs());
    (0..=(last - first) as i64)
        .map(|i| {
            let v = (first + i as f64) * step;
            let text = if (1e-4..1e6).contains(&size) { format!("{v:.decimals$}") } else { scientific(v) };
            (v, text.replace('-', "−"))
        })
        .collect()
}

fn log_ticks(low: f64, high: f64, count: usize) -> Vec<(f64, String)> {
    let (first, last) = (low.log10().floor().max(-300.0) as i32, high.log10().ceil() as i32);
    let inside = |v: &f64| *v >= low * (1.0 - 1e-9) && *v <= high * (1.0 + 1e-9);
    let of = |factors: &[f64], stride: i32| -> Vec<f64> {
        let decades = (first..=last).filter(|d| d.rem_euclid(stride) == 0);
        decades.flat_map(|d| factors.iter().map(move |f| f * 10f64.powi(d))).filter(inside).collect()
    };
    let all = [
        of(&[1.0, 2.0, 3.0, 5.0, 7.0], 1),
        of(&[1.0, 2.0, 5.0], 1),
        of(&[1.0, 3.0], 1),
        of(&[1.0], 1),
        of(&[1.0], 3),
    ];
    // The densest choice that is not crowded.
    let fit = all.iter().find(|t| t.len() <= count + 2).or(all.last()).cloned().unwrap_or_default();
    fit.into_iter().map(|v| (v, short(v))).collect()
}

fn short(v: f64) -> String {
    match v {
        v if (1e-3..1e4).contains(&v) => {
            let decimals = (-v.log10().floor() as i32).max(0) as usize;
            format!("{v:.decimals$}")
        }
        v if (1e4..1e6).contains(&v) => format!("{:.0}k", v / 1e3),
        _ => scientific(v),
    }
}

fn scientific(v: f64) -> String {
    if v == 0.0 {
        return "0".into();
    }
    let text = format!("{v:.2e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let digits =
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.') } else { digits };
    format!("{digits}×10{}", superscript(power))
}

/// An axis for step counts: logarithmic when the points are spread over decades. The second value
/// is where step 0 stands, which a logarithmic axis has no place for.
pub(crate) fn steps(all: &[f64], range: (f64, f64)) -> (Scale, Option<f64>) {
    let mut positive: Vec<f64> = all.iter().copied().filter(|v| *v > 0.0).collect();
    positive.sort_by(f64::total_cmp);
    positive.dedup();
    let (Some(&low), Some(&high)) = (positive.first(), positive.last()) else {
        return (Scale::linear((0.0, 1.0), range), None);
    };
    let middle = positive[positive.len() / 2];
    if high / low >= 30.0 && middle <= high / 5.0 {
        let zero = all.contains(&0.0);
        let from = if zero { range.0 + 34.0 } else { range.0 };
        return (Scale::log((low, high), (from, range.1)), zero.then_some(range.0 + 6.0));
    }
    let least = all.iter().copied().fold(f64::INFINITY, f64::min);
    let least = if least < 0.25 * high { 0.0f64.min(least) } else { least };
    (Scale::linear(if high > least { (least, high) } else { pad(high, high, 0.0) }, range), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(domain: (f64, f64), log: bool, expected: &str) {
        let scale = Scale { log, domain, range: (0.0, 100.0) };
        let ticks = scale.ticks(5);
        assert_eq!(ticks.iter().map(|t| t.1.as_str()).collect::<Vec<_>>().join(" "), expected, "{domain:?}");
        assert!(
            ticks.iter().all(|(v, _)| (-1e-6..=100.0 + 1e-6).contains(&scale.at(*v))),
            "{domain:?} inside"
        );
    }

    #[test]
    fn ticks_are_round_and_inside() {
        check((0.0, 10.0), false, "0 2 4 6 8 10");
        check((1.23, 1.31), false, "1.24 1.26 1.28 1.30");
        check((0.0, 1.0), false, "0.0 0.2 0.4 0.6 0.8 1.0");
        check((-0.1, 0.1), false, "−0.10 −0.05 0.00 0.05 0.10");
        check((0.0, 1100.0), false, "0 200 400 600 800 1000");
        check((1.0, 1000.0), true, "1 3 10 30 100 300 1000");
        check((1.3, 4.2), true, "2 3");
        check((1e-3, 1e3), true, "0.001 0.01 0.1 1 10 100 1000");
        check((0.0, 1e30), false, "0 2×10²⁹ 4×10²⁹ 6×10²⁹ 8×10²⁹ 1×10³⁰");
    }

    #[test]
    fn hopeless_domains_give_no_ticks_and_no_panic() {
        for domain in
            [(1.0, 1.0), (0.0, f64::INFINITY), (1e30, 1e30), (f64::NAN, 1.0), (5.0, 1.0), (1e20, 1e20 + 1e5)]
        {
            for log in [false, true] {
                assert!(Scale { log, domain, range: (0.0, 1.0) }.ticks(5).len() < 100);
            }
        }
        assert_eq!(pad(3.0, 3.0, 0.05), (2.7, 3.3));
        assert_eq!(pad(0.0, 0.0, 0.05), (-1.0, 1.0));
    }

    #[test]
    fn step_axes_turn_logarithmic_over_decades() {
        let (log, zero) = steps(&[0.0, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 1000.0], (0.0, 500.0));
        assert!(log.log && zero == Some(6.0) && log.at(1.0) == 34.0 && log.at(1000.0) == 500.0);
        let even: Vec<f64> = (0..=50).map(|i| f64::from(i) * 20.0).collect();
        let (linear, zero) = steps(&even, (0.0, 500.0));
        assert!(!linear.log && zero.is_none() && linear.at(500.0) == 250.0);
    }
}
