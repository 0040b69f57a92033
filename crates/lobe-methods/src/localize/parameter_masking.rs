//! Parameter masking: on forget data, only the region's own parameters are updated.
//!
//! Equation: dW ← Σ_i s_i dY_i x_iᵀ with s_i = 0 for forget rows outside of the region, while
//! dX = Wᵀ dY stays exact. Source: the token-level variant of Cloud et al. 2024, appendix H, and
//! the batch-level variant that SGTM builds on.
//! Unusual: at token level, rows with s = 0 are left out of the product instead of multiplied by 0.
//! At batch level output biases are masked in all blocks, also where the region names no unit.
//! Fails: everything upstream and joint (embeddings, norms) still learns from forget data.

use lobe_core::{FORGET, JointKind, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status, joint_rows, masked};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "parameter-masking",
    summary: "updates only the region's own parameters on forget data",
    reference: "Cloud et al. 2024, arXiv 2410.04332, appendix H; batch level: arXiv 2512.05648",
    unusual: "rows whose update is 0 are left out of the weight-gradient product; at batch level, output biases are masked in all blocks, even where the region names no unit",
    fails: "embeddings, norms and the head still learn from forget data",
};

/// Where the mask is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Row by row: batches may mix labels.
    Token,
    /// For a whole optimiser step of one label; output biases are masked too.
    Batch,
}

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ParameterMasking {
    /// "token" masks row by row; "batch" masks whole steps of one label, output biases of all blocks
    /// included.
    pub level: Level,
    /// Units whose out-going projections are joint, so that forget data updates those weights too:
    /// a region's text such as "blocks.*.mlp.post + blocks.*.attn.z"; empty is none.
    pub joint_projections: String,
}

impl Default for ParameterMasking {
    fn default() -> Self {
        ParameterMasking { level: Level::Token, joint_projections: String::new() }
    }
}

impl Localize for ParameterMasking {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        let frozen = Route::new(1.0, 1.0, 0.0);
        let mut table = RouteTable::plain().with(FORGET, Target::Elsewhere, frozen);
        table.joint_rows = joint_rows(&self.joint_projections)?;
        Ok(match self.level {
            Level::Token => table,
            Level::Batch => table.with(FORGET, Target::Joint(JointKind::OutBias), frozen),
        })
    }
    fn needs_uniform_steps(&self) -> bool {
        self.level == Level::Batch
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Plain),
            (FORGET, Part::Elsewhere, masked(&self.joint_projections)),
            (FORGET, Part::Embedding, Status::Plain),
            (FORGET, Part::OutBias, if self.level == Level::Batch { Status::Zero } else { Status::Plain }),
            (RETAIN, Part::Region, Status::Plain),
            (UNLABELLED, Part::Region, Status::Plain),
            (UNLABELLED, Part::Elsewhere, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<ParameterMasking>,
    build: |v| read::<ParameterMasking>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
