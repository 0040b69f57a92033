//! The training engine: a tape of coarse operations with hand-derived backward passes.
//!
//! ```text
//! Program::forward ──► Tape (ops/) ──► Lane gradients ──► Optimiser (fused, sums lanes in order)
//!      per shard        per worker       per (member, lane)      per member
//! ```
//!
//! The engine knows neither architectures nor methods. A network declares its tensors and who
//! owns them in a [`Layout`]; a method is a [`lobe_core::RouteTable`], compiled against the
//! layout into a [`Plan`]; the operations read the plan and skip what a route makes unnecessary.

mod buffer;
mod doors;
mod entries;
mod error;
mod factors;
pub mod kernels;
mod layout;
mod moving;
pub mod ops;
pub mod optim;
mod plan;
pub mod rows;
mod schedule;
mod step;
mod tape;

pub use buffer::{Buf, Pool};
pub use doors::{Door, Guest};
pub use entries::{Entries, Rectangle};
pub use error::EngineError;
pub use factors::{RowLabels, ShardRows};
pub use kernels::{View, ViewMut, gemm};
pub use layout::{Init, Layout, Owner, OwnerPart, ParamId, SiteId, Tensor, TensorBuilder};
pub use moving::Moving;
pub use optim::{Masked, Optimiser, OptimiserState};
pub use plan::{Class, Edit, Plan, Segment, SiteEdit};
pub use schedule::{Schedule, ScheduleShape};
pub use step::{Coupling, Lane, MOST_LANES, Member, Program, Runner, StepReport};
pub use tape::{Tape, Var, Workspace};
