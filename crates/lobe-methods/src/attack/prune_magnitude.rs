//! Magnitude pruning: zero the smallest weights and look again.
//!
//! Equation: in every matrix of the blocks (queries, keys and values are three) the share f of smallest |w|
//! becomes 0, for every f of a list.
//! Paper: arXiv 2602.00577 (unlearning degrades under sparsification); the oldest of all compressions.
//! Unusual: the share is of the weights that are not zero already; otherwise a cut would be counted as
//! the attacker's own pruning, and two arms would not lose equally many weights.
//! Fails: it can only take away: what it brings back was held down by small weights.

use std::ops::Range;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graft::largest;
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Trial, cases_of, chosen,
    parse, tune,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "prune-magnitude",
    summary: "sets the smallest weights of every matrix to zero, which undoes shallow removals",
    reference: "arXiv 2602.00577",
    unusual: "shares count the weights that are not zero already, so cut arms lose as many",
    fails: "restores only what small weights suppressed",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PruneMagnitude {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Fractions of each matrix to set to zero, above 0 and below 1.
    pub fractions: Vec<f64>,
}

impl Default for PruneMagnitude {
    fn default() -> Self {
        PruneMagnitude { label: "forget".into(), fractions: vec![0.1, 0.2, 0.3, 0.4, 0.5] }
    }
}

/// Zeroes the share `fraction` of the smallest weights that are not zero among the columns `part` of a tensor
/// with `cols` of them; of equals the first goes first. Returns how many.
fn prune(w: &mut [f32], cols: usize, part: &Range<usize>, fraction: f64) -> usize {
    let mine = |i: usize| w[i] != 0.0 && part.contains(&(i % cols));
    let live = (0..w.len()).filter(|i| mine(*i)).count();
    let small: Vec<f32> = w.iter().map(|x| -x.abs()).collect();
    let gone = largest(&small, mine, (fraction * live as f64).round() as usize);
    for i in &gone {
        w[*i] = 0.0;
    }
    gone.len()
}

impl PruneMagnitude {
    fn grid(&self) -> Grid<f64> {
        let of = |f: &f64| (*f, Case::new(format!("fraction={f}"), [("fraction", (*f).into())]));
        self.fractions.iter().map(of).collect()
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        tune::shares("fractions", &self.fractions)
    }
}

impl Attack for PruneMagnitude {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid())
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let layout = bench.net().layout().clone();
        let plan = bench.net().plain();
        for (i, (fraction, case)) in chosen(self.grid(), cases).into_iter().enumerate() {
            let mut params = bench.victim().to_vec();
            let mut gone = 0;
            for t in layout.tensors().iter().filter(|t| t.matrix && t.joint.is_none()) {
                gone += t
                    .matrices
                    .iter()
                    .map(|m| prune(&mut params[t.span()], t.cols, m, fraction))
                    .sum::<usize>();
            }
            let budget = Budget { parameters: gone as u64, ..Budget::default() };
            let losses = bench.losses(&params, &plan)?;
            bench.keep(Trial::new(case.name, vec![(gone as u64, losses)], budget))?;
            bench.progress((i + 1) as f64 / cases.len() as f64)?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "weights set to zero", unit: "weights" },
    battery: Battery::Always,
    sweeps: &["fractions"],
    params: params_of::<PruneMagnitude>,
    build: |v| {
        let (p, full) = parse::<PruneMagnitude>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};

#[cfg(test)]
mod tests {
    use super::prune;

    #[test]
    fn the_smallest_go_and_zeros_do_not_count() {
        let mut w = [0.0, -0.1, 0.5, 0.1, 0.0, -2.0];
        assert_eq!(prune(&mut w, 2, &(0..2), 0.25), 1);
        assert_eq!(w, [0.0, 0.0, 0.5, 0.1, 0.0, -2.0], "of two equals the first");
        assert_eq!(prune(&mut w, 2, &(0..2), 0.6), 2);
        assert_eq!(w, [0.0, 0.0, 0.0, 0.0, 0.0, -2.0]);
    }

    #[test]
    fn a_matrix_inside_a_tensor_loses_its_own_share() {
        // Columns (1, 2, 3, 4) and (0.1, 0.2, 0.3, 0.4): of the whole, all of the second would go.
        let mut w = [1.0, 0.1, 2.0, 0.2, 3.0, 0.3, 4.0, 0.4];
        assert_eq!(prune(&mut w, 2, &(0..1), 0.5), 2);
        assert_eq!(w, [0.0, 0.1, 0.0, 0.2, 3.0, 0.3, 4.0, 0.4]);
    }
}
