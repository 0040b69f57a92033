//! ERA: expand, route, ablate. Forget data trains new units in the ordinary way and pushes the
//! original units of the same layers *up* its loss; then the new units are cut.
//!
//! Equation: on forget data dL/da ← m ∘ dL/da at the sites the region names, with m = 1 on the
//! expansion (the region) and m = w + (1 − w) · `original` on the original units, where w is the
//! token's weight (`tokens` of the labelling rule; without it w = 0). The loss gains
//! `l1` · Σ |a| / targets over the expansion.
//! Paper: Cloud et al. 2024 (arXiv 2410.04332) §4.2.2, appendix C: 64 units in layers 0-4,
//! original = -0.75, l1 = 1e-4; afterwards the stages `ablate` and `cohere` (at most 40 steps on
//! retain data).
//! Unusual: the expansion is the region itself, the last units of the layers it names, so widen
//! `mlp` by as many. It starts with zero out-going weights, so expanding changes no output; the
//! reference starts them at random (`zero_start = false`). The penalty stands after the mask,
//! which is 1 there.
//! Fails: retain loss after the cut, and tokens that were not routed stay known: with two
//! languages nearly every token is. Controls: `original = 1` expands without routing; `tokens =
//! { scale = 100, bias = -1000 }` routes only tokens ten times as frequent in forget data, the exact
//! words, which is known to localise nothing.

use lobe_core::{FORGET, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Localize, Part, Status};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "era",
    summary: "adds new units and trains them on forget data, while the old units are trained to get worse on it; the new units are then removed",
    reference: "Expand, Route, Ablate: Cloud et al. 2024, arXiv 2410.04332, §4.2.2 and appendix C",
    unusual: "the added units are the arm's region and start with zero out-going weights, so adding them changes no output",
    fails: "retain loss rises; tokens that are not routed are still learnt; weights below -1 destabilise training",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Era {
    /// Gradient weight of the original units on forget data, in the layers the region names;
    /// negative ascends, 1 is expansion without routing.
    pub original: f32,
    /// Weight of the L1 penalty on the activations of the region: per target, after the routes. (The `l1` of
    /// `model.objective` is another one: of an autoencoder's code, per image, before any route.)
    pub l1: f32,
    /// Whether the out-going weights of the region start at zero.
    pub zero_start: bool,
}

impl Default for Era {
    fn default() -> Self {
        Era { original: -0.75, l1: 1e-4, zero_start: true }
    }
}

impl Localize for Era {
    fn table(&self, _: &Context<'_>) -> Result<RouteTable, ParamError> {
        Ok(RouteTable::plain().with(FORGET, Target::Elsewhere, Route::new(1.0, self.original, 1.0)))
    }
    fn l1(&self) -> f32 {
        self.l1
    }
    fn zero_start(&self) -> bool {
        self.zero_start
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
    params: params_of::<Era>,
    build: |v| read::<Era>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
