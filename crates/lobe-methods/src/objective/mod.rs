//! What training minimises: a list of [`Term`]s, each an [`Objective`] on some of the data.
//!
//! An objective is a pure function of what it reads off a network (losses, logits, numbers, the values
//! at a site) and, where it asks for them, of the same numbers of a reference model. It gives a value and
//! its derivative with respect to what it read; the engine does the rest. A network that is trained, unlearned,
//! tuned or attacked follows such a list and nothing else, and one test holds every objective against
//! finite differences.

mod correlation;
mod cross_entropy;
mod distance;
mod examples;
mod l1;
mod program;
mod variational;

use std::ops::Range;

use lobe_core::{LabelId, Selection};
use lobe_engine::ops::head::IGNORE;
use lobe_engine::{RowLabels, SiteId};
use lobe_nets::{Network, Output, Read};

pub use correlation::Correlation;
pub use cross_entropy::CrossEntropy;
pub use distance::Reconstruct;
pub use examples::{Counts, Examples, Part, ReadOut, Recalled, Single, Whole};
pub use l1::L1;
pub use lobe_engine::ops::distance::Distance;
pub use program::Minimise;
pub use variational::Variational;

/// Which data a term is evaluated on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Everything.
    All,
    /// What has to go.
    Forget,
    /// What has to stay.
    Retain,
}

/// What an objective reads off the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reads {
    /// The loss of each token `[rows, 1]`, for objectives linear in it: the gradient given at the
    /// first call must not depend on the values. The read-out then runs once instead of twice.
    MeanLoss,
    /// The loss of each token `[rows, 1]`.
    TokenNll,
    /// Logits `[rows, vocab]`.
    Logits,
    /// The residual stream after block `layer` `[rows, width]`. Nothing above is computed unless
    /// another term on the same side needs it.
    Hidden {
        /// The block, from 0.
        layer: usize,
    },
    /// How far each row of an output is from its target, summed over the row `[rows, 1]`, for objectives linear
    /// in it, like [`Reads::MeanLoss`].
    Distance {
        /// Which output of the network.
        output: usize,
        /// Squared or absolute.
        kind: Distance,
    },
    /// Columns of the values at a site `[rows, columns]`.
    Site {
        /// The site.
        site: SiteId,
        /// The columns.
        columns: Range<usize>,
        /// What entered the site, before any route; else what left it.
        unrouted: bool,
    },
}

/// What an objective sees: the rows of one shard (whole sequences laid end to end), or of the whole batch
/// where it couples that.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// `[rows, cols]`, row-major.
    pub values: &'a [f32],
    /// The same numbers of the reference model; empty unless [`Objective::needs_reference`].
    pub reference: &'a [f32],
    /// Numbers per row.
    pub cols: usize,
    /// The token each row should predict; [`IGNORE`] where nothing is asked. Empty for rows of numbers, which
    /// count all.
    pub targets: &'a [u32],
    /// Label of each row.
    pub labels: RowLabels<'a>,
    /// Rows per sequence.
    pub seq: usize,
    /// Counted rows of this side in the whole batch: the divisor of a mean over rows.
    pub rows: usize,
    /// The same by label.
    pub by_label: &'a [usize],
    /// Sequences of this side in the whole batch: the divisor of a mean over sequences.
    pub sequences: usize,
    /// Share of the steps that is done, from 0 to 1.
    pub progress: f64,
}

impl<'a> View<'a> {
    /// Number of rows in view.
    pub fn len(&self) -> usize {
        self.values.len() / self.cols.max(1)
    }

    /// Whether there is no row in view.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Whether row `r` counts.
    pub fn counts(&self, r: usize) -> bool {
        self.targets.get(r).is_none_or(|t| *t != IGNORE)
    }

    /// Row numbers that count.
    pub fn counted(&self) -> impl Iterator<Item = usize> + 'a {
        let view = *self;
        (0..view.len()).filter(move |r| view.counts(*r))
    }

    /// Label of row `r`.
    pub fn label(&self, r: usize) -> LabelId {
        match self.labels {
            RowLabels::One(label) => label,
            RowLabels::Each(labels) => labels[r],
        }
    }

    /// Row numbers of each sequence that count.
    pub fn each_sequence(&self) -> impl Iterator<Item = Vec<usize>> + 'a {
        let (view, seq) = (*self, self.seq.max(1));
        (0..view.len() / seq).map(move |s| (s * seq..(s + 1) * seq).filter(|r| view.counts(*r)).collect())
    }

    /// Values of a row.
    pub fn row(&self, r: usize) -> &'a [f32] {
        &self.values[r * self.cols..(r + 1) * self.cols]
    }

    /// Reference values of a row.
    pub fn reference_row(&self, r: usize) -> &'a [f32] {
        &self.reference[r * self.cols..(r + 1) * self.cols]
    }
}

/// What is minimised.
pub trait Objective: Send + Sync {
    /// What it reads.
    fn reads(&self) -> Reads;
    /// Whether [`View::reference`] has to be filled in.
    fn needs_reference(&self) -> bool {
        false
    }
    /// Whether it wants all rows of the batch in one view: what it reads must be at a site.
    fn couples(&self) -> bool {
        false
    }
    /// The view's share of the value; writes its derivative with respect to `view.values` into
    /// `grad` (same shape, zeroed before the call).
    fn value(&self, view: &View<'_>, grad: &mut [f32]) -> f64;
}

/// A weighted objective on one side of the data.
pub struct Term {
    /// Which data.
    pub side: Side,
    /// Its factor in the sum.
    pub weight: f32,
    /// The objective.
    pub objective: Box<dyn Objective>,
}

impl Term {
    /// An objective on all data, with weight 1.
    pub fn new(objective: impl Objective + 'static) -> Term {
        Term { side: Side::All, weight: 1.0, objective: Box::new(objective) }
    }
}

/// The terms of ordinary training: every output to its target, all data alike.
pub fn ordinary(net: &dyn Network, kind: Distance) -> Vec<Term> {
    let of = |(output, o): (usize, &Output)| match o.read {
        Read::Classes { .. } => Term::new(CrossEntropy::default()),
        Read::Numbers { width } => {
            Term::new(Reconstruct { output, width, kind, label_weight: Vec::new(), sum_of_means: false })
        }
    };
    net.outputs().iter().enumerate().map(of).collect()
}

/// L1 terms of `weight` on units of some sites, as they leave the sites.
pub fn sparse(net: &dyn Network, units: &Selection, weight: f32) -> Vec<Term> {
    let layout = net.layout();
    let mut out = Vec::new();
    for (site, ranges) in units.sites() {
        // Numbers per unit: what reads the site has a row for each.
        let owned = layout.tensors().iter().find_map(|t| {
            let owner = t.row_owner.as_ref().filter(|o| o.site.0 == site)?;
            owner.parts.first().map(|p| p.width)
        });
        let width = owned.unwrap_or(1);
        for r in ranges {
            let columns = r.start as usize * width..r.end as usize * width;
            let reads = Reads::Site { site: SiteId(site), columns, unrouted: false };
            out.push(Term::new(L1 { reads, weight }));
        }
    }
    out
}
