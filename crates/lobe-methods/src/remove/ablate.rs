//! Ablation: cut a region out of the weights.
//!
//! Equation: with θ_R the parameters the region owns, `zero` sets θ_R = 0; `mean` replaces each
//! unit by its mean activation, folded into the bias that follows; `reinit` draws θ_R again with
//! the spread of the same tensors' other entries (SGTM's "trainable" ablation).
//! Paper: Shilov et al. 2025 (arXiv 2512.05648); mean ablation: Wang et al. 2022.
//! Unusual: works on any network through what its units own.
//! Fails: zeroed GELU units have gradient 0 on both sides and can never learn again, which flatters
//! every relearning attack; attack re-initialised regions too.

use std::ops::Range;

use lobe_core::{Key, Selection, did_you_mean};
use lobe_engine::{EngineError, Init, Layout, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::remove::StageEntry;
use lobe_core::registry::{About, ParamError, params_of, read};

/// What the stage is.
pub const ABOUT: About = About {
    name: "ablate",
    summary: "cuts the arm's region out of the weights",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §3; mean ablation: Wang et al. 2022, arXiv 2211.00593",
    unusual: "one implementation serves every network, because each network declares what its units own",
    fails: "zeroed units can never learn again; a fair attack re-initialises them first",
};

/// The registered stage.
pub(super) const ENTRY: StageEntry = StageEntry { about: &ABOUT, params: params_of::<Ablate> };

/// What stands in for the region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Zeros.
    Zero,
    /// Each unit's mean activation over held-out data.
    Mean,
    /// Fresh random values.
    Reinit,
}

impl How {
    /// Its word in recipes and in files of models.
    pub fn word(self) -> &'static str {
        match self {
            How::Zero => "zero",
            How::Mean => "mean",
            How::Reinit => "reinit",
        }
    }
}

/// Parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ablate {
    /// "zero", "mean" or "reinit".
    pub how: How,
    /// The region to cut. Empty cuts each arm's own region; arms without one are left unchanged.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub region: String,
}

impl Default for Ablate {
    fn default() -> Self {
        Ablate { how: How::Zero, region: String::new() }
    }
}

impl Ablate {
    /// Reads the stage's parameters.
    ///
    /// # Errors
    /// With the path of what is wrong.
    pub fn read(value: &serde_json::Value) -> Result<(Ablate, serde_json::Value), ParamError> {
        read(value)
    }

    /// Checks that the region exists.
    ///
    /// # Errors
    /// With the nearest name.
    pub fn check(&self, regions: &[String]) -> Result<(), ParamError> {
        if self.region.is_empty() || regions.contains(&self.region) {
            return Ok(());
        }
        let hint = did_you_mean(&self.region, regions.iter().map(String::as_str));
        Err(ParamError { path: "region".into(), message: format!("no region {:?}{hint}", self.region) })
    }
}

/// θ_R ← 0.
pub fn zero(layout: &Layout, params: &mut [f32], region: &Selection) {
    layout.for_owned(region, |_, range| params[range].fill(0.0));
}

/// θ_R ← N(0, s²) with s the root mean square of the same tensor's entries that the region does not
/// own but its sites do, or that of a fresh tensor when the region owns them all.
pub fn reinit(layout: &Layout, params: &mut [f32], region: &Selection, key: Key) {
    let rest = region.clone().complement(layout.sites());
    for t in layout.tensors() {
        let (mut sum, mut n) = (0.0f64, 0usize);
        for (rows, cols) in t.owned(&rest) {
            for r in rows {
                let row = &params[t.offset + r * t.cols..][cols.clone()];
                sum += row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
                n += row.len();
            }
        }
        let s = if n > 0 { (sum / n as f64).sqrt() } else { fresh(t.init, t.cols) };
        let mut rng = key.child(&t.name).rng();
        for (rows, cols) in t.owned(region) {
            for r in rows {
                params[t.offset + r * t.cols..][cols.clone()]
                    .iter_mut()
                    .for_each(|x| *x = (s * rng.normal()) as f32);
            }
        }
    }
}

/// Root mean square of a tensor with so many columns that starts like this.
fn fresh(init: Init, cols: usize) -> f64 {
    match init {
        Init::Zeros => 0.0,
        Init::Ones => 1.0,
        Init::Normal(std) => f64::from(std),
        Init::Uniform(bound) => f64::from(bound) / 3f64.sqrt(),
        Init::UnitRows => 1.0 / (cols as f64).sqrt(),
    }
}

/// Folds the mean activations of the region's units into the biases that follow them, then zeroes
/// the region. `mean(site)` gives one number per column of the site's activation.
///
/// # Errors
/// If a weight that reads the region has no bias to fold into, or none reads it and nothing else.
pub fn mean(
    layout: &Layout,
    params: &mut [f32],
    region: &Selection,
    mean: &dyn Fn(usize) -> Vec<f32>,
) -> Result<(), EngineError> {
    for (t, bias, site, rows) in folds(layout, region)? {
        let values = mean(site);
        for r in rows.into_iter().flatten() {
            for c in 0..t.cols {
                params[bias.offset + c] += values[r] * params[t.offset + r * t.cols + c];
            }
        }
    }
    zero(layout, params, region);
    Ok(())
}

/// Whether [`mean`] can cut the region.
///
/// # Errors
/// Names the weight that reads the region and has no bias, or the site that no weight reads alone.
pub fn foldable(layout: &Layout, region: &Selection) -> Result<(), EngineError> {
    folds(layout, region).map(drop)
}

/// A weight that reads the region, the bias behind it, the site it reads and its rows there.
type Fold<'a> = (&'a Tensor, &'a Tensor, usize, Vec<Range<usize>>);

fn folds<'a>(layout: &'a Layout, region: &Selection) -> Result<Vec<Fold<'a>>, EngineError> {
    if let Some(site) = layout.without_way_out(region) {
        let what =
            format!("mean ablation: the units of {:?} have no out-going weights of their own", site.name);
        return Err(EngineError::Invalid(what));
    }
    let mut out = Vec::new();
    for t in layout.tensors() {
        let Some(owner) = &t.row_owner else { continue };
        let rows = owner.owned(region);
        if rows.is_empty() {
            continue;
        }
        let bias = layout.find(&t.name.replace(".weight", ".bias"));
        let Some(bias) = bias.map(|b| layout.get(b)).filter(|b| b.cols == t.cols && b.name != t.name) else {
            let what = format!("mean ablation: {:?} has no bias to fold the mean into", t.name);
            return Err(EngineError::Invalid(what));
        };
        out.push((t, bias, owner.site.0, rows));
    }
    Ok(out)
}
