//! Gradients against central differences along random directions.

use lobe_engine::{EngineError, Layout, ParamId, Plan, ShardRows, Tape, Var, Workspace};

use super::{Batch, Net, SEQ, dot, normals, pass};

pub(crate) type Forward<'a> = dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError> + 'a;

/// Half the distances of the central differences tried: rounding of an f32 pass over the first and
/// the third derivative times its square are both near 1e-4. The others are for directions in which
/// the first steps over a kink.
const STEPS: [f32; 3] = [1e-2, 2e-3, 5e-4];

/// Checks directional derivatives in every tensor; the objective is the tape's plus a random
/// functional of the output.
pub(crate) fn check(
    what: &str,
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    f: &Forward<'_>,
) {
    if let Err(e) = differences(what, layout, params, plan, rows, f) {
        panic!("{e}");
    }
}

pub(crate) fn differences(
    what: &str,
    layout: &Layout,
    params: &[f32],
    plan: &Plan,
    rows: ShardRows<'_>,
    f: &Forward<'_>,
) -> Result<(), String> {
    let value = |params: &[f32], functional: &[f32]| {
        let mut ws = Workspace::default();
        let mut tape = Tape::new(&mut ws, layout, params, None, plan, rows);
        let v = f(&mut tape).expect("the pass succeeds");
        tape.objective() + dot(tape.value(v), functional)
    };
    let probe = pass(layout, params, plan, rows, None, f);
    let functional = normals(what, probe.out.len());
    let got = pass(layout, params, plan, rows, Some(&functional), f);
    for (i, t) in layout.tensors().iter().enumerate() {
        let g = got.grad(layout, ParamId(i));
        let size = dot(g, g).sqrt();
        for k in 0..3 {
            let u = normals(&format!("{what} {} {k}", t.name), t.rows * t.cols);
            let norm = dot(&u, &u).sqrt() as f32;
            let tried = STEPS.map(|step| {
                let moved = |step: f32| {
                    let mut p = params.to_vec();
                    p[t.span()].iter_mut().zip(&u).for_each(|(p, u)| *p += step * u / norm);
                    value(&p, &functional)
                };
                let want = (moved(step) - moved(-step)) / 2.0;
                let along = dot(g, &u) * f64::from(step / norm);
                let noise = 4e-7 * (1.0 + got.objective.abs());
                let ok = (along - want).abs() < 1e-2 * want.abs() + 2e-3 * size * f64::from(step) + noise;
                (ok, along, want)
            });
            if !tried.iter().any(|t| t.0) {
                return Err(format!("{what}, {}: (ok, derivative, difference) {tried:?}", t.name));
            }
        }
    }
    Ok(())
}

/// Among a hundred clamped or rectified numbers one may sit right at its kink, so a block is given
/// three batches; a wrong gradient is wrong for all of them.
pub(crate) fn check_net(what: &str, net: &Net, plan: &Plan, rows: ShardRows<'_>) {
    let result = (0..3).map(|i| {
        let batch = Batch::new(&format!("differences {i}"), rows.rows / SEQ);
        differences(what, &net.layout, &net.params, plan, rows, &|t| {
            net.forward(t, &batch.tokens, &batch.targets, None)?;
            Ok(t.input(1, 1, |v| v[0] = 0.0))
        })
    });
    let errors: Vec<_> = result.map_while(Result::err).collect();
    assert!(errors.len() < 3, "{}", errors.join("\n"));
}
