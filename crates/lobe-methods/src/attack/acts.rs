//! What attacks on activations share: sites, means over rows, directions, budgets.

use lobe_engine::{Edit, EngineError, Plan, SiteEdit, SiteId};
use lobe_nets::{Batch, Network};

use super::{Bench, BenchError, Budget, Loot};
use lobe_core::registry::ParamError;

/// Numbers of activations that are held at a time.
const HELD: usize = 1 << 26;

pub(super) fn refuse(path: &str, message: impl Into<String>) -> Result<(), ParamError> {
    Err(ParamError { path: path.into(), message: message.into() })
}

/// Checks what most of these attacks take.
pub(super) fn check(examples: usize, layers: &[usize]) -> Result<(), ParamError> {
    if examples == 0 || examples > 1 << 16 {
        return refuse("examples", format!("is {examples}, must be in 1..=65536"));
    }
    let twice = layers.iter().enumerate().find(|(i, l)| layers[..*i].contains(l));
    if let Some((_, l)) = twice {
        return refuse("layers", format!("names {l} twice"));
    }
    Ok(())
}

/// The residual stream after each of these blocks, with the block's number; all if none is named.
pub(super) fn residual(net: &dyn Network, layers: &[usize]) -> Result<Vec<(usize, SiteId)>, BenchError> {
    sites(net, "resid_post", layers)
}

/// Site `name` of each of these blocks, with the block's number; all if none is named.
pub(super) fn sites(
    net: &dyn Network,
    name: &str,
    layers: &[usize],
) -> Result<Vec<(usize, SiteId)>, BenchError> {
    let all = self::layers(net, layers);
    let one = |l: usize| {
        let site = net.layout().find_site(&format!("blocks.{l}.{name}"));
        site.map(|s| (l, s)).ok_or_else(|| missing(format!("there is no site blocks.{l}.{name}")))
    };
    all.into_iter().map(one).collect()
}

/// The blocks that are named; all if none is.
pub(super) fn layers(net: &dyn Network, named: &[usize]) -> Vec<usize> {
    if named.is_empty() { (0..net.blocks()).collect() } else { named.to_vec() }
}

pub(super) fn missing(message: String) -> BenchError {
    BenchError::Missing(message)
}

/// Calls `f` with the activations at each site (its index, the rows), few sites at a time.
pub(super) fn over_sites(
    bench: &mut dyn Bench,
    params: &[f32],
    batch: &Batch,
    sites: &[(usize, SiteId)],
    f: &mut dyn FnMut(usize, &[f32]) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let widest = bench.net().widest();
    let group = (HELD / (batch.targets() * widest).max(1)).max(1);
    for (g, part) in sites.chunks(group).enumerate() {
        let ids: Vec<SiteId> = part.iter().map(|s| s.1).collect();
        for (i, rows) in bench.activations(params, batch, &ids)?.iter().enumerate() {
            f(g * group + i, rows)?;
        }
    }
    Ok(())
}

/// Mean row. Rows whose norm is further than `sigmas` standard deviations from the mean norm are
/// left out (0: none are).
pub(super) fn mean(rows: &[f32], cols: usize, sigmas: f64) -> Vec<f64> {
    let norm = |r: &[f32]| r.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let norms: Vec<f64> = rows.chunks_exact(cols).map(norm).collect();
    let n = norms.len().max(1) as f64;
    let centre = norms.iter().sum::<f64>() / n;
    let deviation = (norms.iter().map(|x| (x - centre).powi(2)).sum::<f64>() / n).sqrt();
    let near = |x: f64| sigmas == 0.0 || (x - centre).abs() <= sigmas * deviation + 1e-9 * centre;
    let (mut sum, mut kept) = (vec![0.0; cols], 0.0);
    for (row, norm) in rows.chunks_exact(cols).zip(&norms) {
        if near(*norm) {
            sum.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x));
            kept += 1.0;
        }
    }
    sum.iter().map(|s| s / f64::max(kept, 1.0)).collect()
}

/// The vector of length 1 in this direction; `None` if there is no direction.
pub(super) fn unit(v: &[f32]) -> Option<Vec<f32>> {
    let norm = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    (norm > 1e-12 && norm.is_finite()).then(|| v.iter().map(|x| (f64::from(*x) / norm) as f32).collect())
}

/// What two means a direction is the difference of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Between {
    /// The original's minus the victim's, both on forget examples.
    Models,
    /// The victim's on forget examples minus its own on retain examples.
    Data,
}

impl Between {
    /// Those that the bench has the models for.
    pub(super) fn available(bench: &dyn Bench) -> &'static [Between] {
        if bench.original().is_some() { &[Between::Models, Between::Data] } else { &[Between::Data] }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Between::Models => "original",
            Between::Data => "contrast",
        }
    }
}

/// At each site the difference of two mean rows over `n` examples; and what that took.
pub(super) fn directions(
    bench: &mut dyn Bench,
    between: Between,
    n: usize,
    sigmas: f64,
    sites: &[(usize, SiteId)],
) -> Result<(Vec<Vec<f32>>, Budget), BenchError> {
    let width = bench.net().width_at(0);
    let victim = bench.victim().to_vec();
    let forget = bench.examples(Loot::Forget, n)?;
    let other = match between {
        Between::Models => bench.original().map(<[f32]>::to_vec),
        Between::Data => None,
    };
    let of = |bench: &mut dyn Bench, params: &[f32], batch: &Batch| {
        let mut out = Vec::new();
        over_sites(bench, params, batch, sites, &mut |_, rows| {
            out.push(mean(rows, width, sigmas));
            Ok(())
        })?;
        Ok::<_, BenchError>(out)
    };
    let here = of(bench, &victim, &forget)?;
    let mut budget =
        Budget { tokens: 2 * tokens(&forget), examples: forget.len() as u64, ..Budget::default() };
    let (plus, minus) = match (between, other) {
        (Between::Models, Some(original)) => (of(bench, &original, &forget)?, here),
        (Between::Models, None) => return Err(missing("there is no model from before the removal".into())),
        (Between::Data, _) => {
            let retain = bench.examples(Loot::Retain, n)?;
            budget.tokens = tokens(&forget) + tokens(&retain);
            budget.examples += retain.len() as u64;
            (here, of(bench, &victim, &retain)?)
        }
    };
    let subtract = |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).map(|(a, b)| (a - b) as f32).collect();
    Ok((plus.iter().zip(&minus).map(subtract).collect(), budget))
}

/// An intervention on all columns of a site.
pub(super) fn with_edit(plan: Plan, site: SiteId, cols: usize, edit: Edit) -> Result<Plan, EngineError> {
    plan.with_edit(SiteEdit { site, cols: 0..cols, edit })
}

/// Positions of a batch that go through the network.
pub(super) fn tokens(batch: &Batch) -> u64 {
    (0..batch.shards()).map(|s| batch.rows(s).rows as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_leaves_out_rows_of_unusual_norm() {
        let mut rows = [1.0f32, 3.0].repeat(20);
        rows.extend([3.0, 1.0].repeat(20));
        assert_eq!(mean(&rows, 2, 3.0), [2.0, 2.0]);
        rows.extend([-4000.0, 0.0]);
        assert_eq!(mean(&rows, 2, 3.0), [2.0, 2.0]);
        assert_eq!(mean(&rows, 2, 0.0), [(80.0 - 4000.0) / 41.0, 80.0 / 41.0]);
        assert_eq!(mean(&[], 2, 3.0), [0.0, 0.0]);
    }

    #[test]
    fn a_unit_vector_has_length_one_and_zero_has_no_direction() {
        assert_eq!(unit(&[3.0, -4.0]), Some(vec![0.6, -0.8]));
        assert_eq!(unit(&[0.0, 0.0]), None);
    }
}
