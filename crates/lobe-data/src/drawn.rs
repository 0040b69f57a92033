//! Rows that exist only when they are asked for.

use std::sync::Arc;

use lobe_core::{Key, Rng};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a number is to come out as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Target {
    /// x
    #[default]
    #[serde(rename = "input")]
    Input,
    /// max(x, 0)
    #[serde(rename = "relu")]
    Relu,
    /// x + max(x, 0)
    #[serde(rename = "input + relu")]
    InputPlusRelu,
}

impl Target {
    /// What `x` is to come out as.
    pub fn of(self, x: f32) -> f32 {
        match self {
            Target::Input => x,
            Target::Relu => x.max(0.0),
            Target::InputPlusRelu => x + x.max(0.0),
        }
    }
}

/// What rows are made of.
#[derive(Debug, PartialEq)]
pub(crate) struct Features {
    pub count: usize,
    pub probability: f64,
    pub exactly: usize,
    pub range: [f32; 2],
    pub target: Target,
    /// Per class `[count, count]`: row j is what number j adds to the labels.
    pub mixing: Vec<Option<Vec<f32>>>,
}

impl Features {
    /// Calls `f` with every active number of a row, ascending.
    fn active(&self, rng: &mut Rng, mut f: impl FnMut(usize, &mut Rng)) {
        let n = self.count;
        if self.exactly > 0 {
            let mut left = self.exactly;
            for i in 0..n {
                if rng.uniform() * ((n - i) as f64) < left as f64 {
                    left -= 1;
                    f(i, rng);
                }
            }
            return;
        }
        // How many inactive numbers come before the next active one follows the geometric law.
        let log = (-self.probability).ln_1p();
        let mut i = 0.0;
        loop {
            i += ((1.0 - rng.uniform()).ln() / log).floor();
            if i >= n as f64 {
                return;
            }
            f(i as usize, rng);
            i += 1.0;
        }
    }

    /// Writes over zeros what `row` is to come out as.
    pub(crate) fn label(&self, class: usize, row: &[f32], out: &mut [f32]) {
        for (x, out) in row.iter().zip(&mut *out) {
            *out = self.target.of(*x);
        }
        let Some(mixing) = &self.mixing[class] else { return };
        for (x, by) in row.iter().zip(mixing.chunks_exact(self.count)) {
            if *x != 0.0 {
                out.iter_mut().zip(by).for_each(|(out, m)| *out += x * m);
            }
        }
    }
}

/// Per number the rows out of `rows` in which it is active: each in as many as is expected, or, where all rows have
/// equally many active numbers, each about equally often.
pub(crate) fn active_at(features: &Features, rows: usize, key: Key) -> Vec<Vec<u32>> {
    let (n, k) = (features.count, features.exactly);
    let mut rng = key.child("active").rng();
    if k == 0 {
        let many = (rows as f64 * features.probability).round() as usize;
        let mut all: Vec<u32> = (0..rows as u32).collect();
        let one = |_| {
            rng.shuffle(&mut all);
            all[..many].to_vec()
        };
        return (0..n).map(one).collect();
    }
    let mut out = vec![Vec::new(); n];
    let mut deck: Vec<usize> = (0..n).collect();
    let mut next = n;
    for row in 0..rows as u32 {
        if next + k > n {
            rng.shuffle(&mut deck);
            next = 0;
        }
        deck[next..next + k].iter().for_each(|i| out[*i].push(row));
        next += k;
    }
    out
}

/// Rows as a pure function of a key and their number.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnRows {
    features: Arc<Features>,
    key: Key,
}

impl DrawnRows {
    pub(crate) fn new(features: Arc<Features>, key: Key) -> DrawnRows {
        DrawnRows { features, key }
    }

    /// Numbers per row, and as many that are to come out.
    pub fn width(&self) -> usize {
        self.features.count
    }

    /// The same rows' law under another key: other rows.
    pub fn under(&self, key: Key) -> DrawnRows {
        DrawnRows { features: self.features.clone(), key }
    }

    /// Writes row `number` of a class and what it is to come out as over zeros, both [`DrawnRows::width`] long.
    pub fn row_into(&self, number: u64, class: u16, row: &mut [f32], wanted: &mut [f32]) {
        let f = &*self.features;
        let mut rng = self.key.index(number).rng();
        let [low, high] = f.range;
        f.active(&mut rng, |i, rng| row[i] = low + (high - low) * rng.uniform() as f32);
        f.label(usize::from(class), row, wanted);
    }

    /// Numbers that tell one draw from another.
    pub(crate) fn words(&self) -> Vec<u32> {
        let f = &*self.features;
        let key = self.key.rng().next_u64();
        let p = f.probability.to_bits();
        let head = [f.count as u32, f.exactly as u32, f.target as u32, key as u32, (key >> 32) as u32];
        let tail = [p as u32, (p >> 32) as u32, f.range[0].to_bits(), f.range[1].to_bits()];
        let mixing = f.mixing.iter().flat_map(|m| {
            let values = m.iter().flatten().map(|x| x.to_bits());
            [u32::from(m.is_some())].into_iter().chain(values)
        });
        head.into_iter().chain(tail).chain(mixing).collect()
    }
}
