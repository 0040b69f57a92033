//! Statistics over seeds: small pure functions on slices.
//!
//! There is one kind of interval: Student's t (Gosset 1908), of a mean over seeds and of the mean of
//! paired differences alike. It assumes that seeds are independent and their numbers roughly normal, and
//! it stays honest with few of them: two seeds give an interval some 18 times as wide as their distance.
//! Missing values are `None`, never zero.

use statrs::distribution::{ContinuousCDF as _, StudentsT};

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
    /// Student's t interval of the mean, from two seeds on.
    pub interval: Option<(f64, f64)>,
}

impl Summary {
    /// Whether the interval is known and contains `value`.
    pub fn contains(&self, value: f64) -> Option<bool> {
        self.interval.map(|(low, high)| low <= value && value <= high)
    }

    /// Whether the whole interval lies above `limit` (`Some(true)`), below it (`Some(false)`), or holds it;
    /// `None` where there is no interval.
    pub fn beyond(&self, limit: f64) -> Option<Side> {
        let (low, high) = self.interval?;
        Some(match () {
            () if low > limit => Side::Above,
            () if high < limit => Side::Below,
            () => Side::Either,
        })
    }

    /// The same statistics of `scale · x` instead of `x`.
    pub fn scaled(&self, scale: f64) -> Summary {
        let ends = self.interval.map(|(low, high)| (scale * low, scale * high));
        Summary {
            n: self.n,
            mean: scale * self.mean,
            sd: self.sd.map(|sd| sd * scale.abs()),
            interval: ends.map(|(a, b)| (a.min(b), a.max(b))),
        }
    }
}

/// Where an interval lies beside a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// All of it above.
    Above,
    /// All of it below.
    Below,
    /// The limit lies inside, so the seeds do not decide.
    Either,
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

/// Quantile of Student's t that a two-sided interval of [`LEVEL`] needs; `None` without a degree of freedom.
fn t_quantile(freedom: usize) -> Option<f64> {
    let t = StudentsT::new(0.0, 1.0, freedom as f64).ok()?;
    (freedom > 0).then(|| t.inverse_cdf(1.0 - (1.0 - LEVEL) / 2.0))
}

/// The smallest paired difference that `seeds` seeds can tell from chance, in standard deviations of the
/// differences between seeds: t(n − 1) / √n. `None` below two seeds, which decide nothing.
pub fn detectable(seeds: usize) -> Option<f64> {
    Some(t_quantile(seeds.checked_sub(1)?)? / (seeds as f64).sqrt())
}

/// What two arms differ by: mean, spread and interval of a − b on the seeds both have; `None` without a
/// common seed.
pub fn difference(a: &[(u64, f64)], b: &[(u64, f64)]) -> Option<Summary> {
    summarize(&paired(a, b))
}

/// Mean, spread and interval; `None` of nothing.
pub fn summarize(values: &[f64]) -> Option<Summary> {
    let (n, mean, sd) = (values.len(), mean(values)?, sd(values));
    let half = || Some(t_quantile(n.checked_sub(1)?)? * sd? / (n as f64).sqrt());
    Some(Summary { n, mean, sd, interval: half().map(|half| (mean - half, mean + half)) })
}

/// Differences a − b on the seeds that both have, in the order of `a`.
pub fn paired(a: &[(u64, f64)], b: &[(u64, f64)]) -> Vec<f64> {
    let other = |seed| b.iter().find(|(s, _)| *s == seed).map(|(_, v)| *v);
    a.iter().filter_map(|&(seed, v)| Some(v - other(seed)?)).collect()
}

/// Least and greatest of what is finite.
pub(crate) fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|v| v.is_finite()).fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_computed() {
        // mean 4, squares 4 + 0 + 4 = 8, sd sqrt(8 / 2) = 2, half width 4.3027 · 2 / sqrt 3 = 4.968.
        let s = summarize(&[2.0, 4.0, 6.0]).unwrap();
        assert_eq!((s.n, s.mean, s.sd), (3, 4.0, Some(2.0)));
        let (low, high) = s.interval.unwrap();
        assert!((low + 0.968).abs() < 1e-3 && (high - 8.968).abs() < 1e-3, "{low} {high}");
        let twice = s.scaled(-2.0);
        assert_eq!(
            (twice.mean, twice.sd, twice.interval),
            (-8.0, Some(4.0), Some((-2.0 * high, -2.0 * low)))
        );
        // quartiles of 1..5 with linear interpolation
        let five = [1.0, 2.0, 3.0, 4.0, 5.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 0.9, 1.0].map(|q| quantile(&five, q).unwrap()),
            [1.0, 2.0, 3.0, 4.6, 5.0]
        );
    }

    #[test]
    fn missing_stays_missing() {
        assert_eq!(summarize(&[]), None);
        let one = summarize(&[3.0]).unwrap();
        assert_eq!((one.n, one.mean, one.sd, one.interval), (1, 3.0, None, None));
        assert_eq!((one.beyond(0.0), detectable(1), detectable(0)), (None, None, None));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(difference(&[(0, 1.0)], &[(1, 1.0)]), None);
    }

    #[test]
    fn equal_seeds_have_an_interval_without_width() {
        assert_eq!(summarize(&[5.0, 5.0, 5.0]).unwrap().interval, Some((5.0, 5.0)));
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (freedom, t) in [(1, 12.706), (2, 4.303), (4, 2.776), (11, 2.201), (30, 2.042), (100, 1.984)] {
            assert!((t_quantile(freedom).unwrap() - t).abs() < 6e-4, "{freedom}: {:?}", t_quantile(freedom));
        }
        // 12.706 / sqrt 2, 4.303 / sqrt 3, 2.776 / sqrt 5.
        for (seeds, sds) in [(2, 8.985), (3, 2.484), (5, 1.242)] {
            assert!((detectable(seeds).unwrap() - sds).abs() < 1e-3, "{seeds}");
        }
    }

    #[test]
    fn differences_are_paired() {
        // Differences 1, 2, 3: mean 2, sd 1, half width 4.303 / sqrt 3 = 2.4843.
        let a = [(0, 2.0), (1, 4.0), (2, 6.0), (9, 7.0)];
        let d = difference(&a, &[(0, 1.0), (1, 2.0), (2, 3.0)]).unwrap();
        let (low, high) = d.interval.unwrap();
        assert_eq!((d.n, d.mean, d.sd), (3, 2.0, Some(1.0)));
        assert!((low + 0.4843).abs() < 1e-3 && (high - 4.4843).abs() < 1e-3);
        assert_eq!(
            [-1.0, 0.0, 5.0].map(|limit| d.beyond(limit).unwrap()),
            [Side::Above, Side::Either, Side::Below]
        );
        assert_eq!(paired(&[(0, 3.0), (1, 5.0), (7, 1.0)], &[(1, 4.0), (0, 1.0), (2, 9.0)]), [2.0, 1.0]);
    }
}
