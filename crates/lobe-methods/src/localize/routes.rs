//! A route table written out in the recipe: any label, any region, any three numbers.
//!
//! Equation: the table itself. Use it for methods that are not named yet, and for splits by class
//! such as the two halves of an autoencoder's latent (Cloud et al. 2024, §4.1).
//! Unusual: rows may name several regions of the arm, `elsewhere`, or a joint part.
//! Fails: as the table deserves.

use lobe_core::{JointKind, Route, RouteTable, Target, UNLABELLED, did_you_mean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "routes",
    summary: "uses a route table that is written out in the recipe",
    reference: "general form of arXiv 2410.04332, §2",
    unusual: "one table can hold several regions, `elsewhere` and joint parts",
    fails: "depends on the table",
};

/// One row: data with `label` treats `region` by the three numbers.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// A label of the experiment.
    pub label: String,
    /// A region of the arm, "elsewhere", "embedding", "norm", "out-bias", "head" or "rest".
    pub region: String,
    /// Scale on the activation.
    #[serde(default = "one")]
    pub forward: f32,
    /// Scale on the gradient that flows back.
    #[serde(default = "one")]
    pub backward: f32,
    /// Scale on the owned parameters' gradient.
    #[serde(default = "one")]
    pub update: f32,
}

fn one() -> f32 {
    1.0
}

/// The method, with its parameters.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Routes {
    /// Rows `{label, region, forward = 1, backward = 1, update = 1}`; what is not listed is 1, 1, 1.
    pub table: Vec<Row>,
}

const JOINT: [&str; 5] = ["embedding", "norm", "out-bias", "head", "rest"];

impl Localize for Routes {
    fn table(&self, context: &Context<'_>) -> Result<RouteTable, ParamError> {
        let mut out = RouteTable::plain();
        for (i, row) in self.table.iter().enumerate() {
            let refuse =
                |key: &str, message: String| ParamError { path: format!("table.{i}.{key}"), message };
            let label = context.labels.find(&row.label).ok_or_else(|| {
                let hint = did_you_mean(&row.label, context.labels.names().iter().map(String::as_str));
                refuse("label", format!("no label {:?}{hint}", row.label))
            })?;
            let target = if let Some(n) = context.regions.iter().position(|r| *r == row.region) {
                Target::Region(n as u8)
            } else if row.region == "elsewhere" {
                Target::Elsewhere
            } else if let Some(k) = JOINT.iter().position(|j| *j == row.region) {
                Target::Joint(JointKind::ALL[k])
            } else {
                let known = context.regions.iter().map(String::as_str).chain(["elsewhere"]).chain(JOINT);
                let hint = did_you_mean(&row.region, known);
                return Err(refuse("region", format!("{:?} is no region of this arm{hint}", row.region)));
            };
            out = out.with(label, target, Route::new(row.forward, row.backward, row.update));
        }
        Ok(out)
    }
    fn regions(&self) -> (usize, usize) {
        (1, super::MOST_REGIONS)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![(UNLABELLED, Part::Region, Status::Plain), (UNLABELLED, Part::Elsewhere, Status::Plain)]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Routes>,
    build: |v| read::<Routes>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
