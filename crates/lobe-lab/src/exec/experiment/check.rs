//! Refusing stages that do not fit, before anything is trained.

use lobe_core::FORGET;
use lobe_methods::Ablate;
use lobe_methods::remove::ablate::How;

use super::{Experiment, at};
use crate::error::LabError;
use crate::exec::settings::{self, in_recipe};
use crate::recipe::{self, PathError};

impl Experiment {
    /// Whether stages fit arms, regions, labels and data.
    pub(super) fn check_stages(&self) -> Result<(), LabError> {
        let regions: Vec<String> = self.recipe.regions.iter().map(|r| r.name.clone()).collect();
        let unlearns = self.recipe.stages.iter().any(|s| s.does == "unlearn");
        let post_hoc = |a: &&super::ArmPlan| a.arm.from.is_some() && !a.arm.is_profile();
        if let Some(a) = self.arms.iter().find(|a| post_hoc(a) && !unlearns) {
            let what =
                format!("{} needs a stage that makes its model: [[stage]] do = \"unlearn\"", a.arm.method);
            return at(Err(PathError::new("method", what)), &["arms", &a.arm.name]);
        }
        for (i, target) in self.recipe.targets.iter().enumerate() {
            let known = self.labels.names().iter().map(String::as_str).chain(["all"]);
            let checked = recipe::one_of("label", "label", &target.label, known);
            at(checked, &["target", &i.to_string()])?;
        }
        for stage in &self.recipe.stages {
            let path = ["stage", stage.name.as_str()];
            if stage.does == "ablate" {
                let (ablate, _) = at(Ablate::read(&stage.value()).map_err(|e| in_recipe(&e)), &path)?;
                at(ablate.check(&regions).map_err(|e| in_recipe(&e)), &path)?;
                if !ablate.region.is_empty() {
                    self.region(&ablate.region)?;
                }
                self.check_cuts(stage, &ablate, &path)?;
            }
            if stage.does == "unlearn" {
                for name in &stage.arms {
                    if let Some(i) = self.arms.iter().position(|a| a.arm.name == *name) {
                        crate::stage::check_post_hoc(self, i)?;
                    }
                }
            }
            if let Some(built) = settings::attack(&stage.does, &stage.value()) {
                let (attack, _) = at(built.map_err(|e| in_recipe(&e)), &path)?;
                let known = self.labels.names().iter().map(String::as_str);
                at(recipe::one_of("label", "label", attack.label(), known), &path)?;
                let Some(net) = self.net.gpt() else {
                    let what = format!("{} needs a language model", stage.does);
                    return at(Err(PathError::new("do", what)), &path);
                };
                if let Some(l) = attack.layers().iter().find(|l| **l >= net.config.layers) {
                    let what = format!("{l}: the network's blocks are 0 to {}", net.config.layers - 1);
                    return at(Err(PathError::new("layers", what)), &path);
                }
                if attack.needs_original() && self.recipe.reference().baseline.is_none() {
                    let what = format!(
                        "{} needs an arm that trains plainly on everything, or one called \"baseline\" that is loaded",
                        stage.does
                    );
                    return at(Err(PathError::new("do", what)), &path);
                }
                let label = self.labels.find(attack.label()).unwrap_or(FORGET);
                if !self.train_truth.contains(&label) || !self.test_truth.contains(&label) {
                    let what = format!("no example is truly {:?}", attack.label());
                    return at(Err(PathError::new("label", what)), &path);
                }
            }
        }
        Ok(())
    }

    /// A cut that changes no parameter would make every later number a lie.
    fn check_cuts(&self, stage: &recipe::Stage, ablate: &Ablate, path: &[&str]) -> Result<(), LabError> {
        let named = &ablate.region;
        if ablate.how == How::Mean && self.net.gpt().is_none() {
            let what = "\"mean\" needs a language model";
            return at(Err(PathError::new("how", what)), path);
        }
        for a in self.arms.iter().filter(|a| stage.arms.contains(&a.arm.name)) {
            let region = if named.is_empty() { a.region.clone() } else { Some(self.region(named)?) };
            if let (How::Mean, Some(r)) = (ablate.how, &region) {
                let foldable = lobe_methods::remove::ablate::foldable(self.layout(), r);
                at(foldable.map_err(|e| PathError::new("how", e.to_string())), path)?;
            }
            if region.is_some_and(|r| self.layout().count_owned(&r) == 0) {
                let what = format!(
                    "the region of arm {:?} owns no parameter, so there is nothing to cut",
                    a.arm.name
                );
                return at(Err(PathError::new("region", what)), path);
            }
        }
        Ok(())
    }
}
