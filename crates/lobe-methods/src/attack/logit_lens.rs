//! Logit lens: read next tokens off the residual stream after every block.
//!
//! Equation: logits_l = head(norm(x_l)), with the model's own final norm and head and x_l the
//! residual stream after block l; the loss of logits_l on held-out data, for each l.
//! Papers: nostalgebraist 2020 (interpreting GPT: the logit lens); Patil et al. 2023
//! (arXiv 2309.17410), who recover deleted facts from middle layers.
//! Unusual: every label is read, so that a layer that only predicts better everywhere shows as one. The layer
//! that `lens_loss` belongs to is chosen on training examples.
//! Fails: nothing is trained, so early layers whose basis differs from the last one's read badly
//! although they know (a linear probe may still find it).

use lobe_core::RETAIN;
use lobe_engine::ops::head::{IGNORE, RowWeights};
use lobe_engine::{EngineError, ShardRows, Tape, Workspace};
use lobe_nets::{Batch, Begin, End, Network};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::acts::{check, missing, over_sites, residual, tokens};
use super::{Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Loot, Trial, parse};
use lobe_core::registry::{About, ParamError, params_of};

/// Rows that are read out at a time.
const CHUNK: usize = 4096;

const ABOUT: About = About {
    name: "logit-lens",
    summary: "reads the residual stream after every block through the final norm and the head",
    reference: "nostalgebraist 2020, the logit lens; Patil et al. 2023, arXiv 2309.17410",
    unusual: "the axis is the block; the best block is chosen on training examples and its loss is measured on held-out ones",
    fails: "nothing is trained: a block in another basis than the last one scores badly although it has the information",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogitLens {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Training sequences used to choose the block.
    pub examples: usize,
}

impl Default for LogitLens {
    fn default() -> Self {
        LogitLens { label: "forget".into(), examples: 128 }
    }
}

/// Mean loss of rows of the residual stream, read through final norm and head.
fn read_out(
    net: &dyn Network,
    params: &[f32],
    ws: &mut Workspace,
    rows: &[f32],
    targets: &[u32],
) -> Result<f64, BenchError> {
    let (last, width) = (net.blocks(), net.width_at(net.blocks()));
    let (_, head) = net.language().ok_or_else(|| missing("the network predicts no token".into()))?;
    let plan = net.plain();
    let mut sum = 0.0;
    for (rows, targets) in rows.chunks(CHUNK * width).zip(targets.chunks(CHUNK)) {
        let shard = ShardRows::uniform(targets.len(), RETAIN);
        let mut tape = Tape::new(ws, net.layout(), params, None, &plan, shard);
        let x = tape.input(targets.len(), width, |b| b.copy_from_slice(rows));
        let ran = net.run(&mut tape, Begin::Cut { cut: last, x, seq: 1 }, End::Outputs)?;
        tape.cross_entropy(ran.end(0)?, head, targets, RowWeights::One(1.0))?;
        sum += tape.objective();
    }
    Ok(sum / targets.len().max(1) as f64)
}

/// Mean loss of every block's residual stream on a batch.
fn losses(bench: &mut dyn Bench, batch: &Batch) -> Result<Vec<f64>, BenchError> {
    let net = bench.net().clone();
    let victim = bench.victim().to_vec();
    let sites = residual(&*net, &[])?;
    let targets: Vec<u32> =
        (0..batch.shards()).flat_map(|s| batch.text(s).1.iter().copied().filter(|t| *t != IGNORE)).collect();
    let (mut ws, mut out) = (Workspace::default(), Vec::new());
    over_sites(bench, &victim, batch, &sites, &mut |_, rows| {
        if rows.len() != targets.len() * net.width_at(0) {
            let what = format!("logit-lens: {} numbers for {} targets", rows.len(), targets.len());
            return Err(EngineError::Invalid(what).into());
        }
        out.push(read_out(&*net, &victim, &mut ws, rows, &targets)?);
        Ok(())
    })?;
    Ok(out)
}

impl LogitLens {
    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        check(self.examples, &[])
    }
}

impl Attack for LogitLens {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        vec![Case::new("blocks", [])]
    }

    fn run(&self, bench: &mut dyn Bench, _: &[Case]) -> Result<(), BenchError> {
        let (labels, target) = (bench.labels().len(), bench.target());
        let train = bench.examples(Loot::Forget, self.examples)?;
        let chosen = losses(bench, &train)?;
        let best = (0..chosen.len()).min_by(|a, b| chosen[*a].total_cmp(&chosen[*b])).unwrap_or(0);
        let mut curve: Vec<_> = (0..chosen.len()).map(|l| (l as u64, vec![None; labels])).collect();
        for label in 0..labels {
            bench.progress((label + 1) as f64 / (labels + 1) as f64)?;
            let batch = match bench.held_out(label, usize::MAX) {
                Err(BenchError::Missing(_)) if label != target => continue,
                batch => batch?,
            };
            for (point, loss) in curve.iter_mut().zip(losses(bench, &batch)?) {
                point.1[label] = loss.is_finite().then_some(loss);
            }
        }
        let mut extra = vec![("lens_layer", best as f64, "block")];
        if let Some(loss) = curve.get(best).and_then(|p| p.1.get(target).copied().flatten()) {
            extra.push(("lens_loss", loss, "nat"));
        }
        let budget = Budget { tokens: tokens(&train), examples: train.len() as u64, ..Budget::default() };
        bench.keep(Trial::new("blocks", curve, budget).with(extra))
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis::BLOCK,
    battery: Battery::Always,
    sweeps: &[],
    params: params_of::<LogitLens>,
    build: |v| {
        let (p, full) = parse::<LogitLens>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};
