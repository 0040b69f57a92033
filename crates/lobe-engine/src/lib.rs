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
//!
//! ```
//! use lobe_core::{Key, UNLABELLED};
//! use lobe_engine::ops::{distance::Distance, head::RowWeights, linear::LinearSpec};
//! use lobe_engine::optim::Adam;
//! use lobe_engine::{
//!     EngineError, Layout, Member, Optimiser, ParamId, Plan, Program, Runner, Schedule, ShardRows, Tape, Var,
//! };
//!
//! /// y = w x, to be 3 x.
//! struct Line(ParamId);
//!
//! impl Program for Line {
//!     fn shards(&self) -> usize {
//!         1
//!     }
//!     fn rows(&self, _: usize) -> ShardRows<'_> {
//!         ShardRows::uniform(2, UNLABELLED)
//!     }
//!     fn forward(&self, _: usize, tape: &mut Tape<'_>) -> Result<Option<Var>, EngineError> {
//!         let x = tape.input(2, 1, |x| x.copy_from_slice(&[1.0, 2.0]));
//!         let y = tape.linear(x, LinearSpec::new(self.0))?;
//!         tape.distance(y, &[3.0, 6.0], Distance::Squared, RowWeights::One(0.5))?;
//!         Ok(None)
//!     }
//! }
//!
//! let mut layout = Layout::default();
//! let w = layout.tensor("w", 1, 1).add();
//! let mut line = Member::new(layout.init(Key::root(0)), Plan::plain(&layout), 1)?;
//! let (runner, adam) = (Runner::new(1)?, Optimiser::new(Adam::default(), Schedule::constant(0.1)));
//! for step in 0..200 {
//!     runner.step(&layout, &mut [(&mut line, &Line(w), &adam)], step)?;
//! }
//! assert!((line.params[0] - 3.0).abs() < 0.01);
//! # Ok::<(), EngineError>(())
//! ```

mod buffer;
mod entries;
mod error;
pub mod kernels;
mod layout;
mod moving;
pub mod ops;
pub mod optim;
pub mod rows;
mod schedule;
mod step;
mod tape;

pub use buffer::{Buf, Pool};
pub use entries::{Entries, Rectangle};
pub use error::EngineError;
pub use kernels::{View, ViewMut, gemm};
pub use layout::{Init, Layout, Owner, OwnerPart, ParamId, SiteId, Tensor, TensorBuilder};
pub use moving::Moving;
pub use optim::{MOST_LANES, Masked, Optimiser, OptimiserState};
pub use schedule::{Schedule, ScheduleShape};
pub use step::{Coupling, Lane, Member, Program, Runner, StepReport};
pub use tape::doors::{Door, Guest};
pub use tape::factors::{RowLabels, ShardRows};
pub use tape::plan::{Class, Edit, Plan, Segment, SiteEdit};
pub use tape::{Tape, Var, Workspace};
