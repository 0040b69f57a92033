//! Every registered localisation method, held to its own table and to the laws all of them obey.
//! Nothing here names a method: a new one is tested by being on the list.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Bench, Items, assert_close, assert_same, autoencoder, benches, methods, small, transformers};
use lobe_core::{
    Edges, FORGET, JointKind, LabelId, RETAIN, Route, RouteRow, RouteTable, Selection, Target, UNLABELLED,
};
use lobe_engine::Plan;
use lobe_methods::{LOCALIZE, Part, Status};
use lobe_nets::NETWORKS;

const STANDARD: [LabelId; 3] = [FORGET, RETAIN, UNLABELLED];
/// A label that no method mentions.
const OTHER: LabelId = LabelId(3);

const TARGETS: [Target; 7] = [
    Target::Region(0),
    Target::Elsewhere,
    Target::Joint(JointKind::Embedding),
    Target::Joint(JointKind::Norm),
    Target::Joint(JointKind::OutBias),
    Target::Joint(JointKind::Head),
    Target::Joint(JointKind::Rest),
];

fn uniform(label: LabelId) -> [(usize, LabelId); 3] {
    [(0, label), (1, label), (2, label)]
}

fn one_by_one(items: &[(usize, LabelId)]) -> Items<'_> {
    Items { items, per_shard: 1 }
}

/// Which parameters a part of the network has.
fn part(bench: &Bench, part: Part) -> Vec<bool> {
    let joint = |kind| {
        let mut out = vec![false; bench.params.len()];
        let tensors = bench.layout().tensors().iter().filter(|t| t.joint == Some(kind));
        tensors.for_each(|t| out[t.span()].fill(true));
        out
    };
    match part {
        Part::Region => bench.owned(&bench.region),
        Part::Elsewhere => bench.owned(&bench.region.clone().complement(bench.layout().sites())),
        Part::Embedding => joint(JointKind::Embedding),
        Part::OutBias => joint(JointKind::OutBias),
        Part::Norm => joint(JointKind::Norm),
        Part::Head => joint(JointKind::Head),
    }
}

/// The table with one of three numbers of one row replaced.
fn with_number(table: &RouteTable, label: LabelId, target: Target, set: impl Fn(&mut Route)) -> RouteTable {
    let mut route = table.get(label, target);
    set(&mut route);
    table.clone().with(label, target, route)
}

/// `low + (high - low) x` in f64.
fn line(low: &[f32], high: &[f32], x: f32) -> Vec<f32> {
    let at = |l: f64, h: f64| (l + (h - l) * f64::from(x)) as f32;
    low.iter().zip(high).map(|(l, h)| at(f64::from(*l), f64::from(*h))).collect()
}

#[test]
fn variants_are_found_by_themselves() {
    let names: Vec<String> = methods().into_iter().map(|(name, _)| name).collect();
    assert!(LOCALIZE.iter().all(|e| names.contains(&format!("{} {{}}", e.about.name))), "{names:?}");
    assert!(names.len() > LOCALIZE.len(), "no switch was found: {names:?}");
}

/// Whatever is registered is held to these laws, so a new kind of network has to come here.
#[test]
fn every_kind_of_network_is_on_the_bench() {
    let benches = benches();
    for kind in NETWORKS.iter().map(|e| e.about.name) {
        assert!(benches.iter().any(|b| b.net.kind() == kind), "no bench of common/mod.rs is a {kind}");
    }
}

#[test]
fn every_line_of_every_table_holds() {
    for bench in transformers() {
        let plain = Plan::plain(bench.layout());
        for (name, method) in methods() {
            let plan = bench.plan(&bench.table(method.as_ref()));
            for (label, of, status) in method.expected() {
                let what = format!("{}: {name}: label {label:?}, {of:?}: {status:?}", bench.name);
                let items = uniform(label);
                let (_, routed) = bench.gradient(&plan, &one_by_one(&items));
                let (_, ordinary) = bench.gradient(&plain, &one_by_one(&items));
                let mask = part(&bench, of);
                let pick = |g: &[f32]| -> Vec<f32> {
                    g.iter().zip(&mask).filter(|(_, m)| **m).map(|(g, _)| *g).collect()
                };
                let (got, want) = (pick(&routed), pick(&ordinary));
                if got.is_empty() {
                    // A shape without output biases or an untied head has no such part.
                    assert!(matches!(of, Part::OutBias | Part::Head), "{what}: no such parameter");
                    continue;
                }
                assert!(want.iter().any(|g| *g != 0.0), "{what}: ordinary training leaves it alone");
                match status {
                    Status::Zero => assert!(got.iter().all(|g| *g == 0.0), "{what}"),
                    Status::Plain => assert_same(&what, &got, &want),
                    Status::Changed => {
                        assert!(got.iter().any(|g| *g != 0.0), "{what}: is zero");
                        assert!(got != want, "{what}: is ordinary training");
                    }
                }
            }
        }
    }
}

#[test]
fn all_ones_routes_are_plain_training_bit_for_bit() {
    for bench in benches() {
        let plain = Plan::plain(bench.layout());
        for (name, method) in methods() {
            // The method's own rows, each of them 1, 1, 1.
            let table = bench.table(method.as_ref());
            let rows = table.rows.iter().map(|r| RouteRow { route: Route::PLAIN, ..*r }).collect();
            let mut ones = RouteTable { rows, ..table };
            for target in TARGETS {
                ones = ones.with(UNLABELLED, target, Route::PLAIN);
            }
            let plan = bench.plan(&ones);
            let mixed = [(0, FORGET), (1, RETAIN), (2, UNLABELLED), (3, FORGET)];
            for per_shard in [1, 4] {
                let batch = Items { items: &mixed, per_shard };
                let (got, want) = (bench.gradient(&plan, &batch), bench.gradient(&plain, &batch));
                assert_eq!(got.0.to_bits(), want.0.to_bits(), "{}: {name}", bench.name);
                assert_same(&format!("{}: {name}", bench.name), &got.1, &want.1);
            }
        }
    }
}

#[test]
fn labels_a_method_does_not_mention_train_plainly() {
    for bench in benches() {
        let plain = Plan::plain(bench.layout());
        for (name, method) in methods() {
            let table = bench.table(method.as_ref());
            let plan = bench.plan(&table);
            assert!(table.is_plain(OTHER), "{name} mentions a label of somebody else");
            for label in STANDARD.into_iter().chain([OTHER]).filter(|l| table.is_plain(*l)) {
                let items = uniform(label);
                let batch = one_by_one(&items);
                let (got, want) = (bench.gradient(&plan, &batch), bench.gradient(&plain, &batch));
                assert_eq!(got.0.to_bits(), want.0.to_bits(), "{}: {name}: {label:?}", bench.name);
                assert_same(&format!("{}: {name}: {label:?}", bench.name), &got.1, &want.1);
            }
        }
    }
}

/// The methods' tables; of those that come to the same one.
fn tables(bench: &Bench) -> Vec<(String, RouteTable)> {
    let mut out: Vec<(String, RouteTable)> = Vec::new();
    for (name, method) in methods() {
        let table = bench.table(method.as_ref());
        if out.iter().all(|(_, known)| *known != table) {
            out.push((name, table));
        }
    }
    out
}

/// Gradients as a function of one route number are a straight line through its values at 0 and 1.
fn check_line(bench: &Bench, method: &str, table: &RouteTable, name: &str, set: fn(&mut Route, f32)) {
    for label in STANDARD {
        let items = uniform(label);
        let batch = one_by_one(&items);
        for target in TARGETS {
            let run = |x: f32| {
                let table = with_number(table, label, target, |r| set(r, x));
                bench.gradient(&bench.plan(&table), &batch)
            };
            let (zero, one) = (run(0.0), run(1.0));
            for x in [-2.0, 0.5] {
                let what = format!("{}: {method}: {name} of {target:?} for {label:?} at {x}", bench.name);
                let got = run(x);
                assert_eq!(got.0.to_bits(), one.0.to_bits(), "{what}: the forward pass changed");
                assert_close(&what, &got.1, &line(&zero.1, &one.1, x), 2e-5);
            }
        }
    }
}

#[test]
fn gradients_are_linear_in_every_update_weight() {
    for bench in benches() {
        for (name, table) in tables(&bench) {
            check_line(&bench, &name, &table, "update", |r, x| r.update = x);
        }
    }
}

#[test]
fn gradients_are_linear_in_the_backward_weight_of_a_site() {
    // With several routed sites one after another, the weight's powers meet on the way down.
    for mut bench in benches() {
        assert!(!bench.of_one_site.is_empty(), "{}", bench.name);
        for region in bench.of_one_site {
            bench.region = common::resolve(&*bench.net, region);
            for (name, table) in tables(&bench) {
                check_line(&bench, &name, &table, "backward", |r, x| r.backward = x);
            }
        }
    }
}

/// The parameters of the region that an update route means.
fn meant(bench: &Bench, edges: Edges) -> Vec<bool> {
    if edges == Edges::Owned {
        return part(bench, Part::Region);
    }
    let mut out = vec![false; bench.params.len()];
    for t in bench.layout().tensors() {
        let owner = if edges == Edges::In { &t.col_owner } else { &t.row_owner };
        let Some(owner) = owner else { continue };
        for range in owner.owned(&bench.region) {
            let (rows, cols) = if edges == Edges::In { (0..t.rows, range) } else { (range, 0..t.cols) };
            rows.for_each(|r| out[t.offset + r * t.cols..][cols.clone()].fill(true));
        }
    }
    out
}

#[test]
fn an_update_weight_scales_what_it_owns_and_nothing_else() {
    for bench in benches() {
        for (name, method) in methods() {
            let table = bench.table(method.as_ref());
            for label in STANDARD {
                let items = uniform(label);
                let run = |x: f32| {
                    let set = |r: &mut Route| r.update = x;
                    let table = with_number(&table, label, Target::Region(0), set);
                    bench.gradient(&bench.plan(&table), &one_by_one(&items)).1
                };
                let (one, three) = (run(1.0), run(-3.0));
                // Whose weights into or out of a unit alone are meant, owns the others without scaling them.
                let mask = meant(&bench, table.edges);
                let scaled = |(g, owned): (&f32, &bool)| if *owned { -3.0 * g } else { *g };
                let want: Vec<f32> = one.iter().zip(&mask).map(scaled).collect();
                assert_close(&format!("{}: {name}: {label:?}", bench.name), &three, &want, 1e-6);
            }
        }
    }
}

#[test]
fn order_within_a_batch_does_not_matter() {
    for bench in benches() {
        for (name, method) in methods() {
            let plan = bench.plan(&bench.table(method.as_ref()));
            let items = [(0, FORGET), (1, RETAIN), (2, FORGET), (3, UNLABELLED), (4, RETAIN)];
            let mut other = items;
            other.reverse();
            other.swap(0, 3);
            for per_shard in [1, 2, 5] {
                let a = bench.gradient(&plan, &Items { items: &items, per_shard });
                let b = bench.gradient(&plan, &Items { items: &other, per_shard });
                let what = format!("{}: {name}, {per_shard} to a shard", bench.name);
                assert!((a.0 - b.0).abs() <= 1e-6 * a.0.abs(), "{what}");
                assert_close(&what, &b.1, &a.1, 1e-5);
            }
        }
    }
}

#[test]
fn a_mixed_batch_is_the_sum_of_uniform_ones() {
    for bench in benches() {
        for (name, method) in methods() {
            let plan = bench.plan(&bench.table(method.as_ref()));
            let items = [(0, FORGET), (1, RETAIN), (2, FORGET), (3, UNLABELLED), (4, OTHER)];
            let mut sum = vec![0.0f32; bench.params.len()];
            for label in STANDARD.into_iter().chain([OTHER]) {
                let own: Vec<_> = items.iter().copied().filter(|(_, l)| *l == label).collect();
                let share = own.len() as f32 / items.len() as f32;
                let (_, g) = bench.gradient(&plan, &one_by_one(&own));
                sum.iter_mut().zip(&g).for_each(|(s, g)| *s += share * g);
            }
            for per_shard in [1, 2, 5] {
                let got = bench.gradient(&plan, &Items { items: &items, per_shard }).1;
                assert_close(&format!("{}: {name}, {per_shard} to a shard", bench.name), &got, &sum, 1e-5);
            }
        }
    }
}

#[test]
fn a_penalty_before_the_site_is_not_routed() {
    let mut bench = autoencoder();
    bench.l1 = 0.01;
    check_line(&bench, "none", &RouteTable::plain(), "backward", |r, x| r.backward = x);
}

#[test]
fn parts_of_the_table_do_not_overlap() {
    for bench in benches() {
        let all = [Part::Region, Part::Elsewhere, Part::Embedding, Part::OutBias, Part::Norm, Part::Head];
        let masks: Vec<_> = all.iter().map(|p| part(&bench, *p)).collect();
        for i in 0..bench.params.len() {
            let parts = masks.iter().filter(|m| m[i]).count();
            assert!(parts <= 1, "{}: parameter {i} belongs to {parts} parts", bench.name);
        }
    }
}

#[test]
fn an_empty_region_leaves_the_tables_without_effect_on_it() {
    let mut bench = small();
    bench.region = Selection::default();
    let plain = Plan::plain(bench.layout());
    for (name, method) in methods() {
        // Nothing is named, so only routes of joint parts are left.
        let table = bench.table(method.as_ref());
        if table.rows.iter().any(|r| matches!(r.target, Target::Joint(_))) {
            continue;
        }
        let items = uniform(FORGET);
        let batch = one_by_one(&items);
        let got = bench.gradient(&bench.plan(&table), &batch);
        assert_same(&name, &got.1, &bench.gradient(&plain, &batch).1);
    }
}
