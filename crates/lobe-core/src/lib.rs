//! The words of Lobe: labels, sites, regions, weights, routes and random keys.
//!
//! Nothing here does I/O or touches a tensor. Every other crate speaks in these types.

mod label;
mod nearest;
mod random;
mod region;
pub mod registry;
mod route;
mod select;
mod weights;

pub use label::{FORGET, LabelId, LabelSet, RETAIN, UNLABELLED};
pub use nearest::{did_you_mean, nearest};
pub use random::{Key, Rng};
pub use region::{Index, Region, RegionError, Segment};
pub use route::{JointKind, Route, RouteRow, RouteTable, Target};
pub use select::{Selection, SiteInfo};
pub use weights::{Edges, Line, Sign, Term, Weights, WeightsError};
