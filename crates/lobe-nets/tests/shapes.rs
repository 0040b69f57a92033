//! Parameter counts of published networks, from the layout alone.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{Region, Selection};
use lobe_nets::{
    Activation, Autoencoder, AutoencoderConfig, DecoderConfig, Gpt, GptConfig, NormKind, Positions,
};

fn count(config: GptConfig) -> usize {
    Gpt::new(config.resolve(0, 0).unwrap()).layout.len()
}

/// GPT-Neo as SGTM trains it (arXiv 2512.05648): 32 heads, tied head with a bias.
fn sgtm(layers: usize, width: usize, context: usize) -> GptConfig {
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
}

#[test]
fn shapes_of_sgtm_have_the_parameters_of_the_paper() {
    assert_eq!(count(sgtm(6, 128, 512)), 7_736_273);
    assert_eq!(count(sgtm(6, 256, 512)), 17_781_585);
    assert_eq!(count(sgtm(8, 384, 512)), 33_732_817);
    assert_eq!(count(sgtm(12, 512, 512)), 63_855_185);
    assert_eq!(count(sgtm(16, 1024, 1024)), 254_054_481);
}

#[test]
fn regions_of_sgtm_own_what_the_paper_counts() {
    let owned = |layers, width, context| {
        let net = Gpt::new(sgtm(layers, width, context).resolve(0, 0).unwrap());
        let text = "blocks.*.mlp.post[-64..] + blocks.*.attn.z[-1]";
        let region: Selection = text.parse::<Region>().unwrap().resolve(net.layout.sites()).unwrap();
        net.layout.count_owned(&region)
    };
    assert_eq!(owned(12, 512, 512), 12 * 98_368);
    assert_eq!(owned(16, 1024, 1024), 16 * 262_208);
}

#[test]
fn shapes_of_the_benchmark() {
    let gpt = |vocab, layers, width, heads| GptConfig {
        vocab,
        context: 256,
        layers,
        width,
        heads,
        ..GptConfig::default()
    };
    assert_eq!(count(gpt(2048, 4, 128, 4)), 1_350_400);
    assert_eq!(count(gpt(8192, 6, 384, 6)), 17_037_312);
}

#[test]
fn shapes_everybody_knows() {
    let gpt2 = GptConfig {
        vocab: 50_257,
        context: 1024,
        layers: 12,
        width: 768,
        heads: 12,
        activation: Activation::GeluTanh,
        tied: true,
        ..GptConfig::default()
    };
    assert_eq!(count(gpt2), 124_439_808);
    // Llama 3.2 with 1B parameters, and the 260K model of TinyStories.
    let llama = GptConfig {
        vocab: 128_256,
        context: 131_072,
        layers: 16,
        width: 2048,
        heads: 32,
        kv_heads: 8,
        mlp: 8192,
        activation: Activation::Swiglu,
        norm: NormKind::Rms,
        positions: Positions::Rotary,
        qkv_bias: false,
        out_bias: false,
        mlp_bias: false,
        tied: true,
        ..GptConfig::default()
    };
    assert_eq!(count(llama.clone()), 1_235_814_400);
    let stories = GptConfig {
        vocab: 512,
        context: 512,
        layers: 5,
        width: 64,
        heads: 8,
        kv_heads: 4,
        mlp: 172,
        ..llama
    };
    assert_eq!(count(stories), 260_032);
}

fn autoencoder(decoders: Vec<DecoderConfig>) -> Autoencoder {
    let config = AutoencoderConfig { decoders, ..AutoencoderConfig::default() };
    Autoencoder::new(config.resolve(784).unwrap())
}

fn decoder(name: &str, from: usize, to: usize, detach: bool) -> DecoderConfig {
    DecoderConfig { name: name.into(), from, to, detach }
}

#[test]
fn autoencoders_have_the_parameters_of_the_paper() {
    // 784-2048-512-32 without a bias on the code, and its mirror with one (Cloud et al. 2024, B).
    let main = decoder("decoder", 0, 0, false);
    let plain = autoencoder(vec![main.clone()]).layout;
    let encoder: usize =
        plain.tensors().iter().filter(|t| t.name.starts_with("encoder")).map(|t| t.span().len()).sum();
    assert_eq!((encoder, plain.len()), (2_673_152, 5_347_088));
    let split = autoencoder(vec![main.clone(), decoder("top", 0, 16, true), decoder("bottom", 16, 32, true)]);
    assert_eq!(split.layout.len(), 10_678_576);
    // With a bias on the code too, as the benchmark counts it.
    let config =
        AutoencoderConfig { latent_bias: true, decoders: vec![main], ..AutoencoderConfig::default() };
    assert_eq!(Autoencoder::new(config.resolve(784).unwrap()).layout.len(), 5_347_120);
}

#[test]
fn every_layout_is_consistent() {
    Gpt::new(sgtm(6, 128, 512).resolve(0, 0).unwrap()).layout.check().unwrap();
    autoencoder(vec![decoder("a", 0, 0, false), decoder("b", 3, 5, false)]).layout.check().unwrap();
}
