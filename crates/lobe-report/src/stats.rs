//! Statistics over seeds: small pure functions on slices.
//!
//! Intervals of a mean are 95 % percentile bootstrap intervals (Efron 1979). With the three to five
//! seeds of a small experiment they are close to the range of the values and too narrow; the report
//! says so, and decides nothing by them: what two arms differ by has Student's t interval of the
//! paired differences, which allows for few seeds. Missing values are `None`, never zero.

use lobe_core::Key;

/// Resamples behind every interval.
pub const RESAMPLES: usize = 2000;
/// Coverage of every interval.
pub const LEVEL: f64 = 0.95;

/// What a set of seeds says about a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// How many seeds have the number.
    pub n: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation (n − 1), from two seeds on.
    pub sd: Option<f64>,
    /// Interval of the mean, from two seeds on.
    pub interval: Option<(f64, f64)>,
}

impl Summary {
    /// Student's t interval of the mean, from two seeds on.
    pub fn student(&self) -> Option<(f64, f64)> {
        let half = t_quantile(self.n.checked_sub(1)?) * self.sd? / (self.n as f64).sqrt();
        Some((self.mean - half, self.mean + half))
    }

    /// Whether the interval is known and contains `value`.
    pub fn contains(&self, value: f64) -> Option<bool> {
        self.interval.map(|(low, high)| low <= value && value <= high)
    }
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Standard deviation with n − 1; `None` below two values.
pub fn sd(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Quantile `q` of ascending values, linear between neighbours.
pub fn quantile(ascending: &[f64], q: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let at = q.clamp(0.0, 1.0) * last as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(last);
    Some(ascending[below] + (ascending[above] - ascending[below]) * (at - below as f64))
}

/// Percentile bootstrap interval of the mean; `None` below two values.
pub fn bootstrap(values: &[f64], key: Key) -> Option<(f64, f64)> {
    if values.len() < 2 {
        return None;
    }
    let mut rng = key.child("bootstrap").rng();
    let n = values.len();
    let mut means: Vec<f64> =
        (0..RESAMPLES).map(|_| (0..n).map(|_| values[rng.below(n)]).sum::<f64>() / n as f64).collect();
    means.sort_by(f64::total_cmp);
    let tail = (1.0 - LEVEL) / 2.0;
    Some((quantile(&means, tail)?, quantile(&means, 1.0 - tail)?))
}

/// The 97.5 % quantile of Student's t with `freedom` degrees: the tables' values up to ten, then the
/// expansion around the normal distribution (Abramowitz & Stegun 26.7.5), right to three decimals.
fn t_quantile(freedom: usize) -> f64 {
    const FEW: [f64; 10] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
    if let Some(t) = freedom.checked_sub(1).and_then(|i| FEW.get(i)) {
        return *t;
    }
    let (z, v) = (1.959_964_f64, freedom as f64);
    let first = (z.powi(3) + z) / (4.0 * v);
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v);
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * v * v * v);
    z + first + second + third
}

/// What two arms differ by: mean and spread of a − b on the seeds both have, with Student's t interval;
/// `None` without a common seed.
pub fn difference(a: &[(u64, f64)], b: &[(u64, f64)]) -> Option<Summary> {
    let by = paired(a, b);
    let plain = Summary { n: by.len(), mean: mean(&by)?, sd: sd(&by), interval: None };
    Some(Summary { interval: plain.student(), ..plain })
}

/// Mean, spread and bootstrap interval; `None` of nothing.
pub fn summarize(values: &[f64], key: Key) -> Option<Summary> {
    let mean = mean(values)?;
    Some(Summary { n: values.len(), mean, sd: sd(values), interval: bootstrap(values, key) })
}

/// Differences a − b on the seeds that both have, in the order of `a`.
pub fn paired(a: &[(u64, f64)], b: &[(u64, f64)]) -> Vec<f64> {
    let other = |seed| b.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
    a.iter().filter_map(|&(seed, v)| Some(v - other(seed)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: fn() -> Key = || Key::root(0);

    #[test]
    fn hand_computed() {
        // mean 4, squares 4 + 0 + 4 = 8, sd sqrt(8 / 2) = 2
        let s = summarize(&[2.0, 4.0, 6.0], KEY()).unwrap();
        assert_eq!((s.n, s.mean, s.sd), (3, 4.0, Some(2.0)));
        // quartiles of 1..5 with linear interpolation
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.9, 1.0].map(|q| quantile(&five, q).unwrap()),
            [1.0, 2.0, 3.0, 4.6, 5.0]
        );
    }

    #[test]
    fn missing_stays_missing() {
        assert_eq!(summarize(&[], KEY()), None);
        let one = summarize(&[3.0], KEY()).unwrap();
        assert_eq!((one.n, one.mean, one.sd, one.interval), (1, 3.0, None, None));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!((one.student(), difference(&[(0, 1.0)], &[(1, 1.0)])), (None, None));
    }

    #[test]
    fn two_values_have_an_exact_interval() {
        // Resampled means are 0, 1/2, 1 with chances 1/4, 1/2, 1/4, so the 2.5 % quantile is 0.
        assert_eq!(bootstrap(&[0.0, 1.0], KEY()), Some((0.0, 1.0)));
        assert_eq!(bootstrap(&[5.0, 5.0, 5.0], KEY()), Some((5.0, 5.0)));
    }

    #[test]
    fn interval_is_close_to_normal_theory_for_many_values() {
        let mut rng = KEY().rng();
        let values: Vec<f64> = (0..400).map(|_| 10.0 + 2.0 * rng.normal()).collect();
        let s = summarize(&values, KEY()).unwrap();
        let half = 1.96 * s.sd.unwrap() / 20.0;
        let (low, high) = s.interval.unwrap();
        assert!((low - (s.mean - half)).abs() < 0.03 && (high - (s.mean + half)).abs() < 0.03);
        assert_eq!(bootstrap(&values, KEY()), bootstrap(&values, KEY()));
    }

    #[test]
    fn a_difference_has_the_interval_of_student() {
        // Differences 1, 2, 3: mean 2, sd 1, half width 4.303 / sqrt 3 = 2.4843.
        let a = [(0, 2.0), (1, 4.0), (2, 6.0), (9, 7.0)];
        let d = difference(&a, &[(0, 1.0), (1, 2.0), (2, 3.0)]).unwrap();
        let (low, high) = d.interval.unwrap();
        assert_eq!((d.n, d.mean, d.sd), (3, 2.0, Some(1.0)));
        assert!((low + 0.4843).abs() < 1e-3 && (high - 4.4843).abs() < 1e-3);
        // Tables: 2.201 of 11 degrees, 2.042 of 30, 1.984 of 100.
        for (freedom, t) in [(11, 2.201), (30, 2.042), (100, 1.984)] {
            assert!((t_quantile(freedom) - t).abs() < 6e-4, "{freedom}: {}", t_quantile(freedom));
        }
    }

    #[test]
    fn pairs_only_common_seeds() {
        assert_eq!(paired(&[(0, 3.0), (1, 5.0), (7, 1.0)], &[(1, 4.0), (0, 1.0), (2, 9.0)]), [2.0, 1.0]);
    }
}
