//! What the integration tests share: one pass over a closure, and random numbers.
#![allow(dead_code, reason = "each test file uses a part of it")]

use lobe_core::{Key, RETAIN};
use lobe_engine::{EngineError, Layout, ParamId, Plan, ShardRows, Tape, Var, Workspace};

/// What one shard computed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pass {
    /// Value of the variable that the closure returned.
    pub(crate) out: Vec<f32>,
    /// Its shape.
    pub(crate) shape: (usize, usize),
    /// The tape's objective, plus the functional of the output in f64.
    pub(crate) objective: f64,
    /// Gradient of all parameters, flat.
    pub(crate) grads: Vec<f32>,
}

impl Pass {
    /// The gradient of one tensor.
    pub(crate) fn grad(&self, layout: &Layout, p: ParamId) -> &[f32] {
        &self.grads[layout.get(p).span()]
    }
}

/// Runs `f` on one shard, seeds its result with `functional` (if any) and goes backwards.
pub(crate) fn try_pass(
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Result<Pass, EngineError> {
    let mut ws = Workspace::default();
    let mut grads = vec![0.0; layout.len()];
    let mut tape = Tape::new(&mut ws, layout, params, Some(&mut grads), plan, rows);
    let v = f(&mut tape)?;
    let (out, shape) = (tape.value(v).to_vec(), tape.shape(v));
    let mut objective = tape.objective();
    if let Some(r) = functional {
        objective += dot(&out, r);
        tape.seed_grad(v, r)?;
    }
    tape.backward(0)?;
    Ok(Pass { out, shape, objective, grads })
}

/// [`try_pass`] that must succeed.
pub(crate) fn pass(
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Pass {
    try_pass(layout, params, plan, rows, functional, f).expect("the pass succeeds")
}

/// [`pass`] with ordinary training.
pub(crate) fn plain_pass(
    layout: &Layout,
    params: &[f32],
    rows: usize,
    functional: Option<&[f32]>,
    f: &dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>,
) -> Pass {
    pass(layout, params, &Plan::plain(layout), ShardRows::uniform(rows, RETAIN), functional, f)
}

/// Σ a b in f64.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// Normal numbers that belong to `name`.
pub(crate) fn normals(name: &str, n: usize) -> Vec<f32> {
    let mut rng = Key::root(7).child(name).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

/// Integers below `bound` that belong to `name`.
pub(crate) fn integers(name: &str, n: usize, bound: usize) -> Vec<u32> {
    let mut rng = Key::root(8).child(name).rng();
    (0..n).map(|_| rng.below(bound) as u32).collect()
}

/// The first place where two slices differ by more than `absolute + relative |want|`.
pub(crate) fn differs(got: &[f32], want: &[f32], relative: f32, absolute: f32) -> Option<String> {
    if got.len() != want.len() {
        return Some(format!("{} numbers instead of {}", got.len(), want.len()));
    }
    let bad = |(_, (g, w)): &(usize, (&f32, &f32))| {
        g.is_nan() != w.is_nan() || (**g - **w).abs() > absolute + relative * w.abs()
    };
    let (i, (g, w)) = got.iter().zip(want).enumerate().find(bad)?;
    Some(format!("at {i}: {g} instead of {w}"))
}

/// Fails unless `got` equals `want` up to `absolute + relative |want|`.
#[track_caller]
pub(crate) fn assert_close(what: &str, got: &[f32], want: &[f32], relative: f32, absolute: f32) {
    if let Some(e) = differs(got, want, relative, absolute) {
        panic!("{what}: {e}");
    }
}

/// Fails unless the bits agree.
#[track_caller]
pub(crate) fn assert_same(what: &str, got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len(), "{what}");
    let bad = got.iter().zip(want).position(|(g, w)| g.to_bits() != w.to_bits() && g != w);
    assert_eq!(bad, None, "{what}: {:?}", bad.map(|i| (got[i], want[i])));
}
