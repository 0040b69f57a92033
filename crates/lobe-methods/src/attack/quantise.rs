//! Quantisation: round the weights and look again.
//!
//! Equation: per group of weights, s = max|w| / (2^(b-1) - 1), w ← s · round(w / s), halves to even. A
//! group is a whole matrix (queries, keys and values are three) or one of its output channels. Vectors (biases, norms) stay as they are.
//! Paper: Zhang et al. 2024 (arXiv 2410.16454): unlearning moves weights by less than half a step
//! of a 4-bit grid, so rounding moves them back: 21 % of the capability became 83 %.
//! Unusual: nothing is trained and no data is needed; zeros stay zeros, so a cut region stays cut.
//! Fails: where removal is a cut or a training from scratch there is nothing to round back; at 4 bits a
//! small model loses everything, and a loss that rises everywhere says nothing.

use std::ops::Range;

use lobe_core::JointKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Grid, Trial, cases_of, chosen,
    parse, tune,
};
use lobe_core::registry::{About, ParamError, params_of};

const ABOUT: About = About {
    name: "quantise",
    summary: "rounds the weights to 8 and 4 bits, which undoes small updates",
    reference: "Zhang et al. 2024, arXiv 2410.16454",
    unusual: "symmetric round-to-nearest, per matrix and per output channel; needs no data",
    fails: "has nothing to undo where the capability was cut out or never learnt",
};

/// The attack, with its parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quantise {
    /// The label whose capability the attack tries to restore.
    pub label: String,
    /// Bits per weight to try, from 2 to 16.
    pub bits: Vec<usize>,
    /// Whether to round embeddings and head as well; common quantisers do not.
    pub embeddings: bool,
}

impl Default for Quantise {
    fn default() -> Self {
        Quantise { label: "forget".into(), bits: vec![8, 4], embeddings: false }
    }
}

/// Which weights of a tensor share a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group<'a> {
    /// Those of one matrix; a tensor may hold several, each these columns.
    Matrix(&'a [Range<usize>]),
    Row,
    Column,
}

/// Symmetric round-to-nearest of a tensor with `cols` columns.
fn quantise(w: &mut [f32], cols: usize, bits: usize, group: Group<'_>) {
    let of = |i: usize| match group {
        Group::Matrix(parts) => parts.iter().position(|p| p.contains(&(i % cols))).unwrap_or(0),
        Group::Row => i / cols,
        Group::Column => i % cols,
    };
    let groups = match group {
        Group::Matrix(parts) => parts.len().max(1),
        Group::Row => w.len() / cols,
        Group::Column => cols,
    };
    let mut scale = vec![0.0f32; groups];
    for (i, x) in w.iter().enumerate() {
        scale[of(i)] = scale[of(i)].max(x.abs());
    }
    let top = ((1u32 << (bits - 1)) - 1) as f32;
    for s in &mut scale {
        *s /= top;
    }
    for (i, x) in w.iter_mut().enumerate() {
        let s = scale[of(i)];
        if s > 0.0 {
            *x = s * (*x / s).round_ties_even().clamp(-top, top);
        }
    }
}

impl Quantise {
    /// Bits, and whether each output channel has a scale of its own.
    fn grid(&self) -> Grid<(usize, bool)> {
        let of = |bits: usize, channels: bool| {
            let scale = if channels { "per-channel" } else { "per-tensor" };
            let settings = [("bits", bits.into()), ("scale", scale.into())];
            ((bits, channels), Case::new(format!("int{bits},{scale}"), settings))
        };
        self.bits.iter().flat_map(|bits| [of(*bits, false), of(*bits, true)]).collect()
    }

    /// Refuses what is out of range.
    fn check(&self) -> Result<(), ParamError> {
        tune::sizes("bits", &self.bits, 16)?;
        if self.bits.contains(&1) {
            return tune::refuse("bits", "1 bit leaves nothing but zeros; the least is 2");
        }
        Ok(())
    }
}

impl Attack for Quantise {
    fn label(&self) -> &str {
        &self.label
    }

    fn cases(&self, _: &dyn Bench) -> Vec<Case> {
        cases_of(self.grid())
    }

    fn run(&self, bench: &mut dyn Bench, cases: &[Case]) -> Result<(), BenchError> {
        let layout = bench.net().layout().clone();
        let plan = bench.net().plain();
        for (i, ((bits, channels), case)) in chosen(self.grid(), cases).into_iter().enumerate() {
            let mut params = bench.victim().to_vec();
            for t in layout.tensors().iter().filter(|t| t.matrix) {
                // Weights lie as [in, out]: an output channel is a column. A table has a row per token.
                let group = match t.joint {
                    Some(JointKind::Embedding | JointKind::Head) if !self.embeddings => continue,
                    _ if !channels => Group::Matrix(&t.matrices),
                    Some(JointKind::Embedding) => Group::Row,
                    _ => Group::Column,
                };
                quantise(&mut params[t.span()], t.cols, bits, group);
            }
            let changed = params.iter().zip(bench.victim()).filter(|(a, b)| a != b).count();
            let losses = bench.losses(&params, &plan)?;
            let budget = Budget { parameters: changed as u64, ..Budget::default() };
            bench.keep(Trial::new(case.name, vec![(bits as u64, losses)], budget))?;
            bench.progress((i + 1) as f64 / cases.len() as f64)?;
        }
        Ok(())
    }
}

/// The registered attack.
pub(super) const ENTRY: AttackEntry = AttackEntry {
    about: &ABOUT,
    axis: Axis { name: "bits per weight", unit: "bits" },
    battery: Battery::Always,
    sweeps: &["bits"],
    params: params_of::<Quantise>,
    build: |v| {
        let (p, full) = parse::<Quantise>(v)?;
        p.check()?;
        Ok((Box::new(p) as Box<dyn Attack>, full))
    },
};

#[cfg(test)]
mod tests {
    use super::{Group, quantise};

    const WHOLE: Group<'_> = Group::Matrix(&[]);

    #[track_caller]
    fn rounds(group: Group<'_>, bits: usize, want: [f32; 6]) {
        let mut w = [3.5, -1.0, 0.5, 0.75, 2.0, 0.0];
        quantise(&mut w, 2, bits, group);
        assert_eq!(w, want, "{group:?}, {bits} bits");
    }

    #[test]
    fn three_bits_by_hand() {
        // Seven levels, -3 to 3. Whole matrix: s = 3.5 / 3; -1 / s = -0.857, 0.5 / s = 0.43, 2 / s = 1.71.
        let s = 3.5f32 / 3.0;
        rounds(WHOLE, 3, [3.0 * s, -s, 0.0, s, 2.0 * s, 0.0]);
        // Columns (3.5, 0.5, 2) and (-1, 0.75, 0): the second has s = 1/3; 0.75 / s = 2.25.
        let t = 1.0f32 / 3.0;
        rounds(Group::Column, 3, [3.0 * s, -3.0 * t, 0.0, 2.0 * t, 2.0 * s, 0.0]);
        // Two matrices of one column each are the columns.
        rounds(Group::Matrix(&[0..1, 1..2]), 3, [3.0 * s, -3.0 * t, 0.0, 2.0 * t, 2.0 * s, 0.0]);
        // Rows (3.5, -1), (0.5, 0.75), (2, 0): s = 0.25 and 2/3.
        rounds(Group::Row, 3, [3.0 * s, -s, 0.5, 0.75, 2.0, 0.0]);
    }

    #[test]
    fn two_bits_have_three_levels() {
        // s = 3.5; 2 / 3.5 = 0.57 goes up, 0.75 / 3.5 goes down, and so does 1 / 3.5.
        rounds(WHOLE, 2, [3.5, 0.0, 0.0, 0.0, 3.5, 0.0]);
    }

    #[test]
    fn halves_go_to_even_and_zeros_stay() {
        let mut w = [3.0, 0.5, 1.5, 2.5, -0.5, -1.5];
        quantise(&mut w, 6, 3, WHOLE);
        assert_eq!(w, [3.0, 0.0, 2.0, 2.0, 0.0, -2.0]);
        let mut zeros = [0.0; 4];
        quantise(&mut zeros, 2, 8, Group::Column);
        assert_eq!(zeros, [0.0; 4]);
    }
}
