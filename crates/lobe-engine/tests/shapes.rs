//! What an operation says when shapes do not fit: its name, what should have agreed, both shapes.
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "a method of one lifetime is no function of all"
)]

mod common;

use common::try_pass;
use lobe_core::RETAIN;
use lobe_engine::ops::attention::AttentionSpec;
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::{HeadSpec, RowWeights};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::penalty::correlation;
use lobe_engine::{
    Edit, EngineError, Layout, Member, Owner, ParamId, Plan, ShardRows, SiteEdit, SiteId, Tape, Var,
};

/// Tensors of the given shapes, named by their shape.
fn says(
    shapes: &[(usize, usize)],
    f: impl Fn(&mut Tape<'_>, &[ParamId]) -> Result<Var, EngineError>,
) -> String {
    let mut layout = Layout::default();
    let ids: Vec<_> = shapes.iter().map(|(r, c)| layout.tensor(format!("{r}x{c}"), *r, *c).add()).collect();
    let params = vec![0.5; layout.len()];
    let rows = ShardRows::uniform(3, RETAIN);
    let result = try_pass(&layout, &params, &Plan::plain(&layout), rows, None, &|t| f(t, &ids));
    result.expect_err("the shapes do not fit").to_string()
}

fn head(weight: ParamId) -> HeadSpec {
    HeadSpec { weight, tied: false, bias: None, scale: 1.0 }
}

#[test]
fn embedding() {
    let f = |ids: &'static [u32], seq| {
        move |t: &mut Tape<'_>, p: &[ParamId]| t.embedding(ids, seq, p[0], p.get(1).copied(), None)
    };
    assert_eq!(says(&[(4, 2)], f(&[0, 4, 1], 3)), "embedding: token 4 is outside of 0..4");
    assert_eq!(
        says(&[(4, 2), (3, 5)], f(&[0, 1, 1], 3)),
        "embedding: widths of table and positions: (4, 2) against (4, 5)"
    );
    assert_eq!(says(&[(4, 2), (2, 2)], f(&[0, 1, 1], 3)), "embedding: position 2 is outside of 0..2");
    assert_eq!(says(&[(4, 2), (2, 2)], f(&[0, 1, 1], 0)), "embedding: a sequence length of 0");
}

#[test]
fn norm() {
    for wrong in [[(3, 6), (1, 5), (1, 6)], [(3, 6), (1, 6), (1, 5)]] {
        let text = says(&wrong, |t, p| {
            let x = t.leaf(p[0]);
            t.norm(x, p[1], Some(p[2]), false, 1e-5)
        });
        assert_eq!(text, "norm: width of gain or shift: (1, 6) against (1, 5)");
    }
}

#[test]
fn linear() {
    let f = |spec: fn(&mut Tape<'_>, &[ParamId]) -> LinearSpec| {
        move |t: &mut Tape<'_>, p: &[ParamId]| {
            let x = t.leaf(p[0]);
            let spec = spec(t, p);
            t.linear(x, spec)
        }
    };
    assert_eq!(
        says(&[(3, 6), (5, 4)], f(|_, p| LinearSpec::new(p[1]))),
        "linear: columns of the input and rows of the weight: (3, 6) against (5, 4)"
    );
    assert_eq!(
        says(&[(3, 6), (6, 4), (1, 5)], f(|_, p| LinearSpec { bias: Some(p[2]), ..LinearSpec::new(p[1]) })),
        "linear: bias: (1, 4) against (1, 5)"
    );
    let residual = |t: &mut Tape<'_>, p: &[ParamId]| {
        let r = t.leaf(p[2]);
        LinearSpec { residual: Some(r), ..LinearSpec::new(p[1]) }
    };
    assert_eq!(says(&[(3, 6), (6, 4), (3, 5)], f(residual)), "linear: residual: (3, 4) against (3, 5)");
    let both = |t: &mut Tape<'_>, p: &[ParamId]| {
        let r = t.leaf(p[2]);
        LinearSpec { residual: Some(r), act: Act::Relu, ..LinearSpec::new(p[1]) }
    };
    assert_eq!(
        says(&[(3, 6), (6, 4), (3, 4)], f(both)),
        "linear: activation and residual exclude each other"
    );
}

#[test]
fn attention() {
    let base = AttentionSpec {
        seq: 3,
        heads: 2,
        kv_heads: 1,
        head_dim: 2,
        scale: 1.0,
        window: None,
        rotary: None,
        site: None,
    };
    let with = |shape, spec| {
        says(&[shape], |t, p| {
            let x = t.leaf(p[0]);
            t.attention(x, spec)
        })
    };
    assert_eq!(with((3, 7), base), "attention: width of qkv: (3, 7) against (3, 8)");
    assert_eq!(
        with((4, 8), base),
        "attention: rows must be a multiple of the sequence length: (4, 8) against (3, 8)"
    );
    assert_eq!(
        with((3, 14), AttentionSpec { heads: 3, kv_heads: 2, ..base }),
        "attention: 3 heads over 2 key/value heads, window None"
    );
    assert_eq!(
        with((3, 8), AttentionSpec { window: Some(0), ..base }),
        "attention: 2 heads over 1 key/value heads, window Some(0)"
    );
}

#[test]
fn gated_and_small_operations() {
    let text = says(&[(3, 5)], |t, p| {
        let x = t.leaf(p[0]);
        t.gated(x, None)
    });
    assert_eq!(text, "gated: columns must be even: (3, 5) against (3, 4)");
    let two = |a, b, f: fn(&mut Tape<'_>, Var, Var) -> Result<Var, EngineError>| {
        says(&[a, b], |t, p| {
            let (a, b) = (t.leaf(p[0]), t.leaf(p[1]));
            f(t, a, b)
        })
    };
    for b in [(2, 4), (3, 2), (1, 3), (2, 1)] {
        let text = two((3, 4), b, |t, a, b| t.pair(a, Pair::Add, b));
        assert_eq!(text, format!("pair: shapes (the second may be broadcast): (3, 4) against {b:?}"));
    }
    assert_eq!(two((3, 4), (2, 5), |t, a, b| t.concat(a, b)), "concat: rows: (3, 4) against (2, 5)");
    assert_eq!(
        two((3, 4), (5, 2), |t, a, b| t.matmul(a, b)),
        "matmul: columns of the first and rows of the second: (3, 4) against (5, 2)"
    );
    let text = says(&[(3, 4)], |t, p| {
        let x = t.leaf(p[0]);
        t.columns(x, 2..5)
    });
    assert_eq!(text, "columns: column 5 is outside of 0..5");
    let text = says(&[(3, 4)], |t, p| {
        let x = t.leaf(p[0]);
        t.minimise(x, 1.0).map(|()| x)
    });
    assert_eq!(text, "minimise: the objective must be a scalar: (3, 4) against (1, 1)");
    let text = says(&[(3, 4)], |t, p| {
        let x = t.leaf(p[0]);
        t.seed_grad(x, &[0.0; 5]).map(|()| x)
    });
    assert_eq!(text, "seed_grad: lengths: (1, 5) against (1, 12)");
}

#[test]
fn heads() {
    type Run = fn(&mut Tape<'_>, Var, HeadSpec, &[u32]) -> Result<Var, EngineError>;
    let xent: Run = |t, h, s, y| t.cross_entropy(h, s, y, RowWeights::One(1.0));
    let nll: Run = |t, h, s, y| t.token_nll(h, s, y);
    let kl: Run = |t, h, s, _| t.kl(h, s, &[0.0; 21], RowWeights::One(1.0));
    let logits: Run = |t, h, s, _| t.logits(h, s);
    for (op, f) in [("cross_entropy", xent), ("token_nll", nll), ("kl", kl), ("logits", logits)] {
        let with = |shapes: &[(usize, usize)], targets: &[u32], tied| {
            says(shapes, |t, p| {
                let h = t.leaf(p[0]);
                f(t, h, HeadSpec { tied, bias: p.get(2).copied(), ..head(p[1]) }, targets)
            })
        };
        let width = "width of the hidden state and of the head";
        assert_eq!(with(&[(3, 4), (5, 7)], &[0; 3], false), format!("{op}: {width}: (3, 4) against (5, 7)"));
        assert_eq!(with(&[(3, 4), (7, 5)], &[0; 3], true), format!("{op}: {width}: (3, 4) against (7, 5)"));
        let bias = with(&[(3, 4), (4, 7), (1, 6)], &[0; 3], false);
        assert_eq!(bias, format!("{op}: bias: (1, 7) against (1, 6)"));
        if ["cross_entropy", "token_nll"].contains(&op) {
            let rows = with(&[(3, 4), (4, 7)], &[0; 2], false);
            assert_eq!(rows, format!("{op}: rows and targets: (3, 1) against (2, 1)"));
            let target = with(&[(3, 4), (4, 7)], &[0, 7, 1], false);
            assert_eq!(target, format!("{op}: target 7 is outside of 0..7"));
        }
    }
    let with = |len: usize, weights: &[f32]| {
        let teacher = vec![0.0; len];
        says(&[(3, 4), (4, 7)], |t, p| {
            let h = t.leaf(p[0]);
            t.kl(h, head(p[1]), &teacher, RowWeights::Each(weights))
        })
    };
    assert_eq!(with(14, &[1.0; 3]), "kl: teacher logits: (3, 7) against (2, 7)");
    assert_eq!(with(20, &[1.0; 3]), "kl: teacher logits: (3, 7) against (1, 20)");
    assert_eq!(with(21, &[1.0; 2]), "kl: rows and row weights: (3, 1) against (2, 1)");
    let text = says(&[(3, 4), (4, 7)], |t, p| {
        let h = t.leaf(p[0]);
        t.cross_entropy(h, head(p[1]), &[0; 3], RowWeights::Each(&[1.0; 4]))
    });
    assert_eq!(text, "cross_entropy: rows and row weights: (3, 1) against (4, 1)");
}

#[test]
fn distance() {
    let with = |len: usize, weights: RowWeights<'_>| {
        let target = vec![0.0; len];
        says(&[(3, 4)], |t, p| {
            let x = t.leaf(p[0]);
            t.distance(x, &target, Distance::Squared, weights)
        })
    };
    assert_eq!(with(8, RowWeights::One(1.0)), "distance: target: (3, 4) against (2, 4)");
    assert_eq!(with(13, RowWeights::One(1.0)), "distance: target: (3, 4) against (1, 13)");
    let weights = RowWeights::Each(&[1.0; 2]);
    assert_eq!(with(12, weights), "distance: rows and row weights: (3, 1) against (2, 1)");
}

#[test]
fn correlations() {
    let with = |values: usize, grads: usize, a, b| {
        let z = vec![0.5; values];
        correlation(&z, 4, a, b, 1.0, &mut vec![0.0; grads]).expect_err("they do not fit").to_string()
    };
    assert_eq!(with(13, 13, 0..2, 2..4), "correlation: values: (3, 4) against (1, 13)");
    assert_eq!(with(12, 8, 0..2, 2..4), "correlation: gradient: (3, 4) against (2, 4)");
    assert_eq!(with(12, 12, 0..2, 2..5), "correlation: column 5 is outside of 0..5");
    assert_eq!(with(12, 12, 3..6, 0..2), "correlation: column 6 is outside of 0..5");
}

#[test]
fn interventions_and_additions() {
    let mut layout = Layout::default();
    let site = layout.site("post", 4);
    let x = layout.tensor("x", 3, 4).add();
    let plan = Plan::plain(&layout);
    let with = |site, cols, edit| plan.clone().with_edit(SiteEdit { site, cols, edit });
    let refused = |site, cols, edit| with(site, cols, edit).expect_err("the edit does not fit").to_string();
    for edit in [Edit::Set(vec![0.0; 3]), Edit::Add(vec![0.0; 3]), Edit::ProjectOut(vec![0.0; 3])] {
        let text = refused(site, 1..3, edit);
        assert_eq!(text, "with_edit: columns and values: (1, 2) against (1, 3)");
    }
    let clamp = |lo, hi| refused(site, 0..4, Edit::Clamp(lo, hi));
    assert_eq!(clamp(1.0, 0.5), "with_edit: no number lies between 1 and 0.5");
    assert_eq!(clamp(f32::NAN, 0.5), "with_edit: no number lies between NaN and 0.5");
    let range = std::ops::Range { start: 3, end: 2 };
    assert_eq!(refused(site, range, Edit::Clamp(0.0, 0.0)), "with_edit: the columns 3..2 run backwards");
    assert_eq!(refused(SiteId(1), 0..1, Edit::Clamp(0.0, 0.0)), "with_edit: site 1 is outside of 0..1");

    // How wide a site is shows only once something stands at it.
    let params = vec![0.5; layout.len()];
    let run = |plan: &Plan, added: usize| {
        let rows = ShardRows::uniform(3, RETAIN);
        let result = try_pass(&layout, &params, plan, rows, None, &|t| {
            t.inject(site, &vec![0.0; added]);
            let x = t.leaf(x);
            t.site(x, site)
        });
        result.map(|_| ()).map_err(|e| e.to_string())
    };
    let wide = with(site, 2..5, Edit::Clamp(0.0, 1.0)).expect("its columns are not known yet");
    let text = "with_edit: columns of the edit and of the site: (1, 5) against (3, 4)";
    assert_eq!(run(&wide, 12), Err(text.into()));
    let text = "inject: what is added and the site: (3, 4) against (2, 4)";
    assert_eq!(run(&plan, 8), Err(text.into()));
    assert_eq!(run(&plan, 12), Ok(()));
}

#[test]
fn layouts_and_members() {
    let mut layout = Layout::default();
    let site = layout.site("mlp.post", 4);
    layout.tensor("up", 3, 4).cols_owned(Owner::units(site, 4)).add();
    assert_eq!(layout.check(), Ok(()));
    layout.tensor("down", 3, 4).rows_owned(Owner::units(site, 4)).add();
    let error = layout.check().expect_err("three rows have no fourth unit");
    assert_eq!(error.to_string(), "owner of \"down\" does not fit");
    let mut layout = Layout::default();
    layout.tensor("up", 3, 4).cols_owned(Owner::units(SiteId(0), 4)).add();
    assert!(layout.check().is_err(), "the site does not exist");

    for lanes in [0, 65] {
        let plan = Plan::plain(&Layout::default());
        let error = Member::new(lobe_engine::Buf::zeros(0), plan, lanes);
        let text = error.map(|_| ()).expect_err("too few or too many lanes").to_string();
        assert_eq!(text, format!("lanes must be in 1..=64, not {lanes}"));
    }
}
