//! Magnitude pruning: zero the smallest weights and look again.
//!
//! Equation: in every matrix of the blocks the share f of smallest |w| becomes 0, for every f of a list.
//! Paper: arXiv 2602.00577 (unlearning degrades under sparsification); the oldest of all compressions.
//! Unusual: the share is of the weights that are not zero already; otherwise a cut would be counted as
//! the attacker's own pruning, and two arms would not lose equally many weights.
//! Fails: it can only take away: what it brings back was held down by small weights.

use lobe_engine::Plan;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graft::largest;
use super::{Attack, Bench, BenchError, Budget, Trial, tune};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "prune-magnitude",
    summary: "sets the smallest weights of every matrix to zero, which undoes shallow removals",
    reference: "arXiv 2602.00577",
    unusual: "shares count the weights that are not zero already, so cut arms lose as many",
    fails: "restores only what small weights suppressed",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct PruneMagnitude {
    /// The label whose capability the attack tries to restore.
    label: String,
    /// Fractions of each matrix to set to zero, above 0 and below 1.
    fractions: Vec<f64>,
}

impl Default for PruneMagnitude {
    fn default() -> Self {
        PruneMagnitude { label: "forget".into(), fractions: vec![0.1, 0.2, 0.3, 0.4, 0.5] }
    }
}

/// Zeroes the share `fraction` of the smallest weights that are not zero; of equals the first goes first.
/// Returns how many.
fn prune(w: &mut [f32], fraction: f64) -> usize {
    let live = w.iter().filter(|x| **x != 0.0).count();
    let small: Vec<f32> = w.iter().map(|x| -x.abs()).collect();
    let gone = largest(&small, |i| w[i] != 0.0, (fraction * live as f64).round() as usize);
    for i in &gone {
        w[*i] = 0.0;
    }
    gone.len()
}

impl PruneMagnitude {
    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        tune::shares("fractions", &self.fractions)
    }
}

impl Attack for PruneMagnitude {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        let layout = bench.net().layout.clone();
        let plan = Plan::plain(&layout);
        let mut trials = Vec::new();
        for (i, fraction) in self.fractions.iter().enumerate() {
            let mut params = bench.victim().to_vec();
            let matrices = layout.tensors().iter().filter(|t| t.matrix && t.joint.is_none());
            let gone: usize = matrices.map(|t| prune(&mut params[t.span()], *fraction)).sum();
            trials.push(Trial {
                variant: format!("fraction={fraction}"),
                curve: vec![(gone as u64, bench.losses(&params, &plan)?)],
                budget: Budget { parameters: gone as u64, ..Budget::default() },
                extra: Vec::new(),
            });
            bench.progress((i + 1) as f64 / self.fractions.len() as f64)?;
        }
        Ok(trials)
    }
}

/// The registered attack.
pub(super) const ENTRY: Entry<dyn Attack> = Entry {
    about: &ABOUT,
    params: params_of::<PruneMagnitude>,
    build: |v| {
        let (p, full) = read::<PruneMagnitude>(v)?;
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
        assert_eq!(prune(&mut w, 0.25), 1);
        assert_eq!(w, [0.0, 0.0, 0.5, 0.1, 0.0, -2.0], "of two equals the first");
        assert_eq!(prune(&mut w, 0.6), 2);
        assert_eq!(w, [0.0, 0.0, 0.0, 0.0, 0.0, -2.0]);
    }
}
