//! Methods that go around another one: its terms, made into a step in another way.

use lobe_core::{Key, did_you_mean};
use lobe_engine::Layout;
use serde_json::{Map, Value};

use super::terms::{block, refuse};
use super::{Drive, Moves, Reads, Recovery, Shape, Side, Term, UNLEARN, Unlearn};
use lobe_core::registry::ParamError;

/// What cannot be wrapped.
const WRAPPERS: [&str; 3] = ["sam", "lat", "tar"];

/// The inner method with the wrapper's way of making a step.
pub(super) struct Around {
    pub(super) inner: Box<dyn Unlearn>,
    pub(super) drive: Drive,
}

impl Unlearn for Around {
    fn terms(&self, shape: Shape, key: Key) -> Result<Vec<Term>, ParamError> {
        let terms = self.inner.terms(shape, key).map_err(below_inner)?;
        if let Drive::Lat { layer, .. } = self.drive {
            block("layer", layer, shape)?;
            terms.iter().filter(|t| t.side == Side::Forget).try_for_each(|t| reaches(layer, t))?;
        }
        Ok(terms)
    }
    fn moves(&self, shape: Shape) -> Moves {
        self.inner.moves(shape)
    }
    fn drive(&self) -> Drive {
        self.drive.clone()
    }
    fn start(&self, layout: &Layout, reference: &[f32], key: Key) -> Option<Vec<f32>> {
        self.inner.start(layout, reference, key)
    }
    fn recovery(&self) -> Option<Recovery> {
        self.inner.recovery()
    }
    fn stop_within(&self) -> Option<f64> {
        self.inner.stop_within()
    }
}

/// A perturbation after block `at` has to come before what the term reads.
fn reaches(at: usize, term: &Term) -> Result<(), ParamError> {
    match term.objective.reads() {
        Reads::Hidden { layer } if layer <= at => refuse(
            "layer",
            format!("the inner method reads block {layer}: perturb before it, not after {at}"),
        ),
        _ => Ok(()),
    }
}

/// Builds the method `around` with the parameters `inner`; returns it and `inner` with all defaults.
pub(super) fn build(
    around: &str,
    inner: &Map<String, Value>,
) -> Result<(Box<dyn Unlearn>, Value), ParamError> {
    let Some(entry) = UNLEARN.iter().find(|e| e.about.name == around) else {
        let plain = UNLEARN.iter().filter(|e| !WRAPPERS.contains(&e.about.name)).map(|e| e.about.name);
        return refuse("around", format!("no post-hoc method {around:?}{}", did_you_mean(around, plain)));
    };
    if WRAPPERS.contains(&around) {
        return refuse("around", format!("{around:?} goes around another method itself"));
    }
    (entry.build)(&Value::Object(inner.clone())).map_err(below_inner)
}

/// Writes the inner method's full parameters into the wrapper's.
pub(super) fn with_inner(mut full: Value, inner: Value) -> Value {
    full["inner"] = inner;
    full
}

fn below_inner(e: ParamError) -> ParamError {
    let path = match e.path.as_str() {
        "" | "." => "inner".to_owned(),
        path => format!("inner.{path}"),
    };
    ParamError { path, ..e }
}
