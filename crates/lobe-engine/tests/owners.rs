//! Whose parameters move and which products are left out, by what a region owns.
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

mod common;

use common::{
    Batch, HEAD, HEADS, Net, SHAPES, Shape, assert_close, assert_same, forget, normals, pass, uniform,
};
use lobe_core::{FORGET, JointKind, LabelId, LabelSet, RETAIN, Route, RouteTable, Selection, Target};
use lobe_engine::ops::linear::{Act, LinearSpec};
use lobe_engine::{Layout, Owner, Plan, RowLabels, ShardRows};

#[test]
fn update_zero_stops_the_owned_parameters_and_nothing_else() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("update", 3);
        let plain = net.run(&Plan::plain(&net.layout), uniform(15), &batch, None);
        for sites in [vec![net.post], vec![net.z], vec![net.z, net.post]] {
            let region = net.region(&sites);
            let owned = net.owned(&region);
            assert!(owned.iter().any(|o| *o));
            let plan = net.plan(&region, &forget(Route::new(1.0, 1.0, 0.0)));
            let labels = vec![FORGET; 15];
            let each = ShardRows { labels: RowLabels::Each(&labels), ..uniform(15) };
            for rows in [uniform(15), each] {
                let got = net.run(&plan, rows, &batch, None);
                assert_same(name, &got.out, &plain.out);
                for t in net.layout.tensors() {
                    for i in t.span() {
                        let (g, w) = (got.grads[i], plain.grads[i]);
                        let want = if owned[i] { 0.0 } else { w };
                        assert_eq!(g, want, "{name}: {} entry {}", t.name, i - t.offset);
                    }
                }
            }
        }
        // Joint parameters by kind.
        for kind in JointKind::ALL {
            let table = RouteTable::plain().with(FORGET, Target::Joint(kind), Route::new(1.0, 1.0, 0.0));
            let got = net.run(&net.plan(&Selection::default(), &table), uniform(15), &batch, None);
            for t in net.layout.tensors() {
                let want = if t.joint.unwrap_or(JointKind::Rest) == kind {
                    vec![0.0; t.span().len()]
                } else {
                    plain.grads[t.span()].to_vec()
                };
                assert_same(&format!("{name}, {kind:?}: {}", t.name), &got.grads[t.span()], &want);
            }
        }
    }
}

/// Products large enough for every path of the matrix kernels, with borders at odd places: what a
/// route leaves alone keeps its bits although the work around it is cut differently.
#[test]
fn cutting_a_product_leaves_the_rest_bit_for_bit() {
    let (rows, d, n) = (137, 65, 203);
    let mut layout = Layout::default();
    let site = layout.site("post", n);
    let x = layout.tensor("x", rows, d).add();
    let up = layout.tensor("up", d, n).cols_owned(Owner::units(site, n)).add();
    let bias = layout.tensor("bias", 1, n).cols_owned(Owner::units(site, n)).add();
    let down = layout.tensor("down", n, d).rows_owned(Owner::units(site, n)).add();
    let params: Vec<f32> = normals("cut", layout.len()).iter().map(|x| 0.2 * x).collect();
    let functional = normals("cut functional", rows * d);
    let run = |plan: &Plan, labels: RowLabels<'_>| {
        let facts = ShardRows { rows, labels, strength: None };
        pass(&layout, &params, plan, facts, Some(&functional), &|t| {
            let x = t.leaf(x);
            let h = t.linear(
                x,
                LinearSpec { bias: Some(bias), act: Act::Gelu, site: Some(site), ..LinearSpec::new(up) },
            )?;
            t.linear(h, LinearSpec { residual: Some(x), ..LinearSpec::new(down) })
        })
    };
    let plain = run(&Plan::plain(&layout), RowLabels::One(FORGET));
    for ranges in [vec![0..1], vec![7..64], vec![100..101, 150..203], vec![1..2, 3..4, 5..6, 32..190]] {
        let mut region = Selection::default();
        region.add(site.0, ranges.clone());
        let mut owned = vec![false; layout.len()];
        layout.for_owned(&region, |_, r| owned[r].fill(true));
        let plan = |route| {
            Plan::new(&layout, &LabelSet::default(), std::slice::from_ref(&region), &forget(route))
                .expect("a plan")
        };
        let got = run(&plan(Route::new(1.0, 1.0, 0.0)), RowLabels::One(FORGET));
        assert_same("output", &got.out, &plain.out);
        for (i, owned) in owned.iter().enumerate() {
            assert_eq!(got.grads[i], if *owned { 0.0 } else { plain.grads[i] }, "{ranges:?}, entry {i}");
        }
        // A row whose label the table does not mention counts in full, the others not at all.
        let labels: Vec<LabelId> = (0..rows).map(|i| [FORGET, RETAIN][usize::from(i % 3 == 0)]).collect();
        let each = run(&plan(Route::new(1.0, 1.0, 0.0)), RowLabels::Each(&labels));
        let other: Vec<LabelId> = labels.iter().map(|l| LabelId(1 - l.0)).collect();
        let rest = run(&plan(Route::new(1.0, 1.0, 0.0)), RowLabels::Each(&other));
        let sum: Vec<f32> = (0..owned.len())
            .map(|i| if owned[i] { each.grads[i] + rest.grads[i] } else { each.grads[i] })
            .collect();
        assert_close(&format!("{ranges:?}"), &sum, &plain.grads, 1e-4, 1e-4);
        // Absent units: the same numbers as a network whose units were zeroed, up to sums' order.
        let mut cut = params.clone();
        for r in ranges {
            let at = layout.get(down).offset;
            cut[at + r.start as usize * d..at + r.end as usize * d].fill(0.0);
        }
        let absent = run(&plan(Route::ABSENT), RowLabels::One(FORGET));
        let want = pass(&layout, &cut, &Plan::plain(&layout), uniform(rows), Some(&functional), &|t| {
            let x = t.leaf(x);
            let h = t.linear(x, LinearSpec { bias: Some(bias), act: Act::Gelu, ..LinearSpec::new(up) })?;
            t.linear(h, LinearSpec { residual: Some(x), ..LinearSpec::new(down) })
        });
        assert_close("absent", &absent.out, &want.out, 1e-4, 1e-5);
        for (i, owned) in owned.iter().enumerate() {
            let want = if *owned { 0.0 } else { want.grads[i] };
            assert!((absent.grads[i] - want).abs() < 1e-4 + 1e-4 * want.abs(), "entry {i}");
        }
    }
}

#[test]
fn grouped_key_values_belong_to_a_region_only_when_all_their_heads_do() {
    let net = Net::new(Shape { kv_heads: 2, ..Shape::GPT });
    let batch = Batch::new("groups", 2);
    let plain = net.run(&Plan::plain(&net.layout), uniform(10), &batch, None);
    // Head 0 shares its keys with head 1 outside; heads 2 and 3 are a whole group.
    let mut region = Selection::default();
    region.add(net.z.0, [0..1, 2..4]);
    let table = forget(Route::new(1.0, 1.0, 0.0)).with(FORGET, Target::Elsewhere, Route::new(1.0, 1.0, 0.0));
    let got = net.run(&net.plan(&region, &table), uniform(10), &batch, None);
    let (qkv, width) = (net.layout.get(net.p("qkv")), (HEADS + 4) * HEAD);
    // Every head is masked one way or the other, the second group's keys too, but the first
    // group's keys and values are shared between routes and so nobody's.
    for i in qkv.span() {
        let column = (i - qkv.offset) % width;
        let group = [HEADS * HEAD..(HEADS + 1) * HEAD, (HEADS + 2) * HEAD..(HEADS + 3) * HEAD];
        let shared = group.iter().any(|g| g.contains(&column));
        let want = if shared { plain.grads[i] } else { 0.0 };
        assert_eq!(got.grads[i], want, "column {column}");
        assert!(!shared || want != 0.0);
    }
}
