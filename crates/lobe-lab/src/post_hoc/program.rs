//! One step's examples under a method's terms, as a program of the engine.

use lobe_core::Key;
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{EngineError, Program, ShardRows, SiteId, Tape, Var, rows};
use lobe_methods::unlearn::{Reads, Side, Term, View};
use lobe_nets::Gpt;

use super::depth;
use super::pool::Pool;

/// The examples of a step and what is minimised on them.
pub struct Terms<'a> {
    net: &'a Gpt,
    pools: &'a [Pool; 2],
    minimised: &'a [Term],
    /// (side, example) of each shard.
    shards: Vec<(Side, usize)>,
    rows: [usize; 2],
    sequences: [usize; 2],
    progress: f64,
    /// Rows that are added at a site, by shard (an adversary's perturbation); shards beyond have none.
    pub(super) added: Option<(SiteId, Vec<Vec<f32>>)>,
}

fn index(side: Side) -> usize {
    match side {
        Side::Forget => 0,
        Side::Retain => 1,
    }
}

impl<'a> Terms<'a> {
    /// `batch` examples of each side that has a term. Both draws depend on the step alone.
    pub fn new(
        net: &'a Gpt,
        pools: &'a [Pool; 2],
        terms: &'a [Term],
        batch: usize,
        step: u64,
        steps: u64,
        key: Key,
    ) -> Terms<'a> {
        let mut out = Terms {
            net,
            pools,
            minimised: terms,
            shards: Vec::new(),
            rows: [0; 2],
            sequences: [0; 2],
            progress: step as f64 / steps.max(1) as f64,
            added: None,
        };
        for side in [Side::Forget, Side::Retain] {
            let (i, pool) = (index(side), &pools[index(side)]);
            if !terms.iter().any(|t| t.side == side) {
                continue;
            }
            let mut rng = key.child(if i == 0 { "forget" } else { "retain" }).index(step).rng();
            for _ in 0..batch {
                let example = rng.below(pool.batch.len());
                out.shards.push((side, example));
                out.rows[i] += pool.batch.tokens(example).1.iter().filter(|t| **t != IGNORE).count();
                out.sequences[i] += 1;
            }
        }
        out
    }

    /// Counted targets.
    pub fn targets(&self) -> usize {
        self.rows[0] + self.rows[1]
    }

    /// The same step with the examples of one side only.
    pub(super) fn only(&self, side: Side) -> Terms<'a> {
        let shards = self.shards.iter().filter(|(s, _)| *s == side).copied().collect();
        let kept = |counts: [usize; 2]| {
            let mut out = [0; 2];
            out[index(side)] = counts[index(side)];
            out
        };
        Terms { shards, added: None, rows: kept(self.rows), sequences: kept(self.sequences), ..*self }
    }

    /// The examples of a shard: inputs, targets, length.
    pub(super) fn tokens(&self, shard: usize) -> (&'a [u32], &'a [u32], usize) {
        let (side, example) = self.shards[shard];
        self.pools[index(side)].batch.tokens(example)
    }

    /// What an objective sees of a shard.
    fn view<'v>(&'v self, shard: usize, values: &'v [f32], reference: &'v [f32], cols: usize) -> View<'v> {
        let i = index(self.shards[shard].0);
        let (_, targets, seq) = self.tokens(shard);
        let (rows, sequences) = (self.rows[i], self.sequences[i]);
        View { values, reference, cols, targets, seq, rows, sequences, progress: self.progress }
    }

    fn one(&self, shard: usize, tape: &mut Tape<'_>) -> Result<(), EngineError> {
        let (side, example) = self.shards[shard];
        let pool = &self.pools[index(side)];
        let (inputs, targets, seq) = pool.batch.tokens(example);
        let mine = || self.minimised.iter().filter(|t| t.side == side);
        let layers = self.net.config.layers;
        let deepest = mine().map(|t| depth(&t.objective.reads(), layers)).max().unwrap_or(0);
        // Nothing above the deepest term is computed.
        let h = if deepest > layers {
            self.net.hidden(tape, inputs, seq)?
        } else {
            self.net.residual(tape, inputs, seq, deepest)?
        };
        let recalled = &pool.recalled[example];
        for t in mine() {
            let o = &*t.objective;
            let scaled = |g: &mut [f32]| g.iter_mut().for_each(|g| *g *= t.weight);
            match o.reads() {
                Reads::MeanLoss => {
                    let (mut zeros, mut g) = (pool.take(targets.len()), pool.take(targets.len()));
                    zeros.fill(0.0);
                    g.fill(0.0);
                    o.value(&self.view(shard, &zeros, &recalled.nll, 1), &mut g);
                    scaled(&mut g);
                    tape.cross_entropy(h, self.net.head(), targets, RowWeights::Each(&g))?;
                    pool.give(zeros);
                    pool.give(g);
                }
                Reads::TokenNll => {
                    let v = tape.token_nll(h, self.net.head(), targets)?;
                    seed(tape, v, t, pool, &|values, g| {
                        o.value(&self.view(shard, values, &recalled.nll, 1), g)
                    })?;
                }
                Reads::Hidden { layer } => {
                    let site = self.net.residual_site(layer).and_then(|s| tape.at_site(s));
                    let Some(v) = site else {
                        return Err(EngineError::Invalid(format!("no residual stream after block {layer}")));
                    };
                    let reference = recalled.hidden.get(&layer).map_or(&[][..], |h| h);
                    let cols = self.net.config.width;
                    seed(tape, v, t, pool, &|values, g| {
                        o.value(&self.view(shard, values, reference, cols), g)
                    })?;
                }
                Reads::Logits => {
                    let vocab = self.net.config.vocab;
                    let active = |r: usize| targets[r] != IGNORE;
                    tape.logit_objective(h, self.net.head(), &active, &mut |rows, z| {
                        let mut reference = pool.take(if o.needs_reference() { z.len() } else { 0 });
                        if !reference.is_empty() {
                            pool.logits(self.net, example, rows, &mut reference);
                        }
                        let of: Vec<u32> = rows.iter().map(|r| targets[*r as usize]).collect();
                        let mut g = pool.take(z.len());
                        g.fill(0.0);
                        let part = View { targets: &of, seq: 1, ..self.view(shard, z, &reference, vocab) };
                        let value = o.value(&part, &mut g);
                        rows::scaled(z, &g, t.weight);
                        pool.give(reference);
                        pool.give(g);
                        f64::from(t.weight) * value
                    })?;
                }
            }
        }
        Ok(())
    }
}

/// Adds an objective on a variable: its value, and its derivative as the variable's gradient.
fn seed(
    tape: &mut Tape<'_>,
    v: Var,
    term: &Term,
    pool: &Pool,
    f: &dyn Fn(&[f32], &mut [f32]) -> f64,
) -> Result<(), EngineError> {
    let mut g = pool.take(tape.value(v).len());
    g.fill(0.0);
    let value = f(tape.value(v), &mut g);
    for g in &mut g {
        *g *= term.weight;
    }
    tape.add_objective(f64::from(term.weight) * value);
    let seeded = tape.seed_grad(v, &g);
    pool.give(g);
    seeded
}

impl Program for Terms<'_> {
    fn shards(&self) -> usize {
        self.shards.len()
    }

    fn rows(&self, shard: usize) -> ShardRows<'_> {
        let (side, example) = self.shards[shard];
        self.pools[index(side)].batch.rows(example)
    }

    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        if let Some((site, rows)) = &self.added
            && let Some(delta) = rows.get(shard)
        {
            tape.inject(*site, delta);
        }
        self.one(shard, tape)?;
        Ok(None)
    }
}
