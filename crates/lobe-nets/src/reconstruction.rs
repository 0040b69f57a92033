//! Reconstruction of images by an autoencoder, with penalties on the code.

use std::ops::Range;

use lobe_core::LabelId;
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::RowWeights;
use lobe_engine::ops::penalty::correlation;
use lobe_engine::{Coupling, EngineError, Program, RowLabels, ShardRows, Tape, Var};

use crate::autoencoder::Autoencoder;

/// Images of one step, each with a label.
#[derive(Debug, Clone, Default)]
pub struct ImageBatch {
    dim: usize,
    pixels: Vec<f32>,
    labels: Vec<LabelId>,
    per_shard: usize,
}

impl ImageBatch {
    /// An empty batch of images of `dim` numbers, `per_shard` to a shard.
    pub fn new(dim: usize, per_shard: usize) -> ImageBatch {
        ImageBatch { dim, per_shard: per_shard.max(1), ..ImageBatch::default() }
    }
    /// Forgets all images.
    pub fn clear(&mut self) {
        self.pixels.clear();
        self.labels.clear();
    }
    /// Adds an image.
    ///
    /// # Panics
    /// If the length is not `dim`.
    pub fn push(&mut self, pixels: &[f32], label: LabelId) {
        assert_eq!(pixels.len(), self.dim, "numbers per image");
        self.pixels.extend_from_slice(pixels);
        self.labels.push(label);
    }
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }
    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.len().div_ceil(self.per_shard)
    }
    /// Images of a shard.
    pub fn range(&self, shard: usize) -> Range<usize> {
        shard * self.per_shard..((shard + 1) * self.per_shard).min(self.len())
    }
    /// Label of an image.
    pub fn label(&self, image: usize) -> LabelId {
        self.labels[image]
    }
    /// Pixels of a shard, row-major.
    pub fn pixels(&self, shard: usize) -> &[f32] {
        let r = self.range(shard);
        &self.pixels[r.start * self.dim..r.end * self.dim]
    }
    /// Routing facts of a shard.
    pub fn rows(&self, shard: usize) -> ShardRows<'_> {
        let r = self.range(shard);
        let first = self.labels[r.start];
        let uniform = self.labels[r.clone()].iter().all(|l| *l == first);
        let labels = if uniform { RowLabels::One(first) } else { RowLabels::Each(&self.labels[r.clone()]) };
        ShardRows { rows: r.len(), labels, strength: None }
    }
}

/// Terms on the code `[rows, latent]`, before any route.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Penalties {
    /// λ Σ_k mean_i |z_ik| over each latent range.
    pub l1: Vec<(Range<usize>, f32)>,
    /// γ mean |correlation| between two latent ranges over the whole batch.
    pub correlation: Option<(Range<usize>, Range<usize>, f32)>,
}

/// The objective of the split autoencoder (Cloud et al. 2024, appendix B): mean distance of the
/// first decoder plus that of every other, plus penalties. Records, per label slot `l` and decoder
/// `d`, the mean squared error (slot `2 (d labels + l)`) and the mean absolute error (the next).
pub struct Reconstruction<'a> {
    /// The network.
    pub net: &'a Autoencoder,
    /// The batch.
    pub batch: &'a ImageBatch,
    /// What is minimised.
    pub distance: Distance,
    /// Weight of the main decoder's loss per label.
    pub label_weight: &'a [f32],
    /// Whether the main loss is the sum of the labels' means instead of the mean over all rows.
    pub sum_of_means: bool,
    /// Terms on the code.
    pub penalties: &'a Penalties,
    coupling: Option<Box<Coupling<'a>>>,
    counts: Vec<usize>,
}

impl<'a> Reconstruction<'a> {
    /// Joins a network, a batch and an objective.
    pub fn new(
        net: &'a Autoencoder,
        batch: &'a ImageBatch,
        distance: Distance,
        label_weight: &'a [f32],
        sum_of_means: bool,
        penalties: &'a Penalties,
    ) -> Reconstruction<'a> {
        let mut counts = vec![0; label_weight.len()];
        batch.labels.iter().for_each(|l| counts[l.index()] += 1);
        let coupling = penalties.correlation.as_ref().map(|(a, b, gamma)| {
            let f = move |z: &[f32], cols: usize, grad: &mut [f32]| {
                let mean = correlation(z, cols, a.clone(), b.clone(), *gamma, grad);
                mean.map(|mean| f64::from(*gamma) * mean)
            };
            Box::new(f) as Box<Coupling<'a>>
        });
        Reconstruction { net, batch, distance, label_weight, sum_of_means, penalties, coupling, counts }
    }
}

impl Program for Reconstruction<'_> {
    fn shards(&self) -> usize {
        self.batch.shards()
    }

    fn rows(&self, shard: usize) -> ShardRows<'_> {
        self.batch.rows(shard)
    }

    fn coupling(&self) -> Option<&Coupling<'_>> {
        self.coupling.as_deref()
    }

    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let range = self.batch.range(shard);
        let (rows, dim, total) = (range.len(), self.batch.dim, self.batch.len() as f32);
        let pixels = self.batch.pixels(shard);
        let x = tape.input(rows, dim, |buf| buf.copy_from_slice(pixels));
        let out = self.net.forward(tape, x)?;
        let labels = &self.batch.labels[range];
        let main = |row: usize| {
            let l = labels[row].index();
            let n = if self.sum_of_means { self.counts[l] as f32 } else { total };
            self.label_weight[l] / (n * dim as f32)
        };
        let kinds = self.label_weight.len();
        for (d, y) in out.outputs.iter().enumerate() {
            let even = 1.0 / (total * dim as f32);
            let weights = if d == 0 { RowWeights::By(&main) } else { RowWeights::One(even) };
            let stats = tape.distance(*y, pixels, self.distance, weights)?;
            for (row, label) in labels.iter().enumerate() {
                for k in 0..2 {
                    let value = f64::from(tape.value(stats)[2 * row + k]) / dim as f64;
                    tape.record(2 * (d * kinds + label.index()) + k, value, 1.0);
                }
            }
        }
        for (part, weight) in &self.penalties.l1 {
            let z = tape.columns(out.code, part.clone())?;
            tape.l1(z, RowWeights::One(weight / total))?;
        }
        Ok(self.coupling.is_some().then_some(out.code))
    }
}
