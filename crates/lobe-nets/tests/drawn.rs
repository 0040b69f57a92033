//! A latent that is drawn, against numbers worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use lobe_core::{FORGET, Region};
use lobe_engine::{Plan, ShardRows, Tape, Workspace};
use lobe_nets::{
    Autoencoder, AutoencoderConfig, Begin, End, Fed, LatentActivation, Network, OutputActivation,
};

/// One number through one hidden unit to a code of two, and back. Every weight is 1 but for the heads: means
/// (2, −1) times the code, scales 0.5 and 3 by their biases.
fn net() -> (Autoencoder, Vec<f32>) {
    let config = AutoencoderConfig {
        hidden: vec![1],
        latent: 2,
        variational: true,
        latent_activation: LatentActivation::Relu,
        output_activation: OutputActivation::Sigmoid,
        ..AutoencoderConfig::default()
    };
    let net = Autoencoder::new(config.resolve(1).unwrap());
    let mut params = vec![0.0; net.layout().len()];
    let mut set = |name: &str, values: &[f32]| {
        let tensor = net.layout().get(net.layout().find(name).unwrap());
        params[tensor.span()].copy_from_slice(values);
    };
    set("encoder.0.weight", &[1.0]);
    set("encoder.1.weight", &[1.0, 1.0]);
    // [in, out]: two columns of means, two of scales.
    set("heads.weight", &[2.0, 0.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0]);
    set("heads.bias", &[0.0, 0.0, 0.5, 3.0]);
    set("decoder.0.weight", &[1.0, 1.0]);
    set("decoder.1.weight", &[1.0]);
    (net, params)
}

/// The latent and the output for an input of 1.5.
fn run(noise: &[f32]) -> (Vec<f32>, f32) {
    let (net, params) = net();
    let (mut ws, plan) = (Workspace::default(), Plan::plain(net.layout()));
    let mut tape = Tape::new(&mut ws, net.layout(), &params, None, &plan, ShardRows::uniform(1, FORGET));
    let fed = Fed::Rows { width: 1, values: &[1.5], noise };
    let ran = net.run(&mut tape, Begin::Input(fed), End::Outputs).unwrap();
    let z = tape.at_site(net.cuts()[0]).unwrap();
    (tape.value(z).to_vec(), tape.value(ran.end(0).unwrap())[0])
}

#[test]
fn the_latent_is_the_mean_plus_scaled_noise_and_without_noise_the_mean() {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // Means 3 and −1.5. The second is cut off by the ReLU.
    let (z, out) = run(&[]);
    assert_eq!(z, [3.0, 0.0]);
    assert!((f64::from(out) - sigmoid(3.0)).abs() < 1e-6, "{out}");
    // 3 − 0.5 · 2 and −1.5 + 3 · 1.
    let (z, out) = run(&[-2.0, 1.0]);
    assert_eq!(z, [2.0, 1.5]);
    assert!((f64::from(out) - sigmoid(3.5)).abs() < 1e-6, "{out}");
    // Noise of 0 is no noise.
    assert_eq!(run(&[0.0, 0.0]), run(&[]));
}

#[test]
fn a_latent_owns_its_mean_and_its_scale() {
    let (net, _) = net();
    assert_eq!(net.noise(), 2);
    let region = "latent[1]".parse::<Region>().unwrap().resolve(net.layout().sites()).unwrap();
    let mut owned = Vec::new();
    net.layout().for_owned(&region, |t, range| {
        owned.push((t.name.clone(), range.start - t.offset, range.len()));
    });
    let of = |name: &str| {
        let mut own: Vec<_> = owned.iter().filter(|o| o.0 == name).map(|o| o.1..o.1 + o.2).collect();
        own.sort_by_key(|r| r.start);
        own
    };
    // Two rows of the heads' matrix, of which it owns columns 1 and 3.
    assert_eq!(of("heads.weight"), [1..2, 3..4, 5..6, 7..8]);
    assert_eq!(of("heads.bias"), [1..2, 3..4]);
    assert_eq!(of("decoder.0.weight"), vec![1..2; 1]);
    assert!(of("encoder.1.weight").is_empty(), "the code belongs to all latents");
}
