//! Refusing stages that do not fit, before anything is trained.

use lobe_core::FORGET;

use super::{Experiment, at};
use crate::error::LabError;
use crate::exec::settings::{self, in_recipe};
use crate::recipe::{self, PathError};

impl Experiment {
    /// Whether stages fit arms, regions, labels and data.
    pub(super) fn check_stages(&self) -> Result<(), LabError> {
        let regions: Vec<String> = self.recipe.regions.iter().map(|r| r.name.clone()).collect();
        for (i, stage) in self.recipe.stages.iter().enumerate() {
            let path = ["stage".to_owned(), i.to_string()];
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            if stage.does == "ablate" {
                let (ablate, _) =
                    at(lobe_methods::Ablate::read(&stage.value()).map_err(|e| in_recipe(&e)), &path)?;
                at(ablate.check(&regions).map_err(|e| in_recipe(&e)), &path)?;
                if !ablate.region.is_empty() {
                    self.region(&ablate.region)?;
                }
                self.check_cuts(stage, &ablate.region, &path)?;
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
                if self.net.gpt().is_none() {
                    return at(
                        Err(PathError::new("do", format!("{} needs a language model", stage.does))),
                        &path,
                    );
                }
                if attack.needs_original() && crate::store::Reference::of(&self.recipe).baseline.is_none() {
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
    fn check_cuts(&self, stage: &recipe::Stage, named: &str, path: &[&str]) -> Result<(), LabError> {
        for a in self.arms.iter().filter(|a| stage.arms.contains(&a.arm.name)) {
            let region = if named.is_empty() { a.region.clone() } else { Some(self.region(named)?) };
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
