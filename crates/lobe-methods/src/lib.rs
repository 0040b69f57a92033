//! Methods: how to localise, remove, attack and measure a capability. One file each.
//!
//! A file opens with the equation, the paper, what is unusual here and when it fails, and holds
//! the mathematics as small pure functions. [`LOCALIZE`], [`ATTACKS`] and [`remove::STAGES`] are the
//! explicit ordered lists; `lobe list`, `lobe explain`, the recipe schema and the conformance
//! suite are made from them. Nothing here reads a file, a clock or a thread.
//!
//! A method can be written as a value or built from a recipe's table:
//!
//! ```
//! use lobe_core::LabelSet;
//! use lobe_methods::localize::sgtm::Sgtm;
//! use lobe_methods::{Context, LOCALIZE, Localize, ParamError};
//!
//! let (labels, regions) = (LabelSet::default(), ["spanish".to_owned()]);
//! let context = Context { labels: &labels, regions: &regions };
//! let written = Sgtm { mask_head: true, ..Sgtm::default() }.table(&context)?;
//!
//! let entry = LOCALIZE.find("sgtm").expect("it is built in");
//! let (built, _) = (entry.build)(&serde_json::json!({ "mask_head": true }))?;
//! assert_eq!(built.table(&context)?, written);
//! # Ok::<(), ParamError>(())
//! ```

pub mod attack;
pub mod localize;
pub mod locate;
pub mod measure;
pub mod objective;
pub mod remove;
pub mod treat;
pub mod unlearn;

pub use attack::{
    ATTACKS, Attack, AttackEntry, Axis, Battery, Bench, BenchError, Budget, Case, Loot, Losses, Start, Trial,
    Variant,
};
pub use lobe_core::registry::{About, Choice, Entry, ParamDoc, ParamError, kinds_of, params_in, params_of};
pub use localize::{Context, Expect, Kind, LOCALIZE, Localize, Part, Status, TrainsOn};
pub use remove::ablate::{Ablate, How};
pub use unlearn::{UNLEARN, Unlearn};

/// Everything that can be explained, in the order it is listed: (kind, description, parameters).
pub fn catalogue() -> Vec<(&'static str, &'static About, Vec<ParamDoc>)> {
    let mut out = Vec::new();
    out.extend(LOCALIZE.iter().map(|e| ("method", e.about, (e.params)())));
    out.extend(UNLEARN.iter().map(|e| ("unlearning", e.about, (e.params)())));
    out.extend(remove::STAGES.iter().map(|e| ("removal", e.about, (e.params)())));
    out.extend(locate::LOCATORS.iter().map(|e| ("locator", e.about, (e.params)())));
    out.extend(treat::TREATMENTS.iter().map(|e| ("treatment", e.about, (e.params)())));
    out.extend(lobe_nets::adapter::ADAPTERS.iter().map(|e| ("adapter", e.about, (e.params)())));
    out.extend(ATTACKS.iter().map(|e| ("attack", e.about, (e.params)())));
    out.extend(measure::MEASURES.iter().map(|a| ("measure", a, Vec::new())));
    out.extend(lobe_engine::optim::OPTIMISERS.iter().map(|e| ("optimiser", e.about, (e.params)())));
    out
}
