//! Cache keys: hashes of everything that a result depends on. They decide whether work is done again.

use lobe_methods::Case;
use serde::Serialize;
use serde_json::{Map, Value};

use super::parents::{control, whole};
use super::stage::Place;
use super::{Context, Work};
use crate::plan::parent;
use crate::recipe::{self, Train, canonical};

/// The parts of a key, by name.
#[derive(Debug, Clone, Default)]
pub struct KeyParts(Map<String, Value>);

impl KeyParts {
    /// Adds a part; the last one of a name counts.
    pub fn part(&mut self, name: &str, value: impl Serialize) {
        self.0.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    /// 64 hexadecimal digits.
    pub fn hash(self) -> String {
        blake3::hash(canonical(&Value::Object(self.0)).as_bytes()).to_hex().to_string()
    }
}

/// Hash of everything the result of (stage, arm, seed) depends on.
pub(crate) fn key(c: &Context<'_>, stage: &recipe::Stage, arm: usize, seed: u64) -> String {
    let member = (stage.name.clone(), arm, seed);
    if let Some(known) = c.known.keys.borrow().get(&member) {
        return known.clone();
    }
    let made = depends(c, &Place { stage, arm, seed }, &stage.value()).hash();
    c.known.keys.borrow_mut().insert(member, made.clone());
    made
}

/// The same for one variant of an attack: without the parameters that only list variants, with what the
/// variant is.
pub(crate) fn variant_key(
    c: &Context<'_>,
    stage: &recipe::Stage,
    work: &Work,
    swept: &[&str],
    case: &Case,
) -> String {
    let mut fixed = stage.params.clone();
    fixed.retain(|name, _| !swept.contains(&name.as_str()));
    let at = Place { stage, arm: work.arm, seed: work.seed };
    let mut key = depends(c, &at, &Value::Object(fixed));
    key.part("variant", (&case.start, &case.settings));
    key.hash()
}

/// Everything the result of (stage, arm, seed) depends on, if the stage has these parameters.
fn depends(c: &Context<'_>, at: &Place<'_>, params: &Value) -> KeyParts {
    let (x, stage) = (c.experiment, at.stage);
    let (r, a) = (&x.recipe, &x.arms[at.arm].arm);
    // How often a checkpoint is written changes no result.
    let train = Train { checkpoint_secs: 0, ..r.train_of(a).clone() };
    let mut key = KeyParts::default();
    key.part("stage", &stage.does);
    key.part("params", params);
    key.part("data", (&r.data, x.data.fingerprint.to_string()));
    key.part("model", (&r.model, &a.model, &a.weights));
    key.part("arm", (&a.method, &a.params, x.region_texts(a), &a.data, &a.labels, &a.loss_weight, train));
    key.part("seed", at.seed);
    let parent = parent(c.experiment, stage, at.arm);
    key.part("parent", parent.map(|(p, arm)| self::key(c, r.stage(p).unwrap_or(stage), arm, at.seed)));
    if let Ok(does) = c.stage(stage) {
        key.part("version", does.version());
        does.depends(c, at, &mut key);
    }
    key
}

/// The keys of the models that a stage compares its own with: those of baseline and control.
pub(crate) fn compared(c: &Context<'_>, at: &Place<'_>, key: &mut KeyParts) {
    let of =
        |made: Option<(&recipe::Stage, usize)>| made.map(|(first, arm)| self::key(c, first, arm, at.seed));
    key.part("baseline", of(whole(c, at.stage, at.seed)));
    key.part("control", of(control(c, at.stage, at.seed)));
}
