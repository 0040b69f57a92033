//! A network without a region is the masked one, whatever its shape and whatever is cut.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{Key, Rng, Selection, UNLABELLED};
use lobe_engine::{Buf, Plan, ShardRows, Tape, Workspace};
use lobe_nets::hub::{Format, narrow};
use lobe_nets::{Activation, Fed, Gpt, GptConfig, Network, NormKind, Positions};

const SEQ: usize = 7;
const VOCAB: usize = 19;

fn one<T: Copy>(rng: &mut Rng, of: &[T]) -> T {
    *rng.choose(of)
}

/// A shape that Lobe can run, not necessarily one that any other program knows.
fn shape(rng: &mut Rng) -> GptConfig {
    let yes = |rng: &mut Rng| rng.below(2) == 1;
    let (heads, kv_heads) = one(rng, &[(1, 1), (3, 3), (4, 4), (4, 2), (6, 2), (6, 3), (8, 1)]);
    let window = one(rng, &[0, 0, 3]);
    GptConfig {
        layers: 1 + rng.below(4),
        width: one(rng, &[12, 24]),
        heads,
        kv_heads,
        head_dim: one(rng, &[2, 4, 6]),
        mlp: 3 + rng.below(20),
        activation: one(
            rng,
            &[
                Activation::Relu,
                Activation::Gelu,
                Activation::GeluTanh,
                Activation::Swiglu,
                Activation::Swiglu,
            ],
        ),
        norm: one(rng, &[NormKind::Layer, NormKind::Rms]),
        positions: one(rng, &[Positions::Learned, Positions::Rotary]),
        qkv_bias: yes(rng),
        out_bias: yes(rng),
        mlp_bias: yes(rng),
        scale_attention: yes(rng),
        window,
        window_odd_blocks: window > 0 && yes(rng),
        tied: yes(rng),
        head_bias: yes(rng),
        logit_scale: one(rng, &[1.0, 0.5]),
        init_std: 0.3,
        ..GptConfig::default()
    }
    .resolve(VOCAB, SEQ)
    .unwrap()
}

/// The same units in every block, or others in each; sometimes none of a site, sometimes all.
fn cut(net: &Gpt, rng: &mut Rng) -> Selection {
    let alike = rng.below(2) == 1;
    let c = &net.config;
    let draw = |rng: &mut Rng, units: usize| -> Vec<u32> {
        let most = one(rng, &[0, units / 2, units / 2, units]);
        let mut all: Vec<u32> = (0..units as u32).collect();
        rng.shuffle(&mut all);
        all.truncate(most);
        all
    };
    let (mut neurons, mut heads) = (draw(rng, c.mlp), draw(rng, c.heads));
    let mut out = Selection::default();
    for i in 0..c.layers {
        if !alike {
            (neurons, heads) = (draw(rng, c.mlp), draw(rng, c.heads));
        }
        for (site, units) in [("mlp.post", &neurons), ("attn.z", &heads)] {
            let site = net.layout.find_site(&format!("blocks.{i}.{site}")).unwrap();
            out.add(site.0, units.iter().map(|u| *u..*u + 1));
        }
    }
    out
}

fn logits(net: &dyn Network, params: &[f32]) -> Vec<f32> {
    let (mut ws, plan) = (Workspace::default(), Plan::plain(net.layout()));
    let ids: Vec<u32> = (0..2 * SEQ as u32).map(|i| (i * i + 5 * i) % VOCAB as u32).collect();
    let rows = ShardRows::uniform(ids.len(), UNLABELLED);
    let mut tape = Tape::new(&mut ws, net.layout(), params, None, &plan, rows);
    let h = net.hidden(&mut tape, Fed::Tokens { ids: &ids, seq: SEQ }).unwrap();
    let out = tape.logits(h, net.language().unwrap().1).unwrap();
    tape.value(out).to_vec()
}

#[test]
fn a_narrow_network_is_the_masked_one_for_random_shapes() {
    let (mut without_heads, mut padded, mut grouped) = (0, 0, 0);
    for case in 0..300 {
        let mut rng = Key::root(0).child("narrow").index(case).rng();
        let net = Gpt::new(shape(&mut rng));
        let params = net.layout.init(Key::root(case));
        let params: Vec<f32> = params.iter().map(|x| x + 0.1 * rng.normal() as f32).collect();
        let cut = cut(&net, &mut rng);
        let mut masked = Buf::from_slice(&params);
        net.layout.for_owned(&cut, |_, range| masked[range].fill(0.0));
        let want = logits(&net, &masked);
        let scale = want.iter().fold(1.0f32, |m, x| m.max(x.abs()));
        for format in [None, Some(Format::Llama), Some(Format::Gpt2), Some(Format::GptNeo)] {
            let small = narrow(&net, &params, &cut, format).unwrap();
            let got = logits(&small.net, &small.params);
            let worst = got.iter().zip(&want).map(|(g, w)| (g - w).abs()).fold(0.0f32, f32::max);
            assert!(worst <= 1e-5 * scale, "case {case}: {worst} of {scale}\n{:?}", net.config);
            assert!(got.iter().all(|x| x.is_finite()), "case {case}");
            let what = format!("case {case}: {:?}", small.net.config);
            assert_eq!(small.removed + small.zeroed, cut.count(), "{what}");
            assert_eq!(small.zeroed > 0, !small.zeroed_in.is_empty(), "{what}");
            assert_eq!(small.removed > 0, small.params.len() < params.len(), "{what}");
            if matches!(format, Some(Format::Gpt2 | Format::GptNeo)) {
                assert_eq!(small.net.config.heads, net.config.heads, "{what}");
            }
            if format.is_none() {
                let fewer = small.net.config.heads < net.config.heads;
                without_heads += usize::from(fewer);
                padded += usize::from(small.removed > 0 && small.zeroed > 0);
                grouped += usize::from(fewer && net.config.kv_heads < net.config.heads);
            }
        }
    }
    // The cases reach what they are meant to reach.
    assert!(without_heads > 60 && padded > 60 && grouped > 30, "{without_heads} {padded} {grouped}");
}

#[test]
fn blocks_that_lose_different_amounts_are_filled_up_with_zeros() {
    let config = GptConfig { layers: 3, width: 16, heads: 4, mlp: 10, ..GptConfig::default() };
    let net = Gpt::new(config.resolve(VOCAB, SEQ).unwrap());
    let params = net.layout.init(Key::root(3));
    let region: lobe_core::Region =
        "blocks.0.mlp.post[0..6] + blocks.1-2.mlp.post[4..8] + blocks.0-1.attn.z[0] + blocks.2.attn.z[1..3]"
            .parse()
            .unwrap();
    let small = narrow(&net, &params, &region.resolve(net.layout.sites()).unwrap(), None).unwrap();
    assert_eq!((small.net.config.mlp, small.net.config.heads), (6, 3));
    // Block 0 keeps two of six cut neurons, block 2 one of two cut heads.
    assert_eq!((small.removed, small.zeroed, small.zeroed_in), (3 * 4 + 3, 3, vec![0, 2]));
}
