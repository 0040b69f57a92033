//! What routes do to values and gradients, held against plain training, against the stop-gradient
//! formula `F (B a + (1 - B) sg(a))`, and against sums by hand.
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

mod common;

use common::{
    Batch, D, HEADS, MLP, Net, Pass, SEQ, SHAPES, Shape, assert_close, assert_same, close, forget, mixed,
    normals, uniform,
};
use lobe_core::{
    FORGET, JointKind, LabelId, LabelSet, RETAIN, Route, RouteTable, Selection, Target, UNLABELLED,
};
use lobe_engine::ops::binary::Pair;
use lobe_engine::{Plan, RowLabels, ShardRows, SiteId, Tape, Var};

/// Label, strength and table to numbers per row and class: (forward, backward).
struct Facts<'a> {
    rows: ShardRows<'a>,
    table: &'a RouteTable,
    region: &'a Selection,
}

impl Facts<'_> {
    fn numbers(&self, row: usize, site: SiteId, unit: usize) -> (f32, f32) {
        if !self.region.names(site.0) {
            return (1.0, 1.0);
        }
        let label = match self.rows.labels {
            RowLabels::One(l) => l,
            RowLabels::Each(l) => l[row],
        };
        let inside = self.region.contains_all(site.0, &(unit as u32..unit as u32 + 1));
        let r = self.table.get(label, if inside { Target::Region(0) } else { Target::Elsewhere });
        let s = self.rows.strength.map_or(1.0, |s| s[row]);
        (1.0 + s * (r.forward - 1.0), 1.0 + s * (r.backward - 1.0))
    }

    /// The stop-gradient formula at every site, in tape operations.
    fn run(&self, net: &Net, batch: &Batch) -> Pass {
        let hook = |t: &mut Tape<'_>, site: SiteId, a: Var| {
            let ((rows, cols), width) = (t.shape(a), net.width(site));
            let fill = |pick: &dyn Fn((f32, f32)) -> f32| -> Vec<f32> {
                (0..rows * cols).map(|i| pick(self.numbers(i / cols, site, i % cols / width))).collect()
            };
            let (f, b, rest) = (fill(&|n| n.0), fill(&|n| n.1), fill(&|n| 1.0 - n.1));
            let mut input = |v: Vec<f32>| t.input(rows, cols, |x| x.copy_from_slice(&v));
            let (f, b, rest) = (input(f), input(b), input(rest));
            let fixed = t.detach(a);
            let a = t.pair(a, Pair::Mul, b)?;
            let fixed = t.pair(fixed, Pair::Mul, rest)?;
            let a = t.pair(a, Pair::Add, fixed)?;
            t.pair(a, Pair::Mul, f)
        };
        net.run(&Plan::plain(&net.layout), self.rows, batch, Some(&hook))
    }
}

#[test]
fn all_ones_is_plain_training_bit_for_bit() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("ones", 3);
        let want = net.run(&Plan::plain(&net.layout), ShardRows::uniform(15, RETAIN), &batch, None);
        assert!(want.grads.iter().any(|g| *g != 0.0));
        let mut table = forget(Route::PLAIN).with(FORGET, Target::Elsewhere, Route::PLAIN);
        for kind in JointKind::ALL {
            table = table.with(FORGET, Target::Joint(kind), Route::PLAIN);
        }
        // Another label's routes must not matter either.
        let other = table.clone().with(UNLABELLED, Target::Region(0), Route::ABSENT);
        let labels: Vec<LabelId> = (0..15).map(|i| [FORGET, RETAIN][i % 2]).collect();
        let all: Vec<LabelId> = mixed(15);
        let strength = normals("strength", 15).iter().map(|s| s.abs().min(1.0)).collect::<Vec<_>>();
        let region = net.region(&[net.embed, net.z, net.post, net.resid]);
        for region in [region, Selection::default()] {
            for (labels, strength, table) in [
                (RowLabels::One(FORGET), None, &other),
                (RowLabels::Each(&labels), None, &other),
                (RowLabels::Each(&all), Some(&strength[..]), &table),
            ] {
                let got = net.run(
                    &net.plan(&region, table),
                    ShardRows { rows: 15, labels, strength },
                    &batch,
                    None,
                );
                assert_eq!(got.objective.to_bits(), want.objective.to_bits(), "{name}");
                assert_same(name, &got.out, &want.out);
                assert_same(name, &got.grads, &want.grads);
            }
        }
        // Strength 0 is ordinary training, whatever the route.
        let none = vec![0.0; 15];
        let plan = net.plan(&net.region(&[net.z, net.post]), &forget(Route::new(0.0, -2.0, 0.0)));
        let rows = ShardRows { rows: 15, labels: RowLabels::One(FORGET), strength: Some(&none) };
        assert_same(name, &net.run(&plan, rows, &batch, None).grads, &want.grads);
    }
}

/// A shard may be empty, and a region may be all or nothing.
#[test]
fn borders() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("borders", 2);
        let mut all = Selection::default();
        all.add(net.post.0, std::iter::once(0..MLP as u32));
        all.add(net.z.0, std::iter::once(0..HEADS as u32));
        let nothing = all.clone().difference(&all);
        let some = net.region(&[net.post, net.z]);
        for region in [&all, &nothing, &some] {
            for route in [Route::ABSENT, Route::new(1.0, -1.0, 0.0), Route::new(0.5, 0.0, 1.0)] {
                let plan = net.plan(region, &forget(route));
                let empty = net.run(&plan, uniform(0), &batch.pick(&[]), None);
                assert!(empty.out.is_empty() && empty.grads.iter().all(|g| *g == 0.0), "{name}");
                let table = forget(Route { update: 1.0, ..route });
                let want = Facts { rows: uniform(10), table: &table, region }.run(&net, &batch);
                let mut got = net.run(&net.plan(region, &table), uniform(10), &batch, None);
                close(&format!("{name}, {route:?}"), &got, &want);
                let owned = net.owned(region);
                if route.update == 0.0 {
                    let masked = net.run(&plan, uniform(10), &batch, None);
                    got.grads.iter_mut().zip(&owned).filter(|(_, o)| **o).for_each(|(g, _)| *g = 0.0);
                    assert_close(name, &masked.grads, &got.grads, 1e-5, 1e-6);
                }
            }
        }
        assert_eq!(net.owned(&nothing), vec![false; net.layout.len()]);
        // Labels beyond those a plan knows train in the ordinary way.
        let plan = net.plan(&some, &forget(Route::ABSENT));
        let stranger = net.run(&plan, ShardRows::uniform(10, LabelId(200)), &batch, None);
        let plain = net.run(&Plan::plain(&net.layout), uniform(10), &batch, None);
        assert_same(name, &stranger.grads, &plain.grads);
    }
}

#[test]
fn forward_and_backward_follow_the_stop_gradient_formula() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("formula", 3);
        let labels = mixed(15);
        let strength: Vec<f32> = (0..15).map(|i| (i % 5) as f32 / 4.0).collect();
        for sites in
            [vec![net.post], vec![net.z], vec![net.embed], vec![net.resid], vec![net.z, net.post, net.embed]]
        {
            let region = net.region(&sites);
            for (f, b) in
                [(1.0, 0.0), (1.0, 0.5), (1.0, -0.75), (0.5, 1.0), (0.0, 1.0), (0.5, -2.0), (0.0, 0.0)]
            {
                let table = forget(Route::new(f, b, 1.0))
                    .with(RETAIN, Target::Region(0), Route::new(-0.5, 0.3, 1.0))
                    .with(FORGET, Target::Elsewhere, Route::new(1.0, 0.4, 1.0))
                    .with(UNLABELLED, Target::Elsewhere, Route::new(0.7, -1.0, 1.0));
                let plan = net.plan(&region, &table);
                for rows in [
                    uniform(15),
                    ShardRows { labels: RowLabels::Each(&labels), ..uniform(15) },
                    ShardRows { strength: Some(&strength), ..uniform(15) },
                    ShardRows { rows: 15, labels: RowLabels::Each(&labels), strength: Some(&strength) },
                ] {
                    let want = Facts { rows, table: &table, region: &region }.run(&net, &batch);
                    let got = net.run(&plan, rows, &batch, None);
                    close(&format!("{name}, {sites:?}, forward {f} backward {b}"), &got, &want);
                }
            }
        }
    }
}

#[test]
fn backward_zero_trains_only_what_reads_the_region() {
    let net = Net::new(Shape::GPT);
    let batch = Batch::new("backward", 2);
    let region = net.region(&[net.post]);
    let plain = net.run(&Plan::plain(&net.layout), uniform(10), &batch, None);
    let got = net.run(&net.plan(&region, &forget(Route::new(1.0, 0.0, 1.0))), uniform(10), &batch, None);
    // The out-rows see the activation as ever; the in-columns see nothing.
    assert_same("down", got.grad(&net.layout, net.p("down")), plain.grad(&net.layout, net.p("down")));
    let (up, bias) = (got.grad(&net.layout, net.p("up")), got.grad(&net.layout, net.p("up.bias")));
    for unit in 0..MLP {
        let inside = region.contains_all(net.post.0, &(unit as u32..unit as u32 + 1));
        assert_eq!(bias[unit] == 0.0, inside);
        assert!((0..D).all(|r| (up[r * MLP + unit] == 0.0) == inside), "unit {unit}");
    }
    let earlier = net.p("qkv");
    assert_ne!(got.grad(&net.layout, earlier), plain.grad(&net.layout, earlier), "upstream sees the mask");
}

/// `forward 0` is the network without the region: zeroed in- and out-weights give the same loss.
#[test]
fn forward_zero_equals_a_network_without_the_region() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("absent", 3);
        let region = net.region(&[net.z, net.post]);
        let got = net.run(&net.plan(&region, &forget(Route::ABSENT)), uniform(15), &batch, None);
        let mut cut = Net::new(shape);
        let owned = net.owned(&region);
        for name in ["proj", "down"] {
            let span = net.layout.get(net.p(name)).span();
            span.filter(|i| owned[*i]).for_each(|i| cut.params[i] = 0.0);
        }
        let want = cut.run(&Plan::plain(&net.layout), uniform(15), &batch, None);
        assert_close(name, &got.out, &want.out, 1e-5, 1e-5);
        for (i, o) in owned.iter().enumerate() {
            assert!(!o || got.grads[i] == 0.0, "{name}: an absent region learns nothing");
            assert!(*o || (got.grads[i] - want.grads[i]).abs() < 1e-4, "{name}: entry {i}");
        }
        // Whatever stood in the region's weights, even what is not finite, must not matter.
        let mut wild = Net::new(shape);
        owned.iter().enumerate().filter(|(_, o)| **o).for_each(|(i, _)| wild.params[i] = f32::NAN);
        let still = wild.run(&net.plan(&region, &forget(Route::ABSENT)), uniform(15), &batch, None);
        assert_same(name, &still.out, &got.out);
        assert_same(name, &still.grads, &got.grads);
    }
}

#[test]
fn gradients_are_linear_in_backward_and_update() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("linear", 2);
        let labels = mixed(10);
        // One site: two sites in a row would make a product of their backward numbers.
        for site in [net.post, net.z, net.embed, net.resid] {
            let region = net.region(&[site]);
            for rows in [uniform(10), ShardRows { labels: RowLabels::Each(&labels), ..uniform(10) }] {
                let at = |route: Route| net.run(&net.plan(&region, &forget(route)), rows, &batch, None).grads;
                let routes: [fn(f32) -> Route; 3] =
                    [|w| Route::new(1.0, w, 1.0), |w| Route::new(1.0, 1.0, w), |w| Route::new(0.5, w, 0.3)];
                for route in routes {
                    let (zero, one) = (at(route(0.0)), at(route(1.0)));
                    for w in [2.0, -1.0, -0.75, 0.3] {
                        let want: Vec<f32> = zero.iter().zip(&one).map(|(z, o)| z + w * (o - z)).collect();
                        assert_close(&format!("{name}, {:?}", route(w)), &at(route(w)), &want, 1e-4, 1e-5);
                    }
                }
            }
        }
    }
}

#[test]
fn a_mixed_shard_is_the_sum_of_its_sequences() {
    for (name, shape) in SHAPES {
        let net = Net::new(shape);
        let batch = Batch::new("mixed", 4);
        let region = net.region(&[net.z, net.post]);
        let table = forget(Route::new(1.0, 1.0, 0.0))
            .with(FORGET, Target::Elsewhere, Route::new(1.0, 0.0, 0.5))
            .with(FORGET, Target::Joint(JointKind::Embedding), Route::new(1.0, 1.0, -0.5))
            .with(FORGET, Target::Joint(JointKind::Head), Route::new(1.0, 1.0, 0.0))
            .with(RETAIN, Target::Joint(JointKind::Norm), Route::new(1.0, 1.0, 0.25))
            .with(RETAIN, Target::Joint(JointKind::OutBias), Route::new(1.0, 1.0, 0.0))
            .with(RETAIN, Target::Region(0), Route::ABSENT);
        let plan = net.plan(&region, &table);
        let order = [FORGET, RETAIN, UNLABELLED, FORGET];
        let labels: Vec<LabelId> = order.iter().flat_map(|l| [*l; SEQ]).collect();
        let rows = ShardRows { labels: RowLabels::Each(&labels), ..uniform(4 * SEQ) };
        let together = net.run(&plan, rows, &batch, None);
        let mut sum =
            Pass { grads: vec![0.0; net.layout.len()], out: vec![], objective: 0.0, ..together.clone() };
        for (i, label) in order.into_iter().enumerate() {
            let one = net.run(&plan, ShardRows::uniform(SEQ, label), &batch.pick(&[i]), None);
            sum.out.extend(one.out);
            sum.grads.iter_mut().zip(&one.grads).for_each(|(s, g)| *s += g);
        }
        close(name, &together, &sum);

        // Strength s of a route is the route 1 + s (r - 1), number by number.
        let half = vec![0.5; 4 * SEQ];
        let route = Route::new(0.2, -1.0, 0.6);
        let got = net.run(
            &net.plan(&region, &forget(route)),
            ShardRows { strength: Some(&half), ..uniform(4 * SEQ) },
            &batch,
            None,
        );
        let want =
            net.run(&net.plan(&region, &forget(Route::new(0.6, 0.0, 0.8))), uniform(4 * SEQ), &batch, None);
        close(&format!("{name}: strength"), &got, &want);

        // Strength 0 in some rows is another label in those rows.
        let some: Vec<f32> = labels.iter().map(|l| f32::from(*l == FORGET)).collect();
        let got = net.run(
            &net.plan(&region, &forget(route)),
            ShardRows { strength: Some(&some), ..uniform(4 * SEQ) },
            &batch,
            None,
        );
        let want = net.run(&net.plan(&region, &forget(route)), rows, &batch, None);
        assert_same(name, &got.grads, &want.grads);

        // The order of the sequences is the order of a sum and nothing else.
        let turn = [2, 0, 3, 1];
        let turned: Vec<LabelId> = turn.iter().flat_map(|i| [order[*i]; SEQ]).collect();
        let rows = ShardRows { labels: RowLabels::Each(&turned), ..uniform(4 * SEQ) };
        let got = net.run(&plan, rows, &batch.pick(&turn), None);
        let out = turn.iter().flat_map(|i| together.out[i * SEQ..(i + 1) * SEQ].to_vec()).collect();
        close(&format!("{name}: permuted"), &got, &Pass { out, ..together });
    }
}

#[test]
fn overlapping_regions_and_unknown_targets_are_refused() {
    let net = Net::new(Shape::GPT);
    let (a, b) = (net.region(&[net.post]), net.region(&[net.post, net.z]));
    let labels = LabelSet::default();
    let error =
        Plan::new(&net.layout, &labels, &[a.clone(), b], &RouteTable::plain()).expect_err("they overlap");
    assert_eq!(error.to_string(), "two regions of one arm overlap");
    for table in [
        RouteTable::plain().with(FORGET, Target::Region(1), Route::ABSENT),
        RouteTable::plain().with(LabelId(9), Target::Region(0), Route::ABSENT),
    ] {
        let error = Plan::new(&net.layout, &labels, std::slice::from_ref(&a), &table).expect_err("unknown");
        assert_eq!(error.to_string(), "route table names a region or label the arm lacks");
    }
}
