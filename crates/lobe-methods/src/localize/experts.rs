//! Experts: each label has its own units; forget data runs through the region, retain data
//! through the rest.
//!
//! Equation: a hard gate by label on every routed site. Source: DEMix (Gururangan et al. 2022),
//! as used for comparison in Cloud et al. 2024.
//! Unusual: the experts are regions of one network, not copies of its MLPs.
//! Fails: only one expert takes part in each example, so nothing is absorbed from unlabelled data.

use lobe_core::{FORGET, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "experts",
    summary: "runs forget data through the region and retain data through the rest of the network",
    reference: "DEMix layers, Gururangan et al. 2022; comparison in arXiv 2410.04332",
    unusual: "the experts are regions of one network",
    fails: "weak under partial labels, because the region absorbs nothing from unlabelled data",
};

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Experts {}

impl Localize for Experts {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::ABSENT).with(
            RETAIN,
            Target::Region(0),
            Route::ABSENT,
        ))
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Elsewhere, Status::Zero),
            (FORGET, Part::Region, Status::Changed),
            (RETAIN, Part::Region, Status::Zero),
            (RETAIN, Part::Elsewhere, Status::Changed),
            (UNLABELLED, Part::Region, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Experts>,
    build: |v| read::<Experts>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
