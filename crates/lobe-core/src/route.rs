//! Routes: what a label does to a region. A localisation method is a small table of these.

use serde::{Deserialize, Serialize};

use crate::label::LabelId;
use crate::weights::Edges;

/// Three numbers for a (label, region) pair. `1, 1, 1` is ordinary training; negative is legal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Scale on the activation.
    pub forward: f32,
    /// Scale on dL/dactivation, so that everything upstream sees it.
    pub backward: f32,
    /// Scale on the gradient of the owned parameters only; the signal passed upstream is untouched.
    pub update: f32,
}

impl Route {
    /// Ordinary training.
    pub const PLAIN: Route = Route { forward: 1.0, backward: 1.0, update: 1.0 };
    /// The region is absent: nothing flows through it, nothing trains it.
    pub const ABSENT: Route = Route { forward: 0.0, backward: 0.0, update: 0.0 };

    /// `(forward, backward, update)`.
    pub const fn new(forward: f32, backward: f32, update: f32) -> Route {
        Route { forward, backward, update }
    }

    /// Whether this is ordinary training.
    pub fn is_plain(self) -> bool {
        self == Route::PLAIN
    }
}

/// The parts of a network that no unit of an arm's sites owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JointKind {
    /// Token and position embeddings (and a head tied to them).
    Embedding,
    /// Norm gains and shifts, of all blocks and of the final norm.
    Norm,
    /// Biases of the projections back into the residual stream, of all blocks.
    OutBias,
    /// The read-out: an untied head and its bias; in an autoencoder, the biases of the decoders'
    /// outputs.
    Head,
    /// Weights of sites that the arm's regions do not name.
    Rest,
}

impl JointKind {
    /// All kinds, in table order.
    pub const ALL: [JointKind; 5] =
        [JointKind::Embedding, JointKind::Norm, JointKind::OutBias, JointKind::Head, JointKind::Rest];
}

/// What a row of a route table applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The units of the arm's region number `n` (in the order the arm names its regions).
    Region(u8),
    /// Every other unit of the sites that the arm's regions name.
    Elsewhere,
    /// Parameters that no unit of the arm's sites owns. Only `update` has a meaning for them.
    Joint(JointKind),
}

/// One row: data with `label` treats `target` by `route`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RouteRow {
    /// The data's label.
    pub label: LabelId,
    /// What is treated.
    pub target: Target,
    /// How.
    pub route: Route,
}

/// A localisation method, compiled: everything not listed is [`Route::PLAIN`].
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RouteTable {
    /// The rows; a later row for the same (label, target) wins.
    pub rows: Vec<RouteRow>,
    /// Units, as the text of a region, whose out-going weights (the rows they own) are updated by
    /// all data, whatever a row says about the units. `None`: they follow the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint_rows: Option<String>,
    /// Which weights of the routed units `update` means; all data updates the others.
    #[serde(default)]
    pub edges: Edges,
}

impl RouteTable {
    /// Ordinary training for every label.
    pub fn plain() -> RouteTable {
        RouteTable::default()
    }

    /// Adds a row.
    pub fn with(mut self, label: LabelId, target: Target, route: Route) -> RouteTable {
        self.rows.push(RouteRow { label, target, route });
        self
    }

    /// The route of (label, target).
    pub fn get(&self, label: LabelId, target: Target) -> Route {
        let hit = self.rows.iter().rev().find(|r| r.label == label && r.target == target);
        hit.map_or(Route::PLAIN, |r| r.route)
    }

    /// Whether `label` trains the whole network in the ordinary way.
    pub fn is_plain(&self, label: LabelId) -> bool {
        self.rows.iter().filter(|r| r.label == label).all(|r| self.get(label, r.target).is_plain())
    }
}
