//! The examples of one side, with everything the reference model says about them: computed once, so that
//! no second model stays in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use lobe_engine::{Plan, Runner, Tape, View, ViewMut, gemm};
use lobe_methods::unlearn::{Reads, Side, Term};
use lobe_nets::{Gpt, TokenBatch};

use crate::error::LabError;

/// Most bytes of hidden states that are kept.
const MEMORY: usize = 4 << 30;

/// What the reference says about one example.
#[derive(Debug, Clone, Default)]
pub(super) struct Recalled {
    /// Loss of each token.
    pub nll: Vec<f32>,
    /// Residual stream after a block, by block.
    pub hidden: BTreeMap<usize, Vec<f32>>,
    /// Final hidden states, from which logits are made again.
    pub last: Vec<f32>,
}

/// One side's examples.
pub struct Pool {
    /// Each example is a shard.
    pub(super) batch: TokenBatch,
    /// By example.
    pub(super) recalled: Vec<Recalled>,
    /// The reference's read-out: weight and bias.
    head: (Vec<f32>, Option<Vec<f32>>),
    /// Buffers of shards that are done, for the next ones.
    spare: Mutex<Vec<Vec<f32>>>,
}

impl Pool {
    /// The examples of `side`, one to a shard, and what the parameters `reference` say about them, as
    /// far as `terms` ask.
    ///
    /// # Errors
    /// If a shape does not fit, or what has to be kept is too large.
    pub fn new(
        net: &Gpt,
        runner: &Runner,
        reference: &[f32],
        side: Side,
        batch: TokenBatch,
        terms: &[Term],
    ) -> Result<Pool, LabError> {
        let used = terms.iter().filter(|t| t.side == side);
        let spec = net.head();
        let part = |p| reference[net.layout.get(p).span()].to_vec();
        let head = (part(spec.weight), spec.bias.map(part));
        let recalled = vec![Recalled::default(); batch.len()];
        let mut out = Pool { batch, recalled, head, spare: Mutex::default() };
        let wanted: Vec<Reads> =
            used.filter(|t| t.objective.needs_reference()).map(|t| t.objective.reads()).collect();
        if !wanted.is_empty() {
            out.recall(net, runner, reference, &wanted)?;
        }
        Ok(out)
    }

    /// Runs the reference over all examples and keeps what the terms will ask for.
    fn recall(
        &mut self,
        net: &Gpt,
        runner: &Runner,
        reference: &[f32],
        wanted: &[Reads],
    ) -> Result<(), LabError> {
        let shards: Vec<usize> = (0..self.batch.shards()).collect();
        let rows: usize = shards.iter().map(|s| self.batch.rows(*s).rows).sum();
        let bytes = 4 * net.config.width * wanted.len() * rows;
        if bytes > MEMORY {
            let what = format!("the reference's hidden states need {} MiB; take fewer examples", bytes >> 20);
            return Err(LabError::other(format!("unlearn: {what}")));
        }
        let plan = Plan::plain(&net.layout);
        let batch = &self.batch;
        let all = runner.map(&shards, |ws, s| -> Result<Recalled, LabError> {
            let mut out = Recalled::default();
            let mut tape = Tape::new(ws, &net.layout, reference, None, &plan, batch.rows(*s));
            let (inputs, targets, seq) = batch.tokens(*s);
            let h = net.hidden(&mut tape, inputs, seq)?;
            for reads in wanted {
                match reads {
                    Reads::Hidden { layer } => {
                        let site = net.residual_site(*layer).and_then(|s| tape.at_site(s));
                        let Some(v) = site else { return Err(LabError::other("unlearn: no such block")) };
                        out.hidden.insert(*layer, tape.value(v).to_vec());
                    }
                    Reads::Logits => out.last = tape.value(h).to_vec(),
                    Reads::TokenNll | Reads::MeanLoss => {
                        let v = tape.token_nll(h, net.head(), targets)?;
                        out.nll = tape.value(v).to_vec();
                    }
                }
            }
            Ok(out)
        });
        self.recalled = all.into_iter().collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The reference's logits `[rows, vocab]` for some rows of an example.
    pub(super) fn logits(&self, net: &Gpt, example: usize, rows: &[u32], out: &mut [f32]) {
        let (n, d, vocab, spec) = (rows.len(), net.config.width, net.config.vocab, net.head());
        let mut h = self.take(n * d);
        for (to, r) in h.chunks_exact_mut(d).zip(rows) {
            to.copy_from_slice(&self.recalled[example].last[*r as usize * d..][..d]);
        }
        let (weight, bias) = &self.head;
        if let Some(b) = bias {
            out.chunks_exact_mut(vocab).for_each(|z| z.copy_from_slice(b));
        }
        let w = if spec.tied { View::new(weight, vocab, d).t() } else { View::new(weight, d, vocab) };
        gemm(ViewMut::new(out, n, vocab), spec.scale, View::new(&h, n, d), w, bias.is_some());
        self.give(h);
    }

    /// `len` numbers, whatever they are, from the spare buffers.
    pub(super) fn take(&self, len: usize) -> Vec<f32> {
        let mut out = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        out.resize(len, 0.0);
        out
    }

    pub(super) fn give(&self, buffer: Vec<f32>) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).push(buffer);
    }
}
