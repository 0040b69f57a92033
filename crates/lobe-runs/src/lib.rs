//! The format of a run directory, both directions. This crate knows files and no training.
//!
//! **Writing.** Everything is written to a temporary name in the same directory, synced and renamed, so that
//! a reader never sees half a file and a killed run leaves nothing that looks finished. Names that
//! become part of a path are checked, so paths stay inside the run. Only `lobe-lab` writes runs.
//!
//! **Reading.** [`Files`] treats the directory as one that somebody else wrote: sizes are limited, no name
//! leads outside, and text loses what could disguise it.
//!
//! ```
//! use lobe_runs::{Order, ResultRow, read_results, results_csv};
//!
//! let row = ResultRow {
//!     stage: "train".into(),
//!     arm: "baseline".into(),
//!     seed: 0,
//!     label: "forget".into(),
//!     metric: "loss".into(),
//!     step: None,
//!     value: 1.25,
//!     unit: "nat".into(),
//! };
//! let order = Order { stages: &["train".into()], arms: &["baseline".into()] };
//! let text = results_csv(std::slice::from_ref(&row), order)?;
//! assert!(text.ends_with("train,baseline,0,forget,loss,,1.25,nat\n"));
//!
//! let mut rows = Vec::new();
//! read_results(&text, |_, row| Ok(rows.push(row)))?;
//! assert_eq!(rows, [row]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod atomic;
mod catalogue;
mod charts;
mod checkpoint;
mod csv;
mod error;
mod files;
mod manifest;
mod member;
mod members;
mod metrics;
mod name;
mod older;
mod run_dir;
mod table;
mod target;
mod text;
mod time;
mod variants;

pub use atomic::{write_atomic, write_atomic_with};
pub use catalogue::{Better, Catalogue, MetricInfo, Role};
pub use charts::{
    Bar, Chart, ChartAxis, ChartFile, Level, MemberChart, MemberCharts, Picture, Series, Shape,
};
pub use checkpoint::Checkpoint;
pub use csv::{
    AttackRow, Order, ResultRow, TimingRow, attacks_csv, read_attacks, read_results, read_timings,
    results_csv, timings_csv,
};
pub use error::{ReadError, StoreError};
pub use files::{Files, from_json};
pub use manifest::{
    Arm, Axis, ClassFacts, Coordinate, DataFacts, Derived, FORMAT, FailedMember, Family, Makes, Manifest,
    ModelFacts, Reference, RunState, Stage, Starts,
};
pub use member::{Failure, MemberDir, State, Status};
pub use members::{
    Activity, ActivityFile, Prefix, PrefixFile, Sample, SampleFile, SampledModel, Timing, Variant,
};
pub use metrics::{Metric, MetricsLog, part};
pub use name::check_name;
pub use run_dir::RunDir;
pub use table::{read_table, record};
pub use target::{Need, Target};
pub use text::{clean, lines, readable};
pub use time::now;
pub use variants::Variants;
