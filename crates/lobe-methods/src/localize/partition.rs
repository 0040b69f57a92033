//! Partition: every label is at home in a part of its own, and trains no other.
//!
//! Equation: for a label at home in part i, the route of part i is 1, 1, 1 and that of every other part, and of
//! whatever else the same sites hold, is `off`. With off = (1, 0, 1), the default, this is gradient routing:
//! dL/da ← m ∘ dL/da, m = 1 in part i and 0 elsewhere. Papers: Cloud et al. 2024 (arXiv 2410.04332) §4.1, whose
//! autoencoder has two parts; one latent for each digit: Goldman-Wetzler, `gradient-routed-vae`.
//! Unusual: one table for any number of parts. `routed` names the labels that keep to their part, so that one of
//! two may be routed and the other not; `edges` says whether `off.update` means the weights into a unit, those out
//! of it, or both. off = { forward = 0 } makes experts of the parts.
//! Fails: parts do not specialise where something behind them can tell the labels apart without them; what is
//! stopped at the activation still trains the weights out of it.

use lobe_core::{Edges, FORGET, LabelId, RETAIN, Route, RouteTable, Target, UNLABELLED, did_you_mean};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status, counted};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "partition",
    summary: "gives every label a part of its own; the other parts pass no gradient back on its data",
    reference: "Cloud et al. 2024, arXiv 2410.04332, §4.1; g-w1/gradient-routed-vae",
    unusual: "any number of parts; one label may keep to its part while another trains all of them",
    fails: "a mask at the activation does not reach the weights out of it: they train on all data",
};

/// What a part gets from data that is not at home in it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Off {
    /// Scale on the activation.
    pub forward: f32,
    /// Scale on the gradient that flows back.
    pub backward: f32,
    /// Scale on the owned parameters' gradient.
    pub update: f32,
}

impl Default for Off {
    fn default() -> Self {
        Off { forward: 1.0, backward: 1.0, update: 1.0 }
    }
}

impl Off {
    fn route(self) -> Route {
        Route::new(self.forward, self.backward, self.update)
    }
}

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Partition {
    /// The labels, one per region of the arm, in order: the first is at home in the first region.
    pub home: Vec<String>,
    /// Those of them that keep to their part. Absent: all of them; an empty list: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routed: Option<Vec<String>>,
    /// What other parts than its own get from a routed label.
    pub off: Off,
    /// What every part gets from a label of `home` that is not routed.
    pub unrouted: Off,
    /// Which weights of a unit `off.update` means: all that are "owned" by it, those "in" to it, or those "out" of
    /// it.
    pub edges: Edges,
}

impl Default for Partition {
    fn default() -> Self {
        Partition {
            home: vec!["forget".into()],
            routed: None,
            off: Off { backward: 0.0, ..Off::default() },
            unrouted: Off::default(),
            edges: Edges::Owned,
        }
    }
}

fn refuse<T>(path: &str, message: String) -> Result<T, ParamError> {
    Err(ParamError { path: path.into(), message })
}

impl Partition {
    /// The label at home in each part.
    fn homes(&self, context: &Context<'_>) -> Result<Vec<LabelId>, ParamError> {
        let (labels, parts) = (self.home.len(), context.regions.len());
        if labels != parts {
            let (labels, parts) = (counted(labels, "label"), counted(parts, "region"));
            return refuse(
                "home",
                format!("{labels} for {parts}: a region for each label, in the same order"),
            );
        }
        let mut out = Vec::with_capacity(labels);
        for (i, name) in self.home.iter().enumerate() {
            let path = format!("home.{i}");
            match context.labels.find(name) {
                Some(l) if out.contains(&l) => return refuse(&path, format!("{name:?} is listed twice")),
                Some(l) => out.push(l),
                None => {
                    let hint = did_you_mean(name, context.labels.names().iter().map(String::as_str));
                    return refuse(&path, format!("no label {name:?}{hint}"));
                }
            }
        }
        Ok(out)
    }

    /// Whether each label of `home` keeps to its part.
    fn keeps(&self) -> Result<Vec<bool>, ParamError> {
        let Some(routed) = &self.routed else { return Ok(vec![true; self.home.len()]) };
        if let Some((i, name)) = routed.iter().enumerate().find(|(_, name)| !self.home.contains(name)) {
            let hint = did_you_mean(name, self.home.iter().map(String::as_str));
            return refuse(&format!("routed.{i}"), format!("{name:?} is not one of `home`{hint}"));
        }
        Ok(self.home.iter().map(|name| routed.contains(name)).collect())
    }
}

impl Localize for Partition {
    fn table(&self, context: &Context<'_>) -> Result<RouteTable, ParamError> {
        if self.off.route().is_plain() {
            return refuse("off", "routes nothing: one of forward, backward and update must not be 1".into());
        }
        let mut table = RouteTable::plain();
        for ((own, label), keeps) in self.homes(context)?.into_iter().enumerate().zip(self.keeps()?) {
            let elsewhere = if keeps { self.off.route() } else { self.unrouted.route() };
            let others = (0..context.regions.len()).filter(|i| !keeps || *i != own);
            for target in others.map(|i| Target::Region(i as u8)).chain([Target::Elsewhere]) {
                if !elsewhere.is_plain() {
                    table = table.with(label, target, elsewhere);
                }
            }
        }
        table.edges = self.edges;
        Ok(table)
    }
    fn regions(&self) -> (usize, usize) {
        (1, super::MOST_REGIONS)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Changed),
            (FORGET, Part::Elsewhere, Status::Changed),
            (FORGET, Part::Embedding, Status::Changed),
            (FORGET, Part::Head, Status::Plain),
            (RETAIN, Part::Region, Status::Plain),
            (RETAIN, Part::Elsewhere, Status::Plain),
            (UNLABELLED, Part::Elsewhere, Status::Plain),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Partition>,
    build: |v| read::<Partition>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
