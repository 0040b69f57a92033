//! Localisation methods: which data trains which part of the network. Each is a small table of
//! routes.

mod activation_masking;
mod experts;
mod filter;
mod gradient_routing;
mod none;
mod parameter_masking;
mod routes;
mod sgtm;

use lobe_core::{LabelId, LabelSet, RouteTable};

use crate::registry::{Entry, ParamError};

/// What a method may know when it writes its table.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// All labels of the experiment.
    pub labels: &'a LabelSet,
    /// Names of the arm's regions, in order.
    pub regions: &'a [String],
}

/// Which data an arm trains on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrainsOn {
    /// Everything.
    All,
    /// Everything but data that carries this label.
    Without(LabelId),
}

/// A part of the network whose gradient the conformance suite looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Parameters owned by the region.
    Region,
    /// Parameters owned by the other units of the region's sites.
    Elsewhere,
    /// Token and position embeddings: upstream of everything.
    Embedding,
    /// Biases into the residual stream.
    OutBias,
    /// Norm gains and shifts.
    Norm,
    /// The read-out.
    Head,
}

/// What a gradient must be, compared with ordinary training on the same data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exactly zero everywhere.
    Zero,
    /// Equal to ordinary training, bit for bit.
    Plain,
    /// Non-zero and different from ordinary training.
    Changed,
}

/// One line of a method's conformance table.
pub type Expect = (LabelId, Part, Status);

/// A localisation method.
pub trait Localize: Send + Sync {
    /// The routes.
    ///
    /// # Errors
    /// If the arm lacks a region the method needs.
    fn table(&self, context: &Context<'_>) -> Result<RouteTable, ParamError>;

    /// Which data the arm trains on.
    fn trains_on(&self) -> TrainsOn {
        TrainsOn::All
    }

    /// Whether every optimiser step must hold data of one label only.
    fn needs_uniform_steps(&self) -> bool {
        false
    }

    /// Fewest and most regions an arm of this method names.
    fn regions(&self) -> (usize, usize) {
        (1, 1)
    }

    /// The conformance table for one region of a transformer, with default parameters.
    fn expected(&self) -> Vec<Expect>;
}

/// All localisation methods, in the order they are listed.
pub static LOCALIZE: &[Entry<dyn Localize>] = &[
    none::ENTRY,
    filter::ENTRY,
    gradient_routing::ENTRY,
    parameter_masking::ENTRY,
    sgtm::ENTRY,
    activation_masking::ENTRY,
    experts::ENTRY,
    routes::ENTRY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_described() {
        for (i, e) in LOCALIZE.iter().enumerate() {
            assert!(LOCALIZE[..i].iter().all(|f| f.about.name != e.about.name));
            assert!(
                !e.about.summary.is_empty() && !e.about.reference.is_empty() && !e.about.fails.is_empty()
            );
            assert!(
                (e.params)().iter().all(|p| !p.doc.is_empty()),
                "{}: undocumented parameter",
                e.about.name
            );
        }
    }
}
