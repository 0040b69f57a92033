//! SGTM, selective gradient masking: forget data updates the region alone, and data known to be
//! safe runs without the region.
//!
//! Equation: on `forget` steps ∇θ_retain ← 0 after an ordinary backward pass; on `retain` steps the
//! region's activations are 0 in the forward pass; unlabelled data trains everything.
//! Paper: Shilov et al. 2025 (arXiv 2512.05648) §3.
//! Unusual: masked products are never computed. The reference steps one AdamW over zeroed
//! gradients, so masked weights still decay and drift along their momentum (`masked =
//! "zero-grad"`); `masked = "freeze"` holds them still. These are different algorithms. The
//! reference's split optimisers (one AdamW each for joint, retain and forget weights, out-going
//! projections joint) are `freeze` with `joint_projections` over all routed sites; they differ in
//! the bias correction alone, which there counts a group's own updates k and here all updates t. A
//! group's step is (1 - β1^k) / (1 - β1^t) · √((1 - β2^t) / (1 - β2^k)) times the reference's: at
//! the reference's betas 0.9, 0.95 at most 1.10, and within 3 % of 1 after 60 updates of the group;
//! at a recipe's default 0.9, 0.999 larger than 1 for long, 2.8 at k = 10 of t = 200, 1.9 at 100 of
//! 400, 1.3 at 500 of 1000, and within 3 % of 1 only after about 2900.
//! Output biases, and with `mask_embeddings` norms, are masked in all blocks, while the weights of
//! a site that the region does not name are joint: it should name heads and neurons of every block,
//! as the reference's does. The norms include the final one, which the reference never masks.
//! Fails: what joint parameters learn from forget data stays after the cut; a region too small for
//! the capability leaks.

use lobe_core::{FORGET, JointKind, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status, joint_rows, masked};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "sgtm",
    summary: "updates the region alone on forget data, and runs retain data without the region",
    reference: "Shilov et al. 2025, arXiv 2512.05648, §3",
    unusual: "masked products are skipped, not zeroed; `masked` chooses between zero gradients and a true freeze; output biases are masked in all blocks, even where the region names no unit, and `mask_embeddings` also masks the final norm, which the reference never does",
    fails: "joint parameters (embeddings, norms, head) keep what they learnt from forget data",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Sgtm {
    /// Whether forget data leaves token and position embeddings (and norms) alone too, as in the
    /// paper's Wikipedia runs. A head tied to the embedding goes with it. All norms are meant, the
    /// final one, which the reference never masks, included.
    pub mask_embeddings: bool,
    /// Whether forget data does not update an untied head.
    pub mask_head: bool,
    /// Units whose out-going projections are joint, so that forget data updates those weights too:
    /// a region's text such as "blocks.*.mlp.post + blocks.*.attn.z"; empty is none.
    pub joint_projections: String,
}

impl Localize for Sgtm {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        let frozen = Route::new(1.0, 1.0, 0.0);
        let mut table = RouteTable::plain()
            .with(FORGET, Target::Elsewhere, frozen)
            .with(FORGET, Target::Joint(JointKind::OutBias), frozen)
            .with(RETAIN, Target::Region(0), Route::ABSENT);
        if self.mask_embeddings {
            for kind in [JointKind::Embedding, JointKind::Norm] {
                table = table.with(FORGET, Target::Joint(kind), frozen);
            }
        }
        if self.mask_head {
            table = table.with(FORGET, Target::Joint(JointKind::Head), frozen);
        }
        table.joint_rows = joint_rows(&self.joint_projections)?;
        Ok(table)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Plain),
            (FORGET, Part::Elsewhere, masked(&self.joint_projections)),
            (FORGET, Part::OutBias, Status::Zero),
            (FORGET, Part::Embedding, if self.mask_embeddings { Status::Zero } else { Status::Plain }),
            (FORGET, Part::Head, if self.mask_head { Status::Zero } else { Status::Plain }),
            (RETAIN, Part::Region, Status::Zero),
            (RETAIN, Part::Elsewhere, Status::Changed),
            (RETAIN, Part::Embedding, Status::Changed),
            (UNLABELLED, Part::Region, Status::Plain),
            (UNLABELLED, Part::Elsewhere, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Sgtm>,
    build: |v| read::<Sgtm>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
