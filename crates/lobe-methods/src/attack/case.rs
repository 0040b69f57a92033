//! What an attack declares about itself before it runs: its axis, and its variants.

use serde_json::{Map, Value};

/// What the curves of an attack run along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// In words, for the title of a figure: `steps`, `bits per weight`.
    pub name: &'static str,
    /// Its unit, one word.
    pub unit: &'static str,
}

impl Axis {
    /// Optimiser steps.
    pub const STEPS: Axis = Axis { name: "optimiser steps", unit: "steps" };
    /// One block of the network.
    pub const BLOCK: Axis = Axis { name: "block", unit: "block" };
}

/// Whether `lobe attack` makes an attack that nobody named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Battery {
    /// Always.
    Always,
    /// Where the model from before the removal is known.
    WithOriginal,
    /// Only if it is asked for.
    OnRequest,
}

/// One variant of an attack, before it is run.
///
/// The attack's parameters that are not swept (see [`AttackEntry::sweeps`](super::AttackEntry)), the start and
/// the settings decide what it reaches, whatever other variants there are: so each has a result of its own
/// that can be kept, and one more variant costs one variant.
#[derive(Debug, Clone, PartialEq)]
pub struct Case {
    /// Its name in results: `zero,lr=0.001`. Says only what sets it apart from the others of its attack.
    pub name: String,
    /// What it starts from, where that is a choice (`zero`, `reinit`, `whole`, `text`); empty elsewhere.
    pub start: String,
    /// What else sets it apart: `lr` = 0.001.
    pub settings: Map<String, Value>,
}

impl Case {
    /// A variant without a choice of starts.
    pub fn new<const N: usize>(name: impl Into<String>, settings: [(&str, Value); N]) -> Case {
        let settings = settings.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        Case { name: name.into(), start: String::new(), settings }
    }

    /// The same from this start.
    pub fn from(self, start: impl Into<String>) -> Case {
        Case { start: start.into(), ..self }
    }
}

/// All variants of an attack, each with what its own file needs to run it.
pub(super) type Grid<T> = Vec<(T, Case)>;

/// The variants of a grid.
pub(super) fn cases_of<T>(grid: Grid<T>) -> Vec<Case> {
    grid.into_iter().map(|(_, case)| case).collect()
}

/// Those that are to be run.
pub(super) fn chosen<T>(grid: Grid<T>, cases: &[Case]) -> Grid<T> {
    grid.into_iter().filter(|(_, case)| cases.iter().any(|c| c.name == case.name)).collect()
}
