//! Activation masking: forget data runs through the region only.
//!
//! Equation: on forget data the activations outside of the region are 0 in the forward pass.
//! Source: the baseline of that name in Shilov et al. 2025 (arXiv 2512.05648).
//! Unusual: absent units make the products narrower.
//! Fails: no absorption, since the rest of the network never sees forget data together with the
//! region; about as good as weak filtering in the paper.

use lobe_core::{FORGET, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "activation-masking",
    summary: "runs forget data through the region only; nothing else is active",
    reference: "baseline of Shilov et al. 2025, arXiv 2512.05648",
    unusual: "absent units make the matrix products narrower",
    fails: "the region cannot absorb what unlabelled data teaches the rest of the network",
};

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActivationMasking {}

impl Localize for ActivationMasking {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::ABSENT))
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Changed),
            (FORGET, Part::Elsewhere, Status::Zero),
            (RETAIN, Part::Region, Status::Plain),
            (UNLABELLED, Part::Elsewhere, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<ActivationMasking>,
    build: |v| read::<ActivationMasking>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
