//! Fine-tuning attacks: all variants side by side, whole models and low-rank adapters alike.

use std::sync::Arc;

use lobe_engine::{Buf, Plan};
use lobe_methods::attack::{WATCHED, WATCHED_ACCURACY, WATCHED_LOSS};
use lobe_methods::objective::{Distance, ordinary};
use lobe_methods::{Bench, BenchError, Budget, ParamError, Start, Trial, Variant, remove};
use lobe_nets::adapter::{Adapted, adapter};
use lobe_nets::{Batch, Network};
use lobe_train::attacker::{self, LANES};
use lobe_train::{InMemory, Trainee};
use serde_json::json;

use super::bench::{Desk, other};
use super::loot::{self, Draw, Half};

/// Bytes of parameters, moments and lanes that train at the same time.
const MEMORY: usize = 2 << 30;

/// How many variants train at a time: as many as there are threads, and as fit into memory. What is finished
/// is kept, so an interruption costs no more than these.
pub(in crate::stages) fn at_a_time(desk: &Desk<'_>) -> usize {
    let fit = MEMORY / (4 * desk.c.experiment.layout().len() * (3 + LANES));
    fit.min(desk.c.runner.threads()).max(1)
}

pub(in crate::stages) fn run(desk: &mut Desk<'_>, variants: &[Variant]) -> Result<Vec<Trial>, BenchError> {
    let mut out = Vec::with_capacity(variants.len());
    for part in variants.chunks(at_a_time(desk)) {
        desk.check()?;
        let before = variants[..out.len()].iter().map(|v| v.steps).sum::<u64>();
        out.extend(side_by_side(desk, variants, part, before)?);
    }
    Ok(out)
}

/// What a variant trains: the victim, or adapters of its rank on all matrices of the blocks.
struct Tuned {
    net: Arc<dyn Network>,
    params: Buf,
    plan: Plan,
    /// Numbers that are trained.
    parameters: usize,
}

impl Tuned {
    /// The variant `v`; those of one rank share a network.
    fn new(
        desk: &Desk<'_>,
        v: &Variant,
        adapted: &mut Vec<(usize, Arc<Adapted>)>,
    ) -> Result<Tuned, BenchError> {
        let (net, params) = (desk.net().clone(), start(desk, v));
        let Some(rank) = v.rank else {
            return Ok(Tuned { plan: net.plain(), parameters: params.len(), net, params });
        };
        let known = adapted.iter().find(|(r, _)| *r == rank).map(|(_, net)| net.clone());
        let with = if let Some(with) = known {
            with
        } else {
            let refuse = |e: ParamError| BenchError::Other(format!("low-rank adapters: {e}"));
            let entry =
                adapter("low-rank").ok_or_else(|| BenchError::Missing("no low-rank adapter".into()))?;
            let (lora, _) = (entry.build)(&json!({ "rank": rank })).map_err(refuse)?;
            let with = Arc::new(Adapted::new(net, vec![lora]).map_err(refuse)?);
            adapted.push((rank, with.clone()));
            with
        };
        let params = with.started(&params, loot::key(desk.seed).child("adapters"));
        let (plan, parameters) = (with.adapters_alone()?, with.own_len());
        Ok(Tuned { net: with, params, plan, parameters })
    }
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
    part: &[Variant],
    before: u64,
) -> Result<Vec<Trial>, BenchError> {
    let c = &desk.c;
    let x = c.experiment;
    let sets: Vec<Option<Batch>> = part.iter().map(|v| watched(desk, v)).collect();
    let terms = Arc::new(ordinary(&*x.net, Distance::Squared));
    let mut trainees = Vec::with_capacity(part.len());
    let mut examples = Vec::with_capacity(part.len());
    let (mut adapted, mut parameters) = (Vec::new(), Vec::with_capacity(part.len()));
    for (v, set) in part.iter().zip(&sets) {
        let source = Draw::new(x, desk.label, v, desk.seed, LANES).map_err(other)?;
        examples.push(source.drawn());
        let tuned = Tuned::new(desk, v, &mut adapted)?;
        parameters.push(tuned.parameters as u64);
        let (model, journal) = ((tuned.net, tuned.params), Box::new(InMemory::default()));
        let t = Trainee::new(model, tuned.plan, terms.clone(), Box::new(source), attacker::spec(v), journal);
        let mut t = t.map_err(|e| other(e.into()))?;
        t.eval = Some(&desk.eval);
        t.watch = set.as_ref();
        trainees.push(t);
    }
    let tell =
        |done: u64, note: &str| desk.say(desk.overall(variants.len(), share(variants, before + done)), note);
    c.train(&mut trainees, &tell).map_err(other)?;
    let mut known = Vec::with_capacity(part.len());
    for (v, t) in part.iter().zip(&trainees) {
        let of = |half| crate::stages::measure::probes::knowledge(c, &t.member.params, desk.label, &half);
        let half = v.watch.and_then(|half| Half::new(x, half, desk.seed));
        known.push(half.map(of).transpose().map_err(other)?.flatten());
    }
    let one =
        |((v, t), examples, (known, parameters)): ((&Variant, &Trainee<'_>), u64, (Option<f64>, u64))| {
            let budget = Budget { steps: t.done(), tokens: t.targets, examples, parameters };
            let seen = t.journal.readings().iter().filter(|m| m.metric == WATCHED_LOSS).map(|m| m.value);
            let least = seen.min_by(f64::total_cmp).map(|v| (WATCHED_LOSS, v, "nat"));
            let known = known.map(|v| (WATCHED_ACCURACY, v, "fraction"));
            Trial::new(&v.name, attacker::curve(desk.labels(), t.journal.readings()), budget)
                .with(least.into_iter().chain(known))
        };
    let examples = examples.iter().zip(&trainees).map(|(of, t)| of(t.done()));
    let all =
        part.iter().zip(&trainees).zip(examples.collect::<Vec<_>>()).zip(known.into_iter().zip(parameters));
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
