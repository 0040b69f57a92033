//! What fine-tuning attacks share: their parameters, the grid of their variants, and checks of ranges.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Attack, Bench, BenchError, Case, Extra, Grid, Loot, Variant, cases_of, chosen, parse, starts};
use lobe_core::registry::{ParamDoc, ParamError, params_of};

/// Parameters of a fine-tuning attack; every attack has its own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FineTune {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Numbers of different examples the attacker has, one variant each. An empty list means all.
    pub examples: Vec<usize>,
    /// Rank of low-rank adapters on every matrix of the blocks, up to 4096. 0 trains all parameters.
    pub rank: usize,
    /// Peak learning rates to try (AdamW with betas 0.9 and 0.95, the gradient's norm clipped to 1).
    pub lrs: Vec<f64>,
    /// Optimiser steps of each variant.
    pub steps: u64,
    /// Steps of linear warm-up.
    pub warmup: u64,
    /// Examples per step; all of them if there are fewer.
    pub batch: usize,
    /// Weight decay, from 0 to 1.
    pub weight_decay: f64,
    /// Fraction of each batch drawn from retain data, 0 to 0.9.
    pub retain_share: f64,
    /// Whether to attack re-initialised regions in addition to the model as it is.
    pub reinit: bool,
    /// Steps between evaluations.
    pub eval_every: u64,
}

impl Default for FineTune {
    fn default() -> Self {
        FineTune {
            label: "forget".into(),
            examples: Vec::new(),
            rank: 0,
            lrs: vec![3e-4, 1e-3, 3e-3],
            steps: 100,
            warmup: 5,
            batch: 16,
            weight_decay: 0.0,
            retain_share: 0.0,
            reinit: true,
            eval_every: 10,
        }
    }
}

/// Parameters that only list variants.
pub(super) const SWEEPS: &[&str] = &["examples", "lrs", "reinit"];

impl FineTune {
    /// One variant per number of examples, start and learning rate, in this order.
    pub(super) fn variants(&self, cut: bool, loot: Loot, watch: Option<Loot>) -> Grid<Variant> {
        let all = [None];
        let some: Vec<Option<usize>> = self.examples.iter().map(|n| Some(*n)).collect();
        let sizes = if some.is_empty() { &all[..] } else { &some[..] };
        let mut out = Vec::new();
        for n in sizes {
            // With a single number there is nothing to tell apart.
            let size = n.filter(|_| sizes.len() > 1).map_or(String::new(), |n| format!("n={n},"));
            for (start, name) in starts(cut, self.reinit) {
                out.extend(self.lrs.iter().map(|lr| {
                    let case = Case::new(format!("{size}{name},lr={lr}"), [("lr", (*lr).into())]);
                    let mut case = case.from(*name);
                    case.settings.extend(n.map(|n| ("n".to_owned(), n.into())));
                    let variant = Variant {
                        name: case.name.clone(),
                        start: *start,
                        lr: *lr,
                        steps: self.steps,
                        warmup: self.warmup,
                        batch: n.map_or(self.batch, |n| self.batch.min(n)),
                        weight_decay: self.weight_decay,
                        loot,
                        retain_share: self.retain_share,
                        examples: *n,
                        rank: (self.rank > 0).then_some(self.rank),
                        eval_every: self.eval_every,
                        watch,
                    };
                    (variant, case)
                }));
            }
        }
        out
    }
}

/// Fine-tunes those of `variants` that are wanted, few at a time; each trial carries `extra` as well.
pub(super) fn each(
    bench: &mut dyn Bench,
    variants: Grid<Variant>,
    cases: &[Case],
    extra: &[Extra],
) -> Result<(), BenchError> {
    let todo: Vec<Variant> = chosen(variants, cases).into_iter().map(|(v, _)| v).collect();
    for part in todo.chunks(bench.side_by_side().max(1)) {
        for mut trial in bench.fine_tune(part)? {
            trial.extra.extend_from_slice(extra);
            bench.keep(trial)?;
        }
    }
    Ok(())
}

/// An attack that is nothing but fine-tuning.
pub struct Tuning {
    /// How.
    pub settings: FineTune,
    /// On which data.
    pub loot: Loot,
}

impl Attack for Tuning {
    fn label(&self) -> &str {
        &self.settings.label
    }
    fn holds_forget(&self) -> bool {
        self.loot != Loot::Retain
    }
    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(self.settings.variants(bench.cut().is_some(), self.loot, None))
    }
    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let variants = self.settings.variants(bench.cut().is_some(), self.loot, None);
        each(bench, variants, cases, &[])
    }
}

impl Attack for FineTune {
    fn label(&self) -> &str {
        &self.label
    }
    fn cases(&self, bench: &dyn Bench) -> Vec<Case> {
        cases_of(self.variants(bench.cut().is_some(), Loot::Forget, None))
    }
    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let variants = self.variants(bench.cut().is_some(), Loot::Forget, None);
        each(bench, variants, cases, &[])
    }
}

/// Builds the attack that fine-tunes on `loot`, and nothing else.
pub(super) fn attack(
    value: &Value,
    defaults: &FineTune,
    loot: Loot,
) -> Result<(Box<dyn Attack>, Value), ParamError> {
    let (settings, full) = settings(value, defaults)?;
    Ok((Box::new(Tuning { settings, loot }), full))
}

/// The documented parameters with an attack's own defaults.
pub(super) fn params(defaults: &FineTune) -> Vec<ParamDoc> {
    let own = serde_json::to_value(defaults).unwrap_or_default();
    let one = |p: ParamDoc| ParamDoc { default: own.get(&p.name).map(ToString::to_string), ..p };
    params_of::<FineTune>().into_iter().map(one).collect()
}

/// What `value` gives over an attack's own defaults, checked; also as one full value.
pub(super) fn settings(value: &Value, defaults: &FineTune) -> Result<(FineTune, Value), ParamError> {
    let mut all = serde_json::to_value(defaults).unwrap_or_default();
    let Some(given) = value.as_object() else { return parse(value) };
    for (key, v) in given {
        all[key] = v.clone();
    }
    let (settings, full): (FineTune, Value) = parse(&all)?;
    check(&settings)?;
    Ok((settings, full))
}

/// An error for the parameter at `path`.
pub(super) fn refuse(path: &str, message: impl Into<String>) -> Result<(), ParamError> {
    Err(ParamError { path: path.into(), message: message.into() })
}

/// A whole number in `1..=top`.
pub(super) fn counted(path: &str, value: u64, top: u64) -> Result<(), ParamError> {
    if (1..=top).contains(&value) {
        return Ok(());
    }
    refuse(path, format!("is {value}, must be in 1..={top}"))
}

/// A list of 1 to 32 different whole numbers in `1..=top`.
pub(super) fn sizes(path: &str, values: &[usize], top: usize) -> Result<(), ParamError> {
    let twice = values.iter().enumerate().any(|(i, v)| values[..i].contains(v));
    if values.is_empty() || values.len() > 32 || twice || values.iter().any(|n| *n == 0 || *n > top) {
        return refuse(path, format!("needs 1 to 32 different whole numbers in 1..={top}"));
    }
    Ok(())
}

/// A list of 1 to 32 shares in (0, 1).
pub(super) fn shares(path: &str, values: &[f64]) -> Result<(), ParamError> {
    if values.is_empty() || values.len() > 32 || values.iter().any(|x| !(*x > 0.0 && *x < 1.0)) {
        return refuse(path, "needs 1 to 32 shares, each above 0 and below 1");
    }
    Ok(())
}

/// A list of learning rates.
pub(super) fn rates(path: &str, lrs: &[f64]) -> Result<(), ParamError> {
    if lrs.is_empty() || lrs.len() > 32 || lrs.iter().any(|x| !(*x > 0.0 && *x <= 10.0)) {
        return refuse(path, "needs 1 to 32 learning rates in (0, 10]");
    }
    Ok(())
}

/// What every fine-tuning attack must satisfy.
fn check(p: &FineTune) -> Result<(), ParamError> {
    if !p.examples.is_empty() {
        sizes("examples", &p.examples, 10_000_000)?;
    }
    rates("lrs", &p.lrs)?;
    counted("steps", p.steps, 10_000_000)?;
    if p.warmup > 10_000_000 {
        return refuse("warmup", format!("is {}, must be in 0..=10000000", p.warmup));
    }
    counted("batch", p.batch as u64, 1 << 20)?;
    if p.eval_every == 0 {
        return refuse("eval_every", "must be at least 1");
    }
    if !(0.0..=0.9).contains(&p.retain_share) {
        return refuse("retain_share", format!("is {}, must be in 0..=0.9", p.retain_share));
    }
    if !(0.0..=1.0).contains(&p.weight_decay) {
        return refuse("weight_decay", format!("is {}, must be in 0..=1", p.weight_decay));
    }
    if p.rank > 4096 {
        return refuse("rank", "must be in 0..=4096");
    }
    Ok(())
}
