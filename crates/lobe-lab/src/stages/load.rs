//! Loading: weights from outside take the place of training.

use std::path::Path;
use std::time::Instant;

use lobe_methods::About;
use lobe_nets::Model;
use lobe_nets::hub::Imported;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::graph::{Context, Done, KeyParts, Place, Stage, StageEntry, each, write_model};
use crate::plan::{Experiment, difference, fingerprint, read_weights, same_but_for_units};
use crate::recipe::{self, Makes, StageFacts, Starts};

const ABOUT: About = About {
    name: "load",
    summary: "reads weights from files instead of training them",
    reference: "",
    unusual: "a narrower network of the same function keeps its own shape beside the others",
    fails: "",
};

/// `do = "load"`: the stage's arms get their weights from files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// A .safetensors file of Lobe's, or the directory of a Hugging Face model (GPT-2, GPT-Neo or Llama:
    /// config.json and model.safetensors). docs/running.md lists what opens and how to convert the rest.
    pub path: String,
}

/// The registered stage.
pub(super) fn entry() -> StageEntry {
    StageEntry::of::<Load>(&ABOUT, StageFacts { makes: Makes::Model, starts: Starts::Files, noun: None })
}

impl Load {
    /// Reads what it names and holds it against the recipe's network.
    fn fitting(&self, x: &Experiment, stage: &recipe::Stage) -> Result<Imported, LabError> {
        let model = read_weights(Path::new(&self.path))?;
        match difference(&*model.net, &*x.net) {
            Some(what) if !same_but_for_units(&*model.net, &*x.net) => {
                let notes = model.notes.join("; ");
                let notes = if notes.is_empty() { notes } else { format!(" ({notes})") };
                let (stage, path) = (&stage.name, &self.path);
                let what = format!("{stage}: the model does not fit [model]: {what}{notes}: {path}");
                Err(LabError::other(what))
            }
            _ => Ok(model),
        }
    }
}

impl Stage for Load {
    fn version(&self) -> u32 {
        2
    }

    fn reads(&self, x: &Experiment, stage: &recipe::Stage) -> Result<Option<Imported>, LabError> {
        self.fitting(x, stage).map(Some)
    }

    fn depends(&self, c: &Context<'_>, at: &Place<'_>, key: &mut KeyParts) {
        // What the files hold counts, not where they lie.
        key.part("params", c.experiment.loaded.get(&at.stage.name).map(|l| &l.fingerprint));
    }

    fn run(&self, c: &Context<'_>, stage: &recipe::Stage) -> Result<Done, LabError> {
        each(c, stage, |c, stage, work| {
            let start = Instant::now();
            let Imported { net, params, .. } = self.fitting(c.experiment, stage)?;
            let checked = c.experiment.loaded.get(&stage.name).map(|l| l.fingerprint.as_str());
            if checked != Some(&fingerprint(&*net, &params)) {
                let what = format!("{}: the model's files changed while the run was going on", stage.name);
                return Err(LabError::other(what));
            }
            let model = Model::new(c.experiment.net.clone(), params);
            write_model(&work.dir, &model, &work.key)?;
            work.finish(start, 1.0, "models/s")
        })
    }
}
