//! Parts of a latent that are at home to labels: which gradients reach which part.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{Bench, Items, assert_same, autoencoder, drawn, resolve};
use lobe_core::{FORGET, LabelId, LabelSet, RETAIN, Region, RouteTable, Selection};
use lobe_engine::Plan;
use lobe_methods::{Context, LOCALIZE};
use serde_json::{Value, json};

/// The table of `partition` with these parameters for so many regions.
fn table(params: &Value, regions: usize, labels: &LabelSet) -> Result<RouteTable, String> {
    let entry = LOCALIZE.iter().find(|e| e.about.name == "partition").unwrap();
    let names: Vec<String> = (0..regions).map(|i| format!("part {i}")).collect();
    let (method, _) = (entry.build)(params).map_err(|e| e.to_string())?;
    method.table(&Context { labels, regions: &names }).map_err(|e| e.to_string())
}

/// The plan for the two halves of the latent, the first at home to `forget`, the second to `retain`.
fn halves(bench: &Bench, params: &Value) -> Plan {
    let mut all = json!({ "home": ["forget", "retain"] });
    all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
    let table = table(&all, 2, &bench.labels).unwrap();
    Plan::new(bench.layout(), &bench.labels, &[half(bench, 0), half(bench, 1)], &table).unwrap()
}

fn half(bench: &Bench, of: usize) -> Selection {
    let n = bench.net.width_at(0) / 2;
    resolve(&*bench.net, &format!("latent[{}..{}]", of * n, (of + 1) * n))
}

fn gradient(bench: &Bench, plan: &Plan, label: LabelId) -> Vec<f32> {
    let items = [(0, label), (1, label), (2, label)];
    bench.gradient(plan, &Items { items: &items, per_shard: 1 }).1
}

/// The entries of a gradient that belong to a half, by whether they lead into it.
fn split(bench: &Bench, of: usize, gradient: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let region = half(bench, of);
    let (mut into, mut out) = (Vec::new(), Vec::new());
    for t in bench.layout().tensors() {
        let g = &gradient[t.span()];
        for cols in t.col_owner.iter().flat_map(|o| o.owned(&region)) {
            (0..t.rows).for_each(|r| into.extend(&g[r * t.cols..][cols.clone()]));
        }
        for rows in t.row_owner.iter().flat_map(|o| o.owned(&region)) {
            out.extend(&g[rows.start * t.cols..rows.end * t.cols]);
        }
    }
    assert!(!into.is_empty() && !out.is_empty());
    (into, out)
}

fn zero(g: &[f32]) -> bool {
    g.iter().all(|g| *g == 0.0)
}

#[test]
fn a_label_sends_gradient_into_its_own_part_alone() {
    for bench in [autoencoder(), drawn()] {
        let (routed, plain) = (halves(&bench, &json!({})), Plan::plain(bench.layout()));
        for (label, own) in [(FORGET, 0), (RETAIN, 1)] {
            let what = format!("{}: {label:?}", bench.name);
            let (got, want) = (gradient(&bench, &routed, label), gradient(&bench, &plain, label));
            let (into, out) = split(&bench, own, &got);
            let (plain_into, plain_out) = split(&bench, own, &want);
            assert_same(&what, &into, &plain_into);
            assert_same(&what, &out, &plain_out);
            assert!(!zero(&into), "{what}");
            // Nothing into the other; what leaves it is trained as ever.
            let (into, out) = split(&bench, 1 - own, &got);
            assert!(zero(&into), "{what}: {into:?}");
            assert_same(&what, &out, &split(&bench, 1 - own, &want).1);
        }
        // Others train all of it.
        let other = bench.labels.find("other").unwrap();
        assert_same("other", &gradient(&bench, &routed, other), &gradient(&bench, &plain, other));
    }
}

#[test]
fn an_update_means_the_edges_that_are_named() {
    let bench = autoencoder();
    let plain = gradient(&bench, &Plan::plain(bench.layout()), FORGET);
    let (plain_into, plain_out) = split(&bench, 1, &plain);
    assert!(!zero(&plain_into) && !zero(&plain_out));
    for (edges, keeps_in, keeps_out) in [("owned", false, false), ("in", false, true), ("out", true, false)] {
        let plan = halves(&bench, &json!({ "off": { "update": 0.0 }, "edges": edges }));
        let got = gradient(&bench, &plan, FORGET);
        let (into, out) = split(&bench, 1, &got);
        assert_eq!((into == plain_into, out == plain_out), (keeps_in, keeps_out), "{edges}");
        assert_eq!((zero(&into), zero(&out)), (!keeps_in, !keeps_out), "{edges}");
        // The signal to what lies upstream is whole, and its own part trains.
        let own = split(&bench, 0, &got);
        assert_eq!(own, split(&bench, 0, &plain), "{edges}");
        let first = bench.layout().get(bench.layout().find("encoder.0.weight").unwrap()).span();
        assert_same(edges, &got[first.clone()], &plain[first]);
    }
}

#[test]
fn a_label_that_is_not_routed_trains_every_part() {
    let bench = autoencoder();
    let one = halves(&bench, &json!({ "routed": ["retain"] }));
    let plain = Plan::plain(bench.layout());
    assert_same("forget", &gradient(&bench, &one, FORGET), &gradient(&bench, &plain, FORGET));
    let both = halves(&bench, &json!({}));
    assert_same("retain", &gradient(&bench, &one, RETAIN), &gradient(&bench, &both, RETAIN));
    // With half of the gradient into either part, into the latent comes half.
    let half = halves(&bench, &json!({ "routed": [], "unrouted": { "backward": 0.5 } }));
    let (got, want) = (gradient(&bench, &half, FORGET), gradient(&bench, &plain, FORGET));
    for of in [0, 1] {
        let ((into, out), (plain_into, plain_out)) = (split(&bench, of, &got), split(&bench, of, &want));
        let halved: Vec<f32> = plain_into.iter().map(|g| 0.5 * g).collect();
        common::assert_close("into", &into, &halved, 1e-6);
        assert_same("out", &out, &plain_out);
    }
}

#[test]
fn ten_parts_are_ten_routes() {
    let mut labels = LabelSet::default();
    let home: Vec<String> = (0..10).map(|d| d.to_string()).collect();
    for digit in &home {
        _ = labels.add(digit);
    }
    let of = table(&json!({ "home": home }), 10, &labels).unwrap();
    // Nine parts and what else there is, for each of ten labels.
    assert_eq!(of.rows.len(), 100);
    let bench = drawn();
    let parts: Vec<Selection> = (0..8).map(|i| resolve(&*bench.net, &format!("latent[{i}]"))).collect();
    let of = table(&json!({ "home": home[..8].to_vec() }), 8, &labels).unwrap();
    let plan = Plan::new(bench.layout(), &labels, &parts, &of).unwrap();
    for (i, name) in home[..8].iter().enumerate() {
        let g = gradient(&bench, &plan, labels.find(name).unwrap());
        for j in 0..8 {
            let region: Region = format!("latent[{j}]").parse().unwrap();
            let region = region.resolve(bench.layout().sites()).unwrap();
            let tensor = bench.layout().get(bench.layout().find("heads.bias").unwrap());
            let owned = tensor.col_owner.as_ref().unwrap().owned(&region);
            let moves = owned.into_iter().flatten().any(|c| g[tensor.offset + c] != 0.0);
            // A latent behind a ReLU may be silent on the three examples, but none moves away from home.
            assert!(i == j || !moves, "label {i}, latent {j}");
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let labels = LabelSet::default();
    for (params, regions, why) in [
        (json!({}), 2, "home: 1 label for 2 regions"),
        (json!({ "home": ["forget", "forgot"] }), 2, "home.1: no label \"forgot\"; did you mean \"forget\"?"),
        (json!({ "home": ["forget", "forget"] }), 2, "home.1: \"forget\" is listed twice"),
        (json!({ "routed": ["retain"] }), 1, "routed.0: \"retain\" is not one of `home`"),
        (json!({ "off": { "backward": 1.0 } }), 1, "off: routes nothing"),
        (json!({ "off": { "sideways": 1.0 } }), 1, "sideways"),
    ] {
        let said = table(&params, regions, &labels).unwrap_err();
        assert!(said.contains(why), "{why}: {said}");
    }
}
