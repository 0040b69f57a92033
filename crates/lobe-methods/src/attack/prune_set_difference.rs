//! Set-difference pruning: zero what matters on forget data and not on the rest.
//!
//! Equation: a weight that reads activation x_i scores |W_ij| · ‖x_i‖₂ (Wanda), with ‖·‖ over all
//! tokens of a set.
//! In each output j the top share q on forget data, less the top share p on retain data, becomes 0. For
//! whole units the score is ‖W_i·‖₂ · ‖x_i‖₂ and the row goes. Worst case over a grid of p and q.
//! Papers: Wei et al. 2024 (arXiv 2402.05162); against unlearning: Łucki et al. 2024 (arXiv 2409.18025).
//! Unusual: reads what enters a matrix where it is a site: MLP and attention outputs, not the
//! matrices that read a norm.
//! Fails: what it prunes must be what *suppresses* the capability. A capability that was cut out has
//! no such weights, and pruning then only hurts.

use lobe_engine::{SiteId, Tensor};
use lobe_nets::Batch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graft::largest;
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Loot, Trial, cases_of, chosen,
    parse, tune,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "prune-set-difference",
    summary: "sets weights or neurons to zero that matter on forget data but not on retain data",
    reference: "Wei et al. 2024, arXiv 2402.05162; against unlearning: Łucki et al. 2024, arXiv 2409.18025",
    unusual: "tests single weights and whole neurons over a grid of shares, in output matrices only",
    fails: "a cut leaves no suppressing weights to prune",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneSetDifference {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Fractions of weights that count as important on forget data, above 0 and below 1.
    pub forget_top: Vec<f64>,
    /// Fractions of weights that count as important on retain data and are kept.
    pub retain_top: Vec<f64>,
    /// Examples of each label used to compute the scores.
    pub examples: usize,
}

impl Default for PruneSetDifference {
    fn default() -> Self {
        let shares = vec![0.01, 0.05, 0.2];
        PruneSetDifference {
            label: "forget".into(),
            forget_top: shares.clone(),
            retain_top: shares,
            examples: 32,
        }
    }
}

/// What is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Single weights.
    Weights,
    /// Whole units.
    Units,
}

/// ‖x_i‖₂ of each column of `[rows, cols]`.
fn norms(x: &[f32], cols: usize) -> Vec<f32> {
    let mut sum = vec![0.0f64; cols];
    for row in x.chunks_exact(cols) {
        sum.iter_mut().zip(row).for_each(|(s, x)| *s += f64::from(*x).powi(2));
    }
    sum.iter().map(|s| s.sqrt() as f32).collect()
}

/// The top share `q` of `forget` that is not in the top share `p` of `retain`. What scores 0 is in no top.
fn difference(forget: &[f32], retain: &[f32], q: f64, p: f64) -> Vec<usize> {
    let top = |s: &[f32], share: f64| largest(s, |i| s[i] > 0.0, (share * s.len() as f64).round() as usize);
    let kept = top(retain, p);
    top(forget, q).into_iter().filter(|i| kept.binary_search(i).is_err()).collect()
}

/// Zeroes `w` `[rows, cols]` whose row `i` reads an input of norm `forget[i]` or `retain[i]`. Returns how many
/// weights went.
fn prune(w: &mut [f32], cols: usize, norms: (&[f32], &[f32]), level: Level, q: f64, p: f64) -> usize {
    let before = w.iter().filter(|x| **x != 0.0).count();
    match level {
        Level::Weights => {
            for j in 0..cols {
                let score = |norm: &[f32]| -> Vec<f32> {
                    norm.iter().enumerate().map(|(i, n)| w[i * cols + j].abs() * n).collect()
                };
                for i in difference(&score(norms.0), &score(norms.1), q, p) {
                    w[i * cols + j] = 0.0;
                }
            }
        }
        Level::Units => {
            let score = |norm: &[f32]| -> Vec<f32> {
                let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
                w.chunks_exact(cols).zip(norm).map(|(row, n)| length(row) * n).collect()
            };
            for i in difference(&score(norms.0), &score(norms.1), q, p) {
                w[i * cols..(i + 1) * cols].fill(0.0);
            }
        }
    }
    before - w.iter().filter(|x| **x != 0.0).count()
}

/// The matrices whose input is the activation at a site.
fn readers(tensors: &[Tensor]) -> Vec<(&Tensor, SiteId)> {
    let site = |t: &Tensor| t.row_owner.as_ref().filter(|_| t.matrix).map(|o| o.site);
    tensors.iter().filter_map(|t| Some((t, site(t)?))).collect()
}

impl PruneSetDifference {
    /// What is pruned, the share on forget data, and the share on retain data that stays.
    fn grid(&self) -> Grid<(Level, f64, f64)> {
        let mut out = Vec::new();
        for (level, name) in [(Level::Weights, "weights"), (Level::Units, "units")] {
            for (q, p) in self.forget_top.iter().flat_map(|q| self.retain_top.iter().map(move |p| (*q, *p))) {
                let settings = [("level", name.into()), ("forget", q.into()), ("retain", p.into())];
                out.push(((level, q, p), Case::new(format!("{name},forget={q},retain={p}"), settings)));
            }
        }
        out
    }

    /// ‖x_i‖₂ for every row of every reader over the batch; one site at a time, to save memory.
    fn inputs(
        bench: &mut dyn Bench,
        batch: &Batch,
        readers: &[(&Tensor, SiteId)],
    ) -> Result<Vec<Vec<f32>>, BenchError> {
        let victim = bench.victim().to_vec();
        let one = |(t, site): &(&Tensor, SiteId)| {
            let x = bench.activations(&victim, batch, &[*site])?;
            Ok(norms(x.first().map_or(&[], Vec::as_slice), t.rows))
        };
        readers.iter().map(one).collect()
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        tune::shares("forget_top", &self.forget_top)?;
        tune::shares("retain_top", &self.retain_top)?;
        tune::counted("examples", self.examples as u64, 1_000_000)
    }
}

impl Attack for PruneSetDifference {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid())
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let layout = bench.net().layout().clone();
        let plan = bench.net().plain();
        let readers = readers(layout.tensors());
        let sets =
            [bench.examples(Loot::Forget, self.examples)?, bench.examples(Loot::Retain, self.examples)?];
        let forget = Self::inputs(bench, &sets[0], &readers)?;
        let retain = Self::inputs(bench, &sets[1], &readers)?;
        let (examples, tokens) = sets.iter().fold((0, 0), |(n, t), b| (n + b.len(), t + b.targets()));
        let took = Budget { tokens: tokens as u64, examples: examples as u64, ..Budget::default() };
        for (n, ((level, q, p), case)) in chosen(self.grid(), cases).into_iter().enumerate() {
            let mut params = bench.victim().to_vec();
            let mut gone = 0;
            for (i, (t, _)) in readers.iter().enumerate() {
                gone += prune(&mut params[t.span()], t.cols, (&forget[i], &retain[i]), level, q, p);
            }
            let losses = bench.losses(&params, &plan)?;
            let budget = Budget { parameters: gone as u64, ..took };
            bench.keep(Trial::new(case.name, vec![(gone as u64, losses)], budget))?;
            bench.progress((n + 1) as f64 / cases.len() as f64)?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "weights set to zero", unit: "weights" },
    battery: Battery::OnRequest,
    sweeps: &["forget_top", "retain_top"],
    params: params_of::<PruneSetDifference>,
    build: |v| {
        let (p, full) = parse::<PruneSetDifference>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};

#[cfg(test)]
mod tests {
    use super::{Level, difference, norms, prune};

    #[test]
    fn column_norms_by_hand() {
        assert_eq!(norms(&[3.0, 1.0, 4.0, 0.0], 2), [5.0, 1.0]);
    }

    #[test]
    fn what_retain_needs_stays() {
        // Top two of four on forget are 1 and 3; retain keeps its best one, 3.
        assert_eq!(difference(&[0.1, 5.0, 0.2, 4.0], &[0.3, 0.1, 0.2, 9.0], 0.5, 0.25), [1]);
        assert_eq!(
            difference(&[0.0, 0.0], &[1.0, 1.0], 0.5, 0.5),
            [0usize; 0],
            "a dead input matters to nobody"
        );
    }

    #[test]
    fn weights_are_compared_within_an_output_and_units_as_rows() {
        let w = [1.0, 4.0, 3.0, 1.0];
        // Forget scores are 2·w in row 0 and w in row 1; retain never reads row 0.
        let norms: (&[f32], &[f32]) = (&[2.0, 1.0], &[0.0, 1.0]);
        let mut a = w;
        assert_eq!(prune(&mut a, 2, norms, Level::Weights, 0.5, 0.5), 1);
        assert_eq!(a, [1.0, 0.0, 3.0, 1.0], "output 0 needs row 1 on both");
        let mut b = w;
        assert_eq!(prune(&mut b, 2, norms, Level::Units, 0.5, 0.5), 2);
        assert_eq!(b, [0.0, 0.0, 3.0, 1.0]);
    }
}
