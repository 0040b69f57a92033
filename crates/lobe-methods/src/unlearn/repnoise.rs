//! RepNoise: hidden states of forget data are made to look like Gaussian noise.
//!
//! Equation: L = CE_retain + b · mean over blocks of MMD²(h(x_f), N(0, I)) − a · log CE_forget, with
//! MMD²(X, Z) = mean k(x, x') + mean k(z, z') − 2 mean k(x, z) and k the sum of five Gaussian kernels
//! exp(−‖x − z‖²/w) whose widths w double from a quarter of the mean squared distance to four times it.
//! Paper: Rosati et al. 2024 (arXiv 2405.14577) §3.
//! Unusual: MMD and the logarithm are taken of each shard and averaged by its tokens; MMD compares
//! tokens (at most `samples` of a shard, evenly spaced), where the paper's code compares sequences. The
//! width is not differentiated. CE_forget is the last block's, where the code averages over read-outs
//! of all blocks.
//! Fails: attackers with other learning rates get through; a shard of few tokens gives a poor estimate.

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{MeanLoss, blocks, not_negative, positive, refuse, term};
use super::{Objective, Reads, Shape, Side, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "repnoise",
    summary: "trains the hidden states of forget data to look like Gaussian noise",
    reference: "Rosati et al. 2024, arXiv 2405.14577, §3",
    unusual: "compares the tokens of a shard, not the sequences of a batch; uses one read-out for the ascent",
    fails: "attackers with other learning rates succeed; the estimate is noisy on shards with few tokens",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RepNoise {
    /// Weight of −log of the forget loss; 0 leaves it out.
    pub a: f64,
    /// Weight of the distance to noise.
    pub b: f64,
    /// Blocks whose hidden states are compared with noise, from 0. Empty means all.
    pub layers: Vec<usize>,
    /// Largest number of tokens of a shard to compare, 2 or more.
    pub samples: usize,
    /// Width of the middle kernel; left out, the mean squared distance within the shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<f64>,
}

impl Default for RepNoise {
    fn default() -> Self {
        RepNoise { a: 1.0, b: 0.001, layers: Vec::new(), samples: 64, bandwidth: None }
    }
}

/// Kernel widths over the middle one.
const WIDTHS: [f64; 5] = [0.25, 0.5, 1.0, 2.0, 4.0];

fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// Σ exp(−d/w) over the widths, and its derivative with respect to d.
fn kernel(d: f64, width: f64) -> (f64, f64) {
    WIDTHS.iter().fold((0.0, 0.0), |(k, dk), m| {
        let w = m * width;
        let e = (-d / w).exp();
        (k + e, dk - e / w)
    })
}

/// MMD² between equally many rows of `x` and `z`, and its derivative with respect to `x`. Without a
/// `bandwidth` the width is the mean squared distance between different rows of both together.
fn mmd(x: &[Vec<f64>], z: &[Vec<f64>], bandwidth: Option<f64>) -> (f64, Vec<Vec<f64>>) {
    let n = x.len();
    let all: Vec<&[f64]> = x.iter().chain(z).map(Vec::as_slice).collect();
    let width = bandwidth.unwrap_or_else(|| {
        let sum: f64 = all.iter().map(|a| all.iter().map(|b| squared_distance(a, b)).sum::<f64>()).sum();
        sum / (2 * n * (2 * n - 1)) as f64
    });
    let scale = 1.0 / (n * n) as f64;
    let mut grad: Vec<Vec<f64>> = x.iter().map(|row| vec![0.0; row.len()]).collect();
    let mut value = 0.0;
    for (i, a) in all.iter().enumerate() {
        for (j, b) in all.iter().enumerate() {
            let sign = if (i < n) == (j < n) { scale } else { -scale };
            let (k, dk) = kernel(squared_distance(a, b), width);
            value += sign * k;
            if i < n {
                // The pair counts twice, once from either end.
                for ((g, p), q) in grad[i].iter_mut().zip(*a).zip(*b) {
                    *g += 4.0 * sign * dk * (p - q);
                }
            }
        }
    }
    (value, grad)
}

/// The distance of hidden states to Gaussian noise.
struct Noise {
    layer: usize,
    key: Key,
    samples: usize,
    bandwidth: Option<f64>,
}

impl Objective for Noise {
    fn reads(&self) -> Reads {
        Reads::Hidden { layer: self.layer }
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let counted: Vec<usize> = view.counted().collect();
        let n = counted.len().min(self.samples);
        if n == 0 {
            return 0.0;
        }
        let rows: Vec<usize> = (0..n).map(|i| counted[i * counted.len() / n]).collect();
        let x: Vec<Vec<f64>> =
            rows.iter().map(|r| view.row(*r).iter().map(|v| f64::from(*v)).collect()).collect();
        // Fresh noise for each step and shard, and the same for the same step and shard.
        let key = self.key.index(self.layer as u64).index(view.progress.to_bits());
        let mut rng = view.targets.iter().fold(key, |k, t| k.index(u64::from(*t))).rng();
        let z: Vec<Vec<f64>> = x.iter().map(|row| row.iter().map(|_| rng.normal()).collect()).collect();
        let (value, slopes) = mmd(&x, &z, self.bandwidth);
        let share = counted.len() as f64 / view.rows as f64;
        for (r, slope) in rows.iter().zip(&slopes) {
            for (g, s) in grad[r * view.cols..].iter_mut().zip(slope) {
                *g = (share * s) as f32;
            }
        }
        share * value
    }
}

/// A smaller mean loss counts as this much, so that the pull stays finite.
const LEAST: f64 = 1e-6;

/// −log of the shard's mean loss, weighted by the shard's share of the tokens.
struct MinusLogLoss;

impl Objective for MinusLogLoss {
    fn reads(&self) -> Reads {
        Reads::TokenNll
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let counted = view.counted().count();
        if counted == 0 {
            return 0.0;
        }
        let mean = view.counted().map(|r| f64::from(view.values[r])).sum::<f64>() / counted as f64;
        let mean = mean.max(LEAST);
        let slope = -1.0 / (mean * view.rows as f64);
        view.counted().for_each(|r| grad[r] = slope as f32);
        -(counted as f64 / view.rows as f64) * mean.ln()
    }
}

impl Unlearn for RepNoise {
    fn terms(&self, shape: Shape, key: Key) -> Result<Vec<Term>, ParamError> {
        not_negative("a", self.a)?;
        positive("b", self.b)?;
        self.bandwidth.map_or(Ok(()), |w| positive("bandwidth", w))?;
        if self.samples < 2 {
            return refuse("samples", format!("{} is not 2 or more", self.samples));
        }
        let layers = blocks("layers", &self.layers, shape)?;
        let weight = self.b / layers.len() as f64;
        let key = key.child("repnoise");
        let mut out = vec![term(Side::Retain, 1.0, Box::new(MeanLoss { sign: 1.0 }))];
        out.extend(layers.into_iter().map(|layer| {
            let noise = Noise { layer, key, samples: self.samples, bandwidth: self.bandwidth };
            term(Side::Forget, weight, Box::new(noise))
        }));
        if self.a > 0.0 {
            out.push(term(Side::Forget, self.a, Box::new(MinusLogLoss)));
        }
        Ok(out)
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<RepNoise>,
    build: |v| read::<RepNoise>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mmd_is_zero_between_equal_samples_and_by_hand_between_two_points() {
        let x = vec![vec![1.0, 2.0], vec![0.0, -1.0]];
        assert_eq!(mmd(&x, &x, None).0, 0.0);
        // Squared distance 4, width 4: k(0) = 5 and k(4) = e⁻⁴ + e⁻² + e⁻¹ + e^(−1/2) + e^(−1/4).
        let k = [4.0f64, 2.0, 1.0, 0.5, 0.25].iter().map(|e| (-e).exp()).sum::<f64>();
        let (x, z) = (vec![vec![0.0, 0.0]], vec![vec![2.0, 0.0]]);
        let (value, grad) = mmd(&x, &z, Some(4.0));
        assert!((value - (10.0 - 2.0 * k)).abs() < 1e-12);
        // Towards the other point means against the gradient.
        assert!(grad[0][0] < 0.0 && grad[0][1] == 0.0);
        // The mean squared distance of two points is theirs.
        assert!((mmd(&x, &z, None).0 - value).abs() < 1e-12);
    }
}
