//! Recipes: the TOML file that says what an experiment is.
//!
//! ```text
//! file ──► Written ──with_preset──with_set──► resolve(callbacks) ──► Recipe + derived values
//! ```
//!
//! Unknown keys are errors that name the nearest valid key and the line. What a kind of data, a
//! network, a method or a stage accepts is asked through [`Callbacks`]; everything else is here.

mod arms;
mod callbacks;
mod check;
mod error;
mod every;
mod form;
mod grid;
mod merge;
mod resolve;
mod scale;
mod schema;
mod stages;
mod targets;
mod to_toml;
mod train;
mod tree;
mod typed;
mod written;

pub use arms::ARM_KEYS;
pub use callbacks::{Callbacks, StageInfo};
pub use check::{at_least, listed, one_of, range};
pub use error::{PathError, RecipeError};
pub use lobe_runs::{Makes, Starts};

pub use form::{
    Arm, ArmData, ArmKind, Derived, Family, NamedRegion, Recipe, Section, Stage, StageFacts, canonical,
};
pub use schema::json_schema;
pub use stages::STAGE_KEYS;
pub use targets::Target;
pub use train::{Decay, Masked, Schedule, Train, above_zero};
pub(crate) use typed::path_error;
pub use typed::{completed, typed};
pub use written::Written;

/// Entry point for fuzzing: resolves any text, and what resolves must survive being saved.
///
/// # Panics
/// If a resolved recipe does not load again as the same recipe.
pub fn fuzz_recipe(text: &str, callbacks: &Callbacks<'_>) {
    let Ok(written) = Written::from_str("fuzz.toml", text) else { return };
    written.check_presets(callbacks).ok();
    let Ok((recipe, _)) = written.resolve(callbacks) else { return };
    let again = Written::from_str("again.toml", &recipe.to_toml()).and_then(|w| w.resolve(callbacks));
    assert_eq!(again.map(|(r, _)| r), Ok(recipe), "a saved recipe loads as itself");
}
