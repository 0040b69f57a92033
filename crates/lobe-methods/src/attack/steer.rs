//! Steer: add a multiple of a mean difference to the residual stream.
//!
//! Equation: x_l ← x_l + c · d_l for every token after block l, with d_l = mean(original's x_l) −
//! mean(victim's x_l) over forget tokens; without an original d_l = mean(x_l on forget) −
//! mean(x_l on retain). Swept over blocks l and coefficients c.
//! Papers: Turner et al. 2023 (arXiv 2308.10248); Rimsky et al. 2023 (arXiv 2312.06681);
//! Seyitoğlu et al. 2024 (arXiv 2411.02631), who recover unlearned answers so.
//! Unusual: d_l is not normalised, so c = 1 restores the mean exactly.
//! Fails: where what was removed is not a constant offset: a steered vector is the same for
//! every token and can shift a distribution but not compute.

use lobe_engine::{Edit, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{Between, check, directions, refuse, residual, with_edit};
use super::{Attack, Bench, BenchError, Budget, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "steer",
    summary: "adds a multiple of a mean difference of activations after one block, for a grid of blocks and coefficients",
    reference: "Turner et al. 2023, arXiv 2308.10248; Seyitoğlu et al. 2024, arXiv 2411.02631",
    unusual: "the vector is not normalised: coefficient 1 restores the original's mean; the axis is the block",
    fails: "one vector for all tokens shifts a distribution but computes nothing",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Steer {
    /// The label whose capability the attack tries to restore.
    label: String,
    /// Training examples used for each mean.
    examples: usize,
    /// Blocks to try. Empty means all.
    layers: Vec<usize>,
    /// Multiples of the mean difference to try.
    coefficients: Vec<f64>,
}

impl Default for Steer {
    fn default() -> Self {
        let coefficients = vec![0.5, 1.0, 2.0, 4.0];
        Steer { label: "forget".into(), examples: 64, layers: vec![], coefficients }
    }
}

impl Steer {
    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        let bad = |c: &f64| *c == 0.0 || !(-1000.0..=1000.0).contains(c);
        if self.coefficients.is_empty() || self.coefficients.len() > 64 || self.coefficients.iter().any(bad) {
            return refuse("coefficients", "needs 1 to 64 numbers in -1000..=1000 that are not 0");
        }
        check(self.examples, &self.layers)
    }
}

impl Attack for Steer {
    fn label(&self) -> &str {
        &self.label
    }

    fn layers(&self) -> &[usize] {
        &self.layers
    }

    fn run(&self, bench: &mut dyn Bench) -> Result<Vec<Trial>, BenchError> {
        let width = bench.net().config.width;
        let sites = residual(bench.net(), &self.layers)?;
        let victim = bench.victim().to_vec();
        let plain = Plan::plain(&bench.net().layout);
        let between = if bench.original().is_some() { Between::Models } else { Between::Data };
        let (found, took) = directions(bench, between, self.examples, 0.0, &sites)?;
        let mut out = Vec::new();
        for ((layer, site), d) in sites.iter().zip(&found) {
            for c in &self.coefficients {
                bench.progress(out.len() as f64 / (sites.len() * self.coefficients.len()) as f64)?;
                let step = d.iter().map(|x| (f64::from(*x) * c) as f32).collect();
                let plan = with_edit(plain.clone(), *site, width, Edit::Add(step))?;
                out.push(Trial {
                    variant: format!("{},layer={layer},coefficient={c}", between.name()),
                    curve: vec![(*layer as u64, bench.losses(&victim, &plan)?)],
                    budget: Budget { parameters: width as u64, ..took },
                    extra: vec![],
                });
            }
        }
        Ok(out)
    }
}

/// The registered attack.
pub(super) const ENTRY: Entry<dyn Attack> = Entry {
    about: &ABOUT,
    params: params_of::<Steer>,
    build: |v| {
        let (p, full) = read::<Steer>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
