//! Data filtering: examples labelled `forget` are left out.
//!
//! Equation: the sum over the data loses its labelled-forget terms; everything else is ordinary.
//! Paper: the baseline of Cloud et al. 2024 and Shilov et al. 2025 (arXiv 2512.05648).
//! Unusual: a step with nothing left is skipped while the schedule advances, as in SGTM's code.
//! Fails: with labels that miss forget data, which then trains the whole network; leakage is 1 by
//! definition.

use lobe_core::{FORGET, RETAIN, RouteTable, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status, TrainsOn};
use crate::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "filter",
    summary: "leave labelled forget data out",
    reference: "baseline of arXiv 2410.04332 and arXiv 2512.05648",
    unusual: "a step with no data left is skipped while the learning-rate schedule advances",
    fails: "every forget example that the labeller missed trains the whole network",
};

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Filter {}

impl Localize for Filter {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain())
    }
    fn trains_on(&self) -> TrainsOn {
        TrainsOn::Without(FORGET)
    }
    fn regions(&self) -> (usize, usize) {
        (0, 0)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![(RETAIN, Part::Region, Status::Plain), (UNLABELLED, Part::Elsewhere, Status::Plain)]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Filter>,
    build: |v| read::<Filter>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
