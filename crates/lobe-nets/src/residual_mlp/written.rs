//! Weights set by hand: what a residual MLP can do for y = x + ReLU(x) without any training.

use lobe_core::Key;
use lobe_engine::Buf;

use super::{Neuron, ResidualMlp};

/// The names of such weights.
pub(super) const NAMES: [&str; 3] = ["none", "naive", "half-slope"];

impl ResidualMlp {
    /// Weights by name; the embedding is the one that `key` draws.
    ///
    /// * `none`: blocks that do nothing
    /// * `naive`: neuron j computes ReLU of number j and adds it to that number; the numbers beyond the last
    ///   neuron are left out
    /// * `half-slope`: half of every number that the neurons suffice for, one neuron each where neurons are
    ///   linear and two where they are ReLUs, x/2 = (ReLU(x) - ReLU(-x))/2
    pub(super) fn by_hand(&self, name: &str, key: Key) -> Option<Buf> {
        let mut out = self.layout.init(key);
        for b in &self.blocks {
            for p in [b.read, b.write] {
                out[self.layout.get(p).span()].fill(0.0);
            }
        }
        // Per number: its neurons, as (weight in, weight out).
        let signs: &[(f32, f32)] = match (name, self.config.activation) {
            ("none", _) => &[],
            ("naive", Neuron::Relu) => &[(1.0, 1.0)],
            ("half-slope", Neuron::Identity) => &[(1.0, 0.5)],
            ("half-slope", Neuron::Relu) => &[(1.0, 0.5), (-1.0, -0.5)],
            _ => return None,
        };
        let mut number = 0;
        for (b, neurons) in self.blocks.iter().zip(&self.config.neurons) {
            for first in (0..=neurons.saturating_sub(signs.len())).step_by(signs.len().max(1)) {
                if signs.is_empty() || number >= self.config.features {
                    break;
                }
                let direction = self.direction(number, &out);
                for (i, (read, write)) in signs.iter().enumerate() {
                    let (from, to) = (self.layout.get(b.read), self.layout.get(b.write));
                    for (d, x) in direction.iter().enumerate() {
                        out[from.offset + d * from.cols + first + i] = read * x;
                        out[to.offset + (first + i) * to.cols + d] = write * x;
                    }
                }
                number += 1;
            }
        }
        Some(out)
    }

    /// Where number `i` lies in the residual stream.
    fn direction(&self, i: usize, params: &[f32]) -> Vec<f32> {
        match self.embedding {
            Some(p) => {
                let t = self.layout.get(p);
                params[t.offset + i * t.cols..][..t.cols].to_vec()
            }
            None => (0..self.config.features).map(|d| f32::from(u8::from(d == i))).collect(),
        }
    }
}
