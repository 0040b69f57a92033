//! What a step is shown: examples shard by shard, how much of each side that is, and what a reference model said
//! of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use lobe_engine::ops::head::HeadSpec;
use lobe_engine::{View as Matrix, ViewMut, gemm};
use lobe_nets::Batch;

use super::Side;

/// A reference model's read-out, from which its logits are made again.
#[derive(Debug, Clone)]
pub struct ReadOut {
    /// How it reads.
    pub spec: HeadSpec,
    /// Width of the hidden state and number of classes.
    pub size: (usize, usize),
    /// Its weight.
    pub weight: Vec<f32>,
    /// Its bias.
    pub bias: Option<Vec<f32>>,
}

/// What a reference model says about one example.
#[derive(Debug, Clone, Default)]
pub struct Recalled {
    /// Loss of each token.
    pub nll: Vec<f32>,
    /// Residual stream after a block, by block.
    pub hidden: BTreeMap<usize, Vec<f32>>,
    /// Final hidden states, from which logits are made again.
    pub last: Vec<f32>,
    /// The read-out for that.
    pub head: Option<Arc<ReadOut>>,
}

impl Recalled {
    /// The reference's logits `[rows, vocab]` for some rows of the example; `scratch` is overwritten.
    pub(super) fn logits(&self, rows: &[u32], out: &mut [f32], scratch: &mut Vec<f32>) {
        let Some(head) = &self.head else { return };
        let (n, (d, vocab)) = (rows.len(), head.size);
        scratch.clear();
        for r in rows {
            scratch.extend_from_slice(&self.last[*r as usize * d..][..d]);
        }
        if let Some(b) = &head.bias {
            out.chunks_exact_mut(vocab).for_each(|z| z.copy_from_slice(b));
        }
        let w = &head.weight;
        let w = if head.spec.tied { Matrix::new(w, vocab, d).t() } else { Matrix::new(w, d, vocab) };
        gemm(
            ViewMut::new(out, n, vocab),
            head.spec.scale,
            Matrix::new(scratch, n, d),
            w,
            head.bias.is_some(),
        );
    }
}

/// How much of a side a step shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts<'a> {
    /// Rows that count.
    pub rows: usize,
    /// The same by label; may be empty where no objective asks.
    pub by_label: &'a [usize],
    /// Examples.
    pub sequences: usize,
}

/// A shard of a step's examples.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The batch it lies in.
    pub batch: &'a Batch,
    /// Its number there.
    pub shard: usize,
    /// The side it belongs to.
    pub side: Side,
    /// What the reference says about it, if anybody asked.
    pub recalled: Option<&'a Recalled>,
}

/// The examples of a step.
pub trait Examples: Sync {
    /// Number of shards.
    fn shards(&self) -> usize;
    /// One of them.
    fn part(&self, shard: usize) -> Part<'_>;
    /// How much of a side there is.
    fn counts(&self, side: Side) -> Counts<'_>;
    /// Share of the steps that is done, from 0 to 1.
    fn progress(&self) -> f64 {
        0.0
    }
}

impl<E: Examples + ?Sized> Examples for &E {
    fn shards(&self) -> usize {
        (**self).shards()
    }
    fn part(&self, shard: usize) -> Part<'_> {
        (**self).part(shard)
    }
    fn counts(&self, side: Side) -> Counts<'_> {
        (**self).counts(side)
    }
    fn progress(&self) -> f64 {
        (**self).progress()
    }
}

impl<E: Examples + ?Sized> Examples for Box<E> {
    fn shards(&self) -> usize {
        (**self).shards()
    }
    fn part(&self, shard: usize) -> Part<'_> {
        (**self).part(shard)
    }
    fn counts(&self, side: Side) -> Counts<'_> {
        (**self).counts(side)
    }
    fn progress(&self) -> f64 {
        (**self).progress()
    }
}

/// All examples of one batch.
pub struct Whole<'a> {
    batch: &'a Batch,
    by_label: Vec<usize>,
}

impl<'a> Whole<'a> {
    /// The examples of `batch`, of `labels` different labels.
    pub fn new(batch: &'a Batch, labels: usize) -> Whole<'a> {
        let mut by_label = vec![0; labels];
        batch.count_labels(&mut by_label);
        Whole { batch, by_label }
    }
}

impl Examples for Whole<'_> {
    fn shards(&self) -> usize {
        if self.batch.targets() == 0 { 0 } else { self.batch.shards() }
    }
    fn part(&self, shard: usize) -> Part<'_> {
        Part { batch: self.batch, shard, side: Side::All, recalled: None }
    }
    fn counts(&self, _: Side) -> Counts<'_> {
        Counts { rows: self.batch.targets(), by_label: &self.by_label, sequences: self.batch.len() }
    }
}

/// One shard of a batch, as a step of its own.
pub struct Single<'a> {
    batch: &'a Batch,
    shard: usize,
}

impl<'a> Single<'a> {
    /// Shard `shard` of `batch`.
    pub fn new(batch: &'a Batch, shard: usize) -> Single<'a> {
        Single { batch, shard }
    }
}

impl Examples for Single<'_> {
    fn shards(&self) -> usize {
        1
    }
    fn part(&self, _: usize) -> Part<'_> {
        Part { batch: self.batch, shard: self.shard, side: Side::All, recalled: None }
    }
    fn counts(&self, _: Side) -> Counts<'_> {
        let rows = self.batch.counted(self.shard).count();
        Counts { rows, by_label: &[], sequences: self.batch.examples(self.shard).len() }
    }
}
