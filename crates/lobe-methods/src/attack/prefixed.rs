//! Texts behind a prefix of tokens, and the prefix alone.

use lobe_core::UNLABELLED;
use lobe_engine::ops::head::IGNORE;
use lobe_nets::Batch;

use super::BenchError;

/// Puts `prefix` before every sequence; ends are cut off where `limit` positions are not enough.
pub(super) fn after(batch: &Batch, prefix: &[u32], limit: usize) -> Batch {
    let longest = (0..batch.shards()).map(|s| batch.text(s).2).max().unwrap_or(0);
    let seq = limit.min(longest + prefix.len());
    let mut out = Batch::tokens(seq, 1);
    let pad = |head: &[u32], fill: u32, tail: &[u32]| -> Vec<u32> {
        let all = head.iter().chain(tail).copied();
        all.chain(std::iter::repeat(fill)).take(seq).collect()
    };
    let ignored = vec![IGNORE; prefix.len()];
    for shard in 0..batch.shards() {
        let (inputs, targets, len) = batch.text(shard);
        for (i, (x, y)) in inputs.chunks(len).zip(targets.chunks(len)).enumerate() {
            let label = batch.row_label(shard, i * len);
            out.push_pair(&pad(prefix, 0, x), &pad(&ignored, IGNORE, y), label, None);
        }
    }
    out
}

/// First row of every sequence in a gradient of `rows` rows: sequences come trimmed or in full.
pub(super) fn starts(batch: &Batch, rows: usize) -> Result<Vec<usize>, BenchError> {
    let each: Vec<usize> = (0..batch.shards()).map(|s| batch.rows(s).rows).collect();
    let full = rows / batch.len().max(1);
    if rows == each.iter().sum::<usize>() {
        let first = each.iter().scan(0, |at, n| {
            *at += n;
            Some(*at - n)
        });
        return Ok(first.collect());
    }
    if rows == full * batch.len() && each.iter().all(|n| *n <= full) {
        return Ok((0..batch.len()).map(|i| i * full).collect());
    }
    Err(BenchError::Other(format!("prefix: a gradient of {rows} rows for {} sequences", batch.len())))
}

/// The prefix as a text of its own, every token but the first a target; `None` where it has no second.
pub(super) fn alone(prefix: &[u32]) -> Option<Batch> {
    let (_, targets) = prefix.split_first().filter(|(_, rest)| !rest.is_empty())?;
    let mut out = Batch::tokens(targets.len(), 1);
    out.push_pair(&prefix[..targets.len()], targets, UNLABELLED, None);
    Some(out)
}
