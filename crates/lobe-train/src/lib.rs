//! Training, evaluating and changing networks: the library, without recipes or directories.
//!
//! * A [`Task`] is a network, data and what of it is to be forgotten; it trains models under methods, scores and
//!   attacks them. A [`Workbench`] is what an attack sees of a model.
//! * [`train()`] moves any number of [`Trainee`]s side by side, whatever they follow and however a step of
//!   theirs is made; a [`Journal`] keeps what they say and lets them resume to the bit.
//! * [`Forward`] runs a network over a batch without training it; [`evaluate`] takes the held-out numbers.
//! * [`Pool`] is what a reference model says about examples; a [`Driver`] makes a step of it.
//!
//! The example `library` of the repository:
//!
#![doc = concat!("```\n", include_str!("../../../examples/library.rs"), "```")]

pub mod attacker;
mod bench;
mod data;
mod drive;
mod error;
mod forward;
mod journal;
mod payload;
mod pool;
mod reading;
pub mod recover;
mod scores;
mod task;
mod trainer;

pub use bench::Workbench;
pub use data::{collect, held_out, push, push_drawn};
pub use drive::Driver;
pub use error::{Diverged, TrainError};
pub use forward::Forward;
pub use journal::{InMemory, Journal};
pub use pool::{Drawn, Pool, plan, shape};
pub use reading::Reading;
pub use scores::{Job, Scores, evaluate};
pub use task::{Task, Training, worst};
pub use trainer::{At, Follows, Goal, Source, Spec, Trainee, train};
