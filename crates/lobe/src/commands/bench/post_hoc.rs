//! A step of a post-hoc method, on data made on the spot.

use std::ops::Range;

use anyhow::Result;
use lobe_core::{FORGET, Key, LabelId, RETAIN};
use lobe_engine::{Buf, Member, Plan, Runner};
use lobe_lab::post_hoc::{self, Driver, Pool, Terms};
use lobe_methods::unlearn::{Drive, Side, Term};
use lobe_methods::{Entry, Unlearn};
use lobe_nets::{Gpt, Net, TokenBatch};
use serde_json::json;

use super::models::{Batch, Model, Size};
use crate::failure::refuse;

/// Most different examples of a side, in batches.
const BATCHES: u64 = 4;

/// A method with its examples and what the reference says about them.
pub(super) struct PostHoc<'a> {
    net: &'a Gpt,
    terms: Vec<Term>,
    pools: [Pool; 2],
    driver: Driver<'a>,
    batch: usize,
    steps: u64,
    /// Passes over the forget data before the one that counts.
    pub inner_steps: Option<usize>,
    /// Targets of a step.
    pub targets: usize,
    start: Option<Vec<f32>>,
    plan: Plan,
}

impl<'a> PostHoc<'a> {
    /// `steps` steps of a method from the parameters `reference`.
    pub(super) fn new(
        model: &'a Model,
        runner: &'a Runner,
        entry: &Entry<dyn Unlearn>,
        reference: &[f32],
        steps: u64,
    ) -> Result<PostHoc<'a>> {
        let (method, _) = (entry.build)(&json!({}))?;
        let Net::Gpt(net) = &model.net else {
            return Err(refuse(format!("{} needs a language model: --size S or M", entry.about.name)));
        };
        let terms = method.terms(post_hoc::shape(net), key())?;
        let batches = steps.clamp(1, BATCHES);
        let pool = |side, label, first| -> Result<Pool> {
            let batch = examples(model, label, first..first + batches)?;
            Ok(Pool::new(net, runner, reference, side, batch, &terms)?)
        };
        let pools = [pool(Side::Forget, FORGET, 0)?, pool(Side::Retain, RETAIN, BATCHES)?];
        let inner_steps = match method.drive() {
            Drive::Lat { steps, .. } | Drive::Tar { steps, .. } => Some(steps),
            Drive::Plain | Drive::Sam { .. } => None,
        };
        let driver = Driver::new(net, runner, method.drive(), model.optimiser());
        let start = method.start(&net.layout, reference, key().child("start"));
        let plan = post_hoc::plan(net, &*method, &terms);
        let targets = Terms::new(net, &pools, &terms, model.batch, 0, steps, key()).targets();
        Ok(PostHoc {
            net,
            terms,
            pools,
            driver,
            batch: model.batch,
            steps,
            inner_steps,
            targets,
            start,
            plan,
        })
    }

    /// The model that is trained.
    pub(super) fn member(&self, reference: &[f32], lanes: usize) -> Result<Member> {
        let params = Buf::from_slice(self.start.as_deref().unwrap_or(reference));
        Ok(Member::new(params, self.plan.clone(), lanes)?)
    }

    /// One update; returns the objective.
    pub(super) fn step(&mut self, member: &mut Member, step: u64) -> Result<f64> {
        let program = Terms::new(self.net, &self.pools, &self.terms, self.batch, step, self.steps, key());
        Ok(self.driver.step(member, program, step)?)
    }
}

fn key() -> Key {
    Key::root(0).child("post-hoc")
}

/// One example per shard.
fn examples(model: &Model, label: LabelId, batches: Range<u64>) -> Result<TokenBatch> {
    let mut all = Batch::new(model, 1);
    batches.for_each(|i| all.add(model, i, label));
    match all {
        Batch::Tokens(all) => Ok(all),
        Batch::Images(_) => Err(refuse(format!("{:?} has no text", Size::Ae))),
    }
}
