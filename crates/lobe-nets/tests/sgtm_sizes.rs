//! The GPT-Neo shapes of SGTM (arXiv 2512.05648) have exactly the paper's numbers of parameters.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_nets::{Activation, Gpt, GptConfig};

/// V·d + ctx·d + L·(12 d² + 13 d) + 2 d + V: a tied read-out with a bias of its own.
fn shape(layers: usize, width: usize, context: usize) -> GptConfig {
    GptConfig {
        vocab: 50_257,
        context,
        layers,
        width,
        heads: 32,
        activation: Activation::GeluTanh,
        qkv_bias: false,
        scale_attention: false,
        window: 256,
        window_odd_blocks: true,
        tied: true,
        head_bias: true,
        ..GptConfig::default()
    }
    .resolve(0, 0)
    .unwrap()
}

#[test]
fn parameter_counts_are_the_papers() {
    let stories = [(6, 128, 7_736_273), (6, 256, 17_781_585), (8, 384, 33_732_817), (12, 512, 63_855_185)];
    let wikipedia = [(16, 1024, 254_054_481)];
    let all = stories.map(|s| (512, s)).into_iter().chain(wikipedia.map(|s| (1024, s)));
    for (context, (layers, width, parameters)) in all {
        let net = Gpt::new(shape(layers, width, context));
        assert_eq!(net.layout.len(), parameters, "{layers} blocks of width {width}");
        assert_eq!(net.config.mlp, 4 * width);
    }
}

#[test]
fn the_region_of_the_paper_is_the_papers_share() {
    // One head and 64 neurons of every block: 98,368 parameters of each block of the 64 M model,
    // 262,208 of the 254 M one, in-biases included.
    for (layers, width, context, each) in [(12, 512, 512, 98_368), (16, 1024, 1024, 262_208)] {
        let net = Gpt::new(shape(layers, width, context));
        let region: lobe_core::Region = "blocks.*.mlp.post[-64..] + blocks.*.attn.z[-1]".parse().unwrap();
        let cut = region.resolve(net.layout.sites()).unwrap();
        let mut owned = 0;
        net.layout.for_owned(&cut, |_, range| owned += range.len());
        assert_eq!(owned, layers * each);
    }
}

#[test]
fn describing_a_network_does_not_allocate_its_weights() {
    let huge = GptConfig { layers: 1000, width: 1 << 14, ..shape(1, 1024, 1024) };
    let huge = GptConfig { head_dim: 512, mlp: 1 << 16, ..huge }.resolve(0, 0).unwrap();
    // Three trillion parameters: 12 terabytes.
    assert!(Gpt::new(huge).layout.len() > 3_000_000_000_000);
}
