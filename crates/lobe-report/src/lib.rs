//! Reports from a run directory: one self-contained HTML file and its text twin for the terminal.
//!
//! This crate only reads. It treats everything it reads as text that somebody else wrote: sizes are
//! limited, no name found in a file leads outside the run directory, control characters are dropped
//! while loading and markup is escaped while writing. A number that was not measured stays missing
//! and is shown as a dash.
//!
//! What is said of numbers follows from them alone:
//!
//! ```
//! use lobe_report::stats::difference;
//!
//! // Losses of two arms by seed: paired on the seeds that both have.
//! let (routed, plain) = ([(0, 3.1), (1, 3.4), (2, 3.3)], [(0, 2.1), (1, 2.3), (2, 2.2)]);
//! let by = difference(&routed, &plain).expect("three common seeds");
//! assert!((by.mean - 1.0667).abs() < 1e-3 && by.contains(0.0) == Some(false));
//! assert!(difference(&routed[..1], &plain).expect("one").interval.is_none());
//! ```
//!
//! A run is read, and drawn as a page or as text:
//!
//! ```no_run
//! let run = lobe_report::RunData::load("runs/quickstart".as_ref())?;
//! let page = lobe_report::html::render(&run);
//! let text = lobe_report::terminal::render(&run, 100, lobe_report::terminal::Style::Unicode);
//! # Ok::<(), lobe_report::ReportError>(())
//! ```

pub mod figure_files;
mod figures;
mod format;
pub mod html;
mod load;
mod markdown;
mod palette;
mod ranking;
pub mod record;
mod run;
mod samples;
mod starts;
pub mod stats;
mod svg;
mod tables;
pub mod targets;
pub mod terminal;
mod theme;

pub use lobe_runs::{
    Activity, Arm, Axis, ClassFacts, DataFacts, Derived, FailedMember, Manifest, ModelFacts, Prefix,
    ReadError as ReportError, Reference, RunState, Stage, Target, TimingRow, readable,
};
pub use run::judge;
pub use run::{Measured, Point, Quantity, RunData, Variant};
pub use samples::Sample;
