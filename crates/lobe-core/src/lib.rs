//! The words of Lobe: labels, sites, regions, weights, routes and random keys.
//!
//! Nothing here does I/O or touches a tensor. Every other crate speaks in these types.
//!
//! ```
//! use lobe_core::{FORGET, Region, RegionError, Route, RouteTable, SiteInfo, Target};
//!
//! // The last four neurons of every block, in a network of two blocks.
//! let sites = [0, 1].map(|i| SiteInfo { name: format!("blocks.{i}.mlp.post"), units: 16 });
//! let region: Region = "blocks.*.mlp.post[-4..]".parse()?;
//! assert_eq!(region.resolve(&sites)?.count(), 8);
//!
//! // Parameter masking: data that has to go does not update what lies outside of the region.
//! let frozen = Route::new(1.0, 1.0, 0.0);
//! let table = RouteTable::plain().with(FORGET, Target::Elsewhere, frozen);
//! assert_eq!(table.rows[0].route.update, 0.0);
//! # Ok::<(), RegionError>(())
//! ```

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
