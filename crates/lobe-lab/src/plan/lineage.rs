//! What a stage starts from, and over which network that is.

use std::collections::BTreeMap;
use std::sync::Arc;

use lobe_nets::adapter::Adapted;
use serde_json::Value;

use super::{Experiment, in_recipe, in_section};
use crate::error::LabError;
use crate::recipe::{self, ArmKind, Starts};

/// The model that (stage, arm) starts from, as (stage, arm); `None` where it starts from nothing.
pub(crate) fn parent<'a>(
    x: &'a Experiment,
    stage: &'a recipe::Stage,
    arm: usize,
) -> Option<(&'a str, usize)> {
    let own = &x.arms[arm].arm;
    let goes_on = own.kind == ArmKind::GoesOn && stage.facts.starts == Starts::Drawn;
    if stage.starts_anew() && !goes_on {
        return None;
    }
    let from = own.from.as_ref().filter(|_| goes_on || stage.facts.starts == Starts::From);
    // A post-hoc arm that goes on from another one finds it in the same stage.
    if let Some(from) = from.filter(|f| stage.arms.contains(f)) {
        return Some((&stage.name, x.arms.iter().position(|a| a.arm.name == *from)?));
    }
    let (source, made_by) = x.recipe.source_of(stage, from.unwrap_or(&own.name))?;
    Some((&source.name, x.arms.iter().position(|a| a.arm.name == made_by)?))
}

impl Experiment {
    /// The experiment over the network of the models that a stage makes of an arm.
    pub(crate) fn made_by(&self, stage: &str, arm: usize) -> &Experiment {
        match self.grown.get(&(stage.to_owned(), arm)) {
            Some(own) => own,
            None => self.of_arm(arm),
        }
    }

    /// The experiment over the network of the model that a stage starts from.
    pub(crate) fn at(&self, stage: &recipe::Stage, arm: usize) -> &Experiment {
        match parent(self, stage, arm) {
            Some((from, of)) => self.made_by(from, of),
            None => self.of_arm(arm),
        }
    }

    /// Follows the adapters that stages put at the doors of models, from stage to stage: `adapters` are those of
    /// each stage of the recipe.
    pub(crate) fn grow(&mut self, adapters: &[&[Value]]) -> Result<(), LabError> {
        let recipe = self.recipe.clone();
        for (stage, specs) in recipe.stages.iter().zip(adapters).filter(|(s, _)| s.makes_model()) {
            for arm in (0..self.arms.len()).filter(|a| stage.arms.contains(&self.arms[*a].arm.name)) {
                let from = parent(self, stage, arm).map(|(s, a)| (s.to_owned(), a));
                let before = from.as_ref().and_then(|from| self.grown.get(from)).cloned();
                let same = before.is_some() && specs.is_empty() && from.is_some_and(|(_, a)| a == arm);
                let own = match before {
                    None if specs.is_empty() => continue,
                    Some(own) if same => own,
                    before => {
                        let on = before.as_deref().unwrap_or_else(|| self.at(stage, arm));
                        Arc::new(on.with_adapters(specs, arm, &stage.name)?)
                    }
                };
                self.grown.insert((stage.name.clone(), arm), own);
            }
        }
        Ok(())
    }

    /// The same with adapters at the network's doors, and `arm` compiled for it.
    fn with_adapters(&self, specs: &[Value], arm: usize, stage: &str) -> Result<Experiment, LabError> {
        let mut net = self.net.clone();
        if !specs.is_empty() {
            let with = Adapted::of(net, specs).map_err(|e| in_recipe(&e).within(&["adapters"]));
            net = Arc::new(in_section(with, &["stage", stage])?);
        }
        let mut own = Experiment { net, shapes: BTreeMap::new(), grown: BTreeMap::new(), ..self.clone() };
        own.arms[arm] = own.compile(&self.arms[arm].arm, &self.objective)?;
        Ok(own)
    }
}
