//! Whether a model's outputs agree with the control's.

use lobe_core::LabelId;
use lobe_methods::measure::agreement::agreement;
use lobe_nets::Batch;
use lobe_train::Forward;

use crate::error::LabError;
use crate::graph::Context;
use crate::plan::Experiment;
use crate::store::Metric;

/// Share of held-out tokens, per label, whose most likely prediction is the control's, and the mean
/// divergence of the two. The control comes with the experiment over its own network: its width may be
/// another. Nothing for a network that does not predict tokens.
pub(super) fn run(
    c: &Context<'_>,
    batch: &Batch,
    control: (&Experiment, &[f32]),
    params: &[f32],
) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let (Some((vocab, head)), Some((_, other))) = (x.net.language(), control.0.net.language()) else {
        return Ok(Vec::new());
    };
    let (ours, theirs) = (c.forward(params), Forward::new(&*control.0.net, c.runner, control.1));
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let parts = c.runner.map(&shards, |ws, s| -> Result<Vec<(LabelId, bool, f64)>, LabError> {
        let mut logits = |of: &Forward<'_>, head| {
            of.shard(ws, batch, *s, |tape, ran| -> Result<Vec<f32>, LabError> {
                let z = tape.logits(ran.end(0)?, head)?;
                Ok(tape.value(z).to_vec())
            })
        };
        let (theirs, ours) = (logits(&theirs, other)?, logits(&ours, head)?);
        let mut scratch = vec![0.0; 2 * vocab];
        let rows = theirs.chunks_exact(vocab).zip(ours.chunks_exact(vocab)).enumerate();
        let counted = rows.filter(|(r, _)| batch.counts(*s, *r));
        Ok(counted
            .map(|(r, (theirs, ours))| {
                let (same, kl) = agreement(theirs, ours, &mut scratch);
                (batch.row_label(*s, r), same, kl)
            })
            .collect())
    });
    let mut sums = vec![[0.0; 3]; x.labels.len()];
    for part in parts {
        for (label, same, kl) in part? {
            let sum = &mut sums[label.index()];
            *sum = [sum[0] + f64::from(u8::from(same)), sum[1] + kl, sum[2] + 1.0];
        }
    }
    let seen = x.labels.names().iter().zip(&sums).filter(|(_, s)| s[2] > 0.0);
    Ok(seen
        .flat_map(|(label, s)| {
            [
                Metric::new(label, "control_agreement", s[0] / s[2], "fraction"),
                Metric::new(label, "control_kl", s[1] / s[2], "nat"),
            ]
        })
        .collect())
}
