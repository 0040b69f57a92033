//! Numbers of a network over rows that are mostly zero.

use lobe_core::UNLABELLED;
use lobe_nets::{Batch, Input, Read};

use crate::error::LabError;
use crate::graph::Context;
use crate::store::Metric;

/// The squared error per number that is active, of each label in `found`, and what comes out where a single number
/// goes in as 1. Nothing where the data does not say how many numbers are active.
pub(super) fn run(c: &Context<'_>, params: &[f32], found: &[Metric]) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let (Some(active), Input::Rows { width }) = (x.data.active, x.net.input()) else { return Ok(Vec::new()) };
    let errors = found.iter().filter(|m| m.metric == "mse");
    let mut out: Vec<Metric> =
        errors.map(|m| Metric::new(&m.label, "mse_per_active", m.value / active, "mse")).collect();
    if x.net.outputs().first().is_some_and(|o| o.read == Read::Numbers { width }) {
        out.push(Metric::new("all", "one_hot", one_hot(c, params, width)?, "number"));
    }
    Ok(out)
}

/// The mean over all numbers of what a number comes out as that goes in as 1, the others as 0.
fn one_hot(c: &Context<'_>, params: &[f32], width: usize) -> Result<f64, LabError> {
    let mut batch = Batch::rows_of(width, 0, SHARD);
    (0..width).for_each(|i| batch.push_drawn(UNLABELLED, |row, _| row[i] = 1.0));
    let sums = c.forward(params).each_shard(&batch, |tape, ran, shard| -> Result<f64, LabError> {
        let rows = tape.value(ran.end(0)?).chunks_exact(width).zip(shard * SHARD..);
        Ok(rows.map(|(row, i)| f64::from(row[i])).sum())
    });
    Ok(sums?.iter().sum::<f64>() / width as f64)
}

/// Rows per shard.
const SHARD: usize = 64;
