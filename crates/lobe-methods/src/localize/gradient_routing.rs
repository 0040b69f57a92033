//! Gradient routing at activations: on forget data, only the region passes gradient back.
//!
//! Equation: dL/da ← m ∘ dL/da with m = 1 on the region's units and `weight` on the other units of
//! the same sites. The forward pass never changes. Paper: Cloud et al. 2024 (arXiv 2410.04332) §2;
//! ERA uses a weight of -0.75 on the original units.
//! Unusual: nothing is multiplied in a separate pass; the scale rides on the activation's
//! derivative, and a weight of 0 leaves whole products out.
//! Fails: layers below lose the credit that ran through the masked units (the Jacobian is cut), so
//! retain performance pays; weights below -1 destabilise training.

use lobe_core::{FORGET, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "gradient-routing",
    summary: "lets forget data send gradient back through the region only (activation level)",
    reference: "Cloud et al. 2024, arXiv 2410.04332, §2; ERA: §4.2.2",
    unusual: "the mask is applied to the derivative of the activation; a weight of 0 skips the products that it would zero",
    fails: "cuts the Jacobian for lower layers, which raises retain loss; weights below -1 destabilise training",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GradientRouting {
    /// Gradient weight, on forget data, of the units outside the region; negative values ascend.
    pub weight: f32,
}

impl Default for GradientRouting {
    fn default() -> Self {
        GradientRouting { weight: 0.0 }
    }
}

impl Localize for GradientRouting {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::new(1.0, self.weight, 1.0)))
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Changed),
            (FORGET, Part::Elsewhere, Status::Changed),
            (FORGET, Part::Embedding, Status::Changed),
            (FORGET, Part::Head, Status::Plain),
            (RETAIN, Part::Region, Status::Plain),
            (UNLABELLED, Part::Elsewhere, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<GradientRouting>,
    build: |v| read::<GradientRouting>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
