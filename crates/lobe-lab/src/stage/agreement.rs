//! Whether a model's outputs agree with the control's.

use lobe_core::LabelId;
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{Plan, Tape};
use lobe_methods::measure::agreement::agreement;
use lobe_nets::Gpt;

use crate::error::LabError;
use crate::exec::{Context, EvalSet, Experiment};
use crate::store::Metric;

/// Share of held-out tokens, per label, whose most likely prediction is the control's, and the mean
/// divergence of the two. The control comes with the experiment over its own network: its width may be
/// another. Nothing for a network that does not predict tokens.
pub(super) fn run(
    c: &Context<'_>,
    set: &EvalSet,
    control: (&Experiment, &[f32]),
    params: &[f32],
) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let (Some(net), EvalSet::Tokens(batch)) = (x.net.gpt(), set) else { return Ok(Vec::new()) };
    let Some(other) = control.0.net.gpt() else { return Ok(Vec::new()) };
    let (plan, other_plan) = (Plan::plain(x.layout()), Plan::plain(&other.layout));
    let vocab = net.config.vocab;
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let parts = c.runner.map(&shards, |ws, s| -> Result<Vec<(LabelId, bool, f64)>, LabError> {
        let (inputs, targets, seq) = batch.tokens(*s);
        let mut logits = |net: &Gpt, params: &[f32], plan: &Plan| -> Result<Vec<f32>, LabError> {
            let mut tape = Tape::new(ws, &net.layout, params, None, plan, batch.rows(*s));
            let h = net.hidden(&mut tape, inputs, seq)?;
            let z = tape.logits(h, net.head())?;
            Ok(tape.value(z).to_vec())
        };
        let (theirs, ours) = (logits(other, control.1, &other_plan)?, logits(net, params, &plan)?);
        let mut scratch = vec![0.0; 2 * vocab];
        let rows = theirs.chunks_exact(vocab).zip(ours.chunks_exact(vocab)).enumerate();
        let counted = rows.filter(|(r, _)| targets[*r] != IGNORE);
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
