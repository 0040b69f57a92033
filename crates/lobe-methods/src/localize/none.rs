//! Ordinary training on everything: the baseline, and with `data = "retain only"` the control.
//!
//! Equation: every route is 1, 1, 1.
//! Unusual: nothing. Fails: it is no localisation; cutting a region of it damages whatever lies there.

use lobe_core::{FORGET, RETAIN, RouteTable, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "none",
    summary: "ordinary training on all data",
    reference: "—",
    unusual: "nothing",
    fails: "does not localise anything; it is the baseline that every claim is compared with",
};

/// No parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct None {}

impl Localize for None {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain())
    }
    fn regions(&self) -> (usize, usize) {
        (0, super::MOST_REGIONS)
    }
    fn expected(&self) -> Vec<Expect> {
        let all = [FORGET, RETAIN, UNLABELLED];
        all.iter()
            .flat_map(|l| [(*l, Part::Region, Status::Plain), (*l, Part::Embedding, Status::Plain)])
            .collect()
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<None>,
    build: |v| read::<None>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
