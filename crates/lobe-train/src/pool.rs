//! The examples of one side, with everything the reference model says about them: computed once, so that
//! no second model stays in memory.

use std::sync::Arc;

use lobe_core::Key;
use lobe_engine::{EngineError, Layout, ParamId, Plan, Runner};
use lobe_methods::Unlearn;
use lobe_methods::objective::{Counts, Examples, Part, ReadOut, Reads, Recalled, Side, Term};
use lobe_methods::unlearn::{Moves, Shape};
use lobe_nets::{Batch, Network};

use crate::error::TrainError;
use crate::forward::Forward;
use crate::trainer::{At, Source};

/// Most bytes of hidden states that are kept.
const MEMORY: usize = 4 << 30;

/// One side's examples.
pub struct Pool {
    /// Each example is a shard.
    batch: Batch,
    /// By example.
    recalled: Vec<Recalled>,
}

impl Pool {
    /// The examples of `side`, one to a shard, and what the parameters `reference` say about them, as
    /// far as `terms` ask.
    ///
    /// # Errors
    /// If a shape does not fit, or what has to be kept is too large.
    pub fn new(
        (net, reference): (&dyn Network, &[f32]),
        runner: &Runner,
        side: Side,
        batch: Batch,
        terms: &[Term],
    ) -> Result<Pool, TrainError> {
        let used = terms.iter().filter(|t| t.side == side && t.objective.needs_reference());
        let wanted: Vec<Reads> = used.map(|t| t.objective.reads()).collect();
        let recalled = if wanted.is_empty() {
            vec![Recalled::default(); batch.len()]
        } else {
            recall(net, runner, reference, &batch, &wanted)?
        };
        Ok(Pool { batch, recalled })
    }
}

/// Runs the reference over all examples and keeps what the terms will ask for.
fn recall(
    net: &dyn Network,
    runner: &Runner,
    reference: &[f32],
    batch: &Batch,
    wanted: &[Reads],
) -> Result<Vec<Recalled>, TrainError> {
    let rows: usize = (0..batch.shards()).map(|s| batch.rows(s).rows).sum();
    let bytes = 4 * net.width_at(net.blocks()) * wanted.len() * rows;
    if bytes > MEMORY {
        let what = format!("the reference's hidden states need {} MiB; take fewer examples", bytes >> 20);
        return Err(TrainError::Refused(format!("unlearn: {what}")));
    }
    let Some((vocab, spec)) = net.language() else {
        return Err(TrainError::Refused("unlearn: needs a language model".into()));
    };
    let part = |p| reference[net.layout().get(p).span()].to_vec();
    let size = (net.width_at(net.blocks()), vocab);
    let head = Arc::new(ReadOut { spec, size, weight: part(spec.weight), bias: spec.bias.map(part) });
    Forward::new(net, runner, reference).each_shard(batch, |tape, ran, s| -> Result<Recalled, TrainError> {
        let mut out = Recalled { head: Some(head.clone()), ..Recalled::default() };
        for reads in wanted {
            match reads {
                Reads::Hidden { layer } => {
                    let site = net.after_block(*layer).and_then(|s| tape.at_site(s));
                    let none = || TrainError::Refused("unlearn: no such block".into());
                    out.hidden.insert(*layer, tape.value(site.ok_or_else(none)?).to_vec());
                }
                Reads::Logits => out.last = tape.value(ran.end(0)?).to_vec(),
                Reads::TokenNll | Reads::MeanLoss => {
                    let v = tape.token_nll(ran.end(0)?, spec, batch.text(s).1)?;
                    out.nll = tape.value(v).to_vec();
                }
                Reads::Distance { .. } | Reads::Site { .. } => {
                    return Err(
                        EngineError::Invalid("nothing is kept of what such a term reads".into()).into()
                    );
                }
            }
        }
        Ok(out)
    })
}

/// Examples drawn from two pools: so many of each side that has a term, by the step alone.
pub struct Drawn {
    pools: Arc<[Pool; 2]>,
    /// The sides that have a term.
    sides: Vec<Side>,
    batch: usize,
    steps: u64,
    key: Key,
    step: Drawing,
}

/// What was drawn for a step.
#[derive(Clone)]
struct Drawing {
    pools: Arc<[Pool; 2]>,
    /// (side, example) of each shard.
    shards: Vec<(Side, usize)>,
    rows: [usize; 2],
    sequences: [usize; 2],
    progress: f64,
}

fn index(side: Side) -> usize {
    usize::from(side == Side::Retain)
}

impl Drawn {
    /// `batch` examples of each side a step, for `steps` steps; `pools` are those of forget and retain.
    pub fn new(pools: [Pool; 2], terms: &[Term], (batch, steps): (usize, u64), key: Key) -> Drawn {
        let pools = Arc::new(pools);
        let has = |side: &Side| terms.iter().any(|t| t.side == *side);
        let sides = [Side::Forget, Side::Retain].into_iter().filter(has).collect();
        let (rows, sequences) = ([0; 2], [0; 2]);
        let step = Drawing { pools: pools.clone(), shards: Vec::new(), rows, sequences, progress: 0.0 };
        Drawn { pools, sides, batch, steps, key, step }
    }

    /// Draws the examples of a step; returns the number of targets.
    pub fn draw(&mut self, step: u64) -> usize {
        let out = &mut self.step;
        out.shards.clear();
        (out.rows, out.sequences) = ([0; 2], [0; 2]);
        out.progress = step as f64 / self.steps.max(1) as f64;
        for side in &self.sides {
            let (i, pool) = (index(*side), &self.pools[index(*side)]);
            let mut rng = self.key.child(if i == 0 { "forget" } else { "retain" }).index(step).rng();
            for _ in 0..self.batch {
                let example = rng.below(pool.batch.len());
                out.shards.push((*side, example));
                out.rows[i] += pool.batch.counted(example).count();
                out.sequences[i] += 1;
            }
        }
        out.rows[0] + out.rows[1]
    }
}

impl Source for Drawn {
    fn load(&mut self, at: At<'_>) -> Result<usize, TrainError> {
        Ok(self.draw(at.step))
    }

    fn examples(&self) -> Box<dyn Examples + '_> {
        Box::new(&self.step)
    }
}

impl Examples for Drawing {
    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn part(&self, shard: usize) -> Part<'_> {
        let (side, example) = self.shards[shard];
        let pool = &self.pools[index(side)];
        Part { batch: &pool.batch, shard: example, side, recalled: pool.recalled.get(example) }
    }

    fn counts(&self, side: Side) -> Counts<'_> {
        let i = index(side);
        Counts { rows: self.rows[i], by_label: &[], sequences: self.sequences[i] }
    }

    fn progress(&self) -> f64 {
        self.progress
    }
}

/// What a method may know about a network; nothing of one that is no language model.
pub fn shape(net: &dyn Network) -> Option<Shape> {
    let (vocab, _) = net.language()?;
    Some(Shape { layers: net.blocks(), width: net.width_at(0), vocab })
}

/// What may move: the method's choice, and nothing that no term reaches.
pub fn plan(net: &dyn Network, method: &dyn Unlearn, terms: &[Term]) -> Plan {
    let layout = net.layout();
    let Some(shape) = shape(net) else { return net.plain() };
    let deepest = terms.iter().map(|t| depth(&t.objective.reads(), shape.layers)).max().unwrap_or(0);
    let moves = method.moves(shape);
    net.plain().train_only(|p| match &moves {
        Moves::All => reached(layout, p, deepest, shape.layers),
        Moves::MlpOut(blocks) => {
            let name = &layout.get(p).name;
            blocks.clone().any(|b| {
                let of = name.strip_prefix(&format!("blocks.{b}.mlp.out."));
                of.is_some_and(|rest| matches!(rest, "weight" | "bias"))
            })
        }
    })
}

/// How many blocks a term needs; one more than there are for the read-out.
fn depth(reads: &Reads, layers: usize) -> usize {
    match reads {
        Reads::Hidden { layer } => layer + 1,
        _ => layers + 1,
    }
}

/// Whether a gradient from `deepest` blocks up reaches a tensor.
fn reached(layout: &Layout, p: ParamId, deepest: usize, layers: usize) -> bool {
    let name = &layout.get(p).name;
    let block = name.strip_prefix("blocks.").and_then(|n| n.split('.').next()?.parse::<usize>().ok());
    match block {
        Some(b) => b < deepest,
        None => name.starts_with("embed") || deepest > layers,
    }
}
