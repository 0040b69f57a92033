//! Sparse graft: the cheapest patch outside of the cut that brings the capability back.
//!
//! Equation: min over Δ of the forget loss of θ + Δ, where Δ is 0 on all that the cut region owns and is
//! `entries`: the k entries with the largest |∂L/∂θ| at the start; `rows`: all that n neurons own, those
//! with the largest gradient; `rank`: A·B on the MLP matrix with the largest gradient; each trained by
//! Adam. `ridge` is closed: the last MLP's output matrix gains c (XᵀX + λtI)⁻¹ Xᵀ(-G), with X what it
//! reads, G = ∂L/∂(last residual) and t the mean diagonal of XᵀX; c makes what it adds `reach` times
//! as large as the residual.
//! Paper: none for this protocol; grafting as such: Panigrahi et al. 2023 (arXiv 2302.06600), where
//! 0.01 % of the weights carry 95 % of a fine-tuning.
//! Unusual: loss against the number of trained numbers, with equally many examples at every size; ridge
//! needs one forward and one backward pass. Nothing is copied from the original: two models that were
//! trained apart share no basis.
//! Fails: a graft teaches as well as it bypasses. Only the gap to the same graft on the control that
//! never had the capability is evidence of a bypass.

use lobe_engine::{EngineError, OptimiserState, Plan};
use lobe_nets::Batch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::graft::{Graft, optimiser, turn};
use super::places::Places;
use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Loot, Losses, Trial, cases_of,
    chosen, parse, ridge, tune,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "sparse-graft",
    summary: "trains a few entries, neurons or a low-rank patch outside the cut, and reports recovery against their number",
    reference: "no paper for this protocol; grafting: Panigrahi et al. 2023, arXiv 2302.06600",
    unusual: "never touches the cut; includes a closed-form patch that trains nothing",
    fails: "teaches as well as it bypasses: only the gap to the control's graft is evidence of a bypass",
};

/// What a graft consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Single entries anywhere.
    Entries,
    /// Whole neurons.
    Rows,
    /// A low-rank difference of one MLP matrix.
    Rank,
    /// A closed-form difference of the last MLP's output matrix.
    Ridge,
}

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SparseGraft {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Kinds of graft to try: "entries", "rows", "rank", "ridge".
    pub kinds: Vec<Kind>,
    /// Numbers of entries to train, one variant each.
    pub entries: Vec<usize>,
    /// Numbers of neurons to train, one variant each.
    pub rows: Vec<usize>,
    /// Ranks.
    pub ranks: Vec<usize>,
    /// Sizes of what a ridge graft adds, as multiples of the last residual.
    pub reaches: Vec<f64>,
    /// λ of the ridge.
    pub lambda: f64,
    /// Learning rates to try, constant over the steps.
    pub lrs: Vec<f64>,
    /// Optimiser steps of each variant.
    pub steps: u64,
    /// Examples per step, taken in turn.
    pub batch: usize,
    /// Number of different forget examples the attacker has.
    pub examples: usize,
    /// Steps between evaluations.
    pub eval_every: u64,
}

impl Default for SparseGraft {
    fn default() -> Self {
        SparseGraft {
            label: "forget".into(),
            kinds: vec![Kind::Entries, Kind::Rows, Kind::Rank, Kind::Ridge],
            entries: vec![16, 64, 256, 1024, 4096],
            rows: vec![1, 4, 16],
            ranks: vec![1, 4],
            reaches: vec![0.1, 0.3, 1.0],
            lambda: 0.01,
            lrs: vec![3e-3, 3e-2],
            steps: 60,
            batch: 16,
            examples: 64,
            eval_every: 20,
        }
    }
}

/// What all grafts of one model share.
pub(super) struct Host {
    /// No interventions.
    pub(super) plan: Plan,
    /// The model under attack.
    pub(super) victim: Vec<f32>,
    /// The attacker's examples.
    pub(super) pool: Batch,
    /// Losses before the attack.
    pub(super) before: Losses,
}

impl SparseGraft {
    /// Every graft: its kind, its size, and the learning rate or, of a ridge, how far it reaches.
    fn grid(&self) -> Grid<(Kind, usize, f64)> {
        let mut out = Vec::new();
        for kind in self.kinds.iter().filter(|k| **k != Kind::Ridge) {
            let (name, letter, sizes) = match kind {
                Kind::Rows => ("rows", "n", &self.rows),
                Kind::Rank => ("rank", "r", &self.ranks),
                _ => ("entries", "k", &self.entries),
            };
            for (size, lr) in sizes.iter().flat_map(|s| self.lrs.iter().map(move |lr| (*s, *lr))) {
                let settings = [("kind", name.into()), (letter, size.into()), ("lr", lr.into())];
                out.push(((*kind, size, lr), Case::new(format!("{name},{letter}={size},lr={lr}"), settings)));
            }
        }
        // The closed form comes last: it trains nothing.
        let reaches = self.reaches.iter().filter(|_| self.kinds.contains(&Kind::Ridge));
        out.extend(reaches.map(|reach| {
            let settings = [("kind", "ridge".into()), ("reach", (*reach).into())];
            ((Kind::Ridge, 0, *reach), Case::new(format!("ridge,reach={reach}"), settings))
        }));
        out
    }

    /// A graft that is trained, and the start of its variables.
    fn graft(places: &Places<'_>, kind: Kind, size: usize) -> Result<(Graft, Vec<f32>), BenchError> {
        let at = match kind {
            Kind::Rank => return places.low_rank(size),
            Kind::Rows => places.neurons(size),
            _ => places.entries(size),
        };
        let x = vec![0.0; at.len()];
        Ok((Graft::Entries { at }, x))
    }

    fn train(
        &self,
        bench: &mut dyn Bench,
        host: &Host,
        name: String,
        (graft, mut x): (&Graft, Vec<f32>),
        lr: f64,
    ) -> Result<Trial, BenchError> {
        let (adam, layout, mut state) = (optimiser(lr), graft.layout(), OptimiserState::default());
        let mut params = host.victim.clone();
        let mut curve = vec![(0, host.before.clone())];
        let mut budget = Budget {
            steps: 0,
            // Choosing the places took one pass over all examples.
            tokens: host.pool.targets() as u64,
            examples: host.pool.len() as u64,
            parameters: graft.variables() as u64,
        };
        for step in 0..self.steps {
            let batch = turn(&host.pool, step, self.batch);
            let dense = match bench.gradient(&params, &batch, &host.plan) {
                Ok((_, dense)) => dense,
                // Too large a rate is this variant's end and not the attack's.
                Err(BenchError::Engine(EngineError::NonFinite { .. })) => break,
                Err(e) => return Err(e),
            };
            let mut g = graft.pull(&x, &dense);
            adam.step_on(&layout, &mut state, &mut x, &mut g, step);
            graft.apply(&x, &host.victim, &mut params);
            budget.steps += 1;
            budget.tokens += batch.targets() as u64;
            if budget.steps.is_multiple_of(self.eval_every) || budget.steps == self.steps {
                match bench.losses(&params, &host.plan) {
                    Ok(losses) => curve.push((budget.steps, losses)),
                    Err(BenchError::Engine(EngineError::NonFinite { .. })) => break,
                    Err(e) => return Err(e),
                }
            }
        }
        Ok(Trial::new(name, curve, budget).with([("changed_parameters", graft.changes() as f64, "count")]))
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        let twice = self.kinds.iter().enumerate().any(|(i, k)| self.kinds[..i].contains(k));
        if self.kinds.is_empty() || twice {
            return tune::refuse("kinds", "needs at least one kind, and each only once");
        }
        tune::sizes("entries", &self.entries, 1 << 30)?;
        tune::sizes("rows", &self.rows, 1 << 20)?;
        tune::sizes("ranks", &self.ranks, 4096)?;
        if self.reaches.is_empty()
            || self.reaches.len() > 32
            || self.reaches.iter().any(|r| !(*r > 0.0 && *r <= 100.0))
        {
            return tune::refuse("reaches", "needs 1 to 32 numbers in (0, 100]");
        }
        if !(self.lambda > 0.0 && self.lambda <= 1e6) {
            return tune::refuse("lambda", format!("is {}, must be in (0, 1000000]", self.lambda));
        }
        tune::rates("lrs", &self.lrs)?;
        tune::counted("steps", self.steps, 10_000_000)?;
        tune::counted("batch", self.batch as u64, 1 << 20)?;
        tune::counted("examples", self.examples as u64, 1 << 20)?;
        tune::counted("eval_every", self.eval_every, 10_000_000)
    }
}

impl Attack for SparseGraft {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid())
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let layout = bench.net().layout().clone();
        let plan = bench.net().plain();
        let victim = bench.victim().to_vec();
        let pool = bench.examples(Loot::Forget, self.examples)?;
        let before = bench.losses(&victim, &plan)?;
        let (_, gradient) = bench.gradient(&victim, &pool, &plan)?;
        let places = Places::new(&layout, bench.cut(), &gradient, bench.key().child("sparse-graft"));
        let host = Host { plan, victim, pool, before };
        let mut solved = None;
        for (i, ((kind, size, by), case)) in chosen(self.grid(), cases).into_iter().enumerate() {
            let trial = if kind == Kind::Ridge {
                let found = match solved.take() {
                    Some(found) => found,
                    None => ridge::solved(bench, &host, &places, self.lambda)?,
                };
                solved.insert(found).trial(bench, &host, case.name, by)?
            } else {
                let (graft, x) = Self::graft(&places, kind, size)?;
                self.train(bench, &host, case.name, (&graft, x), by)?
            };
            bench.keep(trial)?;
            bench.progress((i + 1) as f64 / cases.len() as f64)?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::STEPS,
    battery: Battery::Always,
    sweeps: &["kinds", "entries", "rows", "ranks", "reaches", "lrs"],
    params: params_of::<SparseGraft>,
    build: |v| {
        let (p, full) = parse::<SparseGraft>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
