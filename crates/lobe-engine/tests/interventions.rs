//! Updates row by row, interventions at sites, and what may read a value before its site, each against
//! sums by hand or the same thing said in tape operations.
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

mod common;

use common::{
    Batch, D, MLP, Net, SHAPES, Shape, assert_close, assert_same, close, dot, forget, integers, normals,
    pass, uniform,
};
use lobe_core::{FORGET, JointKind, LabelId, LabelSet, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::ops::binary::Pair;
use lobe_engine::ops::head::{HeadSpec, RowWeights};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::ops::unary::Function;
use lobe_engine::{
    Edit, EngineError, Layout, Owner, ParamId, Plan, RowLabels, ShardRows, SiteEdit, SiteId, Tape, Var,
};

/// Every kind of parameter with one update per row, against Σ update · dy xᵀ by hand in f64.
#[test]
fn updates_by_row_scale_the_rows_of_every_parameter() {
    let (rows, k, n, vocab) = (7, 4, 6, 5);
    let mut layout = Layout::default();
    let site = layout.site("post", n);
    let x = layout.tensor("x", rows, k).add();
    let w = layout.tensor("w", k, n).cols_owned(Owner::units(site, n)).add();
    let b = layout.tensor("b", 1, n).cols_owned(Owner::units(site, n)).add();
    let gain = layout.tensor("gain", 1, n).joint(JointKind::Norm).add();
    // A shift of another kind than its gain, a head bias of another kind than its weight.
    let shift = layout.tensor("shift", 1, n).joint(JointKind::OutBias).add();
    let table = layout.tensor("table", vocab, n).joint(JointKind::Embedding).add();
    let bias = layout.tensor("bias", 1, vocab).joint(JointKind::Head).add();
    let params = normals("rows", layout.len());
    let targets = integers("rows", rows, vocab);
    let labels: Vec<LabelId> = (0..rows).map(|i| LabelId(i as u8)).collect();
    let mut names = LabelSet::default();
    (3..rows).for_each(|i| assert_eq!(names.add(&format!("label {i}")).index(), i));
    let mut region = Selection::default();
    region.add(site.0, [1..2, 3..6]);
    let targets_of =
        [Target::Region(0), Target::Elsewhere].into_iter().chain(JointKind::ALL.map(Target::Joint));
    let targets_of: Vec<Target> = targets_of.collect();
    let update = |t: usize, row: usize| [0.0, 1.0, -0.5, 2.0, 0.0, 0.25, 1.0][(row * 3 + t) % 7];
    let mut routes = RouteTable::plain();
    for (t, target) in targets_of.iter().enumerate() {
        for row in 0..rows {
            routes = routes.with(labels[row], *target, Route::new(1.0, 1.0, update(t, row)));
        }
    }
    let plan = Plan::new(&layout, &names, &[region], &routes).expect("a plan");
    let forward = |t: &mut Tape<'_>, only: Option<usize>| {
        let xv = t.leaf(x);
        let h = t.linear(
            xv,
            LinearSpec { bias: Some(b), act: Act::Silu, site: Some(site), ..LinearSpec::new(w) },
        )?;
        let e = t.embedding(&targets, rows, table, None, None)?;
        let h = t.pair(h, Pair::Add, e)?;
        let h = t.norm(h, gain, Some(shift), false, 1e-5)?;
        let weights: Vec<f32> = (0..rows).map(|r| f32::from(only.is_none_or(|o| o == r))).collect();
        let head = HeadSpec { weight: table, tied: true, bias: Some(bias), scale: 1.3 };
        t.cross_entropy(h, head, &targets, RowWeights::Each(&weights))?;
        // The same read-out through the path in two passes.
        let nll = t.token_nll(h, head, &targets)?;
        let pick = t.input(rows, 1, |v| v.copy_from_slice(&weights));
        let nll = t.pair(nll, Pair::Mul, pick)?;
        let nll = t.reduce(nll, lobe_engine::ops::reduce::Over::Sum);
        t.minimise(nll, 0.5)?;
        Ok(nll)
    };
    let each = ShardRows { rows, labels: RowLabels::Each(&labels), strength: None };
    // Rows do not meet before the loss, so each row's plain gradient can be had alone.
    let mut want = vec![0f64; layout.len()];
    for row in 0..rows {
        let one =
            pass(&layout, &params, &Plan::plain(&layout), uniform(rows), None, &|t| forward(t, Some(row)));
        for (i, t) in layout.tensors().iter().enumerate() {
            for j in t.span() {
                let col = (j - t.offset) % t.cols;
                let class = match ParamId(i) {
                    p if p == x => None,
                    p if p == w || p == b => Some(usize::from(![1, 3, 4, 5].contains(&col))),
                    _ => t.joint.map(|k| 2 + JointKind::ALL.iter().position(|o| *o == k).expect("a kind")),
                };
                let f = class.map_or(1.0, |c| update(c, row));
                want[j] += f64::from(f) * f64::from(one.grads[j]);
            }
        }
    }
    let want: Vec<f32> = want.iter().map(|w| *w as f32).collect();
    let got = pass(&layout, &params, &plan, each, None, &|t| forward(t, None));
    for t in layout.tensors() {
        assert_close(&t.name, &got.grads[t.span()], &want[t.span()], 1e-4, 1e-5);
    }
    // Leaving any tensors out of training changes nothing for the others.
    for left in 0..layout.tensors().len() {
        for alone in [false, true] {
            let plan = plan.clone().train_only(|p| (p.0 == left) == alone);
            let part = pass(&layout, &params, &plan, each, None, &|t| forward(t, None));
            for (i, t) in layout.tensors().iter().enumerate() {
                let trained = (i == left) == alone;
                let want = if trained { got.grads[t.span()].to_vec() } else { vec![0.0; t.span().len()] };
                let what = format!(
                    "{} while {} is {}",
                    t.name,
                    layout.get(ParamId(left)).name,
                    if alone { "alone" } else { "out" }
                );
                assert_same(&what, &part.grads[t.span()], &want);
            }
        }
    }
}

/// Interventions against the same thing said in tape operations, after routes and before readers.
#[test]
fn interventions_do_what_they_say() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("edits", 2);
        for site in [net.post, net.z, net.embed, net.resid] {
            let cols = if site == net.post { MLP } else { D };
            let unit: Vec<f32> = {
                let u = normals("direction", cols - 2);
                let norm = dot(&u, &u).sqrt() as f32;
                u.iter().map(|u| u / norm).collect()
            };
            let set = vec![0.4, -0.3, 0.2];
            let edits = [
                SiteEdit { site, cols: 2..cols, edit: Edit::ProjectOut(unit.clone()) },
                SiteEdit { site, cols: 1..4, edit: Edit::Set(set.clone()) },
                SiteEdit { site, cols: 0..3, edit: Edit::Add(set.clone()) },
                SiteEdit { site, cols: 0..cols, edit: Edit::Clamp(-0.25, 0.35) },
            ];
            let hook = |which: &[usize]| {
                let (which, edits, unit) = (which.to_vec(), edits.clone(), unit.clone());
                move |t: &mut Tape<'_>, at: SiteId, a: Var| {
                    if at != site {
                        return Ok(a);
                    }
                    let mut a = a;
                    for i in &which {
                        let range = edits[*i].cols.clone();
                        let before = t.columns(a, 0..range.start)?;
                        let after = t.columns(a, range.end..cols)?;
                        let x = t.columns(a, range.clone())?;
                        let x = match &edits[*i].edit {
                            Edit::Set(v) => {
                                let rows = t.shape(x).0;
                                t.input(rows, v.len(), |x| {
                                    x.chunks_mut(v.len()).for_each(|x| x.copy_from_slice(v));
                                })
                            }
                            Edit::Add(v) => {
                                let v = t.input(1, v.len(), |x| x.copy_from_slice(v));
                                t.pair(x, Pair::Add, v)?
                            }
                            Edit::ProjectOut(_) => {
                                let u = t.input(unit.len(), 1, |x| x.copy_from_slice(&unit));
                                let row = t.input(1, unit.len(), |x| x.copy_from_slice(&unit));
                                let along = t.matmul(x, u)?;
                                let part = t.matmul(along, row)?;
                                t.pair(x, Pair::Sub, part)?
                            }
                            // clamp(x) = lo + relu(x - lo) - relu(x - hi)
                            Edit::Clamp(lo, hi) => {
                                let low = t.map(x, Function::Shift(-lo));
                                let low = t.map(low, Function::Relu);
                                let high = t.map(x, Function::Shift(-hi));
                                let high = t.map(high, Function::Relu);
                                let x = t.pair(low, Pair::Sub, high)?;
                                t.map(x, Function::Shift(*lo))
                            }
                        };
                        let left = t.concat(before, x)?;
                        a = t.concat(left, after)?;
                    }
                    Ok::<Var, EngineError>(a)
                }
            };
            for which in
                [vec![0], vec![1], vec![2], vec![3], vec![3, 2], vec![1, 0], vec![0, 1, 2, 3], vec![3, 0, 2]]
            {
                let mut all = which.iter().map(|i| edits[*i].clone());
                let plan = all.try_fold(Plan::plain(&net.layout), Plan::with_edit).expect("the edits fit");
                let want = net.run(&Plan::plain(&net.layout), uniform(10), &batch, Some(&hook(&which)));
                let got = net.run(&plan, uniform(10), &batch, None);
                close(&format!("{name}, {}, edits {which:?}", net.layout.sites()[site.0].name), &got, &want);
            }
        }
    }
}

/// What a pass adds at a site, after routes and interventions, against the same thing said in tape
/// operations: units that a route makes absent hold it, too, and a clamp does not see it.
#[test]
fn additions_do_what_they_say() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let (batch, rows) = (Batch::new("additions", 2), 10);
        for site in [net.post, net.z, net.embed, net.resid] {
            let cols = if site == net.post { MLP } else { D };
            let added = normals("added", rows * cols);
            let region = net.region(&[site]);
            let inside = |col: usize| {
                let unit = (col / net.width(site)) as u32;
                region.contains_all(site.0, &(unit..unit + 1))
            };
            for (forward, clamp) in [(1.0, false), (0.0, false), (0.5, false), (1.0, true), (0.0, true)] {
                let hook = |t: &mut Tape<'_>, at: SiteId, a: Var| {
                    if at != site {
                        return Ok(a);
                    }
                    let factor = |i: usize| if inside(i % cols) { forward } else { 1.0 };
                    let factors = t.input(rows, cols, |x| (0..x.len()).for_each(|i| x[i] = factor(i)));
                    let mut a = t.pair(a, Pair::Mul, factors)?;
                    if clamp {
                        // clamp(x) = lo + relu(x - lo) - relu(x - hi)
                        let [low, high] = [-0.25, 0.35].map(|bound| {
                            let x = t.map(a, Function::Shift(-bound));
                            t.map(x, Function::Relu)
                        });
                        let x = t.pair(low, Pair::Sub, high)?;
                        a = t.map(x, Function::Shift(-0.25));
                    }
                    let added = t.input(rows, cols, |x| x.copy_from_slice(&added));
                    t.pair(a, Pair::Add, added)
                };
                let mut plan = net.plan(&region, &forget(Route::new(forward, 1.0, 1.0)));
                if clamp {
                    let edit = SiteEdit { site, cols: 0..cols, edit: Edit::Clamp(-0.25, 0.35) };
                    plan = plan.with_edit(edit).expect("the edit fits");
                }
                let want = net.run(&Plan::plain(&net.layout), uniform(rows), &batch, Some(&hook));
                let got = pass(&net.layout, &net.params, &plan, uniform(rows), None, &|t| {
                    t.inject(site, &added);
                    net.forward(t, &batch.tokens, &batch.targets, None)
                });
                let at = &net.layout.sites()[site.0].name;
                close(&format!("{name}, {at}, forward {forward}, clamp {clamp}"), &got, &want);
            }
        }
    }
}

/// A tensor read as a variable belongs to no row, but to its owners.
#[test]
fn a_penalty_on_weights_follows_update() {
    let net = Net::new(Shape::GPT);
    let region = net.region(&[net.post, net.z]);
    let owned = net.owned(&region);
    let run = |update: f32, rows: ShardRows<'_>| {
        let table = forget(Route::new(1.0, 1.0, update)).with(
            FORGET,
            Target::Joint(JointKind::Norm),
            Route::new(1.0, 1.0, update),
        );
        pass(&net.layout, &net.params, &net.plan(&region, &table), rows, None, &|t| {
            for i in 0..net.layout.tensors().len() {
                let v = t.leaf(ParamId(i));
                t.l1(v, RowWeights::One(0.5))?;
            }
            Ok(t.input(1, 1, |v| v[0] = 0.0))
        })
    };
    for update in [0.0, 0.5, -1.0] {
        let got = run(update, uniform(4));
        for t in net.layout.tensors() {
            for i in t.span() {
                let mask = owned[i] || t.joint == Some(JointKind::Norm);
                let want = 0.5 * net.params[i].signum() * if mask { update } else { 1.0 };
                assert_eq!(got.grads[i], want, "{}", t.name);
            }
        }
    }
    let labels = [FORGET, RETAIN, FORGET, RETAIN];
    let each = run(0.0, ShardRows { labels: RowLabels::Each(&labels), ..uniform(4) });
    assert!(each.grads.iter().zip(&net.params).all(|(g, p)| *g == 0.5 * p.signum()));
}

/// The site operation: a door apart from the operation before it.
#[test]
fn an_operation_may_read_a_value_before_its_site() {
    let mut layout = Layout::default();
    let site = layout.site("post", 4);
    let x = layout.tensor("x", 3, 4).add();
    let params = normals("door", 12);
    let functional = normals("door functional", 12);
    let mut region = Selection::default();
    region.add(site.0, [0..2]);
    let plan = Plan::new(&layout, &LabelSet::default(), &[region], &forget(Route::new(0.5, 0.0, 1.0)))
        .expect("a plan");
    let got = pass(&layout, &params, &plan, uniform(3), Some(&functional), &|t| {
        let x = t.leaf(x);
        let y = t.site(x, site)?;
        assert_eq!(t.at_site(site), Some(y));
        t.l1(x, RowWeights::One(2.0)).unwrap();
        Ok(y)
    });
    for i in 0..12 {
        let inside = i % 4 < 2;
        assert_eq!(got.out[i], params[i] * if inside { 0.5 } else { 1.0 });
        let penalty = 2.0 * params[i].signum();
        assert_eq!(got.grads[i], penalty + if inside { 0.0 } else { functional[i] });
    }
}
