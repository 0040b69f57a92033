//! What a step or an evaluation runs over: an input column, target columns, one label per row.

use lobe_core::LabelId;
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{EngineError, RowLabels, ShardRows, Tape, Var};

/// Sequences are trimmed to a multiple of this many positions: few enough distinct lengths for
/// buffers to be reused, short enough that padding costs little.
const TRIM: usize = 32;

/// The input column, as a target: what an autoencoder reconstructs.
pub const INPUT: &str = "input";
/// The next token of every position.
pub const NEXT: &str = "next";
/// Numbers that are to come out: the input's own where a batch asks for no others.
pub const WANTED: &str = "wanted";

/// A column of a batch, or the part of it that belongs to a shard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Column<'a> {
    /// One id per row; [`IGNORE`] where nothing is asked.
    Ids(&'a [u32]),
    /// `[rows, width]`, row-major.
    Numbers {
        /// Numbers per row.
        width: usize,
        /// The numbers.
        values: &'a [f32],
    },
}

/// The input of a shard.
#[derive(Debug, Clone, Copy)]
pub enum Fed<'a> {
    /// Sequences of `seq` tokens laid end to end.
    Tokens {
        /// The ids.
        ids: &'a [u32],
        /// Tokens per sequence.
        seq: usize,
    },
    /// Rows of numbers, `[rows, width]`.
    Rows {
        /// Numbers per row.
        width: usize,
        /// The numbers.
        values: &'a [f32],
        /// The noise of each row, side by side; empty where there is none.
        noise: &'a [f32],
    },
    /// Rows that are on the tape already.
    Ready(Var),
}

impl Fed<'_> {
    /// The rows as a variable; `None` for tokens.
    pub fn rows(self, tape: &mut Tape<'_>) -> Option<Var> {
        match self {
            Fed::Tokens { .. } => None,
            Fed::Ready(x) => Some(x),
            Fed::Rows { width, values, .. } => {
                Some(tape.input(values.len() / width.max(1), width, |buf| buf.copy_from_slice(values)))
            }
        }
    }

    /// The noise as a variable, `width` numbers per row; `None` where there is none.
    ///
    /// # Errors
    /// If there are other numbers of it.
    pub fn noise(self, tape: &mut Tape<'_>, width: usize) -> Result<Option<Var>, EngineError> {
        let Fed::Rows { width: columns, values, noise } = self else { return Ok(None) };
        let rows = values.len() / columns.max(1);
        if noise.is_empty() {
            return Ok(None);
        }
        if noise.len() != rows * width {
            let what = format!("{} numbers of noise for {rows} rows of {width}", noise.len());
            return Err(EngineError::Invalid(what));
        }
        Ok(Some(tape.input(rows, width, |buf| buf.copy_from_slice(noise))))
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Tokens { seq: usize, inputs: Vec<u32>, next: Vec<u32> },
    Rows { width: usize, values: Vec<f32>, wanted_width: usize, wanted: Vec<f32>, noise: Vec<f32> },
}

/// Examples ready for the engine. Fill it again and again; it does not allocate once warm.
#[derive(Debug, Clone)]
pub struct Batch {
    content: Content,
    /// Rows of each example up to the last that counts.
    lengths: Vec<usize>,
    labels: Vec<LabelId>,
    row_labels: Vec<LabelId>,
    strength: Option<Vec<f32>>,
    per_shard: usize,
    count: usize,
}

impl Batch {
    fn new(content: Content, per_shard: usize) -> Batch {
        let (lengths, labels, row_labels) = (Vec::new(), Vec::new(), Vec::new());
        Batch { content, lengths, labels, row_labels, strength: None, per_shard: per_shard.max(1), count: 0 }
    }

    /// An empty batch of sequences of `seq` tokens, `per_shard` sequences to a shard.
    pub fn tokens(seq: usize, per_shard: usize) -> Batch {
        Batch::new(Content::Tokens { seq, inputs: Vec::new(), next: Vec::new() }, per_shard)
    }

    /// An empty batch of rows of `width` numbers, `per_shard` to a shard, with `wanted` numbers each that are
    /// to come out (0: none).
    pub fn rows_of(width: usize, wanted: usize, per_shard: usize) -> Batch {
        let (values, targets, noise) = (Vec::new(), Vec::new(), Vec::new());
        Batch::new(Content::Rows { width, values, wanted_width: wanted, wanted: targets, noise }, per_shard)
    }

    /// Forgets all examples.
    pub fn clear(&mut self) {
        match &mut self.content {
            Content::Tokens { inputs, next, .. } => {
                inputs.clear();
                next.clear();
            }
            Content::Rows { values, wanted, noise, .. } => {
                values.clear();
                wanted.clear();
                noise.clear();
            }
        }
        self.lengths.clear();
        self.labels.clear();
        self.row_labels.clear();
        self.strength = None;
        self.count = 0;
    }

    /// Rows per example.
    fn span(&self) -> usize {
        match self.content {
            Content::Tokens { seq, .. } => seq,
            Content::Rows { .. } => 1,
        }
    }

    /// Adds `tokens` `[seq + 1]`; a target equal to [`IGNORE`] does not count and is fed as token 0.
    /// `strength`, if given, has one number per target.
    ///
    /// # Panics
    /// If the batch holds no tokens or the length is not `seq + 1`.
    pub fn push(&mut self, tokens: &[u32], label: LabelId, strength: Option<&[f32]>) {
        assert_eq!(tokens.len(), self.span() + 1, "tokens per sequence");
        self.push_pair(&tokens[..tokens.len() - 1], &tokens[1..], label, strength);
    }

    /// Adds inputs and targets `[seq]` each, for questions whose prompt is no target.
    ///
    /// # Panics
    /// If the batch holds no tokens or a length is not `seq`.
    pub fn push_pair(&mut self, input: &[u32], target: &[u32], label: LabelId, strength: Option<&[f32]>) {
        let Content::Tokens { seq, inputs, next } = &mut self.content else {
            panic!("a batch of rows holds no tokens")
        };
        let seq = *seq;
        assert!(input.len() == seq && target.len() == seq, "tokens per sequence");
        let feed = |t: &u32| if *t == IGNORE { 0 } else { *t };
        inputs.extend(input.iter().map(feed));
        next.extend_from_slice(target);
        self.lengths.push(target.iter().rposition(|t| *t != IGNORE).map_or(0, |i| i + 1));
        self.count += target.iter().filter(|t| **t != IGNORE).count();
        let sequences = self.labels.len();
        self.labels.push(label);
        self.row_labels.extend(std::iter::repeat_n(label, seq));
        if strength.is_some() || self.strength.is_some() {
            let all = self.strength.get_or_insert_with(|| vec![1.0; sequences * seq]);
            match strength {
                Some(s) => all.extend_from_slice(s),
                None => all.extend(std::iter::repeat_n(1.0, seq)),
            }
        }
    }

    /// Adds a row, and what is to come out where the batch asks for that.
    ///
    /// # Panics
    /// If the batch holds tokens or a length is wrong.
    pub fn push_row(&mut self, row: &[f32], out: &[f32], label: LabelId) {
        let Content::Rows { width, values, wanted_width, wanted, .. } = &mut self.content else {
            panic!("a batch of tokens holds no rows")
        };
        assert!(row.len() == *width && out.len() == *wanted_width, "numbers per row");
        values.extend_from_slice(row);
        wanted.extend_from_slice(out);
        self.row_pushed(label);
    }

    /// Adds a row that `draw` writes over zeros: its numbers, and what is to come out.
    ///
    /// # Panics
    /// If the batch holds tokens.
    pub fn push_drawn(&mut self, label: LabelId, draw: impl FnOnce(&mut [f32], &mut [f32])) {
        let Content::Rows { width, values, wanted_width, wanted, .. } = &mut self.content else {
            panic!("a batch of tokens holds no rows")
        };
        let (row, out) = (values.len(), wanted.len());
        values.resize(row + *width, 0.0);
        wanted.resize(out + *wanted_width, 0.0);
        draw(&mut values[row..], &mut wanted[out..]);
        self.row_pushed(label);
    }

    fn row_pushed(&mut self, label: LabelId) {
        self.lengths.push(1);
        self.labels.push(label);
        self.row_labels.push(label);
        self.count += 1;
    }

    /// Gives the row last added its noise. Every row of a batch has as much of it, or none has any.
    ///
    /// # Panics
    /// If the batch holds tokens, or the rows before have other numbers of it.
    pub fn push_noise(&mut self, of_row: &[f32]) {
        let rows = self.labels.len();
        let Content::Rows { noise, .. } = &mut self.content else { panic!("a batch of tokens has no noise") };
        noise.extend_from_slice(of_row);
        assert!(noise.len() == rows * of_row.len(), "numbers of noise per row");
    }

    /// Number of examples: sequences or rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no example.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of rows that count: tokens to predict, or rows.
    pub fn targets(&self) -> usize {
        self.count
    }

    /// Number of shards.
    pub fn shards(&self) -> usize {
        self.len().div_ceil(self.per_shard)
    }

    /// Examples of a shard.
    pub fn examples(&self, shard: usize) -> std::ops::Range<usize> {
        shard * self.per_shard..((shard + 1) * self.per_shard).min(self.len())
    }

    /// The rows of a shard, counted over the whole batch, and the rows of each of its examples.
    fn span_of(&self, shard: usize) -> (std::ops::Range<usize>, usize) {
        let (examples, span) = (self.examples(shard), self.span());
        let longest = self.lengths[examples.clone()].iter().copied().max().unwrap_or(0).max(1);
        // Several sequences share one buffer, which only lines up at full length.
        let seq = if examples.len() == 1 { longest.next_multiple_of(TRIM).min(span) } else { span };
        (examples.start * span..(examples.end - 1) * span + seq, seq)
    }

    /// What a shard is fed with.
    pub fn fed(&self, shard: usize) -> Fed<'_> {
        let (rows, seq) = self.span_of(shard);
        match &self.content {
            Content::Tokens { inputs, .. } => Fed::Tokens { ids: &inputs[rows], seq },
            Content::Rows { width, values, noise, .. } => {
                let each = noise.len() / self.len().max(1);
                let noise = &noise[rows.start * each..rows.end * each];
                Fed::Rows { width: *width, values: &values[rows.start * width..rows.end * width], noise }
            }
        }
    }

    /// What a shard's rows are to come to, by the name of the column; `None` if there is no such column.
    pub fn target(&self, shard: usize, name: &str) -> Option<Column<'_>> {
        let (rows, _) = self.span_of(shard);
        match (&self.content, name) {
            (Content::Tokens { next, .. }, NEXT) => Some(Column::Ids(&next[rows])),
            (Content::Rows { wanted_width: width, wanted, .. }, WANTED) if *width > 0 => {
                Some(Column::Numbers { width: *width, values: &wanted[rows.start * width..rows.end * width] })
            }
            (Content::Rows { width, values, .. }, INPUT | WANTED) => {
                Some(Column::Numbers { width: *width, values: &values[rows.start * width..rows.end * width] })
            }
            _ => None,
        }
    }

    /// `(inputs, next tokens, sequence length)` of a shard; nothing for a batch of rows.
    pub fn text(&self, shard: usize) -> (&[u32], &[u32], usize) {
        match (self.fed(shard), self.target(shard, NEXT)) {
            (Fed::Tokens { ids, seq }, Some(Column::Ids(next))) => (ids, next, seq),
            _ => (&[], &[], 1),
        }
    }

    /// Rows per example of a shard.
    pub fn seq(&self, shard: usize) -> usize {
        self.span_of(shard).1
    }

    /// Whether row `row` of a shard counts: padding and prompts are no data.
    pub fn counts(&self, shard: usize, row: usize) -> bool {
        match &self.content {
            Content::Tokens { next, .. } => next[self.span_of(shard).0.start + row] != IGNORE,
            Content::Rows { .. } => true,
        }
    }

    /// The rows of a shard that count.
    pub fn counted(&self, shard: usize) -> impl Iterator<Item = usize> + '_ {
        let rows = self.span_of(shard).0;
        let next = match &self.content {
            Content::Tokens { next, .. } => Some(&next[rows.clone()]),
            Content::Rows { .. } => None,
        };
        (0..rows.len()).filter(move |r| next.is_none_or(|next| next[*r] != IGNORE))
    }

    /// Routing facts of a shard.
    pub fn rows(&self, shard: usize) -> ShardRows<'_> {
        let (rows, _) = self.span_of(shard);
        let examples = self.examples(shard);
        let first = self.labels[examples.start];
        let labels = if self.labels[examples].iter().all(|l| *l == first) {
            RowLabels::One(first)
        } else {
            RowLabels::Each(&self.row_labels[rows.clone()])
        };
        ShardRows { rows: rows.len(), labels, strength: self.strength.as_ref().map(|s| &s[rows]) }
    }

    /// Label of each row of a shard.
    pub fn row_label(&self, shard: usize, row: usize) -> LabelId {
        self.row_labels[shard * self.per_shard * self.span() + row]
    }

    /// Rows that count, by label; `out` is as long as there are labels.
    pub fn count_labels(&self, out: &mut [usize]) {
        let span = self.span();
        for (i, label) in self.labels.iter().enumerate() {
            out[label.index()] += match &self.content {
                Content::Tokens { next, .. } => {
                    next[i * span..(i + 1) * span].iter().filter(|t| **t != IGNORE).count()
                }
                Content::Rows { .. } => 1,
            };
        }
    }
}
