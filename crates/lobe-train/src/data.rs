//! From examples to batches.

use lobe_core::LabelId;
use lobe_data::{DrawnRows, Examples, Payload};
use lobe_nets::Batch;

/// Rows of numbers per shard of an evaluation.
const ROWS: usize = 512;

/// An empty batch for such examples: `rows` examples to a shard.
fn empty(examples: &Examples, rows: usize) -> Batch {
    match &examples.payload {
        Payload::Tokens { seq, .. } => Batch::tokens(*seq, rows),
        Payload::Rows { width, wanted, .. } => {
            Batch::rows_of(*width, wanted.as_ref().map_or(0, |w| w.width), rows)
        }
        Payload::Drawn(drawn) => Batch::rows_of(drawn.width(), drawn.width(), rows),
    }
}

/// Adds example `i`; of rows that are drawn, number `i` of the data's own.
pub fn push(batch: &mut Batch, examples: &Examples, i: usize, label: LabelId) {
    match &examples.payload {
        Payload::Tokens { .. } => batch.push(examples.row(i), label, None),
        Payload::Rows { .. } => batch.push_row(examples.numbers(i), examples.wanted(i), label),
        Payload::Drawn(drawn) => push_drawn(batch, drawn, (i as u64, examples.class[i]), label),
    }
}

/// Adds a row that is drawn, by its number and class.
pub fn push_drawn(batch: &mut Batch, drawn: &DrawnRows, (number, class): (u64, u16), label: LabelId) {
    batch.push_drawn(label, |row, wanted| drawn.row_into(number, class, row, wanted));
}

/// These examples with their labels, `per_shard` to a shard; without a number sequences are shards of their own and
/// rows go by the hundred.
pub fn collect(examples: &Examples, chosen: &[(usize, LabelId)], per_shard: Option<usize>) -> Batch {
    let usual = if matches!(examples.payload, Payload::Tokens { .. }) { 1 } else { ROWS };
    let mut out = empty(examples, per_shard.unwrap_or(usual));
    for (i, label) in chosen {
        push(&mut out, examples, *i, *label);
    }
    out
}

/// All examples whose label (`truth`, by example) `keep` accepts, at most `most` of each, to be evaluated again and
/// again.
pub fn held_out(
    examples: &Examples,
    truth: &[LabelId],
    keep: impl Fn(LabelId) -> bool,
    most: usize,
) -> Batch {
    let mut seen = [0; 256];
    let mut chosen = Vec::new();
    for (i, l) in truth.iter().enumerate() {
        if keep(*l) && seen[l.index()] < most {
            seen[l.index()] += 1;
            chosen.push((i, *l));
        }
    }
    collect(examples, &chosen, None)
}
