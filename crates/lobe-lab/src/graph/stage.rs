//! What a kind of stage is: one file each in `stages/`, and one line in the list there.

use lobe_core::Selection;
use lobe_core::registry::Listed;
use lobe_methods::remove::ablate::How;
use lobe_methods::{About, ParamDoc};
use lobe_nets::hub::Imported;
use serde_json::Value;

use super::change::{Change, change};
use super::{Context, Done, KeyParts};
use crate::error::LabError;
use crate::plan::Experiment;
use crate::recipe::{self, PathError, StageFacts};

/// A stage with its parameters.
pub trait Stage: Send + Sync {
    /// Part of every cache key: raise it when the meaning of results changes.
    fn version(&self) -> u32;

    /// Whether the variants of its work are kept by themselves, so that a change of the recipe loses none.
    fn keeps_variants(&self) -> bool {
        false
    }

    /// Refuses what does not fit the experiment, before anything is trained. The path of an error is relative to the
    /// stage's table.
    ///
    /// # Errors
    /// With the key that has to change.
    fn check(&self, _x: &Experiment, _stage: &recipe::Stage) -> Result<(), LabError> {
        Ok(())
    }

    /// The model that it reads from files, if it does.
    ///
    /// # Errors
    /// If the files hold none that fits.
    fn reads(&self, _x: &Experiment, _stage: &recipe::Stage) -> Result<Option<Imported>, LabError> {
        Ok(None)
    }

    /// What it cuts out of an arm's model, the last cut first, and how.
    ///
    /// # Errors
    /// If the region does not fit the network.
    fn cuts(&self, _x: &Experiment, _arm: usize) -> Result<Vec<(How, Selection)>, LabError> {
        Ok(Vec::new())
    }

    /// The names of the regions that it cuts out of an arm's model; `None` where it cuts nothing.
    fn cut_regions(&self, _arm: &recipe::Arm) -> Option<Vec<String>> {
        None
    }

    /// Everything its result for a member depends on beside the recipe's data, network, arm and seed, its own
    /// parameters, and the model it starts from.
    fn depends(&self, _c: &Context<'_>, _at: &Place<'_>, _key: &mut KeyParts) {}

    /// Whether arms that are one network share its work.
    fn shares(&self) -> Shares {
        Shares::Never
    }

    /// The adapters that it puts at the doors of every model, as [`lobe_nets::adapter::built`] reads them.
    fn adapters(&self) -> &[Value] {
        &[]
    }

    /// How it turns one model into another, if that is what it does.
    fn changes(&self) -> Option<&dyn Change> {
        None
    }

    /// Does the work of all members that is not there yet; [`super::each`] goes through them one by one.
    ///
    /// # Errors
    /// What went wrong, where that is not one member's failure.
    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        match self.changes() {
            Some(does) => change(does, c, stage),
            None => Err(LabError::other(format!("{}: this stage does nothing", stage.name))),
        }
    }
}

/// A member of a stage.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The stage.
    pub stage: &'a recipe::Stage,
    /// The arm, as an index.
    pub arm: usize,
    /// The seed.
    pub seed: u64,
}

/// When arms that were trained alike share a stage's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shares {
    /// Never: it looks at the arm's labels, too, or compares it with others.
    Never,
    /// Always: the work is the training.
    Training,
    /// Where what they start from is shared and cut alike: it looks at nothing but the model.
    Model,
}

/// Builds a stage from its parameters; returns it and the parameters with every default.
pub type Build = Box<dyn Fn(&Value) -> Result<(Box<dyn Stage>, Value), PathError> + Send + Sync>;

/// A kind of stage.
pub struct StageEntry {
    /// What it is; its name is what `do` says.
    pub about: &'static About,
    /// What the recipe has to know.
    pub facts: StageFacts,
    /// Its parameters.
    pub params: fn() -> Vec<ParamDoc>,
    /// Builds it.
    pub build: Build,
}

impl Listed for StageEntry {
    fn name(&self) -> &'static str {
        self.about.name
    }
}

impl StageEntry {
    /// A kind of stage whose parameters are a `P`.
    pub fn of<P>(about: &'static About, facts: StageFacts) -> StageEntry
    where
        P: Stage + serde::Serialize + serde::de::DeserializeOwned + schemars::JsonSchema + 'static,
    {
        let build =
            |v: &Value| recipe::completed::<P>(v).map(|(p, full)| (Box::new(p) as Box<dyn Stage>, full));
        let params = lobe_methods::params_of::<P>;
        StageEntry { about, facts, params, build: Box::new(build) }
    }
}
