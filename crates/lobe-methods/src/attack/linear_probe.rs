//! Linear probe: is the removed capability's data still told apart from the rest, after every block?
//!
//! Equation: w = argmin Σ (w · x̃ − y)² + λ' |w|², x̃ = x − mean(x), y = ±1 for forget and retain tokens,
//! as many of each, λ' = λ · mean squared norm of x̃ / width · tokens; predicted is the sign of w · x̃. Accuracy is
//! the mean over the two sides on held-out tokens, so chance is 1/2.
//! Paper: Alain and Bengio 2016 (arXiv 1610.01644).
//! Unusual: the embedding is probed beside every block (layer 0 is the embedding, layer l + 1
//! follows block l): what it tells apart comes from the tokens and says nothing about the network.
//! Fails: as evidence of capability. What can be read is not always used, and telling two
//! languages or topics apart needs no knowledge of either.

use lobe_engine::{SiteId, View, ViewMut, gemm};
use lobe_nets::Network;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{check, over_sites, refuse, residual, tokens};
use super::ridge::solve;
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Loot, Trial, cases_of, chosen,
    parse,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "linear-probe",
    summary: "fits ridge probes after the embedding and every block that separate forget from retain tokens",
    reference: "Alain and Bengio 2016, arXiv 1610.01644",
    unusual: "reports balanced accuracy on held-out tokens (chance is 1/2); the probe on the embedding is a control",
    fails: "readable information is not always used; separating topics needs no knowledge of them",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LinearProbe {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Training examples of each label; as many are held out.
    pub examples: usize,
    /// Largest number of training tokens of each label, evenly spaced.
    pub tokens: usize,
    /// Ridge penalty, relative to the mean square of an activation.
    pub ridge: f64,
}

impl Default for LinearProbe {
    fn default() -> Self {
        LinearProbe { label: "forget".into(), examples: 64, tokens: 4096, ridge: 1e-3 }
    }
}

/// A linear read-out: positive for forget.
struct Probe {
    mean: Vec<f32>,
    weight: Vec<f32>,
}

impl Probe {
    /// Share of rows on the side `forget`.
    fn accuracy(&self, rows: &[f32], forget: bool) -> Option<f64> {
        let cols = self.mean.len();
        let score = |r: &[f32]| -> f64 {
            let term = |((x, m), w): ((&f32, &f32), &f32)| f64::from(x - m) * f64::from(*w);
            r.iter().zip(&self.mean).zip(&self.weight).map(term).sum()
        };
        let right = rows.chunks_exact(cols).filter(|r| (score(r) > 0.0) == forget).count();
        let n = rows.len() / cols;
        (n > 0).then(|| right as f64 / n as f64)
    }
}

/// `n` rows, evenly spaced.
fn spaced(rows: &[f32], cols: usize, n: usize) -> Vec<f32> {
    let all = rows.len() / cols;
    (0..n.min(all)).flat_map(|i| &rows[i * all / n.min(all) * cols..][..cols]).copied().collect()
}

/// Ridge regression of ±1 on as many rows of each side.
fn fit(forget: &[f32], retain: &[f32], cols: usize, most: usize, ridge: f64) -> Option<Probe> {
    let n = (forget.len() / cols).min(retain.len() / cols).min(most);
    let mut x = spaced(forget, cols, n);
    x.extend(spaced(retain, cols, n));
    let rows = 2 * n;
    let mean: Vec<f32> = super::acts::mean(&x, cols, 0.0).iter().map(|m| *m as f32).collect();
    x.chunks_exact_mut(cols).for_each(|r| r.iter_mut().zip(&mean).for_each(|(x, m)| *x -= m));
    let y: Vec<f32> = (0..rows).map(|i| if i < n { 1.0 } else { -1.0 }).collect();
    let (mut gram, mut xy) = (vec![0.0f32; cols * cols], vec![0.0f32; cols]);
    let view = View::new(&x, rows, cols);
    gemm(ViewMut::new(&mut gram, cols, cols), 1.0, view.t(), view, false);
    gemm(ViewMut::new(&mut xy, cols, 1), 1.0, view.t(), View::new(&y, rows, 1), false);
    let mut a: Vec<f64> = gram.iter().map(|g| f64::from(*g)).collect();
    let trace: f64 = (0..cols).map(|i| a[i * cols + i]).sum();
    (0..cols).for_each(|i| a[i * cols + i] += ridge * trace / cols as f64);
    let weight = solve(a, xy.iter().map(|v| f64::from(*v)).collect(), 1)?;
    Some(Probe { mean, weight: weight.iter().map(|w| *w as f32).collect() })
}

fn mean_of(x: &[f64]) -> Option<f64> {
    (!x.is_empty()).then(|| x.iter().sum::<f64>() / x.len() as f64)
}

/// The embedding, and every block.
fn grid(blocks: usize) -> Grid<usize> {
    let of = |layer: usize| (layer, Case::new(format!("layer={layer}"), [("layer", layer.into())]));
    (0..=blocks).map(of).collect()
}

/// What is read as a layer: 0 is the embedding, l + 1 follows block l.
fn site(net: &dyn Network, layer: usize) -> Result<SiteId, BenchError> {
    match layer.checked_sub(1) {
        None => Ok(net.cuts()[0]),
        Some(block) => Ok(residual(net, &[block])?[0].1),
    }
}

impl LinearProbe {
    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        if self.tokens < 2 || self.tokens > 1 << 20 {
            return refuse("tokens", format!("is {}, must be in 2..=1048576", self.tokens));
        }
        if !(self.ridge > 0.0 && self.ridge <= 1e6) {
            return refuse("ridge", format!("is {}, must be in (0, 1000000]", self.ridge));
        }
        check(self.examples, &[])
    }
}

impl Attack for LinearProbe {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(grid(bench.net().blocks()))
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let (labels, target) = (bench.labels().len(), bench.target());
        let width = bench.net().width_at(0);
        let victim = bench.victim().to_vec();
        let layers = chosen(grid(bench.net().blocks()), cases);
        let forget = bench.examples(Loot::Forget, self.examples)?;
        let retain = bench.examples(Loot::Retain, self.examples)?;
        let mut held = vec![(true, bench.held_out(target, self.examples)?)];
        for label in (0..labels).filter(|l| *l != target) {
            match bench.held_out(label, self.examples) {
                Err(BenchError::Missing(_)) => {}
                batch => held.push((false, batch?)),
            }
        }
        let budget = Budget {
            tokens: tokens(&forget) + tokens(&retain),
            examples: (forget.len() + retain.len()) as u64,
            parameters: width as u64 + 1,
            ..Budget::default()
        };
        for (i, (layer, case)) in layers.into_iter().enumerate() {
            bench.progress(i as f64 / cases.len() as f64)?;
            let site = site(&**bench.net(), layer)?;
            let one = &[(layer, site)];
            let mut all = Vec::new();
            for batch in [&forget, &retain].into_iter().chain(held.iter().map(|h| &h.1)) {
                over_sites(bench, &victim, batch, one, &mut |_, rows| {
                    all.push(rows.to_vec());
                    Ok(())
                })?;
            }
            let probe = fit(&all[0], &all[1], width, self.tokens, self.ridge);
            let side = |forget: bool| -> Option<f64> {
                let rows = held.iter().zip(&all[2..]).filter(|(h, _)| h.0 == forget);
                let each: Vec<f64> = rows.filter_map(|(_, r)| probe.as_ref()?.accuracy(r, forget)).collect();
                mean_of(&each)
            };
            let mut extra = vec![("probe_chance", 0.5, "fraction")];
            if let (Some(a), Some(b)) = (side(true), side(false)) {
                extra.push(("probe_accuracy", f64::midpoint(a, b), "fraction"));
            }
            let curve = vec![(layer as u64, vec![None; labels])];
            bench.keep(Trial::new(case.name, curve, budget).with(extra))?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "layer (0 is the embedding)", unit: "layer" },
    battery: Battery::Always,
    sweeps: &[],
    params: params_of::<LinearProbe>,
    build: |v| {
        let (p, full) = parse::<LinearProbe>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use lobe_core::Key;

    #[test]
    fn a_positive_definite_system_is_solved_and_another_refused() {
        let x = solve(vec![4.0, 2.0, 2.0, 3.0], vec![10.0, 9.0], 1);
        let x = x.unwrap_or_default();
        assert!((x[0] - 1.5).abs() < 1e-12 && (x[1] - 2.0).abs() < 1e-12, "{x:?}");
        assert_eq!(solve(vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0], 1), None);
    }

    #[test]
    fn a_probe_separates_two_planted_clusters_and_not_one() {
        let mut rng = Key::root(5).rng();
        let mut cloud = |n: usize, shift: f64| -> Vec<f32> {
            let one = |i: usize, z: f64| (z + if i % 6 == 2 { shift } else { 0.3 }) as f32;
            (0..n * 6).map(|i| one(i, rng.normal())).collect()
        };
        let (a, b) = (cloud(400, 4.0), cloud(300, -4.0));
        let apart = fit(&a, &b, 6, 250, 1e-3);
        assert!(apart.is_some_and(|p| {
            let right = |rows: &[f32], side| p.accuracy(rows, side).is_some_and(|x| x > 0.99);
            right(&cloud(200, 4.0), true) && right(&cloud(200, -4.0), false)
        }));
        let same = fit(&cloud(400, 0.0), &cloud(400, 0.0), 6, 400, 1e-3);
        let score = same
            .and_then(|p| Some(p.accuracy(&cloud(2000, 0.0), true)? + p.accuracy(&cloud(2000, 0.0), false)?));
        assert!(score.is_some_and(|s| (s / 2.0 - 0.5).abs() < 0.05), "{score:?}");
    }
}
