//! The examples of one side, with everything the reference model says about them: computed once, so that
//! no second model stays in memory.

use std::collections::BTreeMap;

use lobe_core::{FORGET, Key, RETAIN};
use lobe_data::Labels;
use lobe_engine::{Plan, Tape, View, ViewMut, gemm};
use lobe_methods::unlearn::{Reads, Side, Term};
use lobe_nets::TokenBatch;

use crate::error::LabError;
use crate::exec::{Context, Step, empty};

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
pub(super) struct Pool {
    /// Each example is a shard.
    pub batch: TokenBatch,
    /// By example.
    pub recalled: Vec<Recalled>,
    /// The reference's read-out: weight and bias.
    head: (Vec<f32>, Option<Vec<f32>>),
}

impl Pool {
    pub(super) fn new(
        c: &Context<'_>,
        reference: &[f32],
        side: Side,
        labels: &Labels,
        most: usize,
        key: Key,
        terms: &[Term],
    ) -> Result<Pool, LabError> {
        let x = c.experiment;
        let (Some(net), Step::Tokens(mut batch)) = (x.net.gpt(), empty(x, 1, 1, None)) else {
            return Err(LabError::other("unlearn: needs a language model"));
        };
        let known = labels.label.contains(&RETAIN);
        let fits = |i: &usize| match side {
            Side::Forget => labels.label[*i] == FORGET,
            Side::Retain if known => labels.label[*i] == RETAIN,
            Side::Retain => labels.label[*i] != FORGET,
        };
        let mut of: Vec<usize> = (0..labels.label.len()).filter(fits).collect();
        let name = if side == Side::Forget { "forget" } else { "retain" };
        key.child(name).rng().shuffle(&mut of);
        if most > 0 {
            of.truncate(most);
        }
        let used: Vec<&Term> = terms.iter().filter(|t| t.side == side).collect();
        if of.is_empty() && !used.is_empty() {
            return Err(LabError::other(format!("unlearn: no training data is labelled {name:?}")));
        }
        for i in &of {
            batch.push(x.data.train.row(*i), labels.label[*i], None);
        }
        let spec = net.head();
        let part = |p| reference[x.layout().get(p).span()].to_vec();
        let head = (part(spec.weight), spec.bias.map(part));
        let mut out = Pool { batch, recalled: vec![Recalled::default(); of.len()], head };
        let wanted: Vec<Reads> =
            used.iter().filter(|t| t.objective.needs_reference()).map(|t| t.objective.reads()).collect();
        if !wanted.is_empty() {
            out.recall(c, reference, &wanted)?;
        }
        Ok(out)
    }

    /// Runs the reference over all examples and keeps what the terms will ask for.
    fn recall(&mut self, c: &Context<'_>, reference: &[f32], wanted: &[Reads]) -> Result<(), LabError> {
        let x = c.experiment;
        let Some(net) = x.net.gpt() else { return Ok(()) };
        let bytes = 4 * net.config.width * wanted.len() * self.batch.len() * x.data.width();
        if bytes > MEMORY {
            let what = format!("the reference's hidden states need {} MiB; take fewer examples", bytes >> 20);
            return Err(LabError::other(format!("unlearn: {what}")));
        }
        let plan = Plan::plain(x.layout());
        let shards: Vec<usize> = (0..self.batch.shards()).collect();
        let batch = &self.batch;
        let all = c.runner.map(&shards, |ws, s| -> Result<Recalled, LabError> {
            let mut out = Recalled::default();
            let mut tape = Tape::new(ws, x.layout(), reference, None, &plan, batch.rows(*s));
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
    pub(super) fn logits(&self, net: &lobe_nets::Gpt, example: usize, rows: &[u32], out: &mut Vec<f32>) {
        let (d, vocab, spec) = (net.config.width, net.config.vocab, net.head());
        let h: Vec<f32> = rows
            .iter()
            .flat_map(|r| self.recalled[example].last[*r as usize * d..][..d].iter().copied())
            .collect();
        out.clear();
        match &self.head.1 {
            Some(b) => rows.iter().for_each(|_| out.extend_from_slice(b)),
            None => out.resize(rows.len() * vocab, 0.0),
        }
        let w = if spec.tied { View::new(&self.head.0, vocab, d).t() } else { View::new(&self.head.0, d, vocab) };
        gemm(ViewMut::new(out, rows.len(), vocab), spec.scale, View::new(&h, rows.len(), d), w, true);
    }
}
