//! Held-out loss and accuracy per label, for many models at once.

use lobe_core::LabelId;
use lobe_data::Payload;
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{Plan, Runner, Tape, Workspace};
use lobe_nets::{ImageBatch, Net, TokenBatch};

use super::experiment::Experiment;
use crate::error::LabError;
use crate::store::Metric;

/// Images per evaluation task.
const IMAGES: usize = 512;
/// Tokens per label of an evaluation that is repeated along the way.
const TOKENS: usize = 12_800;

/// Held-out data, ready to be evaluated again and again.
#[derive(Debug)]
pub enum EvalSet {
    /// Token sequences with their true labels.
    Tokens(TokenBatch),
    /// Images with their true labels.
    Images(ImageBatch),
}

/// Sums and counts per label.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Text: `[label]` (nll, right, count). Images: `[decoder][label]` (squared, absolute, count).
    pub sums: Vec<Vec<[f64; 3]>>,
}

impl EvalSet {
    /// All held-out examples whose true label `keep` accepts, at most `most` of each label.
    pub fn new(x: &Experiment, keep: impl Fn(LabelId) -> bool, most: usize) -> EvalSet {
        let mut seen = vec![0; x.labels.len()];
        let mut chosen = Vec::new();
        for (i, l) in x.test_truth.iter().enumerate() {
            if keep(*l) && seen[l.index()] < most {
                seen[l.index()] += 1;
                chosen.push((i, *l));
            }
        }
        match &x.data.test.payload {
            Payload::Tokens { seq, .. } => {
                let mut b = TokenBatch::new(*seq, 1);
                for (i, l) in &chosen {
                    b.push(x.data.test.row(*i), *l, None);
                }
                EvalSet::Tokens(b)
            }
            Payload::Images { dim, .. } => {
                let mut b = ImageBatch::new(*dim, IMAGES);
                for (i, l) in &chosen {
                    b.push(x.data.test.image(*i), *l);
                }
                EvalSet::Images(b)
            }
        }
    }

    /// What is evaluated again and again along the way: at most `most` examples of each label that
    /// `keep` accepts, and fewer where sequences are long.
    pub(crate) fn along_the_way(x: &Experiment, keep: impl Fn(LabelId) -> bool, most: usize) -> EvalSet {
        let enough = match &x.data.test.payload {
            Payload::Tokens { seq, .. } => (TOKENS / seq.max(&1)).max(32),
            Payload::Images { .. } => most,
        };
        EvalSet::new(x, keep, most.min(enough))
    }

    fn shards(&self) -> usize {
        match self {
            EvalSet::Tokens(b) => b.shards(),
            EvalSet::Images(b) => b.shards(),
        }
    }

    /// Number of examples.
    pub fn len(&self) -> usize {
        match self {
            EvalSet::Tokens(b) => b.len(),
            EvalSet::Images(b) => b.len(),
        }
    }

    /// Whether there is nothing to evaluate.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Scores of each (parameters, set), in order. Sums are taken in shard order, so they do not depend
/// on the number of threads.
///
/// # Errors
/// If shapes do not fit.
pub(crate) fn evaluate(
    x: &Experiment,
    runner: &Runner,
    jobs: &[(&[f32], &EvalSet)],
) -> Result<Vec<Scores>, LabError> {
    evaluate_under(x, runner, &Plan::plain(x.layout()), jobs)
}

/// The same under the interventions of `plan`.
///
/// # Errors
/// If shapes do not fit.
pub(crate) fn evaluate_under(
    x: &Experiment,
    runner: &Runner,
    plan: &Plan,
    jobs: &[(&[f32], &EvalSet)],
) -> Result<Vec<Scores>, LabError> {
    let tasks: Vec<(usize, usize)> =
        jobs.iter().enumerate().flat_map(|(j, (_, set))| (0..set.shards()).map(move |s| (j, s))).collect();
    let parts = runner.map(&tasks, |ws, (j, s)| one(x, ws, plan, jobs[*j].0, jobs[*j].1, *s));
    let decoders = x.net.autoencoder().map_or(1, |a| a.config.decoders.len());
    let mut out = vec![Scores { sums: vec![vec![[0.0; 3]; x.labels.len()]; decoders] }; jobs.len()];
    for ((j, _), part) in tasks.iter().zip(parts) {
        for (total, part) in out[*j].sums.iter_mut().flatten().zip(part?.sums.iter().flatten()) {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
    }
    Ok(out)
}

fn one(
    x: &Experiment,
    ws: &mut Workspace,
    plan: &Plan,
    params: &[f32],
    set: &EvalSet,
    s: usize,
) -> Result<Scores, LabError> {
    let mut sums = vec![vec![[0.0; 3]; x.labels.len()]];
    match (set, &x.net) {
        (EvalSet::Tokens(b), Net::Gpt(net)) => {
            let mut tape = Tape::new(ws, x.layout(), params, None, plan, b.rows(s));
            let (inputs, targets, seq) = b.tokens(s);
            let h = net.hidden(&mut tape, inputs, seq)?;
            let stats = tape.cross_entropy(h, net.head(), targets, RowWeights::One(0.0))?;
            for (row, t) in targets.iter().enumerate().filter(|(_, t)| **t != IGNORE) {
                debug_assert!(*t != IGNORE);
                let v = &tape.value(stats)[2 * row..2 * row + 2];
                let sum = &mut sums[0][b.row_label(s, row).index()];
                *sum = [sum[0] + f64::from(v[0]), sum[1] + f64::from(v[1]), sum[2] + 1.0];
            }
        }
        (EvalSet::Images(b), Net::Autoencoder(net)) => {
            sums = vec![sums.remove(0); net.config.decoders.len()];
            let range = b.range(s);
            let dim = net.config.input;
            let mut tape = Tape::new(ws, x.layout(), params, None, plan, b.rows(s));
            let input = tape.input(range.len(), dim, |buf| buf.copy_from_slice(b.pixels(s)));
            let out = net.forward(&mut tape, input)?;
            for (d, y) in out.outputs.iter().enumerate() {
                let stats = tape.distance(*y, b.pixels(s), Distance::Squared, RowWeights::One(0.0))?;
                for row in 0..range.len() {
                    let v = &tape.value(stats)[2 * row..2 * row + 2];
                    let sum = &mut sums[d][b.label(range.start + row).index()];
                    let each = |v: f32| f64::from(v) / dim as f64;
                    *sum = [sum[0] + each(v[0]), sum[1] + each(v[1]), sum[2] + 1.0];
                }
            }
        }
        _ => unreachable!("an experiment's network fits its data"),
    }
    Ok(Scores { sums })
}

impl Scores {
    /// Mean loss of `label` (text: nats; images: squared error of the first decoder).
    pub fn loss(&self, label: LabelId) -> Option<f64> {
        let s = self.sums[0][label.index()];
        (s[2] > 0.0).then(|| s[0] / s[2])
    }

    /// All numbers as metrics.
    pub fn metrics(&self, x: &Experiment, step: Option<u64>) -> Vec<Metric> {
        let mut out = Vec::new();
        for (d, labels) in self.sums.iter().enumerate() {
            let names: [(String, &str); 2] = match x.net.autoencoder() {
                None => [("loss".into(), "nat"), ("accuracy".into(), "fraction")],
                Some(_) if d == 0 => [("mse".into(), "mse"), ("mae".into(), "mae")],
                Some(a) => {
                    let name = &a.config.decoders[d].name;
                    [(format!("mse@{name}"), "mse"), (format!("mae@{name}"), "mae")]
                }
            };
            for (l, s) in labels.iter().enumerate().filter(|(_, s)| s[2] > 0.0) {
                for (k, (metric, unit)) in names.iter().enumerate() {
                    out.push(Metric::new(&x.labels.names()[l], metric, s[k] / s[2], unit).at(step));
                }
            }
        }
        out
    }
}

/// Final hidden states and targets of every counted row of a token set, label by row: what a
/// calibration or a probe of the read-out needs, computed once.
///
/// # Errors
/// If shapes do not fit.
pub fn hidden_states(
    x: &Experiment,
    runner: &Runner,
    params: &[f32],
    batch: &TokenBatch,
) -> Result<(Vec<f32>, Vec<u32>, Vec<LabelId>), LabError> {
    let parts = by_shard(x, runner, params, batch, |hs, ts, ls| (hs, ts, ls))?;
    let (mut hs, mut ts, mut ls) = (Vec::new(), Vec::new(), Vec::new());
    for (h, t, l) in parts {
        hs.extend(h);
        ts.extend(t);
        ls.extend(l);
    }
    Ok((hs, ts, ls))
}

/// What `then` makes of the final hidden states `[rows, width]`, targets and labels of each shard's counted
/// rows, in shard order: for sets whose hidden states would fill the memory.
///
/// # Errors
/// If shapes do not fit.
pub(crate) fn by_shard<T: Send>(
    x: &Experiment,
    runner: &Runner,
    params: &[f32],
    batch: &TokenBatch,
    then: impl Fn(Vec<f32>, Vec<u32>, Vec<LabelId>) -> T + Sync,
) -> Result<Vec<T>, LabError> {
    let plan = Plan::plain(x.layout());
    let Some(net) = x.net.gpt() else {
        return Err(LabError::other("only a language model has hidden states"));
    };
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let parts = runner.map(&shards, |ws, s| -> Result<_, LabError> {
        let mut tape = Tape::new(ws, x.layout(), params, None, &plan, batch.rows(*s));
        let (inputs, targets, seq) = batch.tokens(*s);
        let h = net.hidden(&mut tape, inputs, seq)?;
        let d = net.config.width;
        let (mut hs, mut ts, mut ls) = (Vec::new(), Vec::new(), Vec::new());
        for (row, t) in targets.iter().enumerate().filter(|(_, t)| **t != IGNORE) {
            hs.extend_from_slice(&tape.value(h)[row * d..(row + 1) * d]);
            ts.push(*t);
            ls.push(batch.row_label(*s, row));
        }
        Ok(then(hs, ts, ls))
    });
    parts.into_iter().collect()
}
