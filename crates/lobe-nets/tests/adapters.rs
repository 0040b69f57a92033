//! Laws of adapters, for every one of the list, on language models and an autoencoder.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::single_range_in_vec_init, reason = "regions are lists of ranges, also of one")]

use lobe_core::{FORGET, Key, LabelSet, Region, Route, RouteTable, Selection, Target};
use lobe_engine::{
    Edit, EngineError, Layout, ParamId, Plan, ShardRows, SiteEdit, SiteId, Tape, Var, Workspace,
};
use lobe_nets::adapter::{ADAPTERS, Attached, adapter};
use lobe_nets::{
    Activation, Autoencoder, AutoencoderConfig, Begin, DecoderConfig, End, Fed, Gpt, GptConfig, Network,
    NormKind, Positions, load_adapters, save_adapters,
};
use serde_json::{Value, json};

type Forward = dyn Fn(&mut Tape<'_>) -> Result<Var, EngineError>;

/// A network, weights, and a pass over some data.
struct Host {
    name: &'static str,
    layout: Layout,
    params: Vec<f32>,
    rows: usize,
    forward: Box<Forward>,
}

fn normals(name: &str, n: usize) -> Vec<f32> {
    let mut rng = Key::root(3).child(name).rng();
    (0..n).map(|_| rng.normal() as f32).collect()
}

fn host(name: &'static str, layout: Layout, rows: usize, forward: Box<Forward>) -> Host {
    let mut params = layout.init(Key::root(5)).to_vec();
    params.iter_mut().zip(normals(name, layout.len())).for_each(|(p, n)| *p += 0.3 * n);
    Host { name, layout, params, rows, forward }
}

fn gpt(name: &'static str, shape: GptConfig) -> Host {
    let mut config = shape;
    (config.vocab, config.context, config.layers) = (11, 5, 2);
    (config.width, config.heads, config.mlp) = (8, 4, 12);
    let net = Gpt::new(config.resolve(0, 0).unwrap());
    let (mut rng, layout) = (Key::root(6).rng(), net.layout.clone());
    let ids: Vec<u32> = (0..10).map(|_| rng.below(11) as u32).collect();
    host(name, layout, 10, Box::new(move |t| net.hidden(t, Fed::Tokens { ids: &ids, seq: 5 })))
}

fn autoencoder() -> Host {
    let decoder = |name: &str, to: usize| DecoderConfig { name: name.into(), from: 0, to, detach: false };
    let config = AutoencoderConfig {
        hidden: vec![10],
        latent: 4,
        decoders: vec![decoder("decoder", 4), decoder("half", 2)],
        ..AutoencoderConfig::default()
    };
    let net = Autoencoder::new(config.resolve(9).unwrap());
    let (x, layout) = (normals("rows", 7 * 9), net.layout.clone());
    let forward = move |t: &mut Tape<'_>| {
        let fed = Fed::Rows { width: 9, values: &x, noise: &[] };
        let ends = net.run(t, Begin::Input(fed), End::Outputs)?.ends;
        t.concat(ends[0], ends[1])
    };
    host("autoencoder", layout, 7, Box::new(forward))
}

fn hosts() -> [Host; 3] {
    let llama = GptConfig {
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        kv_heads: 2,
        qkv_bias: false,
        ..GptConfig::default()
    };
    [gpt("gpt", GptConfig::default()), gpt("llama", llama), autoencoder()]
}

/// Settings of an adapter for a host; a new adapter of the list has to say some here.
fn settings(kind: &str, host: &Host) -> Vec<Value> {
    let texts = |gpt: &'static str, other: &'static str| if host.name == "autoencoder" { other } else { gpt };
    match kind {
        "low-rank" => vec![
            json!({"rank": 3}),
            json!({"name": "own", "rank": 2, "scale": 0.5,
                "on": texts("blocks.1.*.in.weight + blocks.0.attn.qkv.weight[*,0..8]", "encoder.1.weight")}),
        ],
        "add" => vec![
            json!({"at": texts("blocks.0.resid_post", "latent")}),
            json!({"at": texts("blocks.*.attn.z + blocks.1.mlp.post + embed", "encoder.0.post"), "name": "steer"}),
        ],
        other => panic!("{other} has no settings in this test"),
    }
}

fn attached(host: &Host, kind: &str, settings: &Value) -> Attached {
    let (built, _) = (adapter(kind).unwrap().build)(settings).unwrap();
    Attached::new(&host.layout, vec![built]).unwrap()
}

/// Every adapter at every host.
fn every(mut f: impl FnMut(&str, &Host, &Attached)) {
    for entry in &ADAPTERS {
        for host in hosts() {
            for settings in settings(entry.about.name, &host) {
                let a = attached(&host, entry.about.name, &settings);
                f(&format!("{} {settings} at {}", entry.about.name, host.name), &host, &a);
            }
        }
    }
}

/// Weights in which the adapter does something.
fn filled(host: &Host, a: &Attached) -> Vec<f32> {
    let mut params = a.started(&host.params, Key::root(1)).to_vec();
    let start = a.host_len();
    let n = params.len() - start;
    params[start..].iter_mut().zip(normals("own", n)).for_each(|(p, x)| *p += 0.4 * x);
    params
}

fn awake(a: &Attached) -> Plan {
    a.awake(Plan::plain(a.layout())).unwrap()
}

struct Pass {
    out: Vec<f32>,
    grads: Vec<f32>,
    objective: f64,
}

fn run(host: &Host, layout: &Layout, params: &[f32], plan: &Plan) -> Pass {
    let mut ws = Workspace::default();
    let mut moved = vec![0.0; plan.gradients().len()];
    let rows = ShardRows::uniform(host.rows, FORGET);
    let mut tape = Tape::new(&mut ws, layout, params, Some(&mut moved), plan, rows);
    let v = (host.forward)(&mut tape).unwrap();
    let out = tape.value(v).to_vec();
    let functional = normals("functional", out.len());
    let objective = out.iter().zip(&functional).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    tape.seed_grad(v, &functional).unwrap();
    tape.backward(0).unwrap();
    let mut grads = vec![0.0; layout.len()];
    plan.gradients().spread(&mut grads, &moved);
    Pass { out, grads, objective }
}

#[track_caller]
fn assert_bits(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    let bad = a.iter().zip(b).position(|(a, b)| a.to_bits() != b.to_bits() && a != b);
    assert_eq!(bad, None, "{what}");
}

#[track_caller]
fn assert_close(what: &str, a: &[f32], b: &[f32]) {
    assert_eq!(a.len(), b.len(), "{what}");
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() < 2e-5 + 1e-4 * b.abs(), "{what}: {a} instead of {b} at {i}");
    }
}

/// Some units of the host, routed.
fn routed(layout: &Layout, route: Route) -> (Selection, Plan) {
    let region = |text: &str| text.parse::<Region>().unwrap().resolve(layout.sites());
    let units = region("blocks.*.mlp.post[2..5] + blocks.*.attn.z[0..2]")
        .or_else(|_| region("latent[1..3]"))
        .unwrap();
    let table = RouteTable::plain().with(FORGET, Target::Region(0), route);
    let plan = Plan::new(layout, &LabelSet::default(), std::slice::from_ref(&units), &table).unwrap();
    (units, plan)
}

#[test]
fn an_adapter_that_sleeps_is_not_there() {
    every(|what, host, a| {
        let params = filled(host, a);
        let n = a.host_len();
        assert_bits(what, &params[..n], &host.params);
        for (i, t) in host.layout.tensors().iter().enumerate() {
            assert_eq!(
                (&a.layout().get(ParamId(i)).name, a.layout().get(ParamId(i)).span()),
                (&t.name, t.span())
            );
        }
        for route in [Route::PLAIN, Route::ABSENT, Route::new(0.5, -1.0, 0.0)] {
            let want = run(host, &host.layout, &host.params, &routed(&host.layout, route).1);
            let got = run(host, a.layout(), &params, &routed(a.layout(), route).1);
            assert_bits(what, &got.out, &want.out);
            assert_bits(what, &got.grads[..n], &want.grads);
            assert!(got.grads[n..].iter().all(|g| *g == 0.0), "{what}");
        }
    });
}

#[test]
fn an_adapter_starts_as_the_identity() {
    every(|what, host, a| {
        let params = a.started(&host.params, Key::root(1));
        let want = run(host, &host.layout, &host.params, &Plan::plain(&host.layout)).out;
        assert_close(what, &run(host, a.layout(), &params, &awake(a)).out, &want);
        let moved = run(host, a.layout(), &filled(host, a), &awake(a)).out;
        assert!(moved.iter().zip(&want).any(|(a, b)| (a - b).abs() > 1e-2), "{what}: it does something");
    });
}

#[test]
fn only_its_own_tensors_get_a_gradient_where_the_host_is_frozen() {
    every(|what, host, a| {
        let params = filled(host, a);
        let own: Vec<ParamId> = a.own().collect();
        assert!(!own.is_empty());
        let all = run(host, a.layout(), &params, &awake(a));
        let got = run(host, a.layout(), &params, &awake(a).train_only(|p| own.contains(&p)));
        assert!(got.grads[..a.host_len()].iter().all(|g| *g == 0.0), "{what}");
        for p in own {
            let span = a.layout().get(p).span();
            assert_close(what, &got.grads[span.clone()], &all.grads[span.clone()]);
            assert!(got.grads[span].iter().any(|g| *g != 0.0), "{what}: {}", a.layout().get(p).name);
        }
    });
}

/// Along random directions in every tensor, the host's, too; on top of a route that makes units absent.
#[test]
fn gradients_are_differences() {
    every(|what, host, a| {
        let params = filled(host, a);
        for forward in [1.0, 0.0] {
            let plan = a.awake(routed(a.layout(), Route::new(forward, 1.0, 1.0)).1).unwrap();
            let grads = run(host, a.layout(), &params, &plan).grads;
            for t in a.layout().tensors() {
                let u = normals(&t.name, t.rows * t.cols);
                let norm = u.iter().map(|u| u * u).sum::<f32>().sqrt();
                let along: f64 = grads[t.span()].iter().zip(&u).map(|(g, u)| f64::from(g * u / norm)).sum();
                let size = grads[t.span()].iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
                // A kink of a ReLU may lie within one step.
                let tried = [1e-2, 2e-3, 5e-4].map(|step: f32| {
                    let value = |step: f32| {
                        let mut p = params.clone();
                        p[t.span()].iter_mut().zip(&u).for_each(|(p, u)| *p += step * u / norm);
                        run(host, a.layout(), &p, &plan).objective
                    };
                    let want = (value(step) - value(-step)) / f64::from(2.0 * step);
                    ((along - want).abs() < 1e-2 * want.abs() + 3e-3 * size + 2e-6 / f64::from(step), want)
                });
                assert!(tried.iter().any(|t| t.0), "{what}, {}: {along} instead of {tried:?}", t.name);
            }
        }
    });
}

#[test]
fn merged_weights_are_the_same_function() {
    let mut merges = 0;
    every(|what, host, a| {
        let params = filled(host, a);
        let Some(merged) = a.merged(&params) else { return };
        merges += 1;
        let want = run(host, a.layout(), &params, &awake(a)).out;
        assert_close(what, &run(host, &host.layout, &merged, &Plan::plain(&host.layout)).out, &want);
        assert!(merged.iter().zip(&host.params).any(|(a, b)| a != b), "{what}");
        let start = a.merged(&a.started(&host.params, Key::root(1))).unwrap();
        assert_bits(what, &start, &host.params);
    });
    assert_eq!(merges, 6, "low-rank maps can be merged");
}

#[test]
fn saved_and_loaded_it_has_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("adapters.safetensors");
    every(|what, host, a| {
        let params = filled(host, a);
        let bytes = save_adapters(a, &params, &[("lobe.host", "a key".into())]);
        std::fs::write(&path, &bytes).unwrap();
        let mut back = a.started(&host.params, Key::root(2)).to_vec();
        let info = load_adapters(&path, a, &mut back).unwrap();
        assert_eq!(info["lobe.host"], "a key");
        assert_bits(what, &back, &params);
        assert_eq!(save_adapters(a, &back, &[("lobe.host", "a key".into())]), bytes);
    });
    // A file of another adapter, a part of one, and none at all.
    let [host, ..] = hosts();
    let small = attached(&host, "low-rank", &json!({"rank": 2}));
    let refused = |file: &[u8], a: &Attached| {
        std::fs::write(&path, file).unwrap();
        load_adapters(&path, a, &mut a.started(&host.params, Key::root(2))).unwrap_err().to_string()
    };
    let bytes = save_adapters(&small, &filled(&host, &small), &[]);
    let larger = attached(&host, "low-rank", &json!({"rank": 3}));
    assert!(refused(&bytes, &larger).contains("is F32 [8, 2], expected F32 [8, 3]"));
    let other = attached(&host, "low-rank", &json!({"rank": 2, "name": "other"}));
    assert!(refused(&bytes, &other).contains("lacks the tensor \"blocks.0.attn.qkv.0.other.a\""));
    let one = attached(&host, "low-rank", &json!({"rank": 2, "on": "blocks.0.mlp.in.weight"}));
    assert!(refused(&bytes, &one).contains("the adapters have 2"));
    assert!(refused(&bytes[..bytes.len() - 1], &small).contains("truncated or damaged"));
}

/// A region at the units that an adapter brings: cut by owner, cut by hand, absent and set to zero are one.
#[test]
fn cut_units_of_an_adapter_are_its_units_zeroed_by_hand() {
    let mut with_units = 0;
    every(|what, host, a| {
        let layout = a.layout();
        let sites = &layout.sites()[host.layout.sites().len()..];
        if sites.is_empty() {
            return;
        }
        with_units += 1;
        let text: Vec<String> = sites.iter().map(|s| format!("{}[1]", s.name)).collect();
        let region = text.join(" + ").parse::<Region>().unwrap().resolve(layout.sites()).unwrap();
        let params = filled(host, a);
        let mut cut = params.clone();
        layout.for_owned(&region, |_, r| cut[r].fill(0.0));
        let mut by_hand = params.clone();
        for site in sites {
            let [a, b] =
                ["a", "b"].map(|end| layout.get(layout.find(&format!("{}.{end}", site.name)).unwrap()));
            (0..a.rows).for_each(|row| by_hand[a.offset + row * a.cols + 1] = 0.0);
            by_hand[b.offset + b.cols..b.offset + 2 * b.cols].fill(0.0);
        }
        assert_bits(what, &cut, &by_hand);
        let whole = run(host, layout, &params, &awake(a)).out;
        let want = run(host, layout, &by_hand, &awake(a)).out;
        assert!(whole.iter().zip(&want).any(|(a, b)| (a - b).abs() > 1e-3), "{what}");
        let table = RouteTable::plain().with(FORGET, Target::Region(0), Route::ABSENT);
        let absent = Plan::new(layout, &LabelSet::default(), std::slice::from_ref(&region), &table).unwrap();
        let zero = (host.layout.sites().len()..layout.sites().len()).fold(awake(a), |plan, s| {
            plan.with_edit(SiteEdit { site: SiteId(s), cols: 1..2, edit: Edit::Set(vec![0.0]) }).unwrap()
        });
        for plan in [a.awake(absent).unwrap(), zero] {
            let got = run(host, layout, &params, &plan);
            assert_close(what, &got.out, &want);
            // What is absent gets no gradient.
            layout.for_owned(&region, |t, r| {
                let row_of_b = t.name.split('.').next_back() == Some("b");
                assert!(!row_of_b || got.grads[r].iter().all(|g| *g == 0.0), "{what}");
            });
        }
        // Routed apart: the cut units stay, the others train.
        let table = RouteTable::plain().with(FORGET, Target::Region(0), Route::new(1.0, 1.0, 0.0));
        let kept = Plan::new(layout, &LabelSet::default(), std::slice::from_ref(&region), &table).unwrap();
        let grads = run(host, layout, &params, &a.awake(kept).unwrap()).grads;
        let full = run(host, layout, &params, &awake(a)).grads;
        let mut owned = vec![false; layout.len()];
        layout.for_owned(&region, |_, r| owned[r].fill(true));
        let want: Vec<f32> = full.iter().zip(&owned).map(|(g, o)| if *o { 0.0 } else { *g }).collect();
        assert_close(what, &grads, &want);
    });
    assert_eq!(with_units, 6, "low-rank maps have units");
}

/// A cut of the host's units takes their part of an adapter with it: then they are gone, whatever it learnt.
#[test]
fn cut_units_of_the_host_are_gone_with_an_adapter_awake() {
    every(|what, host, a| {
        let layout = a.layout();
        let (units, absent) = routed(layout, Route::ABSENT);
        let params = filled(host, a);
        let mut cut = params.clone();
        layout.for_owned(&units, |_, r| cut[r].fill(0.0));
        let want = run(host, layout, &cut, &awake(a)).out;
        // Only the adapter's part of them is cut, and the units are absent: the same.
        let mut part = params.clone();
        part[a.host_len()..].copy_from_slice(&cut[a.host_len()..]);
        let plan = a.awake(absent).unwrap();
        assert_close(what, &run(host, layout, &part, &plan).out, &want);
        // Behind a matrix, no route needs help. What is added at a site is added behind the routes.
        if a.own().any(|p| layout.get(p).matrix) {
            assert_close(what, &run(host, layout, &params, &plan).out, &want);
        }
    });
}

#[test]
fn low_rank_maps_start_from_the_host_tensors_keys() {
    let [host, ..] = hosts();
    let a = attached(&host, "low-rank", &json!({"rank": 3}));
    let params = a.started(&host.params, Key::root(9));
    let first = |name: &str| params[a.layout().get(a.layout().find(name).unwrap()).offset];
    let drawn = |mut rng: lobe_core::Rng, rows: f64| (rng.normal() / rows.sqrt()) as f32;
    let near = |a: f32, b: f32| (a - b).abs() < 1e-6;
    let key = Key::root(9).child("blocks.0.attn.qkv.weight");
    assert!(near(first("blocks.0.attn.qkv.2.lora.a"), drawn(key.index(2).rng(), 8.0)));
    assert!(near(
        first("blocks.1.mlp.out.lora.a"),
        drawn(Key::root(9).child("blocks.1.mlp.out.weight").rng(), 12.0)
    ));
}

/// Several adapters at one host, also at one door.
#[test]
fn adapters_stand_beside_each_other() {
    for host in hosts() {
        let build = |kind: &str, settings: Value| (adapter(kind).unwrap().build)(&settings).unwrap().0;
        let both = vec![
            build("low-rank", json!({"rank": 2})),
            build("low-rank", json!({"rank": 3, "name": "second", "scale": -0.5})),
        ];
        let a = Attached::new(&host.layout, both).unwrap();
        let params = filled(&host, &a);
        let want = run(&host, a.layout(), &params, &awake(&a)).out;
        let merged = a.merged(&params).unwrap();
        assert_close(host.name, &run(&host, &host.layout, &merged, &Plan::plain(&host.layout)).out, &want);
        let twice = vec![build("low-rank", json!({"rank": 2})), build("low-rank", json!({"rank": 2}))];
        let error = Attached::new(&host.layout, twice).err().unwrap();
        assert!(error.to_string().contains("is there already; give the adapter another name"), "{error}");
    }
}

#[test]
fn what_is_not_there_is_refused() {
    let [host, _, rows] = hosts();
    let refused = |host: &Host, kind: &str, settings: Value| {
        let built = (adapter(kind).unwrap().build)(&settings).map(|(b, _)| b);
        let result = built.and_then(|b| Attached::new(&host.layout, vec![b]));
        result.err().unwrap().to_string()
    };
    for (kind, settings, want) in [
        ("low-rank", json!({"rank": 0}), "rank: is 0, must be in 1..=65536"),
        (
            "low-rank",
            json!({"name": "a.b"}),
            "name: \"a.b\" is not 1 to 64 letters, digits or \"_\", beginning with a letter",
        ),
        (
            "low-rank",
            json!({"on": "blocks.0.mlp.in.wieght"}),
            "on: weights: no tensor matches \"blocks.0.mlp.in.wieght\"; did you mean \"blocks.0.mlp.in.weight\"?",
        ),
        (
            "low-rank",
            json!({"on": "blocks.0.mlp.in.weight[0,*]"}),
            "on: names a part of a matrix in \"blocks.0.mlp.in.weight\"; an adapter stands at a whole one",
        ),
        (
            "low-rank",
            json!({"on": "blocks.0.mlp.in.bias"}),
            "on: names a vector; an adapter stands at matrices",
        ),
        (
            "low-rank",
            json!({"on": "embed.tokens"}),
            "on: names \"embed.tokens\", an embedding or a read-out; no guest stands there",
        ),
        (
            "add",
            json!({"at": "blocks.0.resid_pst"}),
            "at: region: no site matches \"blocks.0.resid_pst\"; did you mean \"blocks.0.resid_post\"?",
        ),
        (
            "add",
            json!({"at": "embed[1..3]"}),
            "at: names [1..3] of \"embed\"; a vector is added at a whole site",
        ),
    ] {
        assert_eq!(refused(&host, kind, settings), want);
    }
    assert!(refused(&rows, "add", json!({})).contains("the key \"at\" is missing"));
}
