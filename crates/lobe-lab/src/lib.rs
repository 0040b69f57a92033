//! Recipes, stage graph, cache, runs and statistics: the only crate that writes run directories.
//!
//! ```text
//! Written ──► Recipe ──► Experiment ──► stages (train, ablate, attacks, measure) ──► run directory
//! recipe/     resolved   plan/          stages/, over graph/, by schedule/          lobe-runs
//! ```
//!
//! ```
//! use lobe_lab::recipe::Written;
//! use lobe_lab::schedule::resolve;
//!
//! let recipe = r#"
//!     name = "small"
//!     data = { kind = "bilingual", forget = { language = "es" } }
//!     model = { kind = "gpt", layers = 2, width = 32, heads = 2 }
//!     train = { steps = 50 }
//!     arms = { baseline = { method = "none" }, filter = { method = "filter" } }
//!     stage = [{ do = "train" }, { do = "measure" }]
//! "#;
//! let (resolved, _) = resolve(&Written::from_str("small.toml", recipe)?)?;
//! assert_eq!(resolved.arms[1].method, "filter");
//!
//! // A wrong word is refused with its line and the nearest right one.
//! let wrong = recipe.replace("\"filter\"", "\"fliter\"");
//! let said = resolve(&Written::from_str("small.toml", &wrong)?).unwrap_err().to_string();
//! assert!(said.starts_with("small.toml:6") && said.contains("did you mean \"filter\"?"), "{said}");
//! # Ok::<(), lobe_lab::LabError>(())
//! ```

mod advice;
mod error;
pub mod graph;
pub mod plan;
pub mod recipe;
pub mod schedule;
pub mod stages;
pub mod words;

pub(crate) use lobe_runs as store;

pub use advice::{Advice, Concern, advice, smallest_difference};
pub use error::LabError;
