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

use super::acts::{Between, check, directions, layers, refuse, residual, unit, with_edit};
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Trial, cases_of, chosen, parse,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "orthogonalise",
    summary: "projects the mean difference of activations out of the residual stream, at one block and at all blocks",
    reference: "Łucki et al. 2024, arXiv 2409.18025; Arditi et al. 2024, arXiv 2406.11717",
    unusual: "runs with the original, if there is one, and without; the axis is the number of blocks",
    fails: "ineffective if the removal is not one added direction",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Orthogonalise {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Training examples used for each mean.
    pub examples: usize,
    /// Blocks after which the direction is projected out. Empty means all.
    pub layers: Vec<usize>,
    /// Tokens whose norm is further than so many standard deviations from the mean norm are left
    /// out of the means; 0 keeps all.
    pub outliers: f64,
}

impl Default for Orthogonalise {
    fn default() -> Self {
        Orthogonalise { label: "forget".into(), examples: 64, layers: vec![], outliers: 3.0 }
    }
}

impl Orthogonalise {
    /// Whose means differ, and the block; `None` is all blocks at once.
    fn grid(&self, bench: &dyn Bench) -> Grid<(Between, Option<usize>)> {
        let layers = layers(&**bench.net(), &self.layers);
        let mut out = Vec::new();
        for between in Between::available(bench) {
            let name = between.name();
            out.extend(layers.iter().map(|l| {
                let settings = [("direction", name.into()), ("layer", (*l).into())];
                ((*between, Some(*l)), Case::new(format!("{name},layer={l}"), settings))
            }));
            if layers.len() > 1 {
                let all = layers.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                let settings = [("direction", name.into()), ("layers", all.into())];
                out.push(((*between, None), Case::new(format!("{name},all"), settings)));
            }
        }
        out
    }

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

    fn uses_original(&self) -> bool {
        true
    }

    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid(bench))
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let width = bench.net().width_at(0);
        let sites = residual(&**bench.net(), &self.layers)?;
        let victim = bench.victim().to_vec();
        let plain = bench.net().plain();
        let grid = chosen(self.grid(bench), cases);
        let mut done = 0;
        for between in [Between::Models, Between::Data] {
            let mine: Grid<Option<usize>> = grid
                .iter()
                .filter(|((b, _), _)| *b == between)
                .map(|((_, at), case)| (*at, case.clone()))
                .collect();
            if mine.is_empty() {
                continue;
            }
            let (found, took) = directions(bench, between, self.examples, self.outliers, &sites)?;
            let units: Vec<_> = found.iter().map(|d| unit(d)).collect();
            let add = |plan: Plan, i: usize| match &units[i] {
                Some(u) => with_edit(plan, sites[i].1, width, Edit::ProjectOut(u.clone())),
                None => Ok(plan),
            };
            for (at, case) in mine {
                bench.progress(done as f64 / cases.len() as f64)?;
                done += 1;
                let named = |i: &usize| at.is_none_or(|layer| sites[*i].0 == layer);
                let group: Vec<usize> =
                    (0..sites.len()).filter(|i| units[*i].is_some() && named(i)).collect();
                // Means that agree leave no direction; of a single one, all is that one.
                if group.len() < if at.is_some() { 1 } else { 2 } {
                    continue;
                }
                let plan = group.iter().try_fold(plain.clone(), |p, i| add(p, *i))?;
                let losses = bench.losses(&victim, &plan)?;
                let budget = Budget { parameters: (group.len() * width) as u64, ..took };
                bench.keep(Trial::new(case.name, vec![(group.len() as u64, losses)], budget))?;
            }
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "blocks projected", unit: "blocks" },
    battery: Battery::WithOriginal,
    sweeps: &["layers"],
    params: params_of::<Orthogonalise>,
    build: |v| {
        let (p, full) = parse::<Orthogonalise>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
