//! Post-hoc removal: a trained model is trained a little further, until the capability is gone.
//!
//! A method is a list of [`Term`]s: what is minimised on forget data and on retain data. A term's
//! [`Objective`] is a pure function of what it reads off the network (token losses, logits, hidden
//! states) and of the same numbers of the model before, which are computed once and kept. Value and
//! gradient come from the same few lines, so that a test can check one against the other by hand.

pub mod adaptive_rmu;
mod around;
pub mod circuit_breakers;
pub mod constrained_tuning;
pub mod deep_augmentation;
pub mod grad_diff;
pub mod gradient_ascent;
pub mod lat;
pub mod maxent;
pub mod npo;
pub mod repnoise;
pub mod rmu;
pub mod sam;
pub mod satimp;
pub mod simnpo;
pub mod tar;
mod terms;
pub mod undial;
pub mod undo;
pub mod wga;

use lobe_core::registry::{Entry, List, ParamError};

pub use terms::Retain;

pub use crate::objective::{Objective, Reads, Side, Term, View};

/// Which parameters a method moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Moves {
    /// All.
    All,
    /// The down-projections of these blocks' MLPs (RMU).
    MlpOut(std::ops::RangeInclusive<usize>),
}

/// How a step is made of the terms' gradients.
#[derive(Debug, Clone, PartialEq)]
pub enum Drive {
    /// One gradient of the sum of all terms.
    Plain,
    /// The forget terms' gradient is taken at θ + rho · g / |g|, g the forget terms' gradient at θ
    /// (sharpness-aware minimisation).
    Sam {
        /// Radius.
        rho: f32,
    },
    /// The forget terms see a perturbation of the residual stream after `layer` that was trained to
    /// bring the forget data back: `steps` ascent steps on −(forget loss), each row's norm at most `eps`.
    Lat {
        /// The block after which the perturbation is added.
        layer: usize,
        /// Largest norm of a row.
        eps: f32,
        /// Inner steps.
        steps: usize,
        /// Inner step size.
        lr: f32,
    },
    /// The forget terms' gradient is averaged over weights that a simulated attacker reached by
    /// `steps` steps of fine-tuning on forget data (first order, tamper-resistant training).
    Tar {
        /// Attacker's steps.
        steps: usize,
        /// Attacker's learning rates, taken in turn from step to step.
        lrs: Vec<f32>,
        /// The gradient is added at every so many of the attacker's steps.
        every: usize,
        /// Each of the attacker's steps makes a point count exp(`decay`) times as much; 0 counts all alike.
        decay: f64,
    },
}

/// Forget examples are broken off and go on as retain examples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Recovery {
    /// Tokens of the forget example that are always there.
    pub prompt: usize,
    /// At most so many further ones, at least 1.
    pub most: usize,
    /// Probability that there are none.
    pub none: f64,
}

/// What a method may know about the network it is used on.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Number of blocks.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Number of tokens.
    pub vocab: usize,
}

/// A post-hoc removal method.
pub trait Unlearn: Send + Sync {
    /// The terms. `key` is the root of everything random.
    ///
    /// # Errors
    /// If a parameter does not fit the network: a layer it does not have.
    fn terms(&self, shape: Shape, key: lobe_core::Key) -> Result<Vec<Term>, ParamError>;

    /// Which parameters move.
    fn moves(&self, _: Shape) -> Moves {
        Moves::All
    }

    /// How a step is made.
    fn drive(&self) -> Drive {
        Drive::Plain
    }

    /// Where training starts, if not from the reference itself: UNDO's noised student.
    fn start(&self, _: &lobe_engine::Layout, _: &[f32], _: lobe_core::Key) -> Option<Vec<f32>> {
        None
    }

    /// Whether forget examples go on as retain examples, and where.
    fn recovery(&self) -> Option<Recovery> {
        None
    }

    /// Stop as soon as the held-out retain loss is at most this many times the reference's.
    fn stop_within(&self) -> Option<f64> {
        None
    }
}

/// All post-hoc methods, in the order they are listed.
pub static UNLEARN: List<Entry<dyn Unlearn>> = List::new(&[
    gradient_ascent::ENTRY,
    grad_diff::ENTRY,
    npo::ENTRY,
    simnpo::ENTRY,
    wga::ENTRY,
    satimp::ENTRY,
    maxent::ENTRY,
    undial::ENTRY,
    undo::ENTRY,
    rmu::ENTRY,
    adaptive_rmu::ENTRY,
    circuit_breakers::ENTRY,
    repnoise::ENTRY,
    sam::ENTRY,
    lat::ENTRY,
    tar::ENTRY,
    constrained_tuning::ENTRY,
    deep_augmentation::ENTRY,
]);
