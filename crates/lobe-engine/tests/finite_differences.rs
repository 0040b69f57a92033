//! Gradients against central differences along random directions, operation by operation and
//! through a whole block with routes and interventions.

mod common;

use common::differences::{check, check_net};
use common::{HEADS, MLP, Net, SEQ, Shape, dot, normals};
use lobe_core::{FORGET, LabelId, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::ops::attention::{AttentionSpec, Rotary};
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::distance::Distance;
use lobe_engine::ops::head::{HeadSpec, IGNORE, RowWeights};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::penalty::correlation;
use lobe_engine::ops::reduce::Over;
use lobe_engine::ops::unary::Function;
use lobe_engine::{
    Edit, EngineError, Layout, Owner, ParamId, Plan, RowLabels, ShardRows, SiteEdit, SiteId, Tape, Var,
};

/// An operation on parameters of the given shapes; the first is `x`, read through `leaf`.
fn op(
    what: &str,
    shapes: &[(usize, usize)],
    f: impl Fn(&mut Tape<'_>, Var, &[ParamId]) -> Result<Var, EngineError>,
) {
    let mut layout = Layout::default();
    let ids: Vec<_> =
        shapes.iter().enumerate().map(|(i, (r, c))| layout.tensor(format!("{i}"), *r, *c).add()).collect();
    let params = normals(what, layout.len());
    let rows = ShardRows::uniform(shapes[0].0, RETAIN);
    check(what, &layout, &params, &Plan::plain(&layout), rows, &|t| {
        let x = t.leaf(ids[0]);
        f(t, x, &ids)
    });
}

#[test]
fn single_operations() {
    op("leaf", &[(3, 4)], |_, x, _| Ok(x));
    op("embedding", &[(7, 4), (3, 4)], |t, _, p| t.embedding(&[1, 5, 2, 5, 5, 0], 3, p[0], Some(p[1]), None));
    for rms in [false, true] {
        op(&format!("norm {rms}"), &[(4, 21), (1, 21), (1, 21)], |t, x, p| {
            t.norm(x, p[1], Some(p[2]), rms, 1e-3)
        });
    }
    for act in [Act::Identity, Act::Relu, Act::Gelu, Act::GeluTanh, Act::Silu] {
        op(&format!("linear {act:?}"), &[(3, 5), (5, 6), (1, 6)], |t, x, p| {
            t.linear(x, LinearSpec { bias: Some(p[2]), act, ..LinearSpec::new(p[1]) })
        });
    }
    op("linear residual", &[(3, 5), (5, 5)], |t, x, p| {
        t.linear(x, LinearSpec { residual: Some(x), ..LinearSpec::new(p[1]) })
    });
    let stretched = Rotary { base: 50.0, stretch: 4.0 };
    let turns = [None, None, Some(Rotary::plain(50.0)), Some(stretched)];
    for (window, rotary) in [None, Some(3), None, None].into_iter().zip(turns) {
        op(&format!("attention {window:?} {rotary:?}"), &[(8, 16)], |t, x, _| {
            let spec = AttentionSpec {
                seq: 4,
                heads: 4,
                kv_heads: 2,
                head_dim: 2,
                scale: 0.7,
                window,
                rotary,
                site: None,
            };
            t.attention(x, spec)
        });
    }
    op("gated", &[(3, 8)], |t, x, _| t.gated(x, None));
    op("columns", &[(3, 8)], |t, x, _| t.columns(x, 2..5));
    op("concat", &[(3, 4), (3, 2)], |t, x, p| {
        let b = t.leaf(p[1]);
        t.concat(x, b)
    });
    op("matmul", &[(3, 4), (4, 2)], |t, x, p| {
        let b = t.leaf(p[1]);
        t.matmul(x, b)
    });
    for bias in [false, true] {
        op(&format!("transposed {bias}"), &[(3, 4), (5, 4), (1, 5)], |t, x, p| {
            t.transposed(x, p[1], bias.then_some(p[2]))
        });
    }
    // One matrix that writes and reads.
    op("tied", &[(3, 5), (5, 2), (1, 5)], |t, x, p| {
        let h = t.linear(x, LinearSpec::new(p[1]))?;
        t.transposed(h, p[1], Some(p[2]))
    });
    op("gram", &[(3, 3)], |t, x, _| t.matmul(x, x));
    for over in [Over::Sum, Over::Mean, Over::RowSum, Over::ColumnMean, Over::RowLogSumExp] {
        op(&format!("{over:?}"), &[(3, 4)], |t, x, _| Ok(t.reduce(x, over)));
    }
    for f in [
        Function::Scale(-2.0),
        Function::Shift(1.0),
        Function::Abs,
        Function::Square,
        Function::Exp,
        Function::Softplus,
        Function::Relu,
        Function::Sigmoid,
        Function::Tanh,
        Function::Gelu,
        Function::GeluTanh,
        Function::Silu,
    ] {
        op(&format!("{f:?}"), &[(3, 4)], |t, x, _| Ok(t.map(x, f)));
    }
    for f in [Function::Sqrt, Function::Log] {
        op(&format!("{f:?}"), &[(3, 4)], |t, x, _| {
            let x = t.map(x, Function::Square);
            let x = t.map(x, Function::Shift(0.5));
            Ok(t.map(x, f))
        });
    }
    for f in [Pair::Add, Pair::Sub, Pair::Mul, Pair::Div] {
        for b in [(3, 4), (1, 4), (3, 1), (1, 1)] {
            op(&format!("{f:?} {b:?}"), &[(3, 4), b], |t, x, p| {
                let b = t.leaf(p[1]);
                let b = t.map(b, Function::Square);
                let b = t.map(b, Function::Shift(1.0));
                t.pair(x, f, b)
            });
        }
    }
}

#[test]
fn losses() {
    let targets = [1, 4, IGNORE, 0, 6];
    let weights = normals("weights", 5);
    for tied in [false, true] {
        let shapes = [(5, 4), if tied { (7, 4) } else { (4, 7) }, (1, 7)];
        let head = |p: &[ParamId]| HeadSpec { weight: p[1], tied, bias: Some(p[2]), scale: 0.6 };
        op(&format!("cross entropy {tied}"), &shapes, |t, x, p| {
            t.cross_entropy(x, head(p), &targets, RowWeights::Each(&weights))?;
            Ok(t.input(1, 1, |v| v[0] = 0.0))
        });
        op(&format!("nll {tied}"), &shapes, |t, x, p| {
            let nll = t.token_nll(x, head(p), &targets)?;
            Ok(t.map(nll, Function::Square))
        });
        op(&format!("kl {tied}"), &shapes, |t, x, p| {
            t.kl(x, head(p), &normals("teacher", 35), RowWeights::Each(&weights))?;
            Ok(t.input(1, 1, |v| v[0] = 0.0))
        });
    }
    for kind in [Distance::Squared, Distance::Absolute] {
        op(&format!("{kind:?}"), &[(5, 4)], |t, x, _| {
            t.distance(x, &normals("target", 20), kind, RowWeights::Each(&weights))?;
            Ok(t.input(1, 1, |v| v[0] = 0.0))
        });
    }
    op("l1", &[(5, 4)], |t, x, _| {
        t.l1(x, RowWeights::One(0.7))?;
        Ok(t.input(1, 1, |v| v[0] = 0.0))
    });
    op("l1 of some rows", &[(5, 4)], |t, x, _| {
        let sum = t.l1(x, RowWeights::By(&|row| if row == 2 { 0.0 } else { 0.1 * row as f32 + 0.3 }))?;
        let counted = t.value(x).chunks(4).enumerate().filter(|(row, _)| *row != 2);
        let by_hand: f64 = counted.flat_map(|(_, x)| x).map(|v| f64::from(v.abs())).sum();
        assert!((sum - by_hand).abs() < 1e-6);
        Ok(t.input(1, 1, |v| v[0] = 0.0))
    });
    op("correlation", &[(7, 5)], |t, x, _| {
        let z = t.value(x).to_vec();
        let mut g = vec![0.0; z.len()];
        let total = correlation(&z, 5, 0..2, 2..5, 3.0, &mut g)?;
        t.seed_grad(x, &g)?;
        t.add_objective(3.0 * total);
        Ok(t.input(1, 1, |v| v[0] = 0.0))
    });
    op("two losses on one variable", &[(5, 4), (4, 7)], |t, x, p| {
        let head = HeadSpec { weight: p[1], tied: false, bias: None, scale: 1.0 };
        t.cross_entropy(x, head, &targets, RowWeights::One(1.0))?;
        t.distance(x, &[0.0; 20], Distance::Squared, RowWeights::One(0.5))?;
        let s = t.map(x, Function::Square);
        let s = t.reduce(s, Over::Mean);
        t.minimise(s, 2.0)?;
        t.kl(x, head, &[0.0; 35], RowWeights::One(0.3))?;
        Ok(t.input(1, 1, |v| v[0] = 0.0))
    });
}

const SHAPES: [(&str, Shape); 7] = [
    ("gelu", Shape::GPT),
    ("relu", Shape { act: Act::Relu, ..Shape::GPT }),
    ("tanh gelu, tied", Shape { act: Act::GeluTanh, tied: true, ..Shape::GPT }),
    ("silu, grouped", Shape { act: Act::Silu, kv_heads: 2, ..Shape::GPT }),
    ("identity, window", Shape { act: Act::Identity, window: Some(2), ..Shape::GPT }),
    ("gated, rotary", Shape { gated: true, rotary: Some(100.0), kv_heads: 1, ..Shape::GPT }),
    ("gated, tied", Shape { gated: true, tied: true, ..Shape::GPT }),
];

/// With backward and update 1 a route is an ordinary function, whatever `forward` is.
#[test]
fn a_block_with_forward_routes() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let region = net.region(&[net.embed, net.z, net.post, net.resid]);
        let labels: Vec<LabelId> = (0..2 * SEQ).map(|i| [FORGET, RETAIN][i * i % 3 % 2]).collect();
        let strength: Vec<f32> = (0..2 * SEQ).map(|i| (i % 4) as f32 / 3.0).collect();
        for (inside, outside) in [(1.0, 1.0), (0.5, 1.0), (0.0, 1.0), (-0.5, 1.5), (1.0, 0.0)] {
            let table = RouteTable::plain()
                .with(FORGET, Target::Region(0), Route::new(inside, 1.0, 1.0))
                .with(FORGET, Target::Elsewhere, Route::new(outside, 1.0, 1.0));
            // A residual stream that is absent everywhere has no norm to speak of.
            let region = if outside == 0.0 { net.region(&[net.z, net.post]) } else { region.clone() };
            let plan = net.plan(&region, &table);
            let rows = 2 * SEQ;
            let what = format!("{name} {inside} {outside}");
            check_net(&what, &net, &plan, ShardRows::uniform(rows, FORGET));
            let each = ShardRows { rows, labels: RowLabels::Each(&labels), strength: None };
            check_net(&format!("{what} by row"), &net, &plan, each);
            check_net(
                &format!("{what} by strength"),
                &net,
                &plan,
                ShardRows { strength: Some(&strength), ..each },
            );
        }
    }
}

/// Interventions, alone and on top of routes that make units absent.
#[test]
fn a_block_with_interventions() {
    let unit = |n: usize| {
        let u = normals("unit", n);
        let norm = dot(&u, &u).sqrt() as f32;
        u.iter().map(|u| u / norm).collect::<Vec<f32>>()
    };
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        for (site, cols) in [(net.post, MLP), (net.z, HEADS * common::HEAD), (net.embed, 8), (net.resid, 8)] {
            let e = |cols, edit| SiteEdit { site, cols, edit };
            let lists: [(&str, Vec<SiteEdit>); 6] = [
                ("set", vec![e(1..4, Edit::Set(vec![0.3, -0.2, 0.5]))]),
                ("add", vec![e(0..3, Edit::Add(vec![0.3, -0.2, 0.5]))]),
                ("project", vec![e(0..cols, Edit::ProjectOut(unit(cols)))]),
                ("clamp", vec![e(1..cols, Edit::Clamp(-0.2, 0.3))]),
                (
                    "clamp, add, project",
                    vec![
                        e(0..cols, Edit::Clamp(-0.2, 0.3)),
                        e(0..cols, Edit::Add(vec![0.15; cols])),
                        e(1..cols, Edit::ProjectOut(unit(cols - 1))),
                    ],
                ),
                (
                    "add, clamp, clamp",
                    vec![
                        e(0..3, Edit::Add(vec![0.1; 3])),
                        e(0..cols, Edit::Clamp(-0.4, 0.4)),
                        e(2..cols, Edit::Clamp(-0.1, 0.5)),
                    ],
                ),
            ];
            for (edit, list) in lists {
                for inside in [1.0, 0.0] {
                    let table =
                        RouteTable::plain().with(FORGET, Target::Region(0), Route::new(inside, 1.0, 1.0));
                    let plan = net.plan(&net.region(&[net.z, net.post, net.embed]), &table);
                    let plan = list.iter().cloned().try_fold(plan, Plan::with_edit).expect("the edits fit");
                    let what =
                        format!("{name}, {edit} at {}, forward {inside}", net.layout.sites()[site.0].name);
                    check_net(&what, &net, &plan, ShardRows::uniform(2 * SEQ, FORGET));
                }
            }
        }
    }
}

/// Units that cover several columns of an activated linear map.
#[test]
fn wide_units() {
    for act in [Act::Identity, Act::Relu, Act::Gelu] {
        let mut layout = Layout::default();
        let site: SiteId = layout.site("channels", 4);
        let x = layout.tensor("x", 3, 5).add();
        let w = layout.tensor("w", 5, 12).cols_owned(Owner::blocks(site, 4, 3)).add();
        let b = layout.tensor("b", 1, 12).cols_owned(Owner::blocks(site, 4, 3)).add();
        let out = layout.tensor("out", 12, 2).rows_owned(Owner::blocks(site, 4, 3)).add();
        let mut region = Selection::default();
        region.add(site.0, [1..2, 3..4]);
        for inside in [0.5, 0.0] {
            let table = RouteTable::plain().with(FORGET, Target::Region(0), Route::new(inside, 1.0, 1.0));
            let labels = lobe_core::LabelSet::default();
            let plan = Plan::new(&layout, &labels, std::slice::from_ref(&region), &table).expect("a plan");
            let params = normals("wide", layout.len());
            let what = format!("{act:?} {inside}");
            check(&what, &layout, &params, &plan, ShardRows::uniform(3, FORGET), &|t| {
                let x = t.leaf(x);
                let h =
                    t.linear(x, LinearSpec { bias: Some(b), act, site: Some(site), ..LinearSpec::new(w) })?;
                t.linear(h, LinearSpec::new(out))
            });
        }
    }
}

/// What is added at a site is no part of the activation: its derivative stays what it was.
#[test]
fn additions_at_a_site() {
    for act in [Act::Identity, Act::Relu, Act::Gelu] {
        let mut layout = Layout::default();
        let site: SiteId = layout.site("units", 6);
        let x = layout.tensor("x", 3, 5).add();
        let w = layout.tensor("w", 5, 6).cols_owned(Owner::units(site, 6)).add();
        let out = layout.tensor("out", 6, 2).rows_owned(Owner::units(site, 6)).add();
        let (params, plan) = (normals("added", layout.len()), Plan::plain(&layout));
        check(&format!("added {act:?}"), &layout, &params, &plan, ShardRows::uniform(3, FORGET), &|t| {
            t.inject(site, &[1.0; 18]);
            let x = t.leaf(x);
            let h = t.linear(x, LinearSpec { act, site: Some(site), ..LinearSpec::new(w) })?;
            t.linear(h, LinearSpec::new(out))
        });
    }
}
