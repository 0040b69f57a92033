//! What the report says about arms, data and regions.

use lobe_core::UNLABELLED;
use lobe_methods::{LOCALIZE, UNLEARN};

use super::{Experiment, units};
use crate::recipe::{Arm, ArmData};

/// Says that two arms are one network.
pub(crate) fn same_training(first: &str, second: &str) -> String {
    format!(
        "{first} and {second} see the same examples under the same routes: they are one network, trained once, and \
         the difference between them is 0 by construction"
    )
}

impl Experiment {
    /// One line about an arm that has none of its own.
    pub fn note(&self, arm: &Arm) -> String {
        let all = LOCALIZE.iter().map(|e| e.about).chain(UNLEARN.iter().map(|e| e.about));
        let about = all.into_iter().find(|a| a.name == arm.method).map_or("", |a| a.summary);
        if let Some(from) = arm.from.as_ref().filter(|_| arm.is_profile()) {
            return format!("the model of {from}, cut in a way of its own");
        }
        match &arm.data {
            ArmData::All => about.to_owned(),
            ArmData::RetainOnly => format!("{about}, but without any forget data"),
            ArmData::ForgetOnly => format!("{about}, on forget data only"),
            ArmData::Nothing => "a network as it was drawn, never trained".to_owned(),
            ArmData::Without(labels) => format!("{about}, but without any data of {}", labels.join(", ")),
        }
    }

    /// What is said of arms whose network has another number of units.
    pub(crate) fn shape_notes(&self) -> Vec<String> {
        let mut out = Vec::new();
        // Who writes `model = …` knows that the shape is another.
        let loaded = |arm: &usize| self.arms[*arm].arm.model.is_empty();
        for (arm, own) in self.shapes.iter().filter(|(arm, _)| loaded(arm)) {
            out.push(format!(
                "{} has {} and [model] {}: its own shape is used for it, and outputs are compared",
                self.arms[*arm].arm.name,
                units(&*own.net),
                units(&*self.net)
            ));
        }
        out
    }

    /// Remarks for the report.
    pub fn notes(&self) -> Vec<String> {
        let layout = self.layout();
        let mut out = vec![format!(
            "{} parameters; {} training and {} held-out examples",
            layout.len(),
            self.data.train.len(),
            self.data.test.len()
        )];
        out.extend(self.data.notes.iter().map(|n| format!("data: {n}")));
        for r in &self.recipe.regions {
            if let Ok(sel) = self.region(&r.name) {
                let share = 100.0 * layout.count_owned(&sel) as f64 / layout.len().max(1) as f64;
                out.push(format!(
                    "region {}: {} units, {} parameters ({share:.1} %)",
                    r.name,
                    sel.count(),
                    layout.count_owned(&sel)
                ));
            }
        }
        for a in &self.arms {
            out.extend(a.same_as.map(|i| same_training(&self.arms[i].arm.name, &a.arm.name)));
        }
        if let Some(tokenizer) = &self.data.tokenizer {
            let none = || "the tokenizer has no marks: nothing stands before or between texts".to_owned();
            out.push(tokenizer.marks().map_or_else(none, |m| m.to_string()));
        }
        for (stage, loaded) in &self.loaded {
            out.extend(loaded.notes.iter().map(|note| format!("{stage}: {note}")));
        }
        out.extend(self.widths.iter().cloned());
        if self.test_truth.contains(&UNLABELLED) {
            out.push("some held-out data belongs to no label and is measured as \"unlabelled\"".into());
        }
        out
    }
}
