//! From a recipe to an experiment that is ready to run: everything that can be checked is checked here.

use std::path::Path;
use std::sync::Arc;

use lobe_core::Key;
use lobe_data::Dataset;
use lobe_methods::UNLEARN;
use serde_json::{Map, Value};

use crate::error::LabError;
use crate::plan::{DataSection, Experiment, ModelSection, in_section, method};
use crate::recipe::{ArmKind, Callbacks, Derived, PathError, Recipe, StageInfo, Starts, Written, one_of};
use crate::stages;

/// A stage's parameters with every default, and what is known of its kind.
fn stage(does: &str, rest: &Value) -> Result<StageInfo, PathError> {
    one_of("do", "stage", does, stages::every().iter().map(|e| e.about.name))?;
    let none = || PathError::new("do", "no such stage");
    let entry = stages::find(does).ok_or_else(none)?;
    let (_, params) = (entry.build)(rest)?;
    Ok(StageInfo { params, facts: entry.facts })
}

/// Parsers for everything Lobe knows.
pub fn callbacks() -> Callbacks<'static> {
    Callbacks {
        data: &|kind, rest| DataSection::read(kind, rest).map(|(_, full)| full),
        model: &|kind, rest| ModelSection::read(kind, rest).map(|(_, full)| full),
        method: &method,
        post_hoc: &|name| Some(UNLEARN.iter().any(|e| e.about.name == name)),
        labels: &|data, labels| {
            let kind = data.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
            let mut rest = data.as_object().cloned().unwrap_or_default();
            rest.remove("kind");
            let (section, _) = DataSection::read(&kind, &Value::Object(rest))?;
            section.rules(labels.as_object().unwrap_or(&Map::new()))?;
            Ok(labels.clone())
        },
        stage: &stage,
    }
}

/// Accepts every table as it is; what kinds of stages make is known.
pub fn permissive() -> Callbacks<'static> {
    Callbacks::permissive(&|does, rest| {
        let facts = stages::find(does).map(|e| e.facts).unwrap_or_default();
        Ok(StageInfo { params: rest.clone(), facts })
    })
}

/// Reads and resolves a recipe with everything Lobe knows, and checks all that can be checked
/// without training.
///
/// # Errors
/// With the line of the recipe that has to change.
pub fn resolve(written: &Written) -> Result<(Recipe, Vec<Derived>), LabError> {
    Ok(written.resolve(&callbacks())?)
}

impl Experiment {
    /// Loads the data, builds the network and compiles every arm.
    ///
    /// # Errors
    /// If a file is missing or damaged, or a part of the recipe does not fit another.
    pub fn open(recipe: &Recipe) -> Result<Experiment, LabError> {
        let (section, _) = in_section(DataSection::read(&recipe.data.kind, &recipe.data.value()), &["data"])?;
        let data = section.source.load(Path::new(&section.own.dir), Key::root(0).child("data"))?;
        Self::over(recipe, data)
    }

    /// The same with the recipe's data already read.
    ///
    /// # Errors
    /// If a part of the recipe does not fit another.
    pub fn over(recipe: &Recipe, data: impl Into<Arc<Dataset>>) -> Result<Experiment, LabError> {
        let built = stages::of(recipe)?;
        let mut out = Experiment::compiled(recipe, data.into())?;
        let post_hoc = out.arms.iter().find(|a| a.arm.kind == ArmKind::PostHoc);
        let trains = recipe.stages.iter().any(|s| s.facts.starts == Starts::From);
        if let Some(a) = post_hoc.filter(|_| !trains) {
            let what =
                format!("{} needs a stage that makes its model: [[stage]] do = \"unlearn\"", a.arm.method);
            return in_section(Err(PathError::new("method", what)), &["arms", &a.arm.name]);
        }
        for (i, target) in recipe.targets.iter().enumerate() {
            let known = out.labels.names().iter().map(String::as_str).chain(["all"]);
            in_section(one_of("label", "label", &target.label, known), &["target", &i.to_string()])?;
        }
        let in_stage =
            |a: &crate::recipe::Arm| recipe.stages.iter().any(|s| s.trains() && s.arms.contains(&a.name));
        let goes_on = out.arms.iter().find(|a| a.arm.kind == ArmKind::GoesOn && !in_stage(&a.arm));
        if let Some(a) = goes_on {
            let what =
                "goes on training another arm's model: a later stage has to do it, [[stage]] do = \"train\"";
            return in_section(Err(PathError::new("from", what)), &["arms", &a.arm.name]);
        }
        let cuts = |arm: &crate::recipe::Arm| {
            let of = recipe.stages.iter().zip(&built).filter(|(s, _)| s.arms.contains(&arm.name));
            of.filter_map(|(_, does)| does.cut_regions(arm)).flatten().collect()
        };
        out.find_removed(&cuts);
        out.find_alike()?;
        for (stage, does) in recipe.stages.iter().zip(&built) {
            if let Some(model) = does.reads(&out, stage)? {
                out.take(&stage.name, model)?;
            }
        }
        out.grow(&built.iter().map(|does| does.adapters()).collect::<Vec<_>>())?;
        for (stage, does) in recipe.stages.iter().zip(&built) {
            does.check(&out, stage)?;
        }
        out.widths = stages::width_notes(&out);
        Ok(out)
    }
}
