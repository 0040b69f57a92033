//! The graph of a run: what a stage is, which members it has, what each depends on and starts from.

mod change;
mod context;
mod journal;
mod keys;
mod members;
mod models;
mod parents;
mod stage;

pub use change::{At, Change, Changed, Kept, change};
pub(crate) use context::Known;
pub use context::{Context, ModelRef, Options, Progress, Silent};
pub(crate) use journal::{MemberJournal, metric};
pub use keys::KeyParts;
pub(crate) use keys::{compared, key, variant_key};
pub use members::{Done, Work, each};
pub(crate) use members::{has_arm, members, orphan, settle, share, timing, told};
pub use models::{read_model, write_model};
pub(crate) use parents::{control, cut, sources, twin, whole};
pub use stage::{Build, Place, Shares, Stage, StageEntry};
