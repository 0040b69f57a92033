//! Calibrated loss: fits a logit bias to a frozen model, then measures.

use lobe_core::{FORGET, Key, LabelId, RETAIN};
use lobe_engine::rows::bias_gradient;
use lobe_methods::measure::calibrate::{ALPHA, adam_step, initial_bias, rate};
use lobe_nets::TokenBatch;

use crate::error::LabError;
use crate::exec::{Context, EvalSet, hidden_states};
use crate::store::Metric;

/// Rows of each label that the bias is fitted to.
const FIT_ROWS: usize = 512;
/// Rows whose logits are computed together.
const CHUNK: usize = 128;

/// `calibrated_loss` per label. The bias is fitted to training data and measured on held-out data.
pub(super) fn run(c: &Context<'_>, params: &[f32], steps: u64) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let Some(net) = x.net.gpt() else { return Ok(Vec::new()) };
    let (d, vocab) = (net.config.width, net.config.vocab);
    let fit = training_rows(c, params)?;
    let mut bias = initial_bias(vocab, Key::root(0));
    let (mut m, mut v) = (vec![0.0; vocab], vec![0.0; vocab]);
    let head = Head::new(c, params);
    // The logits without the bias never change, so they are computed once.
    let fixed: Vec<(Vec<f32>, Vec<u32>, f32)> = fit
        .into_iter()
        .flat_map(|(label, hs, ts)| {
            let weight = if label == FORGET { 1.0 } else { ALPHA as f32 } / ts.len().max(1) as f32;
            let parts = hs.chunks(CHUNK * d).zip(ts.chunks(CHUNK));
            parts.map(|(h, t)| (head.logits(h, d, vocab), t.to_vec(), weight)).collect::<Vec<_>>()
        })
        .collect();
    for step in 0..steps {
        c.options.check_stop()?;
        let parts = c.runner.map(&fixed, |_, (z, ts, scale)| {
            let (mut grad, mut scratch) = (vec![0.0; vocab], vec![0.0; vocab]);
            for (z, t) in z.chunks_exact(vocab).zip(ts) {
                bias_gradient(z, &bias, *t as usize, *scale, &mut grad, &mut scratch);
            }
            grad
        });
        let mut grad = vec![0.0; vocab];
        for part in parts {
            grad.iter_mut().zip(part).for_each(|(g, p): (&mut f32, f32)| *g += p);
        }
        adam_step(&mut bias, &grad, &mut m, &mut v, step, rate(step, steps));
    }
    let EvalSet::Tokens(test) = EvalSet::new(x, |_| true, 200) else { return Ok(Vec::new()) };
    let (hs, ts, ls) = hidden_states(x, c.runner, params, &test)?;
    let mut sums = vec![(0.0, 0.0); x.labels.len()];
    let (mut unused, mut scratch) = (vec![0.0; vocab], vec![0.0; vocab]);
    for ((h, ts), ls) in hs.chunks(CHUNK * d).zip(ts.chunks(CHUNK)).zip(ls.chunks(CHUNK)) {
        let z = head.logits(h, d, vocab);
        for ((z, t), l) in z.chunks_exact(vocab).zip(ts).zip(ls) {
            let loss = bias_gradient(z, &bias, *t as usize, 0.0, &mut unused, &mut scratch);
            let s = &mut sums[l.index()];
            *s = (s.0 + f64::from(loss), s.1 + 1.0);
        }
    }
    let seen = x.labels.names().iter().zip(&sums).filter(|(_, s)| s.1 > 0.0);
    Ok(seen.map(|(label, s)| Metric::new(label, "calibrated_loss", s.0 / s.1, "nat")).collect())
}

/// Hidden states and targets of some training rows of forget and retain data.
fn training_rows(c: &Context<'_>, params: &[f32]) -> Result<Vec<(LabelId, Vec<f32>, Vec<u32>)>, LabError> {
    let x = c.experiment;
    let mut out = Vec::new();
    for label in [FORGET, RETAIN] {
        let mut batch = TokenBatch::new(x.data.width(), 1);
        for (i, _) in x.train_truth.iter().enumerate().filter(|(_, l)| **l == label) {
            if batch.targets() >= FIT_ROWS {
                break;
            }
            batch.push(x.data.train.row(i), label, None);
        }
        if !batch.is_empty() {
            let (hs, ts, _) = hidden_states(x, c.runner, params, &batch)?;
            out.push((label, hs, ts));
        }
    }
    Ok(out)
}

/// The read-out as plain numbers.
struct Head<'a> {
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    tied: bool,
    scale: f32,
}

impl<'a> Head<'a> {
    fn new(c: &'a Context<'_>, params: &'a [f32]) -> Head<'a> {
        let net = c.experiment.net.gpt();
        let spec = net.map(lobe_nets::Gpt::head);
        let of = |p| &params[c.experiment.layout().get(p).span()];
        Head {
            weight: spec.map_or(&[], |s| of(s.weight)),
            bias: spec.and_then(|s| s.bias).map(of),
            tied: spec.is_some_and(|s| s.tied),
            scale: spec.map_or(1.0, |s| s.scale),
        }
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
