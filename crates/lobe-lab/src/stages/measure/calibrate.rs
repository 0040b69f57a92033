//! Calibrated loss: fits a logit bias to a frozen model, then measures.

use lobe_core::{FORGET, Key, LabelId, RETAIN};
use lobe_engine::ops::head::HeadSpec;
use lobe_engine::rows::bias_gradient;
use lobe_engine::{Layout, OptimiserState, Runner};
use lobe_methods::measure::calibrate::{ALPHA, initial_bias, optimiser};
use lobe_nets::Batch;

use crate::error::LabError;
use crate::graph::Context;
use crate::store::Metric;

/// Rows of each label that a step of the fit sees.
const STEP_ROWS: usize = 1024;
/// Most training rows of each label in all: several for each entry of the bias, which would otherwise learn
/// them by heart.
const FIT_ROWS: usize = 16_384;
/// Rows whose logits are computed together.
const CHUNK: usize = 128;

/// `calibrated_loss` per label. The bias is fitted to training data and measured on what `loss` is measured on.
pub(super) fn run(
    c: &Context<'_>,
    params: &[f32],
    steps: u64,
    test: &Batch,
) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let Some((vocab, spec)) = x.net.language() else { return Ok(Vec::new()) };
    let d = x.net.width_at(x.net.blocks());
    let head = Head::new(x.layout(), params, spec);
    let pools = training_rows(c, params)?;
    let bias = fit(c.runner, &head, &pools, (d, vocab), steps, &|| c.options.check_stop())?;
    let none = vec![(0.0, 0.0); x.labels.len()];
    let parts = by_shard(c, params, test, |hs, ts, ls| {
        let mut sums = none.clone();
        let (mut unused, mut scratch) = (vec![0.0; vocab], vec![0.0; vocab]);
        for ((h, ts), ls) in hs.chunks(CHUNK * d).zip(ts.chunks(CHUNK)).zip(ls.chunks(CHUNK)) {
            let z = head.logits(h, d, vocab);
            for ((z, t), l) in z.chunks_exact(vocab).zip(ts).zip(ls) {
                let loss = bias_gradient(z, &bias, *t as usize, 0.0, &mut unused, &mut scratch);
                let s = &mut sums[l.index()];
                *s = (s.0 + f64::from(loss), s.1 + 1.0);
            }
        }
        sums
    })?;
    let mut sums = none.clone();
    for part in parts {
        sums.iter_mut().zip(part).for_each(|(s, p)| *s = (s.0 + p.0, s.1 + p.1));
    }
    let seen = x.labels.names().iter().zip(&sums).filter(|(_, s)| s.1 > 0.0);
    Ok(seen.map(|(label, s)| Metric::new(label, "calibrated_loss", s.0 / s.1, "nat")).collect())
}

/// Rows of one label: the weight of their mean loss, hidden states `[rows, d]`, targets.
struct Pool {
    weight: f64,
    hidden: Vec<f32>,
    targets: Vec<u32>,
}

/// The logit bias `[vocab]` that minimises the pools' weighted mean losses; a step goes on in each pool where
/// the step before ended. Logits are computed again each time: those of all rows would fill the memory.
fn fit(
    runner: &Runner,
    head: &Head<'_>,
    pools: &[Pool],
    (d, vocab): (usize, usize),
    steps: u64,
    check_stop: &dyn Fn() -> Result<(), LabError>,
) -> Result<Vec<f32>, LabError> {
    let mut bias = initial_bias(vocab, Key::root(0));
    let (optimiser, mut layout, mut state) = (optimiser(steps), Layout::default(), OptimiserState::default());
    layout.tensor("bias", 1, vocab).add();
    for step in 0..steps {
        check_stop()?;
        let mut tasks = Vec::new();
        for pool in pools {
            let all = pool.targets.len();
            let rows = all.min(STEP_ROWS);
            // The last step of a round is shorter than the others.
            let first = step as usize % all.div_ceil(rows).max(1) * rows;
            let last = (first + rows).min(all);
            let weight = (pool.weight / (last - first) as f64) as f32;
            tasks.extend((first..last).step_by(CHUNK).map(|at| (pool, at..(at + CHUNK).min(last), weight)));
        }
        let parts = runner.map(&tasks, |_, (pool, rows, weight)| {
            let (mut grad, mut scratch) = (vec![0.0; vocab], vec![0.0; vocab]);
            let z = head.logits(&pool.hidden[rows.start * d..rows.end * d], d, vocab);
            for (z, t) in z.chunks_exact(vocab).zip(&pool.targets[rows.clone()]) {
                bias_gradient(z, &bias, *t as usize, *weight, &mut grad, &mut scratch);
            }
            grad
        });
        let mut grad = vec![0.0; vocab];
        for part in parts {
            grad.iter_mut().zip(part).for_each(|(g, p): (&mut f32, f32)| *g += p);
        }
        optimiser.step_on(&layout, &mut state, &mut bias, &mut grad, step);
    }
    Ok(bias)
}

/// Hidden states and targets of training rows of forget and retain data, drawn alike for every model. Where
/// nothing is labelled retain, whatever is not to be forgotten is to be kept.
fn training_rows(c: &Context<'_>, params: &[f32]) -> Result<Vec<Pool>, LabError> {
    let x = c.experiment;
    let mut out = Vec::new();
    let named = x.train_truth.contains(&RETAIN);
    for (label, weight) in [(FORGET, 1.0), (RETAIN, ALPHA)] {
        let is = |truth| if label == FORGET || named { truth == label } else { truth != FORGET };
        let mut of: Vec<usize> = (0..x.train_truth.len()).filter(|i| is(x.train_truth[*i])).collect();
        Key::root(0).child("calibration rows").index(u64::from(label.0)).rng().shuffle(&mut of);
        let mut batch = Batch::tokens(x.data.width(), 1);
        for i in of {
            if batch.targets() >= FIT_ROWS {
                break;
            }
            batch.push(x.data.train.row(i), label, None);
        }
        let (mut hidden, mut targets) = (Vec::new(), Vec::new());
        for (h, t) in by_shard(c, params, &batch, |h, t, _| (h, t))? {
            hidden.extend(h);
            targets.extend(t);
        }
        if !targets.is_empty() {
            out.push(Pool { weight, hidden, targets });
        }
    }
    Ok(out)
}

/// What `then` makes of the final hidden states `[rows, width]`, targets and labels of each shard's counted
/// rows, in shard order: for sets whose hidden states would fill the memory.
fn by_shard<T: Send>(
    c: &Context<'_>,
    params: &[f32],
    batch: &Batch,
    then: impl Fn(Vec<f32>, Vec<u32>, Vec<LabelId>) -> T + Sync,
) -> Result<Vec<T>, LabError> {
    c.forward(params).each_shard(batch, |tape, ran, s| {
        let (h, targets) = (ran.end(0)?, batch.text(s).1);
        let d = tape.shape(h).1;
        let (mut hs, mut ts, mut ls) = (Vec::new(), Vec::new(), Vec::new());
        for row in batch.counted(s) {
            hs.extend_from_slice(&tape.value(h)[row * d..(row + 1) * d]);
            ts.push(targets[row]);
            ls.push(batch.row_label(s, row));
        }
        Ok(then(hs, ts, ls))
    })
}

/// The read-out as plain numbers.
struct Head<'a> {
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    tied: bool,
    scale: f32,
}

impl<'a> Head<'a> {
    fn new(layout: &Layout, params: &'a [f32], spec: HeadSpec) -> Head<'a> {
        let of = |p| &params[layout.get(p).span()];
        Head { weight: of(spec.weight), bias: spec.bias.map(of), tied: spec.tied, scale: spec.scale }
    }

    fn logits(&self, hs: &[f32], d: usize, vocab: usize) -> Vec<f32> {
        use lobe_engine::{View, ViewMut, gemm};
        let n = hs.len() / d;
        let mut z = vec![0.0; n * vocab];
        if let Some(b) = self.bias {
            z.chunks_exact_mut(vocab).for_each(|z| z.copy_from_slice(b));
        }
        let w =
            if self.tied { View::new(self.weight, vocab, d).t() } else { View::new(self.weight, d, vocab) };
        gemm(ViewMut::new(&mut z, n, vocab), self.scale, View::new(hs, n, d), w, true);
        z
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` rows of hidden state 1 whose targets come up by turns as often as `share` of 8 says.
    fn pool(weight: f64, share: &[usize], n: usize) -> Pool {
        let turn: Vec<u32> =
            share.iter().enumerate().flat_map(|(t, k)| std::iter::repeat_n(t as u32, *k)).collect();
        Pool { weight, hidden: vec![1.0; n], targets: turn.into_iter().cycle().take(n).collect() }
    }

    #[test]
    fn a_wrong_prior_is_taken_away_where_it_counts() {
        let runner = Runner::new(1).unwrap();
        // The frozen logits prefer token 3 by 0.3 nat; 200 steps at these rates reach about one.
        let head = Head { weight: &[0.0, 0.0, 0.0, 0.3], bias: None, tied: false, scale: 1.0 };
        let (often, seldom) = ([4, 2, 1, 1], [1, 1, 2, 4]);
        let pools = [pool(1.0, &seldom, 4000), pool(ALPHA, &often, 4000)];
        let bias = fit(&runner, &head, &pools, (1, 4), 200, &|| Ok(())).unwrap();
        let z: Vec<f64> = bias.iter().zip(head.weight).map(|(b, w)| f64::from(b + w)).collect();
        let lse = z.iter().map(|z| z.exp()).sum::<f64>().ln();
        let loss =
            |share: &[usize]| -> f64 { share.iter().zip(&z).map(|(k, z)| *k as f64 / 8.0 * (lse - z)).sum() };
        // A cross-entropy is at least the entropy of its tokens: here 7/4 ln 2, at first 1.43 nat.
        let least = 1.75 * std::f64::consts::LN_2;
        assert!((least..least + 0.01).contains(&loss(&often)), "{}", loss(&often));
        // With weights 1 : 100 the other label gets next to nothing of the bias: Σ p (−ln q) by hand.
        let other = (2.625 * std::f64::consts::LN_2 - loss(&seldom)).abs();
        assert!(other < 0.1, "{}", loss(&seldom));
    }
}
