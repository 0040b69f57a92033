//! Knowledge probes: which of several continuations the model finds most likely.

use lobe_core::{LabelId, UNLABELLED};
use lobe_data::Probe;
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{Plan, Tape};
use lobe_nets::TokenBatch;

use super::loot::About;
use crate::error::LabError;
use crate::exec::{Context, Experiment};
use crate::store::Metric;

/// Accuracy and chance level per label of the probes' classes, and accuracy per class where a label has
/// several (`probe_accuracy@mul`). Without probes, nothing.
pub(super) fn run(c: &Context<'_>, params: &[f32]) -> Result<Vec<Metric>, LabError> {
    let x = c.experiment;
    let probes: Vec<&Probe> = x.data.probes.iter().collect();
    let Some(right) = right(c, params, &probes)? else { return Ok(Vec::new()) };
    let mut sums = vec![[0.0; 3]; x.labels.len()];
    let mut by_class = vec![[0.0; 2]; x.data.classes.len()];
    for (p, right) in probes.into_iter().zip(right) {
        let right = f64::from(u8::from(right));
        let sum = &mut sums[label_of(x, p.class).index()];
        *sum = [sum[0] + right, sum[1] + 1.0 / p.choices.len() as f64, sum[2] + 1.0];
        let of_class = &mut by_class[usize::from(p.class)];
        *of_class = [of_class[0] + right, of_class[1] + 1.0];
    }
    let fraction = |label: usize, metric: &str, value: f64| {
        Metric::new(&x.labels.names()[label], metric, value, "fraction")
    };
    let mut out = Vec::new();
    for (l, s) in sums.iter().enumerate().filter(|(_, s)| s[2] > 0.0) {
        out.push(fraction(l, "probe_accuracy", s[0] / s[2]));
        out.push(fraction(l, "probe_chance", s[1] / s[2]));
    }
    for (class, s) in by_class.iter().enumerate().filter(|(_, s)| s[1] > 0.0) {
        let label = label_of(x, class as u16).index();
        // A label's only class would say the same twice.
        if s[1] < sums[label][2] {
            let metric = format!("probe_accuracy@{}", x.data.classes[class]);
            out.push(fraction(label, &metric, s[0] / s[1]));
        }
    }
    Ok(out)
}

/// Share of the probes answered rightly that are asked in a class of `label`, that training examples of that
/// class tell the answer to, and whose prompt `about` holds; `None` if there are none.
pub(super) fn knowledge(
    c: &Context<'_>,
    params: &[f32],
    label: LabelId,
    about: &About,
) -> Result<Option<f64>, LabError> {
    let x = c.experiment;
    let asked =
        |p: &&Probe| label_of(x, p.class) == label && p.told_in.contains(&p.class) && about.holds(&p.prompt);
    let probes: Vec<&Probe> = x.data.probes.iter().filter(asked).collect();
    let right = right(c, params, &probes)?.unwrap_or_default();
    let count = right.iter().filter(|r| **r).count();
    Ok((!right.is_empty()).then(|| count as f64 / right.len() as f64))
}

/// A probe is asked in a class (language); its label is that class's true label.
fn label_of(x: &Experiment, class: u16) -> LabelId {
    let hit = x.data.test.class.iter().position(|k| *k == class);
    hit.map_or(UNLABELLED, |i| x.test_truth[i])
}

/// Which of the probes are answered rightly; `None` where there are none or they do not fit the context.
fn right(c: &Context<'_>, params: &[f32], probes: &[&Probe]) -> Result<Option<Vec<bool>>, LabError> {
    let x = c.experiment;
    let Some(net) = x.net.gpt() else { return Ok(None) };
    let longest = probes.iter().flat_map(|p| p.choices.iter().map(|c| p.prompt.len() + c.len())).max();
    let Some(longest) = longest.filter(|n| *n > 1 && *n <= net.config.context) else { return Ok(None) };
    let mut batch = TokenBatch::new(longest, 1);
    for p in probes {
        for choice in &p.choices {
            let all: Vec<u32> = p.prompt.iter().chain(choice).copied().collect();
            let mut inputs = all[..all.len() - 1].to_vec();
            let mut targets: Vec<u32> = vec![IGNORE; p.prompt.len() - 1];
            targets.extend_from_slice(choice);
            inputs.resize(longest, IGNORE);
            targets.resize(longest, IGNORE);
            batch.push_pair(&inputs, &targets, label_of(x, p.class), None);
        }
    }
    let plan = Plan::plain(x.layout());
    let shards: Vec<usize> = (0..batch.shards()).collect();
    let scores = c.runner.map(&shards, |ws, s| -> Result<f64, LabError> {
        let mut tape = Tape::new(ws, x.layout(), params, None, &plan, batch.rows(*s));
        let (inputs, targets, seq) = batch.tokens(*s);
        let h = net.hidden(&mut tape, inputs, seq)?;
        let stats = tape.cross_entropy(h, net.head(), targets, RowWeights::One(0.0))?;
        Ok(tape.value(stats).chunks_exact(2).map(|v| f64::from(v[0])).sum())
    });
    let scores: Vec<f64> = scores.into_iter().collect::<Result<_, _>>()?;
    let mut rest = &scores[..];
    let one = |p: &&Probe| {
        let (choices, next) = rest.split_at(p.choices.len());
        rest = next;
        let best = (0..choices.len()).min_by(|a, b| choices[*a].total_cmp(&choices[*b]));
        best == Some(p.answer)
    };
    Ok(Some(probes.iter().map(one).collect()))
}
