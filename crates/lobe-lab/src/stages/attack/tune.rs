//! Fine-tuning attacks: all variants side by side, or low-rank adapters one by one.

use std::sync::Arc;

use lobe_engine::optim::AdamW;
use lobe_engine::{Buf, EngineError, Optimiser, Plan, Schedule, ScheduleShape};
use lobe_methods::attack::{WATCHED, WATCHED_ACCURACY, WATCHED_LOSS};
use lobe_methods::objective::{Distance, Minimise, ordinary};
use lobe_methods::{Bench, BenchError, Budget, Losses, Start, Trial, Variant, remove};
use lobe_nets::Batch;
use lobe_train::{At, InMemory, Reading, Source, Spec, Trainee};

use super::bench::{Desk, LANES, other};
use super::loot::{self, Draw, Half};
use super::lora::Adapters;

/// Bytes of parameters, moments and lanes that train at the same time.
const MEMORY: usize = 2 << 30;

/// How many variants train at a time: as many as there are threads, and as fit into memory. What is finished
/// is kept, so an interruption costs no more than these.
pub(in crate::stages) fn at_a_time(desk: &Desk<'_>) -> usize {
    let fit = MEMORY / (4 * desk.c.experiment.layout().len() * (3 + LANES));
    fit.min(desk.c.runner.threads()).max(1)
}

pub(in crate::stages) fn run(desk: &mut Desk<'_>, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
    let group = at_a_time(desk);
    let mut out: Vec<Option<Trial>> = variants.iter().map(|_| None).collect();
    let whole: Vec<usize> = (0..variants.len()).filter(|i| variants[*i].rank.is_none()).collect();
    let mut before = 0;
    for part in whole.chunks(group) {
        desk.check()?;
        let trials = side_by_side(desk, variants, part, before)?;
        for (i, t) in part.iter().zip(trials) {
            out[*i] = Some(t);
        }
        before += part.iter().map(|i| variants[*i].steps).sum::<u64>();
    }
    for i in 0..variants.len() {
        if let Some(rank) = variants[i].rank {
            let share =
                |desk: &Desk<'_>, step: u64| desk.overall(variants.len(), share(variants, before + step));
            out[i] = Some(low_rank(desk, &variants[i], rank, &share)?);
            before += variants[i].steps;
        }
    }
    Ok(out.into_iter().flatten().collect())
}

/// How much `done` steps are of all that the variants take.
fn share(variants: &[Variant], done: u64) -> f64 {
    done as f64 / variants.iter().map(|v| v.steps).sum::<u64>().max(1) as f64
}

/// Trains some variants at once, after `before` steps of others. A variant whose loss is no longer finite
/// ends there, with the curve it has.
fn side_by_side(
    desk: &Desk<'_>,
    variants: &[Variant],
    part: &[usize],
    before: u64,
) -> Result<Vec<Trial>, BenchError> {
    let c = &desk.c;
    let x = c.experiment;
    let sets: Vec<Option<Batch>> = part.iter().map(|i| watched(desk, &variants[*i])).collect();
    let terms = Arc::new(ordinary(&*x.net, Distance::Squared));
    let mut trainees = Vec::with_capacity(part.len());
    let mut examples = Vec::with_capacity(part.len());
    for (i, set) in part.iter().zip(&sets) {
        let v = &variants[*i];
        let source = Draw::new(x, desk.label, v, desk.seed, LANES).map_err(other)?;
        examples.push(source.drawn());
        let (plan, journal) = (Plan::plain(x.layout()), Box::new(InMemory::default()));
        let model = (x.net.clone(), start(desk, v));
        let t = Trainee::new(model, plan, terms.clone(), Box::new(source), spec(v), journal);
        let mut t = t.map_err(|e| other(e.into()))?;
        t.eval = Some(&desk.eval);
        t.watch = set.as_ref();
        trainees.push(t);
    }
    let tell =
        |done: u64, note: &str| desk.say(desk.overall(variants.len(), share(variants, before + done)), note);
    c.train(&mut trainees, &tell).map_err(other)?;
    let mut known = Vec::with_capacity(part.len());
    for (i, t) in part.iter().zip(&trainees) {
        let of = |half| crate::stages::measure::probes::knowledge(c, &t.member.params, desk.label, &half);
        let half = variants[*i].watch.and_then(|half| Half::new(x, half, desk.seed));
        known.push(half.map(of).transpose().map_err(other)?.flatten());
    }
    let one = |((i, t), examples, known): ((&usize, &Trainee<'_>), u64, Option<f64>)| {
        let v = &variants[*i];
        let budget =
            Budget { steps: t.done(), tokens: t.targets, examples, parameters: x.layout().len() as u64 };
        let seen = t.journal.readings().iter().filter(|m| m.metric == WATCHED_LOSS).map(|m| m.value);
        let least = seen.min_by(f64::total_cmp).map(|v| (WATCHED_LOSS, v, "nat"));
        let known = known.map(|v| (WATCHED_ACCURACY, v, "fraction"));
        Trial::new(&v.name, losses(desk.labels(), t.journal.readings()), budget)
            .with(least.into_iter().chain(known))
    };
    let examples = examples.iter().zip(&trainees).map(|(of, t)| of(t.done()));
    let all = part.iter().zip(&trainees).zip(examples.collect::<Vec<_>>()).zip(known);
    Ok(all.map(|((it, examples), known)| one((it, examples, known))).collect())
}

/// The training examples a variant watches.
fn watched(desk: &Desk<'_>, v: &Variant) -> Option<Batch> {
    let x = desk.c.experiment;
    let pool = loot::pool(x, desk.label, v.watch?, desk.seed);
    Some(loot::batch(x, &pool, WATCHED))
}

/// Where a variant starts.
fn start(desk: &Desk<'_>, v: &Variant) -> Buf {
    let mut params = Buf::from_slice(desk.victim());
    if let (Start::Reinit, Some(region)) = (v.start, desk.cut()) {
        let key = crate::plan::Experiment::key(desk.seed).child("reinit");
        remove::ablate::reinit(desk.c.experiment.layout(), &mut params, region, key);
    }
    params
}

/// The logged evaluations as one entry per step.
fn losses(labels: &[String], log: &[Reading]) -> Vec<(u64, Losses)> {
    let mut out: Vec<(u64, Losses)> = Vec::new();
    for m in log.iter().filter(|m| m.metric == "loss") {
        let (Some(step), Some(l)) = (m.step, labels.iter().position(|l| *l == m.label)) else { continue };
        if out.last().is_none_or(|(s, _)| *s != step) {
            out.push((step, vec![None; labels.len()]));
        }
        if let Some((_, all)) = out.last_mut() {
            all[l] = Some(m.value).filter(|v| v.is_finite());
        }
    }
    out
}

/// Trains adapters of rank `rank` on every matrix of the blocks.
fn low_rank(
    desk: &mut Desk<'_>,
    v: &Variant,
    rank: usize,
    share: &dyn Fn(&Desk<'_>, u64) -> f64,
) -> Result<Trial, BenchError> {
    let x = desk.c.experiment;
    let mut source = Draw::new(x, desk.label, v, desk.seed, LANES).map_err(other)?;
    let base = start(desk, v);
    let key = loot::key(desk.seed).child("adapters");
    let mut adapters = Adapters::new(x.layout(), &base, rank, key);
    let optimiser = optimiser(v);
    let terms = ordinary(&*x.net, Distance::Squared);
    let plan = Plan::plain(x.layout()).train_only(|p| adapters.adapts(p));
    let mut member = lobe_engine::Member::new(base, plan, LANES)?;
    let mut curve = vec![(0, desk.losses(&member.params, &Plan::plain(x.layout()))?)];
    let (mut tokens, mut steps) = (0, 0);
    for step in 0..v.steps {
        desk.check()?;
        let at = At { step, params: &member.params, runner: desk.c.runner };
        tokens += source.load(at).map_err(|e| other(e.into()))? as u64;
        let program = Minimise::new(&*x.net, &terms, source.examples());
        match desk.c.runner.gradients(x.layout(), &mut member, &program) {
            // A rate that is too high ends this variant, with the curve it has.
            Err(EngineError::NonFinite { .. }) => break,
            taken => taken?,
        };
        drop(program);
        let gradient = member.gradient();
        member.clear();
        adapters.step(&gradient, &optimiser, step);
        adapters.write(&mut member.params);
        steps = step + 1;
        if (step + 1).is_multiple_of(v.eval_every) || step + 1 == v.steps {
            let params = member.params.clone();
            curve.push((step + 1, desk.losses(&params, &Plan::plain(x.layout()))?));
            desk.say(share(desk, step + 1), &format!("{} step {}/{}", v.name, step + 1, v.steps));
        }
    }
    let budget = Budget { steps, tokens, examples: source.drawn()(steps), parameters: adapters.len() as u64 };
    Ok(Trial::new(&v.name, curve, budget))
}

fn optimiser(v: &Variant) -> Optimiser {
    let schedule = Schedule {
        warmup: v.warmup,
        steps: v.steps,
        shape: ScheduleShape::Constant,
        ..Schedule::constant(v.lr as f32)
    };
    let rule = AdamW { betas: [0.9, 0.95], ..AdamW::default() };
    let (weight_decay, clip) = (v.weight_decay as f32, Some(1.0));
    Optimiser { weight_decay, clip, ..Optimiser::new(rule, schedule) }
}

pub(in crate::stages) fn spec(v: &Variant) -> Spec {
    Spec {
        optimiser: optimiser(v),
        steps: v.steps,
        lanes: LANES,
        log_every: u64::MAX,
        eval_every: v.eval_every,
        checkpoint_secs: None,
    }
}
