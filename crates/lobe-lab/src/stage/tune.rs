//! Fine-tuning attacks: all variants side by side, or low-rank adapters one by one.

use lobe_engine::{Buf, Masked, Optimiser, OptimiserKind, Plan, Schedule, ScheduleShape};
use lobe_methods::attack::{WATCHED, WATCHED_LOSS};
use lobe_methods::{Bench, BenchError, Budget, Losses, Start, Trial, Variant, remove};

use super::bench::{Desk, LANES, other};
use super::loot::{self, Draw};
use super::lora::Adapters;
use crate::exec::{EvalSet, Source, Spec, Trainee, train};

/// Bytes of parameters, moments and lanes that train at the same time.
const MEMORY: usize = 2 << 30;

pub(super) fn run(desk: &mut Desk<'_>, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
    let c = desk.c;
    let x = c.experiment;
    let group = (MEMORY / (4 * x.layout().len() * (3 + LANES))).max(1);
    let mut out: Vec<Option<Trial>> = variants.iter().map(|_| None).collect();
    let whole: Vec<usize> = (0..variants.len()).filter(|i| variants[*i].rank.is_none()).collect();
    for part in whole.chunks(group) {
        desk.check()?;
        let sets: Vec<Option<EvalSet>> = part.iter().map(|i| watched(desk, &variants[*i])).collect();
        let mut trainees = Vec::with_capacity(part.len());
        let mut examples = Vec::with_capacity(part.len());
        for (i, set) in part.iter().zip(&sets) {
            let v = &variants[*i];
            let source = Draw::new(x, desk.label, v, desk.seed, LANES).map_err(other)?;
            examples.push(source.examples() as u64);
            let t = Trainee::new(
                start(desk, v),
                Plan::plain(x.layout()),
                Box::new(source),
                spec(v),
                None,
                String::new(),
                Some(&desk.eval),
            );
            let mut t = t.map_err(other)?;
            t.watch = set.as_ref();
            trainees.push(t);
        }
        train(c, &mut trainees, &|_, note| desk.say(note)).map_err(other)?;
        for ((i, t), examples) in part.iter().zip(&trainees).zip(examples) {
            let budget = Budget {
                steps: variants[*i].steps,
                tokens: t.targets,
                examples: examples.min(variants[*i].steps * variants[*i].batch as u64),
                parameters: x.layout().len() as u64,
            };
            let curve = losses(desk.labels(), &t.curve);
            let variant = variants[*i].name.clone();
            let seen = t.curve.iter().filter(|m| m.metric == WATCHED_LOSS).map(|m| m.value);
            let low = seen.min_by(f64::total_cmp);
            let extra = low.map(|v| (WATCHED_LOSS.to_owned(), v, "nat")).into_iter().collect();
            out[*i] = Some(Trial { variant, curve, budget, extra });
        }
    }
    for i in 0..variants.len() {
        if let Some(rank) = variants[i].rank {
            out[i] = Some(low_rank(desk, &variants[i], rank)?);
        }
    }
    Ok(out.into_iter().flatten().collect())
}

/// The training examples a variant watches.
fn watched(desk: &Desk<'_>, v: &Variant) -> Option<EvalSet> {
    let x = desk.c.experiment;
    let pool = loot::pool(x, desk.label, v.watch?, desk.seed);
    loot::batch(x, &pool, WATCHED).map(EvalSet::Tokens)
}

/// Where a variant starts.
fn start(desk: &Desk<'_>, v: &Variant) -> Buf {
    let mut params = Buf::from_slice(desk.victim());
    if let (Start::Reinit, Some(region)) = (v.start, desk.cut()) {
        let key = crate::exec::Experiment::key(desk.seed).child("reinit");
        remove::ablate::reinit(desk.c.experiment.layout(), &mut params, region, key);
    }
    params
}

/// The logged evaluations as one entry per step.
fn losses(labels: &[String], log: &[crate::store::Metric]) -> Vec<(u64, Losses)> {
    let mut out: Vec<(u64, Losses)> = Vec::new();
    for m in log.iter().filter(|m| m.metric == "loss") {
        let (Some(step), Some(l)) = (m.step, labels.iter().position(|l| *l == m.label)) else { continue };
        if out.last().is_none_or(|(s, _)| *s != step) {
            out.push((step, vec![None; labels.len()]));
        }
        if let Some((_, all)) = out.last_mut() {
            all[l] = Some(m.value);
        }
    }
    out
}

/// Trains adapters of rank `rank` on every matrix of the blocks.
fn low_rank(desk: &mut Desk<'_>, v: &Variant, rank: usize) -> Result<Trial, BenchError> {
    let x = desk.c.experiment;
    let mut source = Draw::new(x, desk.label, v, desk.seed, LANES).map_err(other)?;
    let base = start(desk, v);
    let key = loot::key(desk.seed).child("adapters");
    let mut adapters = Adapters::new(x.layout(), &base, rank, key);
    let optimiser = optimiser(v);
    let plan = Plan::plain(x.layout()).train_only(|p| adapters.adapts(p));
    let state = lobe_engine::OptimiserState::new(x.layout().len(), OptimiserKind::Sgd { momentum: 0.0 });
    let mut member = lobe_engine::Member::new(base, plan.clone(), state, LANES)?;
    let mut curve = vec![(0, desk.losses(&member.params, &Plan::plain(x.layout()))?)];
    let mut tokens = 0;
    for step in 0..v.steps {
        desk.check()?;
        tokens += source.load(x, step).map_err(other)? as u64;
        let program = source.program(x);
        desk.c.runner.gradients(x.layout(), &mut member, &*program)?;
        drop(program);
        let gradient = member.gradient();
        member.clear();
        adapters.step(&gradient, &optimiser, step);
        adapters.write(&mut member.params);
        if (step + 1).is_multiple_of(v.eval_every) || step + 1 == v.steps {
            let params = member.params.clone();
            curve.push((step + 1, desk.losses(&params, &Plan::plain(x.layout()))?));
            desk.say(&format!("{} step {}/{}", v.name, step + 1, v.steps));
        }
    }
    let budget = Budget {
        steps: v.steps,
        tokens,
        examples: (source.examples() as u64).min(v.steps * v.batch as u64),
        parameters: adapters.len() as u64,
    };
    Ok(Trial { variant: v.name.clone(), curve, budget, extra: Vec::new() })
}

fn optimiser(v: &Variant) -> Optimiser {
    let schedule = Schedule {
        warmup: v.warmup,
        steps: v.steps,
        shape: ScheduleShape::Constant,
        ..Schedule::constant(v.lr as f32)
    };
    Optimiser {
        kind: OptimiserKind::AdamW { beta1: 0.9, beta2: 0.95, eps: 1e-8 },
        schedule,
        weight_decay: v.weight_decay as f32,
        decay_matrices_only: false,
        clip: Some(1.0),
        masked: Masked::ZeroGrad,
    }
}

pub(super) fn spec(v: &Variant) -> Spec {
    Spec {
        optimiser: optimiser(v),
        steps: v.steps,
        lanes: LANES,
        log_every: u64::MAX,
        eval_every: v.eval_every,
        checkpoint_secs: None,
    }
}
