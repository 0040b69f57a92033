//! Steps whose objective couples the whole batch: all forward passes, the objective, all backward passes.

use rayon::prelude::*;

use super::{Coupling, Lane, Pass};
use crate::buffer::Buf;
use crate::error::EngineError;
use crate::tape::Tape;

/// Buffers of the objective, kept from step to step.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// (shard, lane, place in the lane) of every waiting shard.
    places: Vec<(usize, usize, usize)>,
    /// Rows of all shards, and the objective's gradient of them.
    values: Vec<f32>,
    grad: Vec<f32>,
    /// Where each shard's rows begin.
    starts: Vec<usize>,
}

impl Lane {
    /// Forward pass of a shard whose backward pass waits for the coupled objective.
    pub(super) fn hold(&mut self, pass: &Pass<'_>, grads: &mut Buf, shard: usize) -> Result<(), EngineError> {
        let Pass { layout, params, plan, program } = *pass;
        let mut ws = self.spare.pop().unwrap_or_default();
        let mut tape = Tape::new(&mut ws, layout, params, Some(grads), plan, program.rows(shard));
        let var = program.forward(shard, &mut tape)?;
        tape.check_finite(shard)?;
        let Some(var) = var else {
            return Err(EngineError::Invalid("a coupled objective needs the variable it couples".into()));
        };
        self.waiting.push((shard, ws, var));
        Ok(())
    }
}

impl Scratch {
    /// The objective over all rows, then every waiting shard's backward pass.
    pub(super) fn run(
        &mut self,
        pass: &Pass<'_>,
        lanes: &mut [Lane],
        grads: &mut [Buf],
        couple: &Coupling<'_>,
    ) -> Result<(), EngineError> {
        let Pass { layout, params, plan, program } = *pass;
        if let Some(e) = lanes.iter_mut().find_map(|l| l.error.take()) {
            for lane in lanes {
                lane.waiting.clear();
            }
            return Err(e);
        }
        let Scratch { places, values, grad, starts } = self;
        // Rows in shard order, whatever lane they are in.
        places.clear();
        for (l, lane) in lanes.iter().enumerate() {
            places.extend(lane.waiting.iter().enumerate().map(|(w, (shard, ..))| (*shard, l, w)));
        }
        places.sort_unstable();
        values.clear();
        let mut cols = 1;
        for (_, l, w) in &*places {
            let (_, ws, var) = &lanes[*l].waiting[*w];
            cols = ws.vars[var.0].cols;
            values.extend_from_slice(&ws.vars[var.0].value);
        }
        grad.clear();
        grad.resize(values.len(), 0.0);
        let finite = |value: f64| {
            if value.is_finite() {
                return Ok(value);
            }
            Err(EngineError::NonFinite { place: "the coupled objective".into(), shard: 0 })
        };
        let value = couple(values, cols, grad)
            .and_then(finite)
            .inspect_err(|_| lanes.iter_mut().for_each(|l| l.waiting.clear()))?;
        starts.clear();
        starts.resize(program.shards(), 0);
        let mut at = 0;
        for (shard, l, w) in &*places {
            starts[*shard] = at;
            let (_, ws, var) = &lanes[*l].waiting[*w];
            at += ws.vars[var.0].value.len();
        }
        lanes.par_iter_mut().zip(grads.par_iter_mut()).for_each(|(lane, grads)| {
            let mut waiting = std::mem::take(&mut lane.waiting);
            for (shard, mut ws, var) in waiting.drain(..) {
                let rows = program.rows(shard).rows;
                let mut tape = Tape::resume(&mut ws, layout, params, grads, plan, rows);
                let len = tape.value(var).len();
                let result = tape
                    .seed_grad(var, &grad[starts[shard]..starts[shard] + len])
                    .and_then(|()| tape.backward(shard));
                // The first one counts: a later shard without one must not hide it.
                lane.error = lane.error.take().or(result.err());
                lane.collect(&tape);
                lane.spare.push(ws);
            }
            lane.waiting = waiting;
        });
        lanes[0].objective += value;
        Ok(())
    }
}
