//! Runs any attack of the registry: its variants side by side, the worst case reported.

use std::time::Instant;

use lobe_core::{FORGET, LabelId, Selection};
use lobe_engine::{Masked, Optimiser, OptimiserKind, Plan, Program, Schedule, ScheduleShape};
use lobe_methods::measure::steps::worst_case;
use lobe_methods::{Start, Variant, remove};

use super::{Work, ablate};
use crate::error::LabError;
use crate::exec::{
    Context, EvalSet, Experiment, Source, Spec, Step, Trainee, attack, empty, push_train, train,
};
use crate::recipe::Stage;
use crate::store::Metric;

/// Bytes of parameters, moments and lanes that train at the same time.
const MEMORY: usize = 2 << 30;
/// Gradient lanes of an attack.
const LANES: usize = 2;
/// Held-out examples per label that are evaluated along the way.
const EVALUATED: usize = 200;

pub(super) fn run(c: &Context<'_>, stage: &Stage, work: &Work) -> Result<(), LabError> {
    let start = Instant::now();
    let x = c.experiment;
    let Some(Ok((attack, _))) = attack(&stage.does, &stage.value()) else {
        return Err(LabError::other(format!("no attack {:?}", stage.does)));
    };
    let label = x.labels.find(attack.label()).unwrap_or(FORGET);
    let model = work.parent(c, stage.from.as_deref().unwrap_or_default())?;
    let region = cut(x, stage, work.arm)?;
    let variants = attack.variants(region.is_some());
    let eval = EvalSet::new(x, |_| true, EVALUATED);
    let group = (MEMORY / (4 * x.layout().len() * (3 + LANES))).max(1);
    let mut curves = Vec::new();
    let (mut all, mut targets, mut base) = (Vec::new(), 0, work.base);
    for part in variants.chunks(group) {
        let mut trainees = Vec::with_capacity(part.len());
        for v in part {
            let mut params = model.clone();
            if let (Start::Reinit, Some(region)) = (v.start, &region) {
                let key = Experiment::key(work.seed).child("reinit");
                remove::ablate::reinit(x.layout(), &mut params, region, key);
            }
            let source = Box::new(Loot::new(x, label, v, work.seed)?);
            let key = work.key.clone();
            trainees.push(Trainee::new(
                params,
                Plan::plain(x.layout()),
                source,
                spec(v),
                None,
                key,
                Some(&eval),
            )?);
        }
        train(c, &mut trainees, base)?;
        base += part.iter().map(|v| v.steps).sum::<u64>();
        for (v, t) in part.iter().zip(&trainees) {
            targets += t.targets;
            let curve = |l: LabelId| {
                let name = x.labels.name(l);
                let of = t.curve.iter().filter(|m| m.metric == "loss" && m.label == name);
                of.filter_map(|m| Some((m.step?, m.value))).collect::<Vec<_>>()
            };
            for l in x.test_labels() {
                let metric = format!("{}_loss@{}", stage.does, v.name);
                all.extend(curve(l).into_iter().map(|p| number(x, l, &metric, p)));
            }
            curves.push(curve(label));
        }
    }
    let metric = format!("{}_loss", stage.does);
    all.extend(worst_case(&curves).into_iter().map(|p| number(x, label, &metric, p)));
    let budget = variants.iter().map(|v| v.steps).max().unwrap_or(0);
    let mut log = work.dir.metrics()?;
    for m in &all {
        log.append(m)?;
    }
    log.append(&Metric {
        step: None,
        label: x.labels.name(label).to_owned(),
        metric: "steps_budget".into(),
        value: budget as f64,
        unit: "steps".into(),
    })?;
    log.sync()?;
    work.finish(start, targets as f64, "tokens/s")
}

/// The region that the stage before cut out of an arm's model, if it did.
fn cut(x: &Experiment, stage: &Stage, arm: usize) -> Result<Option<Selection>, LabError> {
    let from = stage.from.as_ref().and_then(|f| x.recipe.stage(f));
    match from.filter(|s| s.does == "ablate") {
        Some(s) => ablate::region(x, s, arm),
        None => Ok(None),
    }
}

/// Steps of all variants of an arm's attack.
pub(super) fn size(c: &Context<'_>, stage: &Stage, arm: usize) -> Result<u64, LabError> {
    let cut = cut(c.experiment, stage, arm)?.is_some();
    let built = attack(&stage.does, &stage.value()).and_then(Result::ok);
    Ok(built.map_or(0, |(a, _)| a.variants(cut).iter().map(|v| v.steps).sum()))
}

fn number(x: &Experiment, label: LabelId, metric: &str, (step, value): (u64, f64)) -> Metric {
    Metric {
        step: Some(step),
        label: x.labels.name(label).to_owned(),
        metric: metric.to_owned(),
        value,
        unit: "nat".into(),
    }
}

fn spec(v: &Variant) -> Spec {
    let schedule = Schedule {
        warmup: v.warmup,
        steps: v.steps,
        shape: ScheduleShape::Constant,
        ..Schedule::constant(v.lr as f32)
    };
    Spec {
        optimiser: Optimiser {
            kind: OptimiserKind::AdamW { beta1: 0.9, beta2: 0.95, eps: 1e-8 },
            schedule,
            weight_decay: v.weight_decay as f32,
            decay_matrices_only: false,
            clip: Some(1.0),
            masked: Masked::ZeroGrad,
        },
        steps: v.steps,
        lanes: LANES,
        log_every: u64::MAX,
        eval_every: v.eval_every,
        checkpoint_secs: None,
    }
}

/// The attacker's data: true examples of the label, and retain data beside them if asked for. The
/// order depends on the seed alone, so every arm is attacked with the same batches.
struct Loot {
    forget: Vec<usize>,
    retain: Vec<usize>,
    counts: (usize, usize),
    label: LabelId,
    key: lobe_core::Key,
    step: Step,
}

impl Loot {
    fn new(x: &Experiment, label: LabelId, v: &Variant, seed: u64) -> Result<Loot, LabError> {
        let key = Experiment::key(seed).child("attack");
        let of = |keep: &dyn Fn(LabelId) -> bool| -> Vec<usize> {
            (0..x.train_truth.len()).filter(|i| keep(x.train_truth[*i])).collect()
        };
        let mut forget = of(&|l| l == label);
        key.child("examples").rng().shuffle(&mut forget);
        forget.truncate(v.examples.unwrap_or(usize::MAX));
        let retain = of(&|l| l != label);
        let kept = ((v.batch as f64 * v.retain_share).round() as usize).min(v.batch - 1);
        if forget.is_empty() || (kept > 0 && retain.is_empty()) {
            return Err(LabError::other("attack: there is no data to train on"));
        }
        let step = empty(x, v.batch, LANES, None);
        Ok(Loot { forget, retain, counts: (v.batch - kept, kept), label, key, step })
    }
}

impl Source for Loot {
    fn load(&mut self, x: &Experiment, step: u64) -> Result<usize, LabError> {
        let Step::Tokens(_) = &self.step else {
            return Err(LabError::other("attack: needs a language model"));
        };
        if let Step::Tokens(b) = &mut self.step {
            b.clear();
        }
        let mut rng = self.key.child("batch").index(step).rng();
        for (pool, n) in [(&self.forget, self.counts.0), (&self.retain, self.counts.1)] {
            for _ in 0..n {
                let i = *rng.choose(pool);
                push_train(x, &mut self.step, i, self.label);
            }
        }
        Ok(match &self.step {
            Step::Tokens(b) => b.targets(),
            Step::Images(b) => b.len(),
        })
    }

    fn program<'a>(&'a self, x: &'a Experiment) -> Box<dyn Program + 'a> {
        match (&self.step, &x.net) {
            (Step::Tokens(batch), lobe_nets::Net::Gpt(net)) => {
                Box::new(lobe_nets::LanguageModelling { net, batch })
            }
            _ => unreachable!("checked when the batch was loaded"),
        }
    }
}
