//! What a run's manifest says of its recipe.

use lobe_methods::{ATTACKS, LOCALIZE, UNLEARN};

use crate::recipe::{self, Arm, ArmData, ArmKind, Derived, Family, Recipe, Stage, Target};
use crate::store::{
    Arm as ArmFacts, Axis, Coordinate, FORMAT, Family as FamilyFacts, Manifest, Reference, RunState,
    Stage as StageFacts,
};

impl Recipe {
    /// The reference arms: an arm that has the role's name and fits it, else the first that fits.
    pub fn reference(&self) -> Reference {
        let find = |name: &str, fits: &dyn Fn(&Arm) -> bool| {
            let named = self.arm(name).filter(|a| fits(a));
            named.or_else(|| self.arms.iter().find(|a| fits(a))).map(|a| a.name.clone())
        };
        // What a loaded model was trained on is not known here: only its name can say that.
        let loaded =
            |a: &Arm| self.origin_of(&a.name).is_some_and(|s| s.facts.starts == recipe::Starts::Files);
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
    } else if matches!(a.kind, ArmKind::PostHoc) {
        "post-hoc"
    } else {
        "training-time"
    }
}

/// What a stage is to a reader of the run, who knows no stage by name.
fn stage_info(s: &Stage) -> StageFacts {
    let facts = StageFacts {
        name: s.name.clone(),
        does: s.does.clone(),
        makes: Some(s.facts.makes),
        starts: s.facts.starts,
        noun: s.facts.noun.map(str::to_owned),
        ..StageFacts::default()
    };
    let Some(attack) = ATTACKS.iter().find(|e| e.about.name == s.does) else { return facts };
    StageFacts {
        label: Some(s.label().to_owned()),
        axis: Some(Axis { name: attack.axis.name.to_owned(), unit: attack.axis.unit.to_owned() }),
        curve: Some(format!("{}_loss", s.does)),
        redraws: Some("reinit".to_owned()),
        ..facts
    }
}

/// The place of a method in the lists of methods, one list after the other.
fn place(method: &str) -> Option<u32> {
    let names = LOCALIZE.iter().map(|e| e.about.name).chain(UNLEARN.iter().map(|e| e.about.name));
    names.zip(0..).find(|(name, _)| *name == method).map(|(_, at)| at)
}

fn family(of: &Family) -> FamilyFacts {
    let coordinate = |(key, value): (&String, &serde_json::Value)| Coordinate {
        key: key.clone(),
        text: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        number: value.as_f64(),
    };
    FamilyFacts { name: of.name.clone(), point: of.point.iter().map(coordinate).collect() }
}

/// The manifest of a run that starts. `note` is one line about an arm that has no `about`; what arms remove
/// and share, and the facts of data and model, are left open.
pub fn manifest(recipe: &Recipe, derived: &[Derived], note: &dyn Fn(&Arm) -> String) -> Manifest {
    let reference = recipe.reference();
    let arm = |a: &Arm| ArmFacts {
        name: a.name.clone(),
        method: a.method.clone(),
        place: place(&a.method),
        region: (!a.regions.is_empty()).then(|| a.regions.join(", ")),
        note: a.about.clone().unwrap_or_else(|| note(a)),
        control: a.control,
        from: a.from.clone(),
        kind: Some(kind(a, &reference).to_owned()),
        removes: Vec::new(),
        same_as: None,
        family: a.family.as_ref().map(family),
    };
    Manifest {
        format: FORMAT,
        name: recipe.name.clone(),
        state: RunState::Running,
        recipe_hash: recipe.hash(),
        seeds: recipe.seeds.clone(),
        arms: recipe.arms.iter().map(arm).collect(),
        labels: lobe_core::LabelSet::default().names().to_vec(),
        stages: recipe.stages.iter().map(stage_info).collect(),
        reference: reference.clone(),
        derived: derived.to_vec(),
        targets: recipe.targets.iter().map(Target::published).collect(),
        about: recipe.about.clone(),
        ..Manifest::default()
    }
}
