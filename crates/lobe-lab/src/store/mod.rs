//! Run directories: the only code that writes them.
//!
//! Everything is written to a temporary name in the same directory, synced and renamed, so that
//! a reader never sees half a file and a killed run leaves nothing that looks finished. Names that
//! become part of a path are checked, so paths stay inside the run.

mod atomic;
mod checkpoint;
mod csv;
mod error;
mod manifest;
mod member;
mod metrics;
mod name;
mod run_dir;
mod time;
mod variants;

pub use atomic::{write_atomic, write_atomic_with};
pub use checkpoint::Checkpoint;
pub use csv::{AttackRow, Order, ResultRow, TimingRow, attacks_csv, results_csv, timings_csv};
pub use error::StoreError;
pub use manifest::{
    ClassFacts, DataFacts, FailedMember, Manifest, ManifestArm, ManifestAxis, ManifestStage, ModelFacts,
    Reference, RunState,
};
pub use member::{Failure, MemberDir, State, Status};
pub use metrics::{Metric, MetricsLog};
pub use name::check_name;
pub use run_dir::RunDir;
pub(crate) use time::now;
pub use variants::Variants;
