//! Numbers far from 1: losses and gradients stay finite and right.

mod common;

use common::{assert_close, normals, plain_pass};
use lobe_engine::Layout;
use lobe_engine::ops::attention::AttentionSpec;
use lobe_engine::ops::head::{HeadSpec, RowWeights};
use lobe_engine::ops::reduce::Over;
use lobe_engine::ops::unary::Function;

#[test]
fn read_outs_with_wide_logits() {
    let mut layout = Layout::default();
    let h = layout.tensor("h", 2, 1).add();
    let w = layout.tensor("w", 1, 3).add();
    let params = [1.0, -1.0, 1e4, 0.0, -1e4];
    let head = HeadSpec { weight: w, tied: false, bias: None, scale: 1.0 };
    // Logits 1e4, 0, -1e4 and their mirror; the targets are the least and the most likely.
    let got = plain_pass(&layout, &params, 2, None, &|t| {
        let h = t.leaf(h);
        let s = t.cross_entropy(h, head, &[2, 2], RowWeights::One(1.0))?;
        t.columns(s, 0..1)
    });
    assert_eq!(got.out, vec![2e4, 0.0]);
    assert_close("h", got.grad(&layout, h), &[2e4, 0.0], 1e-6, 1e-12);
    assert_close("w", got.grad(&layout, w), &[1.0, 0.0, -1.0], 1e-6, 1e-6);
    let got = plain_pass(&layout, &params, 2, None, &|t| {
        let h = t.leaf(h);
        t.kl(h, head, &[0.0, 0.0, 50.0, -200.0, 0.0, 300.0], RowWeights::One(1.0))
    });
    assert_close("divergence", &got.out, &[2e4, 0.0], 1e-5, 1e-4);
    assert!(got.grads.iter().all(|g| g.is_finite()));
}

#[test]
fn functions_at_the_ends() {
    let mut layout = Layout::default();
    let x = layout.tensor("x", 1, 6).add();
    let at = [-1e4f32, -100.0, -30.0, 30.0, 100.0, 1e4];
    let run = |f: Function| {
        plain_pass(&layout, &at, 1, Some(&[1.0; 6]), &|t| {
            let x = t.leaf(x);
            Ok(t.map(x, f))
        })
    };
    let half: Vec<f32> = at.iter().map(|x| x.max(0.0)).collect();
    let step: Vec<f32> = at.iter().map(|x| f32::from(*x > 0.0)).collect();
    for f in [Function::Relu, Function::Gelu, Function::GeluTanh, Function::Silu, Function::Softplus] {
        assert_close(&format!("{f:?}"), &run(f).out, &half, 1e-6, 1e-6);
        assert_close(&format!("{f:?} slope"), &run(f).grads, &step, 1e-6, 1e-6);
    }
    let sign: Vec<f32> = at.iter().map(|x| x.signum()).collect();
    assert_close("tanh", &run(Function::Tanh).out, &sign, 1e-6, 0.0);
    assert_close("tanh slope", &run(Function::Tanh).grads, &[0.0; 6], 0.0, 1e-6);
    assert_close("sigmoid", &run(Function::Sigmoid).out, &step, 1e-6, 1e-12);
    let got = plain_pass(&layout, &at, 1, Some(&[1.0]), &|t| {
        let x = t.leaf(x);
        Ok(t.reduce(x, Over::RowLogSumExp))
    });
    assert_eq!((got.out[0], &got.grads[..]), (1e4, &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0][..]));
}

#[test]
fn norms_of_rows_that_hardly_vary() {
    let mut layout = Layout::default();
    let x = layout.tensor("x", 3, 16).add();
    let gain = layout.tensor("gain", 1, 16).add();
    let mut params = vec![1000.0; 32];
    params.extend([0.0; 16]);
    params.extend([1.0; 16]);
    // The first row is flat, the second a small wave on a high plateau, the third nothing.
    for (i, x) in params[16..32].iter_mut().enumerate() {
        *x += if i % 2 == 0 { 1.0 } else { -1.0 };
    }
    for rms in [false, true] {
        let got = plain_pass(&layout, &params, 3, Some(&normals("flat", 48)), &|t| {
            let x = t.leaf(x);
            t.norm(x, gain, None, rms, 1e-5)
        });
        assert!(got.grads.iter().all(|g| g.is_finite()));
        let wave: Vec<f32> = (0..16).map(|i| if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
        if rms {
            assert_close("rms", &got.out[..16], &[1.0; 16], 1e-5, 0.0);
        } else {
            assert_close("flat", &got.out[..16], &[0.0; 16], 0.0, 1e-3);
            assert_close("wave", &got.out[16..32], &wave, 1e-3, 0.0);
        }
        assert_close("nothing", &got.out[32..], &[0.0; 16], 0.0, 0.0);
    }
}

/// Logits of several hundred: one key takes all, its neighbours nothing, and nothing overflows.
#[test]
fn attention_that_looks_at_one_key() {
    let mut layout = Layout::default();
    let x = layout.tensor("x", 4, 6).add();
    let mut params = vec![0.0; 24];
    for i in 0..4 {
        // q = 30, k grows with the position, v is the position.
        params[i * 6..(i + 1) * 6].copy_from_slice(&[30.0, 0.0, 10.0 * i as f32, 0.0, i as f32, -(i as f32)]);
    }
    let spec = AttentionSpec {
        seq: 4,
        heads: 1,
        kv_heads: 1,
        head_dim: 2,
        scale: 1.0,
        window: None,
        rotary: None,
        site: None,
    };
    let got = plain_pass(&layout, &params, 4, Some(&[1.0; 8]), &|t| {
        let x = t.leaf(x);
        t.attention(x, spec)
    });
    assert_close("values", &got.out, &[0.0, 0.0, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0], 1e-6, 1e-6);
    for (i, g) in got.grads.iter().enumerate() {
        assert!((g - f32::from(i % 6 >= 4)).abs() < 1e-5, "entry {i}: {g}");
    }
}
