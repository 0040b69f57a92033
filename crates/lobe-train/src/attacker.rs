//! What every workbench of an attacker does alike, whether the model is in memory or in a run.

use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::optim::AdamW;
use lobe_engine::{Optimiser, Runner, Schedule, SiteId, Tape};
use lobe_methods::{BenchError, Losses, Variant};
use lobe_nets::{Batch, Network};

use crate::forward::Forward;
use crate::reading::Reading;
use crate::trainer::Spec;

/// At most so many held-out examples of each label are evaluated along the way.
pub const EVALUATED: usize = 200;
/// Gradient lanes of an attack: part of what its results depend on.
pub const LANES: usize = 2;

/// How a variant is trained: AdamW with β = (0.9, 0.95), a warm-up and a constant rate, clipped to a norm of 1.
pub fn spec(v: &Variant) -> Spec {
    let rule = AdamW { betas: [0.9, 0.95], ..AdamW::default() };
    let schedule = Schedule { warmup: v.warmup, steps: v.steps, ..Schedule::constant(v.lr as f32) };
    let (weight_decay, clip) = (v.weight_decay as f32, Some(1.0));
    Spec {
        optimiser: Optimiser { weight_decay, clip, ..Optimiser::new(rule, schedule) },
        steps: v.steps,
        lanes: LANES,
        log_every: u64::MAX,
        eval_every: v.eval_every,
        checkpoint_secs: None,
    }
}

/// The logged held-out losses: one entry per step, with a place for each of `labels`.
pub fn curve(labels: &[String], log: &[Reading]) -> Vec<(u64, Losses)> {
    let mut out: Vec<(u64, Losses)> = Vec::new();
    for m in log.iter().filter(|m| m.metric == "loss") {
        let (Some(step), Some(l)) = (m.step, labels.iter().position(|l| *l == m.label)) else { continue };
        if out.last().is_none_or(|(s, _)| *s != step) {
            out.push((step, vec![None; labels.len()]));
        }
        if let Some((_, all)) = out.last_mut() {
            all[l] = Some(m.value).filter(|v| v.is_finite());
        }
    }
    out
}

/// The sequences of `all` behind a prefix, one to a shard. Each keeps as many tokens as fit behind a prefix of `room`
/// tokens into a context of `most`, so that losses with and without a prefix are of the same tokens.
///
/// # Errors
/// If the prefix fills the context.
pub fn behind(prefix: &[u32], all: &Batch, room: usize, most: usize) -> Result<Batch, BenchError> {
    if room.max(prefix.len()) >= most {
        return Err(BenchError::Missing(format!("a prefix of {room} tokens fills the context")));
    }
    let longest = (0..all.shards()).map(|s| all.text(s).2).max().unwrap_or(1);
    let kept = longest.min(most - room);
    let seq = prefix.len() + kept;
    let mut out = Batch::tokens(seq, 1);
    for s in 0..all.shards() {
        let (inputs, targets, _) = all.text(s);
        let (mut before, mut after) = (prefix.to_vec(), vec![IGNORE; prefix.len()]);
        before.extend(inputs.iter().take(kept));
        after.extend(targets.iter().take(kept));
        before.resize(seq, 0);
        after.resize(seq, IGNORE);
        out.push_pair(&before, &after, all.row_label(s, 0), None);
    }
    Ok(out)
}

/// Activations of every row that counts, `[rows, width]` for each site.
///
/// # Errors
/// If a site is not passed, or the batch does not fit.
pub fn activations(
    forward: &Forward<'_>,
    batch: &Batch,
    sites: &[SiteId],
) -> Result<Vec<Vec<f32>>, BenchError> {
    let parts = forward.each_shard(batch, |tape, _, s| -> Result<Vec<Vec<f32>>, BenchError> {
        let of = |site: &SiteId| {
            let v = tape.at_site(*site).ok_or_else(|| BenchError::Missing("no such site".into()))?;
            let (cols, values) = (tape.shape(v).1, tape.value(v));
            Ok(batch.counted(s).flat_map(|r| values[r * cols..][..cols].iter().copied()).collect())
        };
        sites.iter().map(of).collect()
    })?;
    let mut out = vec![Vec::new(); sites.len()];
    for part in parts {
        for (all, one) in out.iter_mut().zip(part) {
            all.extend(one);
        }
    }
    Ok(out)
}

/// The mean next-token loss over a batch, in nats, and its gradient at a site, `[rows, width]` of all rows.
///
/// # Errors
/// If the network predicts no tokens, no gradient reaches the site, or the batch does not fit.
pub fn site_gradient(
    (net, params): (&dyn Network, &[f32]),
    runner: &Runner,
    batch: &Batch,
    site: SiteId,
) -> Result<(f64, Vec<f32>), BenchError> {
    let none = || BenchError::Missing("an attack needs a language model".into());
    let (_, head) = net.language().ok_or_else(none)?;
    // No weight needs a gradient; the watched site makes one arrive all the same.
    let plan = net.plain().train_only(|_| false);
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let weight = 1.0 / batch.targets().max(1) as f32;
    let parts = runner.map(&shards, |ws, s| -> Result<(f64, Vec<f32>), BenchError> {
        let mut tape = Tape::new(ws, net.layout(), params, Some(&mut []), &plan, batch.rows(*s));
        tape.watch(site);
        let h = net.hidden(&mut tape, batch.fed(*s))?;
        tape.cross_entropy(h, head, batch.text(*s).1, RowWeights::One(weight))?;
        tape.backward(*s)?;
        let none = || BenchError::Missing("no gradient at the site".into());
        Ok((tape.objective(), tape.watched(site).ok_or_else(none)?.to_vec()))
    });
    let (mut loss, mut out) = (0.0, Vec::new());
    for part in parts {
        let (l, g) = part?;
        loss += l;
        out.extend(g);
    }
    Ok((loss, out))
}
