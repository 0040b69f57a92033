//! Modular profiles (GRAM): one module of units per restricted label beside a core that is always
//! on. Any set of modules can be cut out afterwards, so N modules give 2^N profiles.
//!
//! Equation, as kinds of whole steps (own module k, other modules, core):
//!   forget-isolated  L_k          trains, absent, runs but is not updated
//!   forget-spread    L_k:spread   trains, absent, trains          `spread` of the steps of L_k
//!   core             retain       absent, absent, trains
//!   core-robust      R:robust     trains, trains, trains          `robust` of the steps of R
//! Counts are exact: a seeded permutation of each label's steps. Unlabelled data is core data.
//! Paper: Roland et al. 2026 (arXiv 2607.08077), table of step types. Half of the steps hold
//! restricted data there: set `class_weights` in `[data]`.
//! Unusual: modules are regions of one network, and absent ones cost nothing, where a gate of 0 in
//! the paper's port still computes. `zero_start` starts a module's out-going weights at zero, so
//! the core's outputs do not depend on it at first.
//! In a recipe: `topics` names the restricted labels, one per region; the arms that cut the modules out
//! again name this arm with `from` and the method "none".
//! Fails: where categories are entangled; a module too narrow for its label leaks into the core on
//! spread steps. With several modules, robust steps run all of them together and no subset.

use lobe_core::{FORGET, JointKind, LabelId, LabelSet, RETAIN, Route, RouteTable, Target, UNLABELLED};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Context, Expect, Kind, Localize, Part, Status, counted, restricted};
use lobe_core::registry::{About, Entry, ParamError, params_of, read};

const ABOUT: About = About {
    name: "modular",
    summary: "adds one module per restricted label to a core that is always active; any set of modules can be cut",
    reference: "GRAM, Roland et al. 2026, arXiv 2607.08077",
    unusual: "absent modules cost no computation; each kind of step occurs an exact number of times, in a seeded random order",
    fails: "fails where topics are entangled; what spread steps teach the core remains after the cut",
};

/// The method, with its parameters.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Modular {
    /// The restricted labels, one per region of the arm, in order.
    pub topics: Vec<String>,
    /// Fraction of a restricted label's steps that train the core as well, 0 to 1.
    pub spread: f64,
    /// Fraction of the core's steps in which the modules are active and train, 0 to 1.
    pub robust: f64,
    /// Whether the out-going weights of the modules start at zero.
    pub zero_start: bool,
}

impl Default for Modular {
    fn default() -> Self {
        Modular { topics: vec!["forget".into()], spread: 0.5, robust: 0.2, zero_start: true }
    }
}

const CORE: [LabelId; 2] = [RETAIN, UNLABELLED];
const SPREAD: &str = "spread";
const ROBUST: &str = "robust";

fn refuse<T>(path: &str, message: String) -> Result<T, ParamError> {
    Err(ParamError { path: path.into(), message })
}

impl Localize for Modular {
    fn table(&self, context: &Context<'_>) -> Result<RouteTable, ParamError> {
        let modules = context.regions.len();
        let restricted = restricted(&self.topics, context.labels)?;
        if restricted.len() != modules {
            let what = format!(
                "{} for {}: a region for each topic, in the same order",
                counted(restricted.len(), "topic"),
                counted(modules, "region")
            );
            return refuse("topics", what);
        }
        let absent = |mut table: RouteTable, label: LabelId, but: Option<usize>| {
            for k in (0..modules).filter(|k| Some(*k) != but) {
                table = table.with(label, Target::Region(k as u8), Route::ABSENT);
            }
            table
        };
        let frozen = Route::new(1.0, 1.0, 0.0);
        let mut table = RouteTable::plain();
        for (k, label) in restricted.iter().enumerate() {
            table = absent(table, *label, Some(k)).with(*label, Target::Elsewhere, frozen);
            for kind in JointKind::ALL {
                table = table.with(*label, Target::Joint(kind), frozen);
            }
        }
        for label in CORE {
            table = absent(table, label, None);
        }
        for kind in self.kinds(context.labels)? {
            // A set without the kinds' labels (a page that explains the method) shows the rest.
            if let Some(id) = kind.id(context.labels)
                && let Some(k) = restricted.iter().position(|l| *l == kind.of)
            {
                table = absent(table, id, Some(k));
            }
        }
        Ok(table)
    }
    fn kinds(&self, labels: &LabelSet) -> Result<Vec<Kind>, ParamError> {
        for (path, share) in [("spread", self.spread), ("robust", self.robust)] {
            if !(0.0..=1.0).contains(&share) {
                return refuse(path, format!("{share} is outside of [0, 1]"));
            }
        }
        let spread = |of| Kind { of, name: SPREAD, share: self.spread };
        let robust = |of| Kind { of, name: ROBUST, share: self.robust };
        Ok(restricted(&self.topics, labels)?.into_iter().map(spread).chain(CORE.map(robust)).collect())
    }
    fn zero_start(&self) -> bool {
        self.zero_start
    }
    fn needs_uniform_steps(&self) -> bool {
        true
    }
    fn regions(&self) -> (usize, usize) {
        (1, super::MOST_REGIONS)
    }
    fn expected(&self) -> Vec<Expect> {
        vec![
            (FORGET, Part::Region, Status::Plain),
            (FORGET, Part::Elsewhere, Status::Zero),
            (FORGET, Part::Embedding, Status::Zero),
            (FORGET, Part::OutBias, Status::Zero),
            (FORGET, Part::Norm, Status::Zero),
            (FORGET, Part::Head, Status::Zero),
            (RETAIN, Part::Region, Status::Zero),
            (RETAIN, Part::Elsewhere, Status::Changed),
            (RETAIN, Part::Head, Status::Changed),
            (UNLABELLED, Part::Region, Status::Zero),
            (UNLABELLED, Part::Elsewhere, Status::Changed),
        ]
    }
}

/// The registered method.
pub(super) const ENTRY: Entry<dyn Localize> = Entry {
    about: &ABOUT,
    params: params_of::<Modular>,
    build: |v| read::<Modular>(v).map(|(p, full)| (Box::new(p) as Box<dyn Localize>, full)),
};
