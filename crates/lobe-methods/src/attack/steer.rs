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

use lobe_engine::Edit;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{Between, check, directions, layers, refuse, residual, with_edit};
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Trial, cases_of, chosen, parse,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "steer",
    summary: "adds a multiple of a mean difference of activations after one block, for a grid of blocks and coefficients",
    reference: "Turner et al. 2023, arXiv 2308.10248; Seyitoğlu et al. 2024, arXiv 2411.02631",
    unusual: "the vector is not normalised: coefficient 1 restores the original's mean; the axis is the block",
    fails: "one vector for all tokens shifts a distribution but computes nothing",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Steer {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Training examples used for each mean.
    pub examples: usize,
    /// Blocks to try. Empty means all.
    pub layers: Vec<usize>,
    /// Multiples of the mean difference to try, from -1000 to 1000 and not 0.
    #[schemars(inner(range(min = -1000, max = 1000)))]
    pub coefficients: Vec<f64>,
}

impl Default for Steer {
    fn default() -> Self {
        let coefficients = vec![0.5, 1.0, 2.0, 4.0];
        Steer { label: "forget".into(), examples: 64, layers: vec![], coefficients }
    }
}

impl Steer {
    /// Which of the named blocks, by its place among them, and the coefficient.
    fn grid(&self, bench: &dyn Bench) -> Grid<(usize, f64)> {
        let name = Between::available(bench)[0].name();
        let of = |(at, layer): (usize, usize)| {
            self.coefficients.iter().map(move |c| {
                let settings =
                    [("direction", name.into()), ("layer", layer.into()), ("coefficient", (*c).into())];
                ((at, *c), Case::new(format!("{name},layer={layer},coefficient={c}"), settings))
            })
        };
        layers(&**bench.net(), &self.layers).into_iter().enumerate().flat_map(of).collect()
    }

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
        let between = Between::available(bench)[0];
        let (found, took) = directions(bench, between, self.examples, 0.0, &sites)?;
        for (i, ((at, c), case)) in chosen(self.grid(bench), cases).into_iter().enumerate() {
            bench.progress(i as f64 / cases.len() as f64)?;
            let step = found[at].iter().map(|x| (f64::from(*x) * c) as f32).collect();
            let (layer, site) = sites[at];
            let plan = with_edit(plain.clone(), site, width, Edit::Add(step))?;
            let losses = bench.losses(&victim, &plan)?;
            let budget = Budget { parameters: width as u64, ..took };
            bench.keep(Trial::new(case.name, vec![(layer as u64, losses)], budget))?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::BLOCK,
    battery: Battery::Always,
    sweeps: &["layers", "coefficients"],
    params: params_of::<Steer>,
    build: |v| {
        let (p, full) = parse::<Steer>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
