//! What tests of whole steps share: a program of labelled sequences, members and optimisers.

use lobe_core::{FORGET, LabelId, Route, RouteTable, Selection, Target};
use lobe_engine::optim::{AdamW, Rule};
use lobe_engine::{
    Buf, EngineError, Masked, Member, Optimiser, Plan, Program, RowLabels, Runner, Schedule, ScheduleShape,
    ShardRows, Tape, Var,
};

use super::{Batch, Net};

pub(crate) const ADAMW: AdamW = AdamW { betas: [0.9, 0.99], eps: 1e-8, amsgrad: false };

pub(crate) fn optimiser(rule: impl Rule + 'static, masked: Masked) -> Optimiser {
    let schedule = Schedule { peak: 0.02, warmup: 2, steps: 20, shape: ScheduleShape::Cosine, floor: 0.1 };
    Optimiser { weight_decay: 0.1, decay_matrices_only: true, masked, ..Optimiser::new(rule, schedule) }
}

/// One shard per entry: some sequences and their label.
pub(crate) struct Sequences<'a> {
    pub(crate) net: &'a Net,
    pub(crate) shards: Vec<(Batch, LabelId)>,
    pub(crate) strength: Option<Vec<f32>>,
    /// Labels of the first rows of every shard, in place of the shard's.
    pub(crate) each: Option<Vec<LabelId>>,
}

impl<'a> Sequences<'a> {
    /// Shard `i` has one or two sequences.
    pub(crate) fn new(net: &'a Net, name: &str, labels: &[LabelId]) -> Sequences<'a> {
        let batch = |i: usize| Batch::new(&format!("{name} {i}"), 1 + i % 2);
        let shards = labels.iter().enumerate().map(|(i, l)| (batch(i), *l)).collect();
        Sequences { net, shards, strength: None, each: None }
    }
}

impl Program for Sequences<'_> {
    fn shards(&self) -> usize {
        self.shards.len()
    }
    fn rows(&self, shard: usize) -> ShardRows<'_> {
        let (batch, label) = &self.shards[shard];
        let strength = self.strength.as_ref().map(|s| &s[..batch.rows()]);
        let each = self.each.as_ref().map(|e| RowLabels::Each(&e[..batch.rows()]));
        ShardRows { rows: batch.rows(), labels: each.unwrap_or(RowLabels::One(*label)), strength }
    }
    fn forward(&self, shard: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let (batch, label) = &self.shards[shard];
        let nll = self.net.forward(tape, &batch.tokens, &batch.targets, None)?;
        let total = tape.value(nll).iter().map(|x| f64::from(*x)).sum();
        tape.record(label.index(), total, batch.rows() as f64);
        Ok(None)
    }
}

pub(crate) fn member(net: &Net, plan: Plan, lanes: usize) -> Member {
    Member::new(Buf::from_slice(&net.params), plan, lanes).expect("a member")
}

pub(crate) fn mask_update(net: &Net) -> (Selection, Plan) {
    let region = net.region(&[net.z, net.post]);
    let plan =
        net.plan(&region, &RouteTable::plain().with(FORGET, Target::Region(0), Route::new(1.0, 1.0, 0.0)));
    (region, plan)
}

pub(crate) fn one(
    runner: &Runner,
    net: &Net,
    m: &mut Member,
    p: &dyn Program,
    o: &Optimiser,
    step: u64,
) -> Result<(), EngineError> {
    runner.step(&net.layout, &mut [(m, p, o)], step).map(|_| ())
}

/// Gives the first tensor a fixed gradient, as forget data.
pub(crate) struct Seeded<'a>(pub(crate) &'a [f32]);

impl Program for Seeded<'_> {
    fn shards(&self) -> usize {
        1
    }
    fn rows(&self, _: usize) -> ShardRows<'_> {
        ShardRows::uniform(1, FORGET)
    }
    fn forward(&self, _: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
        let v = tape.leaf(lobe_engine::ParamId(0));
        tape.seed_grad(v, self.0)?;
        Ok(None)
    }
}
