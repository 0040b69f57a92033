//! Held-out numbers per output and label, for many models at once.

use lobe_core::{LabelId, LabelSet};
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::RowWeights;
use lobe_engine::{EngineError, Plan, Runner, Tape, Workspace};
use lobe_nets::{Batch, Begin, Column, End, Network, Read};

use crate::reading::Reading;

/// Parameters of a network and what they are evaluated on.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The network.
    pub net: &'a dyn Network,
    /// Its parameters.
    pub params: &'a [f32],
    /// The examples.
    pub batch: &'a Batch,
}

/// Sums and counts per output and label.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// `[output][label]`: the two numbers of [`Read::metrics`] summed, and the rows that count.
    pub sums: Vec<Vec<[f64; 3]>>,
}

/// Scores of each job under the interventions of `plan` (none: as the network is), in order. Sums are taken in
/// shard order, so they do not depend on the number of threads.
///
/// # Errors
/// If shapes do not fit.
pub fn evaluate(
    runner: &Runner,
    labels: &LabelSet,
    plan: Option<&Plan>,
    jobs: &[Job<'_>],
) -> Result<Vec<Scores>, EngineError> {
    let tasks: Vec<(usize, usize)> =
        jobs.iter().enumerate().flat_map(|(j, job)| (0..job.batch.shards()).map(move |s| (j, s))).collect();
    let plain: Vec<Plan> =
        if plan.is_some() { Vec::new() } else { jobs.iter().map(|job| job.net.plain()).collect() };
    let parts = runner.map(&tasks, |ws, (j, s)| {
        let plan = plan.or(plain.get(*j));
        one(ws, plan, jobs[*j], *s, labels.len())
    });
    let zeros = |job: &Job<'_>| Scores { sums: vec![vec![[0.0; 3]; labels.len()]; job.net.outputs().len()] };
    let mut out: Vec<Scores> = jobs.iter().map(zeros).collect();
    for ((j, _), part) in tasks.iter().zip(parts) {
        for (total, part) in out[*j].sums.iter_mut().flatten().zip(part?.sums.iter().flatten()) {
            total.iter_mut().zip(part).for_each(|(t, p)| *t += p);
        }
    }
    Ok(out)
}

fn one(
    ws: &mut Workspace,
    plan: Option<&Plan>,
    job: Job<'_>,
    shard: usize,
    labels: usize,
) -> Result<Scores, EngineError> {
    let Job { net, params, batch } = job;
    let Some(plan) = plan else { return Err(EngineError::Invalid("a job without a plan".into())) };
    let mut tape = Tape::new(ws, net.layout(), params, None, plan, batch.rows(shard));
    let ran = net.run(&mut tape, Begin::Input(batch.fed(shard)), End::Outputs)?;
    let mut sums = vec![vec![[0.0; 3]; labels]; net.outputs().len()];
    for (i, output) in net.outputs().iter().enumerate() {
        let target = batch.target(shard, output.target);
        let (stats, divisor) = match (output.read, target) {
            (Read::Classes { head, .. }, Some(Column::Ids(ids))) => {
                (tape.cross_entropy(ran.end(i)?, head, ids, RowWeights::One(0.0))?, 1.0)
            }
            (Read::Numbers { width }, Some(Column::Numbers { values, .. })) => {
                let stats = tape.distance(ran.end(i)?, values, Distance::Squared, RowWeights::One(0.0))?;
                (stats, width as f64)
            }
            // An output whose target these examples do not have is not measured.
            _ => continue,
        };
        for row in batch.counted(shard) {
            let v = &tape.value(stats)[2 * row..2 * row + 2];
            let sum = &mut sums[i][batch.row_label(shard, row).index()];
            let each = |v: f32| f64::from(v) / divisor;
            *sum = [sum[0] + each(v[0]), sum[1] + each(v[1]), sum[2] + 1.0];
        }
    }
    Ok(Scores { sums })
}

impl Scores {
    /// Mean of the first number of the first output over a label: its loss.
    pub fn loss(&self, label: LabelId) -> Option<f64> {
        let s = self.sums.first()?.get(label.index())?;
        (s[2] > 0.0).then(|| s[0] / s[2])
    }

    /// All numbers. Those of an output behind the first carry its name.
    pub fn readings(&self, net: &dyn Network, labels: &LabelSet, step: Option<u64>) -> Vec<Reading> {
        let mut out = Vec::new();
        for (i, (output, by_label)) in net.outputs().iter().zip(&self.sums).enumerate() {
            for (l, s) in by_label.iter().enumerate().filter(|(_, s)| s[2] > 0.0) {
                for (k, (metric, unit)) in output.read.metrics().into_iter().enumerate() {
                    let name = if i == 0 { metric.to_owned() } else { format!("{metric}@{}", output.name) };
                    let reading = Reading::new(&labels.names()[l], name, s[k] / s[2], unit);
                    out.push(Reading { step, ..reading });
                }
            }
        }
        out
    }
}
