//! RMU, representation misdirection: hidden states of forget data are driven to a random direction.
//!
//! Equation: L = mean (h(x_f) − c·u)² + α mean (h(x_r) − h_ref(x_r))² after one block, means over
//! tokens and dimensions; u is a vector of U[0,1)^d divided by its norm. Only the MLP down-projections
//! of that block and the two before it move.
//! Paper: Li et al. 2024 (arXiv 2403.03218) §4.
//! Unusual: `alpha` 1200 and `c` 6.5 are the paper's for a 7B model; hidden states of small networks
//! have other norms, and c should stand well above them.
//! Fails: late blocks, where c·u is no longer large; relearned within few steps.

use lobe_core::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::terms::{HiddenSquared, block, norm, not_negative, positive, term};
use super::{Moves, Objective, Reads, Shape, Side, Term, Unlearn, View};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "rmu",
    summary: "drives the hidden states of forget data to one random direction",
    reference: "Li et al. 2024, arXiv 2403.03218, §4",
    unusual: "trains only the MLP output matrices of three blocks",
    fails: "late blocks, where the target is no longer large; the capability is relearnt within a few steps",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rmu {
    /// The block after which hidden states are read, from 0; left out, the middle one. Its MLP
    /// down-projection moves, and those of the two blocks before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Norm of the target.
    pub c: f64,
    /// Weight of the retain part; 0 leaves it out.
    pub alpha: f64,
}

impl Default for Rmu {
    fn default() -> Self {
        Rmu { layer: None, c: 6.5, alpha: 1200.0 }
    }
}

/// How long the target is.
pub(super) enum Length {
    /// The same for all rows.
    Fixed(f64),
    /// This many times the norm of the row's hidden state before.
    Own(f64),
}

/// Mean over tokens and dimensions of (h − length · u)².
pub(super) struct Misdirect {
    layer: usize,
    u: Vec<f64>,
    length: Length,
}

impl Objective for Misdirect {
    fn reads(&self) -> Reads {
        Reads::Hidden { layer: self.layer }
    }
    fn needs_reference(&self) -> bool {
        matches!(self.length, Length::Own(_))
    }
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64 {
        let n = (view.rows * view.cols) as f64;
        let mut sum = 0.0;
        for r in view.counted() {
            let length = match self.length {
                Length::Fixed(c) => c,
                Length::Own(k) => k * norm(view.reference_row(r)),
            };
            let out = &mut grad[r * view.cols..][..view.cols];
            for ((h, u), g) in view.row(r).iter().zip(&self.u).zip(out) {
                let d = f64::from(*h) - length * u;
                sum += d * d;
                *g = (2.0 * d / n) as f32;
            }
        }
        sum / n
    }
}

/// A vector of U[0,1)^d with norm 1.
fn direction(width: usize, key: Key) -> Vec<f64> {
    let mut rng = key.child("rmu").rng();
    let u: Vec<f64> = (0..width).map(|_| rng.uniform()).collect();
    let norm = u.iter().map(|x| x * x).sum::<f64>().sqrt();
    u.into_iter().map(|x| x / norm).collect()
}

/// The block a recipe means: the one it names, or the middle one.
pub(super) fn place(layer: Option<usize>, shape: Shape) -> usize {
    layer.unwrap_or(shape.layers / 2)
}

/// The down-projections of the block and the two before it.
pub(super) fn moved(layer: Option<usize>, shape: Shape) -> Moves {
    let l = place(layer, shape);
    Moves::MlpOut(l.saturating_sub(2)..=l)
}

pub(super) fn pair(
    layer: Option<usize>,
    length: Length,
    alpha: f64,
    shape: Shape,
    key: Key,
) -> Result<Vec<Term>, ParamError> {
    not_negative("alpha", alpha)?;
    let layer = block("layer", place(layer, shape), shape)?;
    let forget = Misdirect { layer, u: direction(shape.width, key), length };
    let mut out = vec![term(Side::Forget, 1.0, Box::new(forget))];
    if alpha > 0.0 {
        out.push(term(Side::Retain, alpha, Box::new(HiddenSquared { layer })));
    }
    Ok(out)
}

impl Unlearn for Rmu {
    fn terms(&self, shape: Shape, key: Key) -> Result<Vec<Term>, ParamError> {
        positive("c", self.c)?;
        pair(self.layer, Length::Fixed(self.c), self.alpha, shape, key)
    }
    fn moves(&self, shape: Shape) -> Moves {
        moved(self.layer, shape)
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Unlearn> = Entry {
    about: &ABOUT,
    params: params_of::<Rmu>,
    build: |v| read::<Rmu>(v).map(|(p, full)| (Box::new(p) as Box<dyn Unlearn>, full)),
};
