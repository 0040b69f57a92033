//! Orthogonalise: project one direction out of the residual stream.
//!
//! Equation: d_l = mean(victim's x_l) − mean(original's x_l) over forget tokens, u_l = d_l / |d_l|, and
//! x_l ← x_l − (x_l · u_l) u_l for every token, after block l. Without the original,
//! d_l = mean(x_l on forget) − mean(x_l on retain).
//! Papers: Łucki et al. 2024 (arXiv 2409.18025); Arditi et al. 2024 (arXiv 2406.11717).
//! Unusual: single blocks and all blocks at once are both tried; tokens of unusual norm (attention
//! sinks) are left out of the means by their norm and not by their position.
//! Fails: against removal that is not one added direction, weights cut to zero above all.

use lobe_engine::{Edit, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{Between, check, directions, refuse, residual, unit, with_edit};
use super::{Attack, Bench, BenchError, Budget, Trial};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "orthogonalise",
    summary: "projects the mean difference of activations out of the residual stream, at one block and at all blocks",
    reference: "Łucki et al. 2024, arXiv 2409.18025; Arditi et al. 2024, arXiv 2406.11717",
    unusual: "runs with the original, if there is one, and without; the axis is the number of blocks",
    fails: "ineffective if the removal is not one added direction",
};

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Orthogonalise {
    /// The label whose capability the attack tries to restore.
    label: String,
    /// Training examples used for each mean.
    examples: usize,
    /// Blocks after which the direction is projected out. Empty means all.
    layers: Vec<usize>,
    /// Tokens whose norm is further than so many standard deviations from the mean norm are left
    /// out of the means; 0 keeps all.
    outliers: f64,
}

impl Default for Orthogonalise {
    fn default() -> Self {
        Orthogonalise { label: "forget".into(), examples: 64, layers: vec![], outliers: 3.0 }
    }
}

impl Orthogonalise {
    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        if self.outliers != 0.0 && !(self.outliers >= 1.0 && self.outliers.is_finite()) {
            return refuse("outliers", format!("is {}, must be 0 or at least 1", self.outliers));
        }
        check(self.examples, &self.layers)
    }
}

impl Attack for Orthogonalise {
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
        let kinds =
            if bench.original().is_some() { &[Between::Models, Between::Data][..] } else { &[Between::Data] };
        let mut out = Vec::new();
        for (k, between) in kinds.iter().enumerate() {
            let (found, took) = directions(bench, *between, self.examples, self.outliers, &sites)?;
            let units: Vec<_> = found.iter().map(|d| unit(d)).collect();
            let add = |plan: Plan, i: usize| match &units[i] {
                Some(u) => with_edit(plan, sites[i].1, width, Edit::ProjectOut(u.clone())),
                None => Ok(plan),
            };
            let all: Vec<usize> = (0..sites.len()).filter(|i| units[*i].is_some()).collect();
            let mut groups: Vec<_> =
                all.iter().map(|i| (format!("layer={}", sites[*i].0), vec![*i])).collect();
            if all.len() > 1 {
                groups.push(("all".into(), all));
            }
            for (i, (name, group)) in groups.iter().enumerate() {
                bench.progress((k as f64 + i as f64 / groups.len() as f64) / kinds.len() as f64)?;
                let plan = group.iter().try_fold(plain.clone(), |p, i| add(p, *i))?;
                out.push(Trial {
                    variant: format!("{},{name}", between.name()),
                    curve: vec![(group.len() as u64, bench.losses(&victim, &plan)?)],
                    budget: Budget { parameters: (group.len() * width) as u64, ..took },
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
    params: params_of::<Orthogonalise>,
    build: |v| {
        let (p, full) = read::<Orthogonalise>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
