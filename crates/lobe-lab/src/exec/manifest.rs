//! What a run's manifest says of its recipe.

use lobe_methods::ATTACKS;

use crate::recipe::{Arm, ArmData, Derived, Recipe, Stage};
use crate::store::{Arm as ArmFacts, Axis, Manifest, Reference, RunState, Stage as StageFacts};

impl Recipe {
    /// The reference arms: an arm that has the role's name and fits it, else the first that fits.
    pub fn reference(&self) -> Reference {
        let find = |name: &str, fits: &dyn Fn(&Arm) -> bool| {
            let named = self.arm(name).filter(|a| fits(a));
            named.or_else(|| self.arms.iter().find(|a| fits(a))).map(|a| a.name.clone())
        };
        // What a loaded model was trained on is not known here: only its name can say that.
        let loaded = |a: &Arm| self.origin_of(&a.name).is_some_and(|s| s.does == "load");
        let plain = |a: &Arm| {
            let known = a.name == "baseline" || !loaded(a);
            a.method == "none" && a.data == ArmData::All && !a.control && a.from.is_none() && known
        };
        Reference {
            baseline: find("baseline", &plain),
            control: self.control_of("forget").map(|a| a.name.clone()),
            filter: find("filter", &|a| a.method == "filter"),
            fresh: find("fresh", &|a| a.data == ArmData::Nothing),
        }
    }
}

/// What sort of treatment an arm is.
fn kind(a: &Arm, reference: &Reference) -> &'static str {
    if a.control {
        "control"
    } else if [&reference.baseline, &reference.fresh].into_iter().flatten().any(|n| *n == a.name) {
        "reference"
    } else if a.is_profile() {
        "profile"
    } else if a.from.is_some() {
        "post-hoc"
    } else {
        "training-time"
    }
}

fn axis(does: &str) -> Option<Axis> {
    let axis = ATTACKS.iter().find(|e| e.about.name == does)?.axis;
    Some(Axis { name: axis.name.to_owned(), unit: axis.unit.to_owned() })
}

/// The manifest of a run that starts. `note` is one line about an arm that has no `about`; what arms remove
/// and share, and the facts of data and model, are left open.
pub fn manifest(recipe: &Recipe, derived: &[Derived], note: &dyn Fn(&Arm) -> String) -> Manifest {
    let reference = recipe.reference();
    let arm = |a: &Arm| ArmFacts {
        name: a.name.clone(),
        method: a.method.clone(),
        region: (!a.regions.is_empty()).then(|| a.regions.join(", ")),
        note: a.about.clone().unwrap_or_else(|| note(a)),
        control: a.control,
        from: a.from.clone(),
        kind: Some(kind(a, &reference).to_owned()),
        removes: Vec::new(),
        same_as: None,
    };
    let stage = |s: &Stage| StageFacts {
        name: s.name.clone(),
        does: s.does.clone(),
        seconds: None,
        axis: axis(&s.does),
    };
    Manifest {
        name: recipe.name.clone(),
        state: RunState::Running,
        recipe_hash: recipe.hash(),
        seeds: recipe.seeds.clone(),
        arms: recipe.arms.iter().map(arm).collect(),
        labels: lobe_core::LabelSet::default().names().to_vec(),
        stages: recipe.stages.iter().map(stage).collect(),
        reference: reference.clone(),
        derived: derived.to_vec(),
        about: recipe.about.clone(),
        ..Manifest::default()
    }
}
