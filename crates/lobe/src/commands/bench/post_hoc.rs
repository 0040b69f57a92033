//! A step of a post-hoc method, on data made on the spot.

use std::ops::Range;

use anyhow::Result;
use lobe_core::{FORGET, Key, LabelId, RETAIN};
use lobe_engine::{Buf, Member, Optimiser, Plan, Runner};
use lobe_methods::unlearn::{Drive, Side, Term};
use lobe_methods::{Entry, Unlearn};
use lobe_nets::Batch;
use lobe_train::{Drawn, Driver, Pool, Source, plan, shape};
use serde_json::json;

use super::models::Model;
use crate::failure::refuse;

/// Most different examples of a side, in batches.
const BATCHES: u64 = 4;

/// A method with its examples and what the reference says about them.
pub(super) struct PostHoc<'a> {
    model: &'a Model,
    runner: &'a Runner,
    terms: Vec<Term>,
    drawn: Drawn,
    driver: Driver,
    optimiser: Optimiser,
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
        let net = &*model.net;
        let Some(shape) = shape(net) else {
            return Err(refuse(format!("{} needs a language model: --size S or M", entry.about.name)));
        };
        let terms = method.terms(shape, key())?;
        let batches = steps.clamp(1, BATCHES);
        let pool = |side, label, first| -> Result<Pool> {
            let batch = examples(model, label, first..first + batches);
            Ok(Pool::new((net, reference), runner, side, batch, &terms)?)
        };
        let pools = [pool(Side::Forget, FORGET, 0)?, pool(Side::Retain, RETAIN, BATCHES)?];
        let inner_steps = match method.drive() {
            Drive::Lat { steps, .. } | Drive::Tar { steps, .. } => Some(steps),
            Drive::Plain | Drive::Sam { .. } => None,
        };
        let start = method.start(net.layout(), reference, key().child("start"));
        let plan = plan(net, &*method, &terms);
        let mut drawn = Drawn::new(pools, &terms, (model.batch, steps), key());
        let targets = drawn.draw(0);
        let (driver, optimiser) = (Driver::new(method.drive()), model.optimiser());
        Ok(PostHoc { model, runner, terms, drawn, driver, optimiser, inner_steps, targets, start, plan })
    }

    /// The model that is trained.
    pub(super) fn member(&self, reference: &[f32], lanes: usize) -> Result<Member> {
        let params = Buf::from_slice(self.start.as_deref().unwrap_or(reference));
        Ok(Member::new(params, self.plan.clone(), lanes)?)
    }

    /// One update; returns the objective.
    pub(super) fn step(&mut self, member: &mut Member, step: u64) -> Result<f64> {
        self.drawn.draw(step);
        let follows = (&self.terms[..], &*self.drawn.examples());
        let (net, rule) = (&*self.model.net, (&self.optimiser, step));
        Ok(self.driver.step(self.runner, net, member, rule, follows)?)
    }
}

fn key() -> Key {
    Key::root(0).child("post-hoc")
}

/// One example per shard.
fn examples(model: &Model, label: LabelId, batches: Range<u64>) -> Batch {
    let mut all = model.batch(1);
    batches.for_each(|i| model.add(&mut all, i, label));
    all
}
