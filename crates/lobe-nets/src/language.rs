//! Next-token prediction over a batch of token sequences.

use lobe_core::{LabelId, Selection};
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{EngineError, Program, RowLabels, ShardRows, SiteId, Tape, Var};

use crate::gpt::Gpt;

/// Sequences are trimmed to a multiple of this many positions: few enough distinct lengths for
/// buffers to be reused, short enough that padding costs little.
const TRIM: usize = 32;

/// Token sequences, ready for the engine: inputs, next-token targets, one label per sequence.
/// Fill it again and again; it does not allocate once warm.
#[derive(Debug, Clone, Default)]
pub struct TokenBatch {
    seq: usize,
    inputs: Vec<u32>,
    targets: Vec<u32>,
    lengths: Vec<usize>,
    labels: Vec<LabelId>,
    row_labels: Vec<LabelId>,
    strength: Option<Vec<f32>>,
    per_shard: usize,
    count: usize,
}

impl TokenBatch {
    /// An empty batch of sequences of `seq` positions, `per_shard` sequences to a shard.
    pub fn new(seq: usize, per_shard: usize) -> TokenBatch {
        TokenBatch { seq, per_shard: per_shard.max(1), ..TokenBatch::default() }
    }

    /// Forgets all sequences.
    pub fn clear(&mut self) {
        self.inputs.clear();
        self.targets.clear();
        self.lengths.clear();
        self.labels.clear();
        self.row_labels.clear();
        self.strength = None;
        self.count = 0;
    }

    /// Adds `tokens` `[seq + 1]`; a target equal to [`IGNORE`] does not count and is fed as token 0.
    /// `strength`, if given, has one number per target.
    ///
    /// # Panics
    /// If the length is not `seq + 1`.
    pub fn push(&mut self, tokens: &[u32], label: LabelId, strength: Option<&[f32]>) {
        assert_eq!(tokens.len(), self.seq + 1, "tokens per sequence");
        self.push_pair(&tokens[..self.seq], &tokens[1..], label, strength);
    }

    /// Adds `inputs` and `targets` `[seq]` each, for questions whose prompt is no target.
    ///
    /// # Panics
    /// If a length is not `seq`.
    pub fn push_pair(&mut self, inputs: &[u32], targets: &[u32], label: LabelId, strength: Option<&[f32]>) {
        assert!(inputs.len() == self.seq && targets.len() == self.seq, "tokens per sequence");
        let feed = |t: &u32| if *t == IGNORE { 0 } else { *t };
        self.inputs.extend(inputs.iter().map(feed));
        self.targets.extend_from_slice(targets);
        self.lengths.push(targets.iter().rposition(|t| *t != IGNORE).map_or(0, |i| i + 1));
        self.count += targets.iter().filter(|t| **t != IGNORE).count();
        let sequences = self.labels.len();
        self.labels.push(label);
        self.row_labels.extend(std::iter::repeat_n(label, self.seq));
        if strength.is_some() || self.strength.is_some() {
            let all = self.strength.get_or_insert_with(|| vec![1.0; sequences * self.seq]);
            match strength {
                Some(s) => all.extend_from_slice(s),
                None => all.extend(std::iter::repeat_n(1.0, self.seq)),
            }
        }
    }

    /// Number of sequences.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sequence.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of targets that count.
    pub fn targets(&self) -> usize {
        self.count
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.len().div_ceil(self.per_shard)
    }

    /// Sequences of a shard and the length they are trimmed to.
    fn shard(&self, shard: usize) -> (std::ops::Range<usize>, usize) {
        let range = shard * self.per_shard..((shard + 1) * self.per_shard).min(self.len());
        let longest = self.lengths[range.clone()].iter().copied().max().unwrap_or(0).max(1);
        let seq = longest.next_multiple_of(TRIM).min(self.seq);
        // Several sequences share one buffer, which only lines up at full length.
        (range.clone(), if range.len() == 1 { seq } else { self.seq })
    }

    /// `(inputs, targets, sequence length)` of a shard.
    pub fn tokens(&self, shard: usize) -> (&[u32], &[u32], usize) {
        let (range, seq) = self.shard(shard);
        let at = range.start * self.seq..(range.end - 1) * self.seq + seq;
        (&self.inputs[at.clone()], &self.targets[at], seq)
    }

    /// Routing facts of a shard.
    pub fn rows(&self, shard: usize) -> ShardRows<'_> {
        let (range, seq) = self.shard(shard);
        let rows = (range.len() - 1) * self.seq + seq;
        let at = range.start * self.seq..range.start * self.seq + rows;
        let first = self.labels[range.start];
        let labels = if self.labels[range].iter().all(|l| *l == first) {
            RowLabels::One(first)
        } else {
            RowLabels::Each(&self.row_labels[at.clone()])
        };
        ShardRows { rows, labels, strength: self.strength.as_ref().map(|s| &s[at]) }
    }

    /// Label of each row of a shard.
    pub fn row_label(&self, shard: usize, row: usize) -> LabelId {
        self.row_labels[shard * self.per_shard * self.seq + row]
    }
}

/// Mean over the batch's targets of cross-entropy times its label's weight. Records, per label slot, the
/// summed loss without that weight and the number of targets.
pub struct LanguageModelling<'a> {
    /// The network.
    pub net: &'a Gpt,
    /// The batch.
    pub batch: &'a TokenBatch,
    /// By label; 1 where it has no number.
    pub label_weight: &'a [f32],
}

impl<'a> LanguageModelling<'a> {
    /// Every target counts the same.
    pub fn new(net: &'a Gpt, batch: &'a TokenBatch) -> LanguageModelling<'a> {
        LanguageModelling { net, batch, label_weight: &[] }
    }
}

impl Program for LanguageModelling<'_> {
    fn shards(&self) -> usize {
        if self.batch.targets() == 0 { 0 } else { self.batch.shards() }
    }

    fn rows(&self, shard: usize) -> ShardRows<'_> {
        self.batch.rows(shard)
    }

    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let (inputs, targets, seq) = self.batch.tokens(shard);
        let h = self.net.hidden(tape, inputs, seq)?;
        let mean = 1.0 / self.batch.targets() as f32;
        let weight = |row: usize| {
            let label = self.batch.row_label(shard, row).index();
            mean * self.label_weight.get(label).unwrap_or(&1.0)
        };
        let stats = tape.cross_entropy(h, self.net.head(), targets, RowWeights::By(&weight))?;
        for (row, target) in targets.iter().enumerate() {
            if *target != IGNORE {
                let nll = f64::from(tape.value(stats)[2 * row]);
                tape.record(self.batch.row_label(shard, row).index(), nll, 1.0);
            }
        }
        Ok(None)
    }
}

/// [`LanguageModelling`] plus λ · Σ |a| / targets over units of some sites, per pair (units, λ), at the
/// positions that have a target: what fills a batch up is not penalised. The activation is what left the
/// site, so a route scales the penalty's gradient with the rest.
pub struct Penalised<'a> {
    /// The network, the batch and the main loss.
    pub base: LanguageModelling<'a>,
    /// The units and their λ.
    pub l1: &'a [(Selection, f32)],
}

impl Program for Penalised<'_> {
    fn shards(&self) -> usize {
        self.base.shards()
    }

    fn rows(&self, shard: usize) -> ShardRows<'_> {
        self.base.rows(shard)
    }

    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let out = self.base.forward(shard, tape)?;
        let mean = 1.0 / self.base.batch.targets() as f32;
        let (_, targets, _) = self.base.batch.tokens(shard);
        for (units, weight) in self.l1 {
            for (site, ranges) in units.sites() {
                let Some(at) = tape.at_site(SiteId(site)) else { continue };
                let width = tape.shape(at).1 / tape.layout().sites()[site].units as usize;
                for r in ranges {
                    let part = tape.columns(at, r.start as usize * width..r.end as usize * width)?;
                    let counts = |row: usize| if targets[row] == IGNORE { 0.0 } else { weight * mean };
                    tape.l1(part, RowWeights::By(&counts))?;
                }
            }
        }
        Ok(out)
    }
}
