//! What training-time methods ask for beside three numbers per (label, region): kinds of steps,
//! starts, joint projections, token weights, penalties, and targets that do not count.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

mod common;

use common::{
    Bench, Items, SEQ, assert_close, assert_same, benches, methods, resolve, small, tokens, transformers,
};
use lobe_core::{FORGET, LabelId, LabelSet, RETAIN, RouteRow, RouteTable, Selection, UNLABELLED};
use lobe_engine::Plan;
use lobe_methods::localize::{check_silence, silence, with_kinds};
use lobe_methods::objective::{Distance, Term, ordinary, sparse};
use lobe_methods::{Context, LOCALIZE, Localize, ParamError, TrainsOn};
use lobe_nets::Batch;
use serde_json::{Value, json};

fn build(name: &str, params: &Value) -> Result<Box<dyn Localize>, ParamError> {
    let entry = LOCALIZE.iter().find(|e| e.about.name == name).unwrap();
    (entry.build)(params).map(|(method, _)| method)
}

/// Gradient of three sequences of one label.
fn of_label(bench: &Bench, plan: &Plan, label: LabelId) -> Vec<f32> {
    let items = [(0, label), (1, label), (2, label)];
    bench.gradient(plan, &Items { items: &items, per_shard: 1 }).1
}

fn pick(all: &[f32], mask: &[bool]) -> Vec<f32> {
    all.iter().zip(mask).filter(|(_, m)| **m).map(|(x, _)| *x).collect()
}

fn not(mask: &[bool]) -> Vec<bool> {
    mask.iter().map(|m| !m).collect()
}

fn zero(x: &[f32]) -> bool {
    x.iter().all(|x| *x == 0.0)
}

#[test]
fn a_silenced_region_changes_no_output_and_still_learns() {
    for mut bench in benches() {
        // One matrix there and back: what starts at zero would stay there.
        if bench.name == "superposition" {
            let refused = check_silence(bench.layout(), &bench.region).unwrap_err();
            assert!(refused.contains("no out-going weights of their own"), "{refused}");
            continue;
        }
        check_silence(bench.layout(), &bench.region).unwrap();
        silence(bench.net.layout(), &mut bench.params, &bench.region);
        let modular = build("modular", &json!({})).unwrap();
        let absent = bench.plan(&bench.table(modular.as_ref()));
        let plain = Plan::plain(bench.layout());
        // Certificates read the region on purpose; the first output does not.
        let outputs = bench.net.outputs().len();
        let [whole, cut] = [&plain, &absent].map(|p| bench.outputs(&bench.params, p, RETAIN));
        let main = whole.len() / outputs;
        assert_same(bench.name, &whole[..main], &cut[..main]);
        let learns = of_label(&bench, &plain, RETAIN);
        assert!(!zero(&pick(&learns, &bench.owned(&bench.region))), "{}", bench.name);
    }
}

/// Two modules on the MLP of a transformer: routes, labels and the plan.
fn two_modules(bench: &Bench) -> (Plan, LabelSet, [Selection; 2]) {
    let method = build("modular", &json!({ "topics": ["forget", "other"] })).unwrap();
    let labels = with_kinds(&bench.labels, &method.kinds(&bench.labels).unwrap());
    let names = ["a".to_owned(), "b".to_owned()];
    let table = method.table(&Context { labels: &labels, regions: &names }).unwrap();
    let regions = ["blocks.*.mlp.post[-8..-4]", "blocks.*.mlp.post[-4..]"].map(|r| resolve(&*bench.net, r));
    (Plan::new(bench.layout(), &labels, &regions, &table).unwrap(), labels, regions)
}

#[test]
fn each_kind_of_step_trains_what_the_table_of_modular_profiles_says() {
    for bench in transformers() {
        let (plan, labels, regions) = two_modules(&bench);
        let masks = regions.map(|r| bench.owned(&r));
        let core: Vec<bool> = (0..bench.params.len()).map(|i| !masks[0][i] && !masks[1][i]).collect();
        // (label, trains module a, trains module b, trains the core)
        let rows = [
            ("forget", true, false, false),
            ("other", false, true, false),
            ("forget:spread", true, false, true),
            ("other:spread", false, true, true),
            ("retain", false, false, true),
            ("unlabelled", false, false, true),
            ("retain:robust", true, true, true),
            ("unlabelled:robust", true, true, true),
        ];
        for (name, a, b, c) in rows {
            let g = of_label(&bench, &plan, labels.find(name).unwrap());
            for (mask, trains) in [(&masks[0], a), (&masks[1], b), (&core, c)] {
                assert_eq!(!zero(&pick(&g, mask)), trains, "{}: {name}", bench.name);
            }
        }
        let robust = of_label(&bench, &plan, labels.find("retain:robust").unwrap());
        assert_same(bench.name, &robust, &of_label(&bench, &Plan::plain(bench.layout()), RETAIN));
    }
}

#[test]
fn an_isolated_step_leaves_every_parameter_outside_of_the_module_alone() {
    let bench = small();
    let (plan, _, [a, _]) = two_modules(&bench);
    let g = of_label(&bench, &plan, FORGET);
    assert!(zero(&pick(&g, &not(&bench.owned(&a)))), "attention, which no region names, included");
}

#[test]
fn modular_profiles_refuse_what_does_not_fit() {
    let labels = LabelSet::default();
    let regions = ["a".to_owned()];
    for (params, path) in [
        (json!({ "topics": ["froget"] }), "topics.0"),
        (json!({ "topics": ["retain"] }), "topics.0"),
        (json!({ "topics": ["forget", "forget"] }), "topics.1"),
        (json!({ "topics": [] }), "topics"),
    ] {
        let method = build("modular", &params).unwrap();
        let error = method.table(&Context { labels: &labels, regions: &regions }).unwrap_err();
        assert_eq!(error.path, path, "{error}");
    }
    let error = build("modular", &json!({ "spread": 1.5 })).unwrap().kinds(&labels).unwrap_err();
    assert_eq!(error.path, "spread");
}

#[test]
fn joint_projections_train_on_forget_data_and_the_rest_stays_masked() {
    for bench in transformers() {
        let plain = of_label(&bench, &Plan::plain(bench.layout()), FORGET);
        let elsewhere = bench.region.clone().complement(bench.layout().sites());
        for method in ["sgtm", "parameter-masking"] {
            for (text, tensors) in [
                ("blocks.*.mlp.post", vec!["mlp.out.weight"]),
                ("blocks.*.attn.z", vec!["attn.out.weight"]),
                ("blocks.*.mlp.post + blocks.*.attn.z", vec!["mlp.out.weight", "attn.out.weight"]),
            ] {
                let what = format!("{}: {method}: {text}", bench.name);
                let table =
                    bench.table(build(method, &json!({ "joint_projections": text })).unwrap().as_ref());
                let plan = bench.plan(&table);
                let got = of_label(&bench, &plan, FORGET);
                bench.layout().for_owned(&elsewhere, |t, range| {
                    if tensors.iter().any(|n| t.name.ends_with(n)) {
                        assert_same(&what, &got[range.clone()], &plain[range]);
                    } else {
                        assert!(zero(&got[range]), "{what}: {}", t.name);
                    }
                });
                // What a route takes away is taken away all the same.
                if method == "sgtm" {
                    let safe = of_label(&bench, &plan, RETAIN);
                    assert!(zero(&pick(&safe, &bench.owned(&bench.region))), "{what}");
                }
            }
        }
    }
}

#[test]
fn joint_projections_must_be_a_region_of_the_network() {
    let bench = small();
    let method = build("sgtm", &json!({ "joint_projections": "blocks.[" })).unwrap();
    let regions = ["a".to_owned()];
    let error = method.table(&Context { labels: &bench.labels, regions: &regions }).unwrap_err();
    assert_eq!(error.path, "joint_projections");
    let mut table = RouteTable::plain();
    table.joint_rows = Some("blocks.*.mlp.past".into());
    let error = Plan::new(bench.layout(), &bench.labels, std::slice::from_ref(&bench.region), &table);
    assert!(error.unwrap_err().to_string().contains("mlp.post"));
}

/// The terms of ordinary training.
fn main(bench: &Bench) -> Vec<Term> {
    ordinary(&*bench.net, Distance::Squared)
}

/// One forget sequence with a strength per target.
fn weighted(strength: Option<[f32; SEQ]>) -> Batch {
    let mut out = Batch::tokens(SEQ, 1);
    out.push(&tokens(0), FORGET, strength.as_ref().map(|s| &s[..]));
    out
}

#[test]
fn expansion_without_routing_is_ordinary_training() {
    let bench = small();
    let items = [(0, FORGET), (1, RETAIN), (2, UNLABELLED)];
    let batch = Items { items: &items, per_shard: 1 };
    let table = bench.table(build("era", &json!({ "original": 1.0 })).unwrap().as_ref());
    let want = bench.gradient(&Plan::plain(bench.layout()), &batch);
    assert_eq!(bench.gradient(&bench.plan(&table), &batch), want);
}

#[test]
fn only_tokens_with_strength_are_routed() {
    let bench = small();
    let plan = bench.plan(&bench.table(build("era", &json!({})).unwrap().as_ref()));
    let run = |plan: &Plan, strength| bench.follow(plan, &weighted(strength), &main(&bench));
    let plain = run(&Plan::plain(bench.layout()), None);
    assert_eq!(run(&plan, Some([0.0; SEQ])), plain);
    assert_eq!(run(&plan, Some([1.0; SEQ])), run(&plan, None));
    // The exact word stands at one position; its weight is as good as a route for that token alone.
    let mut exact = [0.0; SEQ];
    exact[3] = 1.0;
    let (objective, gradient) = run(&plan, Some(exact));
    assert_eq!(objective, plain.0);
    assert_ne!(gradient, plain.1);
    // Half of a strength is -0.75 and 1 in equal parts: at one site numbers add up.
    let mut one = small();
    one.region = resolve(&*one.net, "blocks.1.mlp.post[-8..]");
    let plan = one.plan(&one.table(build("era", &json!({})).unwrap().as_ref()));
    let run = |s| one.follow(&plan, &weighted(Some([s; SEQ])), &main(&one)).1;
    let (none, half, full) = (run(0.0), run(0.5), run(1.0));
    let middle: Vec<f32> = none.iter().zip(&full).map(|(a, b)| 0.5 * (a + b)).collect();
    assert_close("half", &half, &middle, 1e-5);
}

#[test]
fn the_penalty_is_the_mean_absolute_activation_and_its_gradient_is_right() {
    for mut bench in transformers() {
        let plan = Plan::plain(bench.layout());
        let batch = weighted(None);
        let terms = |b: &Bench, units: &Selection| {
            let mut terms = sparse(&*b.net, units, 0.3);
            terms.extend(main(b));
            terms
        };
        let with = |b: &Bench| b.follow(&plan, &batch, &terms(b, &b.region));
        let (plain, (objective, gradient)) = (bench.follow(&plan, &batch, &main(&bench)), with(&bench));
        assert!(objective > plain.0, "{}", bench.name);
        assert_eq!(bench.follow(&plan, &batch, &terms(&bench, &Selection::default())), plain);
        let owned = bench.owned(&bench.region);
        let largest = |a: &usize, b: &usize| gradient[*a].abs().total_cmp(&gradient[*b].abs());
        let at = (0..owned.len()).filter(|i| owned[*i]).max_by(largest).unwrap();
        let (start, h) = (bench.params[at], 2e-3);
        let mut at_offset = |d: f32| {
            bench.params[at] = start + d;
            with(&bench).0
        };
        let slope = (at_offset(h) - at_offset(-h)) / f64::from(2.0 * h);
        let error = (slope - f64::from(gradient[at])).abs();
        assert!(error < 0.02 * slope.abs(), "{}: {slope} against {}", bench.name, gradient[at]);
    }
}

#[test]
fn filtering_tokens_spares_what_is_weak_and_what_is_not_forget() {
    let mut labels = LabelSet::default();
    let other = labels.add("other");
    let on = |params| build("filter", &params).unwrap().trains_on(&labels);
    let token = on(json!({ "level": "token" })).unwrap();
    assert_eq!(token, TrainsOn::Context(FORGET, 0.5));
    assert!(token.counts(FORGET, 0.5) && !token.counts(FORGET, 0.51));
    assert!(token.counts(RETAIN, 1.0) && token.counts(UNLABELLED, 1.0));
    let document = on(json!({})).unwrap();
    assert!(!document.counts(FORGET, 0.0) && document.counts(RETAIN, 1.0) && document.counts(other, 1.0));
    let both = on(json!({ "topics": ["forget", "other"] })).unwrap();
    assert!(!both.counts(FORGET, 0.0) && !both.counts(other, 0.0) && both.counts(RETAIN, 1.0));
    for (topics, path) in
        [(json!([]), "topics"), (json!(["retain"]), "topics.0"), (json!(["othr"]), "topics.0")]
    {
        assert_eq!(on(json!({ "topics": topics })).unwrap_err().path, path);
    }
    let two = json!({ "level": "token", "topics": ["forget", "other"] });
    assert_eq!(on(two).unwrap_err().path, "topics");
    let wrong = build("filter", &json!({ "threshold": 2.0 })).unwrap();
    assert_eq!(wrong.table(&Context { labels: &labels, regions: &[] }).unwrap_err().path, "threshold");
}

#[test]
fn what_a_method_asks_for_beside_routes_fits_together() {
    let (labels, regions) = (LabelSet::default(), ["target".to_owned()]);
    for (name, method) in methods() {
        let kinds = method.kinds(&labels).unwrap();
        assert!(kinds.is_empty() || method.needs_uniform_steps(), "{name}: a kind is of a whole step");
        let all = with_kinds(&labels, &kinds);
        assert_eq!(all.len(), labels.len() + kinds.len(), "{name}: two kinds share a label");
        let table = method.table(&Context { labels: &all, regions: &regions }).unwrap();
        assert!(table.rows.iter().all(|r| r.label.index() < all.len()), "{name}: a route of no label");
        for kind in &kinds {
            assert!(kind.of.index() < labels.len(), "{name}: {} takes steps of no label", kind.name);
            let shares: f64 = kinds.iter().filter(|k| k.of == kind.of).map(|k| k.share).sum();
            assert!(kind.share >= 0.0 && shares <= 1.0 + 1e-9, "{name}: shares of {} steps", kind.name);
            let id = kind.id(&all).unwrap();
            let other = |r: &RouteRow| table.get(id, r.target) != table.get(kind.of, r.target);
            assert!(table.rows.iter().any(other), "{name}: {} steps are ordinary ones", kind.name);
        }
        assert!(method.l1().is_finite() && method.l1() >= 0.0, "{name}: a penalty that rewards");
        // Starts and penalties are those of a region, so an arm without one could not have them.
        let of_region = method.l1() != 0.0 || method.zero_start();
        assert!(!of_region || method.regions().0 > 0, "{name}: asks something of a region it may lack");
    }
}
